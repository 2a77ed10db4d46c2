"""A page on one or more runs: what was trained, how well it does beside its teacher and a baseline, at what cost."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from mmengine.config import ConfigDict

from kddet.project.config import data_sources
from kddet.teachers.accuracy import CACHE

from .comparison import Comparison, class_changes, common_classes, picture_changes
from .detectors import Detector, line_up
from .page import render
from .run_folder import RunFolder, open_runs
from .scenes import Scene, scene
from .truth import Truth, read_truth

CLASSES = 8  # that gained or lost most


def make_report(work_dirs: Sequence[str | Path], baseline: str | Path | None = None, *, measure: bool = True,
                pictures: int = 3, cache: str | Path = CACHE, say: Callable[[str], None] = print) -> str:
    """The HTML of a report.

    Args:
        work_dirs: of the runs.
        baseline: work dir of the run that the others are compared with; without one it is their teacher.
        measure: run the detectors on the validation data; what they found is kept in ``cache``.
        pictures: how many are shown that gained most, and as many that lost most; for each run.
        say: is told what takes a while.

    Raises:
        FileNotFoundError: no such work dir.
        ValueError: runs of other validation data; one that is given twice.
    """
    runs = open_runs([*([baseline] if baseline else []), *work_dirs])
    base = runs.pop(0) if baseline else None
    notes: list[str] = []
    columns = line_up(runs, base, notes)
    truth = _measure(columns, Path(cache), notes, say) if measure else None
    reference = next((column for column in columns if base and column.run is base and not column.teaches), None) or \
        next((column for column in columns if column.teaches and column.accuracy), None)
    comparisons = [_compare(column, reference, columns, truth, pictures, notes) for column in columns
                   if reference and truth and column is not reference and not column.teaches]
    return render(columns, reference, truth, comparisons, notes)


def _measure(columns: Sequence[Detector], cache: Path, notes: list[str],
             say: Callable[[str], None]) -> Truth | None:
    """What cannot be measured is noted, and the page is made without."""
    _check_same_data([column.run for column in columns])
    try:
        truth = read_truth(columns[-1].run.cfg)
    except (ValueError, FileNotFoundError) as error:
        notes.append(f'Nothing was measured for this page: {error}')
        return None
    for column in columns:
        try:
            column.measure(truth, cache, say)
        except (ValueError, FileNotFoundError) as error:
            notes.append(f'{column.name} was not measured: {error}')
    return truth if any(column.accuracy for column in columns) else None


def _check_same_data(runs: Sequence[RunFolder]) -> None:
    for what, describe in (('data, one page compares runs of one data set', _file),
                           ('classes, one page compares runs on one list', _classes)):
        found: dict[str, str] = {}
        for run in runs:
            loader = run.cfg.get('val_dataloader')
            sources = data_sources(loader.dataset) if loader else []
            found.setdefault(' and '.join(map(describe, sources)), run.name)
        if len(found) > 1:
            raise ValueError(f'the runs are validated on different {what}: '
                             + '; '.join(f'{name} on {said or "none"}' for said, name in found.items()))


def _file(source: ConfigDict) -> str:
    return str(Path(source.get('data_root') or '') / (source.get('ann_file') or ''))


def _classes(source: ConfigDict) -> str:
    classes = (source.get('metainfo') or {}).get('classes') or ()
    return classes if isinstance(classes, str) else ', '.join(classes)


def _compare(column: Detector, reference: Detector, columns: Sequence[Detector], truth: Truth, pictures: int,
             notes: list[str]) -> Comparison:
    own, other = column.accuracy, reference.accuracy
    names = common_classes(own, other) if own and other else []
    if not own or not other or not names:
        return Comparison(column, reference, (), ())
    everything = len(names) == len(own.classes) == len(other.classes)
    own, other = column.on(truth, names), reference.on(truth, names)
    gains, losses = class_changes(own, other, CLASSES)
    shown = [each for each in columns if each in (column, reference)
             or each.taught(column.run)]
    scenes: list[Scene] = []
    for number, (picture, change) in enumerate(picture_changes(own, other, pictures)):
        try:
            key = f'picture-{columns.index(column)}-{number}'
            scenes.append(scene(key, truth.files[picture], picture, change, shown))
        except FileNotFoundError:
            notes.append(f'The picture {truth.files[picture]} is not there any more.')
    return Comparison(column, reference, gains, losses, scenes, None if everything else len(names))
