"""What kddet needs of its host, checked once at import by looking, not by pip requirements.

Two distributions provide the modules ``mmcv``, ``mmengine`` and ``mmdet`` (OpenMMLab's and the maintained onedl
fork), so ``setup.py`` can require neither without overwriting the other.
"""
from importlib import import_module

from packaging.version import Version

MINIMUM_VERSIONS = dict(torch='2.1', mmengine='0.10.0', mmcv='2.0.0', mmdet='3.1.0')


def check_host(minimum_versions: dict = MINIMUM_VERSIONS) -> None:
    """Raise one ImportError that names every host package that is missing or too old."""
    problems = [problem for item in minimum_versions.items() if (problem := _problem(*item, minimum_versions))]
    if problems:
        raise ImportError('kddet cannot start: ' + '; '.join(problems) +
                          ". Run: pip install -e '.[openmmlab]' (or '.[onedl]' for the maintained fork) "
                          'in this environment, or `make setup` for one of its own.')


def _problem(name: str, minimum: str, all_needed: dict) -> str:
    try:
        found = import_module(name).__version__
    except ModuleNotFoundError as error:
        absent = (error.name or '').partition('.')[0]
        if absent == name:
            return f'{name} is not installed (needs {name} >= {minimum})'
        if absent in all_needed:  # reported under its own name
            return ''
        raise  # it is installed and lacks something else: its own message says what
    except AssertionError as error:  # mmdet checks the versions of mmcv and mmengine by assertion
        return ' '.join(str(error).split()).rstrip('.')
    return f'{name} {found} is too old (needs >= {minimum})' if Version(found) < Version(minimum) else ''
