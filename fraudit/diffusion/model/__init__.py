"""Networks of ID3PM and their checkpoints."""
