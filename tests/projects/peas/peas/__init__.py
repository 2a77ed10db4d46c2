"""Peas, and whatever else lies between them."""
from . import backbone, dataset  # noqa: F401
