"""From what a study says to its runs: what is trained, in which order, and after what."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmengine.config import Config

from kddet.project.config import data_sources, load_config
from kddet.project.overlay import distillation_config

from .runs import REPOSITORY, PseudoLabelling, Run

if TYPE_CHECKING:
    from .study import Study

BASELINE = 'baseline'
TEACHER = 'teacher'


class Plan:
    """The runs of one pair of a study.

    Args:
        study: what the yaml file says.
        pair: one of its pairs.
        work_dir: of the study.
        data_root: folder of the data set, where it is not the one in the configs.
        variants: some of the study's; None takes all.
    """

    def __init__(self, study: Study, pair: str, work_dir: Path, data_root: str | None,
                 variants: list[str] | None) -> None:
        self.study, self.pair, self.work_dir, self.data_root = study, pair, work_dir / pair, data_root
        self.configs = study.pairs[pair]
        self.variants = {name: variant for name, variant in study.variants.items()
                         if pair in (variant.get('pairs') or study.pairs) and (variants is None or name in variants)}
        self.teacher = self._teacher() if TEACHER in self.configs else None
        self.labels = self._labelling() if 'pseudo_labels' in self.configs else None

    def once(self) -> list[Run]:
        """What all seeds share."""
        return [run for run in (self.teacher, self.labels) if run is not None]

    def of_seed(self, seed: int) -> list[Run]:
        """The baseline, and the variants in their order."""
        after = (self.teacher,) if self.teacher else ()
        student = self._student(self.configs['student'], seed)
        runs = {BASELINE: self._run(BASELINE, seed, student, after)}
        for name, variant in self.variants.items():
            runs[name] = self._variant(name, variant, seed, student, runs)
        return list(runs.values())

    def _teacher(self) -> Run:
        cfg = load_config(REPOSITORY / self.configs[TEACHER])
        _prepare(cfg, self.study.teacher_options, self.data_root)
        return Run(f'{self.pair} {TEACHER}', self.work_dir / TEACHER, cfg,
                   about=dict(study=self.study.name, pair=self.pair, variant=TEACHER,
                              options=self.study.teacher_options or {}))

    def _labelling(self) -> PseudoLabelling:
        wanted, teacher = self.configs['pseudo_labels'], self.teacher
        if teacher is None:
            raise ValueError(f'pair {self.pair!r} of {self.study.name} has pseudo_labels and no teacher to write them')
        root = Path(teacher.cfg.data_root).absolute()
        cfg = Config(dict(images=str(root / wanted['images']), ann=str(root / wanted['ann']),
                          score_thr=wanted['score_thr']))
        return PseudoLabelling(f'{self.pair} pseudo labels', self.work_dir / 'pseudo-labels', cfg, after=(teacher,))

    def _student(self, config: str, seed: int) -> Config:
        cfg = load_config(REPOSITORY / config)
        _prepare(cfg, self.study.options, self.data_root)
        cfg.randomness = dict(seed=seed)
        return cfg

    def _variant(self, name: str, variant: dict, seed: int, student: Config, earlier: dict[str, Run]) -> Run:
        own = variant.get('student')
        cfg = self._student(own[self.pair] if isinstance(own, dict) else own, seed) if own else student.copy()
        after = (*((self.teacher,) if self.teacher else ()), earlier[BASELINE])
        methods, needed = _checkpoints(variant['methods'], earlier)
        if methods:
            teacher = dict(config=str(self.teacher.config_file),
                           checkpoint=str(self.teacher.checkpoint)) if self.teacher else None
            cfg = distillation_config(cfg, methods=methods, teacher=teacher)
        cfg.merge_from_dict(variant.get('options') or {})
        if variant.get('hooks'):
            cfg.custom_hooks = [*cfg.get('custom_hooks', []), *variant['hooks']]
        after += tuple(needed) + self._give_labels(cfg)
        options = {**(self.study.options or {}), **(variant.get('options') or {})}
        return self._run(name, seed, cfg, after, options=options, hooks=variant.get('hooks') or [])

    def _give_labels(self, cfg: Config) -> tuple[Run, ...]:
        """Point unlabelled data sets to the teacher's labels."""
        unlabelled = [source for source in data_sources(cfg.train_dataloader.dataset)
                      if source.get('type') == 'kddet.UnlabelledDataset']
        if not unlabelled:
            return ()
        if self.labels is None:
            raise ValueError(f'pair {self.pair!r} of {self.study.name} has unlabelled data and no pseudo_labels')
        for source in unlabelled:
            source.ann_file = str(self.labels.checkpoint)
        return (self.labels,)

    def _run(self, name: str, seed: int, cfg: Config, after: tuple[Run, ...], **about: Any) -> Run:
        about = {'study': self.study.name, 'pair': self.pair, 'seed': seed, 'options': self.study.options or {},
                 'variant': name, **about}
        return Run(f'{self.pair} {name} seed {seed}', self.work_dir / name / str(seed), cfg, about=about, after=after)


def _checkpoints(value: Any, earlier: dict[str, Run]) -> tuple[Any, list[Run]]:
    """Methods with the checkpoint of an earlier variant in place of its ``'{name}'``, and the runs they are of."""
    if isinstance(value, dict):
        parts = {key: _checkpoints(item, earlier) for key, item in value.items()}
        return {key: part for key, (part, _) in parts.items()}, [run for _, runs in parts.values() for run in runs]
    if isinstance(value, str) and value.startswith('{') and value.endswith('}'):
        if value[1:-1] not in earlier:
            raise ValueError(f'{value} stands for the checkpoint of a variant, and before it there are '
                             f'{", ".join(earlier)}; name {value[1:-1]} too (--variants), or write it above')
        run = earlier[value[1:-1]]
        return str(run.checkpoint), [run]
    return value, []


def _prepare(cfg: Config, options: dict | None, data_root: str | None) -> None:
    if data_root:
        move_data(cfg, data_root)
    cfg.merge_from_dict(options or {})


def move_data(cfg: Config, data_root: str | Path) -> None:
    """Point data set and evaluators of a config to another folder."""
    old, new = cfg.data_root, str(data_root).rstrip('/') + '/'
    cfg.data_root = new
    for key in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        for dataset in data_sources(cfg[key].dataset):
            dataset.data_root = new
    for key in ('val_evaluator', 'test_evaluator'):
        cfg[key].ann_file = cfg[key].ann_file.replace(old, new, 1)
