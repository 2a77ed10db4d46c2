"""Lines with verdicts, on one screen."""
from __future__ import annotations

import json
import textwrap
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from mmengine.dist import master_only

from kddet.errors import RunFailed

FILE = 'preflight.json'  # beside the log
OK, NOTE, STOP = 'ok', 'note', 'stop'
WIDTH = 118
INDENT = 8 + 15  # of what a line says: verdict and topic come before it


@dataclass(frozen=True)
class Line:
    """One topic.

    Attributes:
        topic: a word or two, or the name of a method.
        verdict: ``ok``; ``note``, worth a look; ``stop``, the run would be for nothing.
        text: what was found.
        remedy: what to do, where the verdict is not ``ok``.
        details: lines of their own below.
        teacher: that it is about, among several.
        measured: figures of it, by name.
    """
    topic: str
    verdict: str
    text: str
    remedy: str = ''
    details: list[str] = field(default_factory=list)
    teacher: str = ''
    measured: dict[str, float] = field(default_factory=dict)

    def of(self, teacher: str) -> Line:
        """The same of one among several teachers, its name in front of what was found."""
        if not teacher:
            return self
        return replace(self, text=f'{teacher}: {self.text}', teacher=teacher)

    def __str__(self) -> str:
        head = f'  {self.verdict:4}  {self.topic:14} '
        parts = [_wrapped(head, self.text)] + [_wrapped(' ' * INDENT, detail) for detail in self.details]
        return '\n'.join(parts + ([_wrapped(' ' * INDENT + '> ', self.remedy)] if self.remedy else []))


@dataclass(frozen=True)
class Report:
    """All lines of a run."""
    title: str
    lines: list[Line]

    @property
    def stops(self) -> list[Line]:
        return [line for line in self.lines if line.verdict == STOP]

    def check(self) -> None:
        """Refuse the run.

        Raises:
            RunFailed: some line says ``stop``; the message has its text and its remedy.
        """
        if self.stops:
            raise RunFailed('\n'.join(f'{line.topic}: {line.text}; {line.remedy}' for line in self.stops))

    def __str__(self) -> str:
        counts = {verdict: sum(line.verdict == verdict for line in self.lines) for verdict in (STOP, NOTE, OK)}
        verdict = 'stop' if self.stops else 'go'
        return '\n'.join([f'pre-flight: {self.title}', *map(str, self.lines),
                          f'  {verdict}: ' + ', '.join(f'{count} {kind}' for kind, count in counts.items() if count)])


@master_only
def write_report(report: Report, folder: str | Path) -> None:
    """As json, for a page on the run."""
    (Path(folder) / FILE).write_text(json.dumps(asdict(report), indent=2))


def read_report(file: str | Path) -> Report:
    """What :func:`write_report` wrote."""
    content = json.loads(Path(file).read_text())
    return Report(content['title'], [Line(**line) for line in content['lines']])


def _wrapped(head: str, text: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent=head, subsequent_indent=' ' * max(INDENT, len(head)),
                         break_long_words=False, break_on_hyphens=False)
