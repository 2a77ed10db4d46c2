"""Data sets that need no download."""
from .digits import make_digits

__all__ = ['make_digits']
