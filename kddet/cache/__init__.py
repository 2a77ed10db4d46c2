"""What the methods read of the teacher, kept on disk: its parts, one idea a file.

``teacher_cache`` and ``store`` need safetensors; a run without a cache imports neither.
"""
from .pipeline import Replay, check_pipelines

__all__ = ['Replay', 'check_pipelines']
