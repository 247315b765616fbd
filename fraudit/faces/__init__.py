"""Face sets: readers, decoding, detection, five-point alignment."""
