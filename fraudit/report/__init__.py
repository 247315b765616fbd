"""What a run found: its record, its summary, its pages."""
