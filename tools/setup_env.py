"""Create the project's environment: checks what is missing first, then installs a stack and kddet into .venv.

Runs on a bare Python 3.10 to 3.12, with the standard library alone.
"""
import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CUDA_PLACES = (os.environ.get('CUDA_HOME', '/usr/local/cuda'), '/usr/local/cuda')  # where torch looks as well
STACKS = {'openmmlab': '.venv', 'onedl': '.venv-onedl'}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--stack', default='openmmlab', help='openmmlab (default) or onedl')
    args = parser.parse_args()
    if args.stack not in STACKS:
        leave(f'STACK={args.stack} is not known; choose one of: {", ".join(STACKS)}')
    venv = ROOT / STACKS[args.stack]
    python = venv / 'bin' / 'python'
    stamp = venv / f'.ready-{fingerprint(args.stack)}'
    if stamp.is_file():
        return
    check_tools()
    began = time.monotonic()
    if not python.is_file():
        say(f'creating {venv.name} with Python {sys.version.split()[0]}')
        subprocess.run([sys.executable, '-m', 'venv', str(venv)], check=True)
    requirements = ROOT / 'requirements'
    say('installing torch (a large download the first time)')
    pip(python, '-r', requirements / 'build.txt')
    install_stack(python, args.stack)
    pip(python, '-r', requirements / 'dev.txt')
    pip(python, '--no-deps', '--no-build-isolation', '-e', ROOT)
    for old in venv.glob('.ready-*'):
        old.unlink()
    stamp.touch()
    say(f'{venv.name} is ready after {time.monotonic() - began:.0f} s')


def install_stack(python: Path, stack: str) -> None:
    """mmcv compiles its ops against the torch in the environment, so it is built without isolation."""
    cuda = cuda_state(python)
    say(f'installing the {stack} stack; mmcv builds its ops from source{cuda["words"]}: about '
        f'{cuda["minutes"]} minutes on 2 cores, nothing if pip still has the wheel')
    environment = dict(os.environ, CFLAGS='-O2 -g0', MMCV_WITH_OPS='1',
                       MAX_JOBS=os.environ.get('MAX_JOBS', str(os.cpu_count() or 2)), **cuda['environment'])
    file = ROOT / 'requirements' / f'{stack}.txt'
    pip(python, '--no-build-isolation', '-r', file, environment=environment)
    use_headless_opencv_if_needed(python)
    if not ops_work(python, cuda['ops']):
        say("pip's cached mmcv wheel was built for another torch; building it again")
        mmcv = next(line for line in file.read_text().splitlines() if 'mmcv' in line and not line.startswith('#'))
        pip(python, '--no-build-isolation', '--no-cache-dir', '--no-deps', '--force-reinstall', mmcv,
            environment=environment)
        if not ops_work(python, cuda['ops']):
            leave('mmcv is installed but its ops do not load; see: '
                  f'{python} -c "import mmcv.ops"')


def use_headless_opencv_if_needed(python: Path) -> None:
    """opencv-python links to the libraries of a desktop, which a server may lack."""
    if runs(python, 'import cv2'):
        return
    say('opencv-python does not load here (no desktop libraries), taking opencv-python-headless')
    subprocess.run([str(python), '-m', 'pip', 'uninstall', '-q', '-y', 'opencv-python', 'opencv-python-headless'])
    pip(python, '--no-deps', 'opencv-python-headless')


def cuda_state(python: Path) -> dict:
    """Whether CUDA ops can be built: a GPU that torch sees, and nvcc."""
    probe = subprocess.run([str(python), '-c', 'import torch; print(torch.cuda.is_available())'],
                           capture_output=True, text=True)
    if probe.stdout.strip() != 'True':
        return dict(words='', minutes='5 to 10', environment={}, ops=False)
    if not shutil.which('nvcc') and not any((Path(place) / 'bin/nvcc').is_file() for place in CUDA_PLACES):
        say('a GPU was found but no nvcc: mmcv is built without CUDA ops, so NMS and RoIAlign fail on the GPU. '
            "Install the CUDA toolkit of torch's CUDA version (or set CUDA_HOME to it), remove the environment's "
            'folder and run this again; until then CUDA_VISIBLE_DEVICES= trains on the CPU')
        return dict(words=' without CUDA', minutes='5 to 10', environment=dict(CUDA_VISIBLE_DEVICES=''), ops=False)
    # torch >= 2.13 has C++20 in its headers, mmcv asks for C++17: nvcc takes the last of two -std options
    return dict(words=' with CUDA', minutes='25', ops=True,
                environment=dict(FORCE_CUDA='1', NVCC_APPEND_FLAGS='-std=c++20'))


def ops_work(python: Path, cuda: bool) -> bool:
    test = ('import torch; from mmcv.ops import nms; d = "cuda" if ' + str(cuda) + ' else "cpu"; '
            'nms(torch.rand(4, 4, device=d), torch.rand(4, device=d), 0.5)')
    return runs(python, test)


def runs(python: Path, code: str) -> bool:
    return subprocess.run([str(python), '-c', code], capture_output=True).returncode == 0


def check_tools() -> None:
    """One sentence for each tool that is missing, before anything is downloaded."""
    if not (3, 10) <= sys.version_info[:2] <= (3, 12):
        leave(f'Python {sys.version.split()[0]} is at {sys.executable}; mmcv 2.1 and mmdet 3.3 need 3.10, 3.11 or '
              '3.12. Install one (Debian, Ubuntu: apt install python3.11 python3.11-venv) and run make with '
              'PYTHON=python3.11')
    version = f'{sys.version_info[0]}.{sys.version_info[1]}'
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        leave(f'Python {version} has no venv; install it (Debian, Ubuntu: apt install python{version}-venv)')
    if not shutil.which(os.environ.get('CXX', 'g++')) and not shutil.which('c++'):
        leave('no C++ compiler; mmcv builds its ops with one (Debian, Ubuntu: apt install build-essential)')
    include = Path(__import__('sysconfig').get_paths()['include']) / 'Python.h'
    if not include.is_file():
        leave(f'Python.h of Python {version} is missing, mmcv needs it (Debian, Ubuntu: '
              f'apt install python{version}-dev)')


def pip(python: Path, *arguments, environment=None) -> None:
    command = [str(python), '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', *map(str, arguments)]
    if subprocess.run(command, env=environment).returncode:
        leave(f'pip failed: {" ".join(command[4:])}')


def fingerprint(stack: str) -> str:
    """Changes when anything does that decides what is installed."""
    digest = hashlib.sha256(sys.version.encode())
    for name in ('requirements/build.txt', f'requirements/{stack}.txt', 'requirements/dev.txt', 'setup.py'):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()[:12]


def say(text: str) -> None:
    print(f'setup: {text}', flush=True)


def leave(text: str) -> None:
    sys.exit(f'setup: {text}.')


if __name__ == '__main__':
    main()
