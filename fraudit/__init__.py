"""fraudit audits face recognition models as black boxes."""

__version__ = "0.1.0"
