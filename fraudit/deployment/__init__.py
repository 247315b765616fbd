"""From a model and a set to a deployment: thresholds with their promises, probabilities, demands met or not."""
