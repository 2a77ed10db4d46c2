"""A page on one or more runs: what was trained, how well it does beside its teacher and a baseline, at what cost."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from kddet.config import data_sources
from kddet.teacher_accuracy import CACHE

from .comparison import Comparison, class_changes, picture_changes
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
    return render(columns, reference, truth, comparisons, list(dict.fromkeys(notes)))


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
        say(f'measuring {column.name} on {len(truth.files)} pictures')
        try:
            column.measure(truth, cache)
        except (ValueError, FileNotFoundError) as error:
            notes.append(f'{column.name} was not measured: {error}')
    return truth if any(column.accuracy for column in columns) else None


def _check_same_data(runs: Sequence[RunFolder]) -> None:
    files: dict[str, str] = {}
    for run in runs:
        loader = run.cfg.get('val_dataloader')
        sources = data_sources(loader.dataset) if loader else []
        files.setdefault(' and '.join(str(Path(source.get('data_root') or '') / (source.get('ann_file') or ''))
                                      for source in sources), run.name)
    if len(files) > 1:
        raise ValueError('the runs are validated on different data, one page compares runs of one data set: '
                         + '; '.join(f'{name} on {file or "none"}' for file, name in files.items()))


def _compare(column: Detector, reference: Detector, columns: Sequence[Detector], truth: Truth, pictures: int,
             notes: list[str]) -> Comparison:
    own, other = column.accuracy, reference.accuracy
    if not own or not other:
        return Comparison(column, reference, (), ())
    gains, losses = class_changes(own, other, CLASSES)
    shown = [each for each in columns if each in (column, reference)
             or each.teaches and each.run.teacher_files == column.run.teacher_files]
    scenes: list[Scene] = []
    for number, (picture, change) in enumerate(picture_changes(own, other, pictures)):
        try:
            scenes.append(scene(f'{column.mark}-{number}', truth.files[picture], picture, change, shown))
        except FileNotFoundError:
            notes.append(f'The picture {truth.files[picture]} is not there any more.')
    return Comparison(column, reference, gains, losses, scenes)
