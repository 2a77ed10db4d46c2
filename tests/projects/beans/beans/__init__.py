"""Beans on a tray, found by a detector of our own making: what a user's project looks like."""
from . import backbone, dataset, hook, neck, optim  # noqa: F401
