"""Pages that the documentation's build makes from the code itself; nothing here is part of the package."""
