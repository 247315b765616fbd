"""Corruptions of face pictures: pure, seeded, u8 -> u8; the catalogue is `fraudit.perturb.catalogue`."""
