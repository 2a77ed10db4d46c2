"""Runs tools in forks of one process that has imported torch, MMDet and kddet, so that a run costs what it does itself.

A job is a line of json on stdin (tool, arguments, folder to run in, file for what is printed; environment, file_size),
the answer its exit code.
"""
import json
import os
import resource
import runpy
import signal
import sys
import traceback

import matplotlib.pyplot  # noqa: F401
import mmdet.engine
import mmdet.evaluation
import mmdet.visualization  # noqa: F401
import pycocotools.coco  # noqa: F401
import sklearn.datasets  # noqa: F401

import kddet.studies  # noqa: F401

TIMEOUT = 300  # seconds


def run(job: dict) -> int:
    """In the child: become ``python tool arguments``; the exit code that Python would leave with."""
    signal.alarm(TIMEOUT)
    output = os.open(job['output'], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number, file in enumerate((os.open(os.devnull, os.O_RDONLY), output, output)):
        os.dup2(file, number)
    os.chdir(job['folder'])
    environment = job.get('environment', {})
    os.environ.update(environment)
    if 'file_size' in job:  # as on a disk that is full
        resource.setrlimit(resource.RLIMIT_FSIZE, (job['file_size'], job['file_size']))
    sys.argv = [job['tool'], *job['arguments']]
    sys.path[:1] = [os.path.dirname(job['tool']), *filter(None, [environment.get('PYTHONPATH')])]
    try:
        runpy.run_path(job['tool'], run_name='__main__')
    except SystemExit as error:
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


for line in sys.stdin:
    job = json.loads(line)
    child = os.fork()
    if not child:
        code = 1
        try:
            code = run(job)
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
