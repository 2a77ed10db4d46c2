"""What a training took, from its log, and the size of what came out of it."""
from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from kddet.checkpoint import DISTILLER_PREFIX, load_checkpoint, state_dict_of

from .detectors import Detector

Series = Sequence[tuple[float, float]]


def cost(columns: Sequence[Detector], baseline: Detector | None, notes: list[str]) -> list[tuple[str, list[str]]]:
    """Rows of texts, one a column; times and memory of trainings alone, so none for teachers.

    Args:
        notes: gets a line for each checkpoint that cannot be read.
    """
    trained = [{} if column.teaches else column.run.log.train for column in columns]
    times = [_median(train.get('time', ())) for train in trained]
    base = next((time for column, time in zip(columns, times) if column is baseline), None)
    return [
        ('parameters of the detector', [parameters(column) for column in columns]),
        ('parameters trained beside it', [beside(column, notes) for column in columns]),
        ('time of an iteration, median', [_seconds(time) for time in times]),
        ('against the baseline', ['' if time is None or not base or column is baseline else f'{time / base:.2f} times'
                                  for column, time in zip(columns, times)]),
        ('of it, waiting for data', [_seconds(_median(train.get('data_time', ()))) for train in trained]),
        ('time of all iterations', [_duration(train.get('time', ())) for train in trained]),
        ('memory of the GPU, largest', [_memory(train.get('memory', ())) for train in trained]),
    ]


def parameters(column: Detector) -> str:
    """Of the plain detector; a file from outside does not tell."""
    detector = column.build()
    return '' if detector is None else \
        f'{sum(parameter.numel() for parameter in detector.parameters()) / 1e6:.2f} M'


def beside(column: Detector, notes: list[str]) -> str:
    """Of adapters and whatever else a Distiller trains, as its checkpoint has them."""
    if column.teaches or column.checkpoint is None:
        return ''
    try:
        weights = state_dict_of(load_checkpoint(column.checkpoint))
    except (ValueError, FileNotFoundError) as error:
        notes.append(f'What {column.name} trains beside the detector is not known: {error}')
        return ''
    count = sum(value.numel() for key, value in weights.items() if key.startswith(DISTILLER_PREFIX))
    return f'{count / 1e6:.2f} M' if count else 'none'


def _median(series: Series) -> float | None:
    return median(value for _, value in series) if series else None


def _seconds(value: float | None) -> str:
    return '' if value is None else f'{value:.3f} s' if value < 10 else f'{value:.1f} s'


def _duration(series: Series) -> str:
    """Each logged time is the mean over the iterations since the one before."""
    starts = [0, *(step for step, _ in series)]
    seconds = sum(time * (step - start) for start, (step, time) in zip(starts, series))
    return '' if not series else f'{seconds / 3600:.1f} h' if seconds > 5400 else f'{seconds / 60:.1f} min'


def _memory(series: Series) -> str:
    most = max((value for _, value in series), default=0)
    return f'{most / 1024:.1f} GiB' if most else ''
