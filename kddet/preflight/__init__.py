"""What a distillation run is about to do, said before its first step: one line a topic, with a verdict and a remedy."""
from .check import preflight
from .report import NOTE, OK, STOP, Line, Report

__all__ = ['Line', 'NOTE', 'OK', 'Report', 'STOP', 'preflight']
