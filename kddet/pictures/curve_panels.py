"""What curves of runs are made of: a panel a measure or a loss, two where some runs count epochs and others do not."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kddet.project.run_log import Log, Series

DIAGNOSTICS = 'diagnostics/'  # what kddet.MethodDiagnosticsHook logs
SOUND = 0.01, 10.0  # ratios about which it says nothing
NOTES = {'_ratio': f"gradient / the detection loss's; {SOUND[0]:g} to {SOUND[1]:g} is sound",
         '_cosine': "of its gradient and the detection loss's"}


@dataclass(frozen=True)
class CurvePanel:
    """``series`` of the runs that have logged it, by their place; mAP is in points, 0 to 100."""
    name: str
    title: str
    unit: str
    evaluated: bool
    series: dict[int, Series]

    @property
    def note(self) -> str:
        """What a diagnostic figure is."""
        return next((note for end, note in NOTES.items() if self.diagnostic and self.name.endswith(end)), '')

    @property
    def diagnostic(self) -> bool:
        return self.name.startswith(DIAGNOSTICS)


def curve_panels(logs: Sequence[Log]) -> list[CurvePanel]:
    """In the order of :func:`curve_names`; of a measure, epochs before iterations."""
    names, panels = curve_names(logs), []
    several = sum(name.endswith('mAP') for name in names) > 1
    for name in names:
        evaluated = any(name in log.val for log in logs)
        title = 'mAP on validation' if name.endswith('mAP') and not several else name.removeprefix(DIAGNOSTICS)
        scale = 100 if evaluated and 'mAP' in name else 1
        for unit in ('epoch', 'iteration'):
            series = {index: [(step, scale * value) for step, value in own] for index, log in enumerate(logs)
                      if (own := (log.val if evaluated else log.train).get(name))
                      and (unit == 'epoch') == (evaluated and log.by_epoch)}
            if series:
                panels.append(CurvePanel(name, title, unit, evaluated, series))
    return panels


def curve_names(logs: Sequence[Log]) -> list[str]:
    """mAP, or the first measure where there is none; every loss; diagnostics but the values, which are the losses."""
    measures = list(dict.fromkeys(key for log in logs for key in log.val if 'time' not in key))
    losses = dict.fromkeys(key for log in logs for key in log.terms)
    return [*([key for key in measures if key.endswith('mAP')] or measures[:1]), *losses,
            *dict.fromkeys(key for log in logs for key in log.train
                           if key.startswith(DIAGNOSTICS) and not key.endswith('_value'))]
