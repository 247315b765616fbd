"""Seeded corruptions and occlusions, pure u8 -> u8."""
