"""Where weights come from, and reading checkpoints without running them."""
