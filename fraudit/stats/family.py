"""The error budget of a whole report: how often a set with nothing to find may get a finding of low or worse.

A reader meets a report, not a test. Each analysis corrects all its tests together (Holm, max-t or Bonferroni) at its
own share, and the shares of all analyses add up to `REPORT_LEVEL`. Bias has the largest one: it tests most, and its
groups are small.
"""

REPORT_LEVEL = 0.05
FAMILY_LEVEL = 0.007  # of an analysis: five have it
BIAS_LEVEL = 0.011
LATER_LEVEL = 0.001  # of an analysis that tests little beside what it measures: four have it
