"""A study: data set x detector pairs x variants x seeds, read from a yaml file and turned into runs."""
from __future__ import annotations

import copy
import difflib
import fcntl
import json
from dataclasses import dataclass
from pathlib import Path

import yaml
from mmengine.config import Config, ConfigDict

from kddet.config import load_config
from kddet.overlay import distillation_config

from .runs import REPOSITORY, PseudoLabelling, Run

KEYS = dict(title=str, question=str, findings=str, pairs=dict, variants=dict, seeds=list, options=dict,
            teacher_options=dict, published=dict)
PAIR_KEYS = ('teacher', 'student', 'pseudo_labels')
VARIANT_KEYS = ('methods', 'student', 'options', 'hooks', 'pairs')
BASELINE = 'baseline'


@dataclass
class Study:
    """What the yaml file says.

    Attributes:
        title, question: for the page of results.
        findings: what the results say, in words; written once they are there.
        pairs: ``{name: {teacher: config, student: config}}``, paths from the repository's root; with
            ``pseudo_labels: {images: ..., ann: ..., score_thr: ...}``, below the data's root, the teacher labels these
            pictures for the unlabelled data sets of the variants.
        variants: ``{name: {methods: {...}, student: config, options: {...}, hooks: [...], pairs: [...]}}``, all but
            ``methods`` optional; ``baseline`` is added by itself. Without methods (``{}``) the student is a plain one;
            ``student`` replaces the pair's.
        seeds: the same for every variant; baseline and variants of a seed share data order and initial weights.
        published: gains of the paper to stand beside ours: ``{source: text, gains: {variant: {column: points}}}``.
        options, teacher_options: settings that override those of the student and teacher configs, dotted.
    """
    name: str
    title: str
    question: str
    pairs: dict
    variants: dict
    seeds: list
    findings: str = ''
    options: dict | None = None
    teacher_options: dict | None = None
    published: dict | None = None

    @classmethod
    def read(cls, path: str | Path) -> Study:
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f'study {str(path)!r} does not exist')
        content = yaml.safe_load(path.read_text())
        if not isinstance(content, dict):
            raise ValueError(f'{path} holds a {type(content).__name__}, a study is a mapping of {", ".join(KEYS)}')
        for key, value in content.items():
            if key not in KEYS:
                near = difflib.get_close_matches(key, KEYS, n=1)
                raise ValueError(f'{path}: unknown key {key!r}' + (f', did you mean {near[0]!r}?' if near else
                                                                   f', allowed are {", ".join(KEYS)}'))
            if not isinstance(value, KEYS[key]):
                raise ValueError(f'{path}: {key} is {value!r}, it must be a {KEYS[key].__name__}')
        missing = [key for key in ('title', 'question', 'pairs', 'variants', 'seeds') if not content.get(key)]
        if missing:
            raise ValueError(f'{path}: {", ".join(missing)} must be given')
        for name, variant in content['variants'].items():
            wrong = [key for key in variant if key not in VARIANT_KEYS]
            wrong += [pair for pair in variant.get('pairs') or () if pair not in content['pairs']]
            if wrong or 'methods' not in variant:
                raise ValueError(f'{path}: variant {name!r} has {", ".join(wrong) or "no methods"}; it takes '
                                 f'{", ".join(VARIANT_KEYS)}, and the pairs are {", ".join(content["pairs"])}')
        for name, pair in content['pairs'].items():
            if not {'teacher', 'student'} <= set(pair) <= set(PAIR_KEYS):
                raise ValueError(f'{path}: pair {name!r} has {", ".join(pair)}; it takes {", ".join(PAIR_KEYS)}')
        published = content.get('published')
        if published and (set(published) != {'source', 'gains'} or set(published['gains']) - set(content['variants'])):
            raise ValueError(f'{path}: published takes source and gains, and gains of the variants '
                             f'{", ".join(content["variants"])}')
        return cls(name=path.stem, **content)

    def runs(self, work_dir: Path, data_root: str | None = None, pairs: list[str] | None = None) -> list[Run]:
        """Teachers first, then baselines, then variants, each depending on what it is compared with.

        Raises:
            ValueError: ``pairs`` names one that the study does not have.
        """
        if unknown := [pair for pair in pairs or () if pair not in self.pairs]:
            raise ValueError(f'pairs {", ".join(unknown)} are not in the study {self.name}, which has '
                             f'{", ".join(self.pairs)}')
        pairs = [pair for pair in self.pairs if not pairs or pair in pairs]
        teachers = {pair: self._teacher(pair, work_dir, data_root) for pair in pairs}
        labels = {pair: self._labelling(pair, teachers[pair]) for pair in pairs if 'pseudo_labels' in self.pairs[pair]}
        runs = [*teachers.values(), *labels.values()]
        for seed in self.seeds:
            for pair in pairs:
                student = self._student(self.pairs[pair]['student'], seed, data_root)
                about = dict(study=self.name, pair=pair, seed=seed, options=self.options or {})
                baseline = Run(f'{pair} {BASELINE} seed {seed}', work_dir / pair / BASELINE / str(seed), student,
                               about=dict(about, variant=BASELINE), after=(teachers[pair],))
                runs.append(baseline)
                for name, variant in self.variants.items():
                    if pair not in (variant.get('pairs') or self.pairs):
                        continue
                    base = self._student(variant['student'], seed, data_root) if 'student' in variant else student
                    cfg = self._variant(base, variant, teachers[pair])
                    after: tuple[Run, ...] = (teachers[pair], baseline)
                    if unlabelled := unlabelled_datasets(cfg.train_dataloader.dataset):
                        after += (labels[pair],)
                        for dataset in unlabelled:
                            dataset.ann_file = str(labels[pair].checkpoint)
                    own = dict(options={**(self.options or {}), **(variant.get('options') or {})},
                               hooks=variant.get('hooks') or [])
                    runs.append(Run(f'{pair} {name} seed {seed}', work_dir / pair / name / str(seed), cfg,
                                    about=dict(about, variant=name, **own), after=after))
        return sorted(runs, key=lambda run: len(run.after))

    def _teacher(self, pair: str, work_dir: Path, data_root: str | None) -> Run:
        cfg = load_config(REPOSITORY / self.pairs[pair]['teacher'])
        _prepare(cfg, self.teacher_options, data_root)
        return Run(f'{pair} teacher', work_dir / pair / 'teacher', cfg,
                   about=dict(study=self.name, pair=pair, variant='teacher', options=self.teacher_options or {}))

    def _labelling(self, pair: str, teacher: Run) -> PseudoLabelling:
        wanted = self.pairs[pair]['pseudo_labels']
        root = Path(teacher.cfg.data_root).absolute()
        cfg = Config(dict(images=str(root / wanted['images']), ann=str(root / wanted['ann']),
                          score_thr=wanted['score_thr']))
        return PseudoLabelling(f'{pair} pseudo labels', teacher.work_dir.parent / 'pseudo-labels', cfg,
                               after=(teacher,))

    def _student(self, config: str, seed: int, data_root: str | None) -> Config:
        cfg = load_config(REPOSITORY / config)
        _prepare(cfg, self.options, data_root)
        cfg.randomness = dict(seed=seed)
        return cfg

    @staticmethod
    def _variant(student: Config, variant: dict, teacher: Run) -> Config:
        cfg = student.copy()
        if variant['methods']:
            cfg = distillation_config(student, methods=copy.deepcopy(variant['methods']),
                                      teacher=dict(config=str(teacher.config_file),
                                                   checkpoint=str(teacher.checkpoint)))
        cfg.merge_from_dict(variant.get('options') or {})
        if variant.get('hooks'):
            cfg.custom_hooks = [*cfg.get('custom_hooks', []), *variant['hooks']]
        return cfg


def write_rows(runs: list[Run], path: Path) -> None:
    """Append the row of every finished run whose last row is not of this training; one line each, never rewritten."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('a+') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        known = {_identity(row): row['checkpoint'] for row in map(json.loads, file)}
        for run in runs:
            if run.about and run.finished and known.get(_identity(run.about)) != run.result['checkpoint_hash']:
                file.write(json.dumps(_row(run)) + '\n')


def _row(run: Run) -> dict:
    result = run.result
    row = dict(run.about, date=result['date'], **result['environment'], config=_config_name(run),
               methods=_methods(run.cfg), measures=result['measures'], seconds=result['seconds'],
               peak_memory_mib=result['peak_memory'], checkpoint=result['checkpoint_hash'],
               **{f'{run.unit}s': run.length})
    for other, name in zip(run.after, ('teacher', BASELINE)):
        row[f'{name}_measures'] = other.result['measures']
    if run.after:
        row['teacher_hash'] = result['after'][0]
    return row


def _identity(entry: dict) -> tuple:
    return entry['pair'], entry['variant'], entry.get('seed')


def _config_name(run: Run) -> str:
    return Path(run.cfg.filename).name if run.cfg.filename else ''


def _methods(cfg: Config) -> dict:
    methods = cfg.model.get('methods') if cfg.model.get('type') == 'kddet.Distiller' else None
    return methods.to_dict() if methods else {}


def _prepare(cfg: Config, options: dict | None, data_root: str | None) -> None:
    if data_root:
        move_data(cfg, data_root)
    cfg.merge_from_dict(options or {})


def move_data(cfg: Config, data_root: str | Path) -> None:
    """Point data set and evaluators of a config to another folder."""
    old, new = cfg.data_root, str(data_root).rstrip('/') + '/'
    cfg.data_root = new
    for key in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        for dataset in sources(cfg[key].dataset):
            dataset.data_root = new
    for key in ('val_evaluator', 'test_evaluator'):
        cfg[key].ann_file = cfg[key].ann_file.replace(old, new, 1)


def sources(dataset: ConfigDict) -> list[ConfigDict]:
    """The data sets inside wrappers such as ``ConcatDataset`` and ``RepeatDataset``, or the data set itself."""
    if 'datasets' in dataset:
        return [source for inner in dataset.datasets for source in sources(inner)]
    return sources(dataset.dataset) if 'dataset' in dataset else [dataset]


def unlabelled_datasets(dataset: ConfigDict) -> list[ConfigDict]:
    return [source for source in sources(dataset) if source.get('type') == 'kddet.UnlabelledDataset']
