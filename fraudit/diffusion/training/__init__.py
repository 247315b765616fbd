"""Training of inverters and upscalers."""
