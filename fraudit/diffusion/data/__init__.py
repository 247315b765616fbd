"""Faces and conditions as training reads them."""
