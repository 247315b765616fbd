"""Inverter plugins: from ID vectors back to faces."""
