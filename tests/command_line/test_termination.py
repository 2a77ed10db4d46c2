"""A tool that is told to end runs its `finally` clauses, and what it forked ends at once."""
import copy
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

from kddet.command_line.parser import main_guard

POOLS = """
import sys
from multiprocessing import Pool
from kddet.command_line.parser import main_guard

def main():
    for _ in range(40):
        with Pool(4) as pool:
            pool.map(abs, range(8))

main_guard(main)
"""


def handled():
    os._exit(int(signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL))


def waiting():
    time.sleep(60)


def ended(target, terminate=False):
    process = multiprocessing.get_context('fork').Process(target=target)
    process.start()
    if terminate:
        process.terminate()
    process.join(10)
    return process.exitcode


def test_forks_have_the_signal_of_the_system():
    def main():
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        assert ended(handled) == 0 and ended(waiting, terminate=True) == -signal.SIGTERM
    main_guard(main)
    main_guard(main)


def test_a_handler_of_the_users_own_is_left_alone():
    def own(*_):
        """The user's."""
    before = signal.signal(signal.SIGTERM, own)
    try:
        main_guard(lambda: None)
        assert signal.getsignal(signal.SIGTERM) is own and ended(handled) == 1
    finally:
        signal.signal(signal.SIGTERM, before)


def test_finally_clauses_run():
    cleaned = []

    def main():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        finally:
            cleaned.append(True)
    with pytest.raises(SystemExit) as left:
        main_guard(main)
    assert left.value.code == 143 and cleaned


@pytest.mark.slow
def test_pools_of_processes_end(repository):
    subprocess.run([sys.executable, '-c', POOLS], timeout=60, check=True, cwd=repository)


@pytest.mark.slow
def test_a_run_whose_metric_forks_ends(fork, plain_config, tmp_path):
    cfg = copy.deepcopy(plain_config)
    cfg.val_evaluator = dict(type='VOCMetric', metric='mAP', iou_thrs=[0.3, 0.4, 0.5, 0.6, 0.7])
    cfg.dump(tmp_path / 'pooled.py')
    code = fork('train.py', 'pooled.py', '--work-dir', 'run', folder=tmp_path, output=tmp_path / 'said')
    assert code == 0, (tmp_path / 'said').read_text()
    assert (tmp_path / 'run/epoch_2.pth').is_file()
