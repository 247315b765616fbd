"""From noise to a face."""
