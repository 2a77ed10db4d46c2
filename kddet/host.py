"""What kddet needs of its host, checked once at import by looking, not by pip requirements.

Two distributions provide the modules ``mmcv``, ``mmengine`` and ``mmdet`` (OpenMMLab's and the maintained onedl
fork), so ``setup.py`` can require neither without overwriting the other.
"""
from importlib import import_module

from packaging.version import Version

MINIMUM_VERSIONS = dict(torch='2.1', mmengine='0.10.0', mmcv='2.0.0', mmdet='3.1.0')


def check_host(minimum_versions: dict = MINIMUM_VERSIONS) -> None:
    """Raise one ImportError that names every host package that is missing or too old."""
    problems = [problem for item in minimum_versions.items() if (problem := _problem(*item))]
    if problems:
        raise ImportError('kddet cannot start: ' + '; '.join(problems) +
                          ". Run: pip install -e '.[openmmlab]' (or '.[onedl]' for the maintained fork) "
                          'in this environment, or `make setup` for one of its own.')


def _problem(name: str, minimum: str) -> str:
    try:
        found = import_module(name).__version__
    except ModuleNotFoundError as error:
        if error.name != name:  # it is installed and lacks something itself: its own message says what
            raise
        return f'{name} is not installed (needs {name} >= {minimum})'
    return f'{name} {found} is too old (needs >= {minimum})' if Version(found) < Version(minimum) else ''
