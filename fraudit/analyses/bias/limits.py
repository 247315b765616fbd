"""From where on a difference between two groups counts as what (docs/severity.md, `bias.ratio`)."""

from __future__ import annotations

# Lower bound of the simultaneous interval of a ratio of two groups at which a difference gets its severity.
HIGH, MEDIUM = 2.0, 1.25
