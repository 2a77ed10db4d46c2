"""kddet: knowledge distillation for any MMDetection detector."""
from .host import check_host

check_host()

from .adapters import Adapter  # noqa: E402
from .checkpoint import load_checkpoint  # noqa: E402
from .datasets import UnlabelledDataset  # noqa: E402
from .distiller import Distiller  # noqa: E402
from .hooks import (  # noqa: E402
    LossWeightHook,
    MethodDiagnosticsHook,
    PlainCheckpointHook,
    TeacherCacheHook,
    TermWatchHook,
)
from .labelenc import LabelEncAutoencoder, LabelEncoder  # noqa: E402
from .losses import HintLoss  # noqa: E402
from .methods import (  # noqa: E402
    AdaptiveDistillation,
    Chen2017,
    DistillMethod,
    FineGrainedImitation,
    HintLearning,
    LabelEnc,
    TeacherBoundedRegression,
    WeightedClassification,
)
from .recording.recorder import Recorder, Records  # noqa: E402
from .registry import DATASETS, HOOKS, MODELS  # noqa: E402
from .safe_pickle import allow_mmengine_objects  # noqa: E402
from .teachers.external.teacher import ExternalTeacher  # noqa: E402
from .teachers.frozen import FrozenTeacher  # noqa: E402

__version__ = '0.1.0'
__all__ = ['Adapter', 'AdaptiveDistillation', 'Chen2017', 'DATASETS', 'DistillMethod', 'Distiller',
           'ExternalTeacher', 'FineGrainedImitation', 'FrozenTeacher', 'HOOKS', 'HintLearning', 'HintLoss', 'LabelEnc',
           'LabelEncAutoencoder', 'LabelEncoder', 'LossWeightHook', 'MODELS', 'MethodDiagnosticsHook',
           'PlainCheckpointHook', 'Recorder', 'Records', 'TeacherBoundedRegression', 'TeacherCacheHook',
           'TermWatchHook', 'UnlabelledDataset', 'WeightedClassification', 'load_checkpoint']

allow_mmengine_objects()
