"""The classes of student and teacher beside each other."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

from mmengine.config import Config

from kddet.options import some
from kddet.project.classes import Classes, config_classes, disputed_classes, meeting, teacher_classes
from kddet.teachers.settings import ONE, how_to_set

from .report import NOTE, OK, Line

MOST = 12  # names of classes on a line
NOT_COMPARED = 'no method compares scores or boxes of classes'


def classes_line(cfg: Config, settings: Any, compared: bool, name: str = ONE) -> Line:
    """Both lists, and how they meet.

    Args:
        settings: of the teacher in the config.
        compared: some method compares the scores or boxes of classes.
        name: of the teacher.
    """
    line = _line(config_classes(cfg), teacher_classes(settings), settings, compared, name)
    lists = disputed_classes(settings)
    if lists is None:
        return line
    remedy = ('give the config that the checkpoint was trained with; if the list in the checkpoint is wrong, pairs of '
              f'indices say what meets what: {how_to_set(name, class_map="[(0, 1), ...]")}')
    return replace(line, verdict=NOTE, text=f"{line.text}; the teacher's checkpoint names other classes than its "
                   'config, and is believed', details=[*line.details, *_apart(*lists)],
                   remedy='; '.join(filter(None, [line.remedy, remedy])))


def _line(own: Classes | None, other: Classes | None, settings: Any, compared: bool, name: str) -> Line:
    if 'model' in settings and not compared and other is None:
        return Line('classes', OK, f"the teacher's are not known by name, and {NOT_COMPARED}")
    if own is None or other is None:
        return Line('classes', NOTE, f'those of the {"student" if own is None else "teacher"} are not known by name; '
                    'their order is taken for the same', 'name them: metainfo=dict(classes=...) of the data set; of an '
                    f'external teacher {how_to_set(name, classes="[...]")}')
    if (pairs := settings.get('class_map')) is not None:
        return _mapped(own, other, pairs)
    if own == other:
        return Line('classes', OK, f'the same {len(own)}: {some(own, MOST)}')
    lists = [f'student {len(own)}: {some(own, MOST)}', f'teacher {len(other)}: {some(other, MOST)}']
    written = f"in a config {name or 'teacher'}=dict(class_map="
    if compared:
        return Line('classes', NOTE, 'they differ', f"--class-map auto, {written}'auto')", lists)
    if set(own) & set(other):
        return Line('classes', OK, f'they differ, and {NOT_COMPARED}', details=lists)
    return Line('classes', NOTE, f'none in common by name, and {NOT_COMPARED}', 'it goes on; the teacher is measured '
                f'on those that you say are the same: --class-map STUDENT=TEACHER, {written}dict(...))', lists)


def _mapped(own: Classes, other: Classes, pairs: Any) -> Line:
    met = meeting(own, other, pairs)
    left = [name for index, name in enumerate(own) if index not in {mine for mine, _ in pairs}]
    text = f"{len(met)} of the student's {len(own)} meet one of the teacher's {len(other)}: {some(met, MOST)}"
    if not left:
        return Line('classes', OK, text)
    return Line('classes', NOTE, text, 'methods of features teach these too, those of scores and boxes do not',
                [f'without a partner in the teacher: {some(left, MOST)}'])


def _apart(stored: Classes, configured: Classes) -> list[str]:
    """Two lists, from where they part if that is beyond what a line shows."""
    first = next((index for index, (one, other) in enumerate(zip(stored, configured)) if one != other),
                 min(len(stored), len(configured)))
    start = first if first >= MOST else 0
    return [f'{where} {len(names)}' + (f', from {start} on' if start else '') + f': {some(names[start:], MOST)}'
            for where, names in (('in the checkpoint', stored), ('in its config', configured))]
