import subprocess
import sys

import pytest

from kddet.command_line import memory
from kddet.command_line.memory import keep_freed_memory

FAULTS = '''
import ctypes, resource, sys
from importlib.machinery import SourceFileLoader
memory = SourceFileLoader('memory', sys.argv[2]).load_module()  # without the package, which imports torch
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
assert memory.keep_freed_memory() if sys.argv[1] == 'kept' else libc.mallopt(memory.MMAP_THRESHOLD, memory.LARGEST)

def step():
    blocks = [ctypes.c_void_p(libc.malloc(2**22)) for _ in range(20)]
    for block in blocks:
        libc.memset(block, 1, 2**22)
    for block in reversed(blocks):
        libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

step()
before = step()
print(step() - before)
'''


def faults(way):
    """Pages that a step asks the system for, after two that did the same."""
    return int(subprocess.run([sys.executable, '-c', FAULTS, way, memory.__file__], capture_output=True,
                              text=True, check=True).stdout)


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='of glibc')
def test_a_step_takes_what_the_step_before_it_freed():
    assert faults('kept') * 10 < faults('given back')


@pytest.mark.parametrize('name', ['MALLOC_TRIM_THRESHOLD_', 'GLIBC_TUNABLES', 'LD_PRELOAD'])
def test_settings_of_the_user_stay(name, monkeypatch):
    monkeypatch.setenv(name, 'x')
    assert not keep_freed_memory()
