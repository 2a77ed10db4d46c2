"""Data sets: digits, which needs no download, and pictures without ground truth."""
from .digits import make_digits
from .unlabelled import UnlabelledDataset

__all__ = ['UnlabelledDataset', 'make_digits']
