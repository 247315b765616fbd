"""From a plan to a finished record: what runs, on what, in which order."""
