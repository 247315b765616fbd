"""Opening what may be broken or hostile, and writing what must not be lost."""
