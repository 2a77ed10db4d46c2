"""The set-up names what is missing before anything is downloaded; nothing is installed here."""
import importlib.util
import subprocess
import sys
from collections import namedtuple

import pytest

Version = namedtuple('Version', 'major minor micro releaselevel serial')


@pytest.fixture
def setup_env(repository, monkeypatch):
    spec = importlib.util.spec_from_file_location('setup_env', repository / 'tools/setup_env.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, 'pip', lambda *args, **kwargs: pytest.fail('something would be downloaded'))
    return module


@pytest.mark.parametrize('minor', [9, 13])
def test_wrong_python(setup_env, monkeypatch, minor):
    monkeypatch.setattr(sys, 'version_info', Version(3, minor, 0, 'final', 0))
    with pytest.raises(SystemExit, match='need 3.10, 3.11 or 3.12. Install one .*apt install python3.11'):
        setup_env.check_tools()


def test_no_compiler(setup_env, monkeypatch):
    monkeypatch.setattr(setup_env.shutil, 'which', lambda name: None)
    with pytest.raises(SystemExit, match='no C.. compiler.*apt install build-essential'):
        setup_env.check_tools()


def test_no_venv(setup_env, monkeypatch):
    monkeypatch.setitem(sys.modules, 'ensurepip', None)
    with pytest.raises(SystemExit, match=rf'has no venv.*apt install python3.{sys.version_info.minor}-venv'):
        setup_env.check_tools()


def test_everything_there(setup_env):
    setup_env.check_tools()


def test_unknown_stack(repository):
    done = subprocess.run(['make', 'setup', 'STACK=other'], cwd=repository, capture_output=True, text=True)
    assert done.returncode and 'STACK=other is not known; choose one of: openmmlab, onedl' in done.stderr


@pytest.mark.parametrize(('gpu', 'nvcc', 'expected'), [
    (False, True, dict()), (True, True, dict(FORCE_CUDA='1', NVCC_APPEND_FLAGS='-std=c++20')),
    (True, False, dict(CUDA_VISIBLE_DEVICES=''))])
def test_cuda_ops_are_built_where_gpu_and_nvcc_are(setup_env, monkeypatch, tmp_path, capsys, gpu, nvcc, expected):
    python = tmp_path / 'python'
    python.write_text(f'#!/bin/sh\necho {gpu}\n')
    python.chmod(0o755)
    monkeypatch.setattr(setup_env.shutil, 'which', lambda name: '/somewhere/nvcc' if nvcc else None)
    monkeypatch.setattr(setup_env, 'CUDA_PLACES', ())
    assert setup_env.cuda_state(python)['environment'] == expected
    said = capsys.readouterr().out
    assert ('no nvcc' in said and 'CUDA toolkit' in said) == (gpu and not nvcc)


def test_help_lists_every_verb_with_a_line(repository):
    said = subprocess.run(['make', 'help'], cwd=repository, capture_output=True, text=True).stdout
    for verb in ('help', 'setup', 'quickstart', 'labelenc-digits', 'test', 'test-fast', 'test-stacks', 'lint', 'data',
                 'results', 'docs', 'clean'):
        (line,) = [line for line in said.splitlines() if line.split()[:2] == ['make', verb]]
        assert len(line.split()) > 4


def test_what_is_no_code_is_installed_as_well(repository, tmp_path):
    subprocess.run([sys.executable, 'setup.py', '-q', 'build', '--build-base', str(tmp_path)], cwd=repository,
                   check=True, capture_output=True)
    built = {file.name for file in tmp_path.glob('lib*/kddet/report/*') if file.suffix != '.py'}
    assert built == {file.name for file in (repository / 'kddet/report').iterdir()
                     if file.is_file() and file.suffix != '.py'} != set()
