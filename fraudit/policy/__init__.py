"""What an audit says a deployment should do: thresholds, probabilities, and demands that are met or not.

`from fraudit.policy import Policy` reads a policy and decides with numpy alone.
"""

from fraudit.policy.policy import SCHEMA, Decision, OperatingPoint, Policy, Rate, point_of

__all__ = ["SCHEMA", "Decision", "OperatingPoint", "Policy", "Rate", "point_of"]
