"""MMEngine hooks."""
from .loss_weight import LossWeightHook
from .method_diagnostics import MethodDiagnosticsHook
from .plain_checkpoint import PlainCheckpointHook
from .teacher_cache import TeacherCacheHook
from .term_watch import TermWatchHook

__all__ = ['LossWeightHook', 'MethodDiagnosticsHook', 'PlainCheckpointHook', 'TeacherCacheHook', 'TermWatchHook']
