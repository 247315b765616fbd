"""Inversion methods of the literature that ask the black box while they work, or need no training of their own."""
