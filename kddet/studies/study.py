"""A study: data set x detector pairs x variants x seeds, read from a yaml file and turned into runs."""
from __future__ import annotations

import difflib
import fcntl
import json
from dataclasses import dataclass
from pathlib import Path

import yaml

from .plan import BASELINE, TEACHER, Plan
from .runs import Run

KEYS = dict(title=str, question=str, findings=str, pairs=dict, variants=dict, seeds=list, options=dict,
            teacher_options=dict, published=dict)
PAIR_KEYS = ('teacher', 'student', 'pseudo_labels')
VARIANT_KEYS = ('methods', 'student', 'options', 'hooks', 'pairs')


@dataclass
class Study:
    """What the yaml file says.

    Attributes:
        title, question: for the page of results.
        findings: what the results say, in words; written once they are there.
        pairs: ``{name: {teacher: config, student: config}}``, paths from the repository's root; no teacher where no
            method reads one. With ``pseudo_labels: {images: ..., ann: ..., score_thr: ...}``, below the data's root,
            the teacher labels these pictures for the unlabelled data sets of the variants.
        variants: ``{name: {methods: {...}, student: config, options: {...}, hooks: [...], pairs: [...]}}``, all but
            ``methods`` optional; ``baseline`` is added by itself. Without methods (``{}``) the student is a plain one;
            ``student`` replaces the pair's, a config or ``{pair: config}``. In ``methods``, ``'{name}'`` stands for the
            checkpoint of an earlier variant of the same pair and seed.
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
            what = 'is a folder' if path.is_dir() else 'does not exist'
            raise FileNotFoundError(f'study {str(path)!r} {what} (working directory: {Path.cwd()}); give a yaml file, '
                                    'there are some in configs/studies')
        try:
            content = yaml.safe_load(path.read_text())
        except yaml.YAMLError as error:
            raise ValueError(f'{path} is not yaml ({" ".join(str(error).split())}); correct it') from error
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
        for kind in ('pairs', 'variants'):
            for name, entry in content[kind].items():
                if not isinstance(entry, dict):
                    raise ValueError(f'{path}: {kind[:-1]} {name!r} is {entry!r}, it must be a mapping of '
                                     f'{", ".join(PAIR_KEYS if kind == "pairs" else VARIANT_KEYS)}')
        for name, variant in content['variants'].items():
            wrong = [key for key in variant if key not in VARIANT_KEYS]
            wrong += [pair for pair in variant.get('pairs') or () if pair not in content['pairs']]
            if wrong or 'methods' not in variant:
                raise ValueError(f'{path}: variant {name!r} has {", ".join(wrong) or "no methods"}; it takes '
                                 f'{", ".join(VARIANT_KEYS)}, and the pairs are {", ".join(content["pairs"])}')
        for name, pair in content['pairs'].items():
            if not {'student'} <= set(pair) <= set(PAIR_KEYS):
                raise ValueError(f'{path}: pair {name!r} has {", ".join(pair)}; it takes {", ".join(PAIR_KEYS)}')
        published = content.get('published')
        if published and (set(published) != {'source', 'gains'} or set(published['gains']) - set(content['variants'])):
            raise ValueError(f'{path}: published takes source and gains, and gains of the variants '
                             f'{", ".join(content["variants"])}')
        return cls(name=path.stem, **content)

    def runs(self, work_dir: Path, data_root: str | None = None, pairs: list[str] | None = None,
             seeds: list[int] | None = None, variants: list[str] | None = None) -> list[Run]:
        """Teachers first, then baselines, then variants, each depending on what it is compared with.

        Args:
            pairs, seeds, variants: those of the study, or some of them.

        Raises:
            ValueError: ``pairs``, ``seeds`` or ``variants`` name one that the study does not have.
        """
        chosen = dict(pairs=(pairs, self.pairs), seeds=(seeds, self.seeds), variants=(variants, self.variants))
        for what, (wanted, known) in chosen.items():
            if unknown := [str(name) for name in wanted or () if name not in known]:
                raise ValueError(f'{what} {", ".join(unknown)} are not in the study {self.name}, which has '
                                 f'{", ".join(map(str, known))}')
        plans = [Plan(self, pair, work_dir, data_root, variants) for pair in self.pairs if not pairs or pair in pairs]
        runs = [run for plan in plans for run in plan.once()]
        runs += [run for seed in seeds or self.seeds for plan in plans for run in plan.of_seed(seed)]
        return sorted(runs, key=lambda run: len(run.after))


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
               methods=_methods(run), measures=result['measures'], seconds=result['seconds'],
               peak_memory_mib=result['peak_memory'], checkpoint=result['checkpoint_hash'],
               **{f'{run.unit}s': run.length})
    for other in run.after:
        if (name := other.about.get('variant')) in (TEACHER, BASELINE):
            row[f'{name}_measures'] = other.result['measures']
        if name == TEACHER:
            row['teacher_hash'] = other.result['checkpoint_hash']
        elif name != BASELINE:
            row.setdefault('built_on', {})[name or other.name] = other.result['checkpoint_hash']
    return row


def _identity(entry: dict) -> tuple:
    return entry['pair'], entry['variant'], entry.get('seed')


def _config_name(run: Run) -> str:
    return Path(run.cfg.filename).name if run.cfg.filename else ''


def _methods(run: Run) -> dict:
    """As the study has them: ``'{variant}'`` for the checkpoint of an earlier run, wherever that lay."""
    methods = run.cfg.model.get('methods') if run.cfg.model.get('type') == 'kddet.Distiller' else None
    text = json.dumps(methods.to_dict() if methods else {})
    for other in run.after:
        text = text.replace(json.dumps(str(other.checkpoint)), json.dumps(f'{{{other.about.get("variant")}}}'))
    return json.loads(text)
