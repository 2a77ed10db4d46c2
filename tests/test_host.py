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


@pytest.mark.parametrize('name', ['torch', *(
    pytest.param(name, marks=pytest.mark.slow) for name in ('mmengine', 'mmcv', 'mmdet'))])
def test_importing_kddet_without_one_says_so(repository, name):
    code = f"import sys; sys.modules['{name}'] = None; import kddet"
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', code], cwd=repository, capture_output=True, text=True)
    assert done.returncode == 1
    assert f'ImportError: kddet cannot start: {name} is not installed (needs {name} >= ' in done.stderr
    assert '). Run: pip install' in done.stderr


def test_setup_requires_none_of_the_mm_packages(repository):
    from importlib.metadata import requires
    plain = [line for line in requires('kddet') if 'extra ==' not in line]
    assert sorted(plain) == ['jinja2', 'numpy', 'packaging', 'safetensors']
    extras = [line for line in requires('kddet') if 'extra ==' in line]
    assert any(line.startswith('onedl-mmdetection') for line in extras)
    assert any(line.startswith('mmdet==') for line in extras)


def test_versions_that_mmdet_itself_refuses_are_said_in_the_same_sentence(tmp_path, monkeypatch):
    (tmp_path / 'picky.py').write_text("assert False, 'MMCV==2.2.0 is used but incompatible. Please install <2.2.0.'")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match='kddet cannot start: MMCV==2.2.0 is used but incompatible'):
        check_host(dict(picky='1.0'))
