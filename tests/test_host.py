import subprocess
import sys

import pytest

from kddet.host import check_host


def test_missing_and_too_old_packages_are_named_with_what_to_run():
    with pytest.raises(ImportError) as error:
        check_host(dict(torch='99.1', no_such_package='1.0', numpy='1.0'))
    message = str(error.value)
    assert 'is too old (needs >= 99.1)' in message and 'torch 2.' in message
    assert 'no_such_package is not installed (needs no_such_package >= 1.0)' in message
    assert 'numpy' not in message
    assert "pip install -e '.[openmmlab]'" in message and 'make setup' in message


def test_importing_kddet_without_mmdet_says_so(repository):
    code = "import sys; sys.modules['mmdet'] = None; import kddet"
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', code], cwd=repository, capture_output=True, text=True)
    assert done.returncode == 1
    assert 'ImportError: kddet cannot start: mmdet is not installed (needs mmdet >= 3.1.0). Run:' in done.stderr


def test_setup_requires_none_of_the_mm_packages(repository):
    from importlib.metadata import requires
    plain = [line for line in requires('kddet') if 'extra ==' not in line]
    assert sorted(line.split('>')[0] for line in plain) == ['numpy', 'packaging', 'torch']
    extras = [line for line in requires('kddet') if 'extra ==' in line]
    assert any(line.startswith('onedl-mmdetection') for line in extras)
    assert any(line.startswith('mmdet==') for line in extras)
