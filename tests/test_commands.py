"""Every command in the documents: its flags and files are there, and what can be run in seconds is run."""
import copy
import importlib.util
import json
import re
import shlex
import sys
from pathlib import Path

import pytest
import torch

from kddet.datasets import make_digits

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *sorted(ROOT.glob('configs/*/README.md')),
         *sorted(file for file in ROOT.glob('docs/**/*.md') if '_build' not in file.parts)]
LAUNCHERS = {  # to the arguments of train.py or test.py
    'dist_train.sh': lambda own: ('train.py', [own[0], *own[2:]]),
    'dist_test.sh': lambda own: ('test.py', [*own[:2], *own[3:]]),
    'slurm_train.sh': lambda own: ('train.py', [own[2], '--work-dir', own[3], *own[4:]])}
LONG = 'make_digits.py', 'make_results.py', 'run_study.py'


def commands(page: Path) -> list[str]:
    """Lines of indented blocks, continued lines joined; an indented block is commands, or a message of kddet's."""
    text = re.sub(r'^(`{3,}).*?^\1\s*$', '', page.read_text(), flags=re.M | re.S)
    blocks = re.findall(r'^\n((?: {4}.*\n)+)', text, re.M)
    lines = re.sub(r' *\\\n *', ' ', ''.join(blocks)).splitlines()
    return [line.strip() for line in lines if not line.startswith('    error: ')]


def shown(page: Path) -> list[tuple[str, str]]:
    """Commands of one line with the output that the page shows below them."""
    return re.findall(r'^ {4}(\S[^\n]*)\n\n```text\n(.*?)^```', page.read_text(), re.M | re.S)


def words(command: str) -> list[str]:
    """Of a command, without settings of the environment before it."""
    found = shlex.split(command, comments=True)
    while found and re.fullmatch(r'[A-Z_]+=\S*', found[0]):
        found = found[1:]
    return found


def settings(command: str) -> dict[str, str]:
    """Of the environment, before a command."""
    found = shlex.split(command, comments=True)
    return dict(word.split('=', 1) for word in found[:len(found) - len(words(command))])


def cheap(command: str) -> bool:
    """Whether it runs in seconds.

    What trains a config of ours is left to the tests of ``configs/quick``, and what asks for files by words in capitals
    to the tests of its tool.
    """
    program, tool, *arguments = [*words(command), '', '']
    trains = tool.endswith('/train.py') and arguments[0].startswith('configs/') and '--dry-run' not in arguments
    return program == 'python' and tool.startswith('tools/') and not tool.endswith(LONG) and not trains and not any(
        re.fullmatch('[A-Z][A-Z_0-9]+', word) for word in arguments)


ALL = [pytest.param(page, command, id=f'{page.relative_to(ROOT)}: {command[:60]}')
       for page in PAGES for command in commands(page)]


@pytest.mark.parametrize(('page', 'command'), ALL)
def test_command_is_there_with_its_flags_and_files(page, command, monkeypatch, capsys):
    program, *arguments = words(command)
    for argument in arguments:
        if argument.startswith(('configs/', 'docs/', 'tools/')):
            assert (ROOT / argument).exists(), f'{argument} does not exist'
    if program == 'make':
        verbs = [word for word in arguments if '=' not in word]
        assert verbs and all(re.search(rf'^{verb}:.*## ', (ROOT / 'Makefile').read_text(), re.M) for verb in verbs)
    elif program == 'python' and arguments[:2] != ['-m', 'pytest']:
        parse(arguments[0].removeprefix('tools/'), arguments[1:], monkeypatch)
    elif program.startswith('tools/'):  # a launcher; the others are no programs without python in front
        parse(*LAUNCHERS[program.removeprefix('tools/')](arguments), monkeypatch)
    else:
        assert program in ('source', 'pip', 'python'), f'is this a command? {command}'


def parse(tool: str, arguments: list[str], monkeypatch) -> None:
    """As the tool itself does; it leaves with 2 where a flag or a value is not its own."""
    spec = importlib.util.spec_from_file_location(f'tool_{Path(tool).stem}', ROOT / 'tools' / tool)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setattr(sys, 'argv', [tool, *arguments])
    spec.loader.exec_module(module)
    module.parse_args()


@pytest.fixture
def folder(plain_config, teacher_files, tmp_path_factory):
    """What a user has who reads the pages: a student, a teacher, a checkout, the digits."""
    folder = tmp_path_factory.mktemp('reader')
    for name in ('tools', 'configs', 'docs'):
        (folder / name).symlink_to(ROOT / name)
    make_digits(folder / 'data/digits', train=64, val=16, unlabelled=4)
    foreign_boxes(folder)
    cfg = copy.deepcopy(plain_config)
    cfg.merge_from_dict({'train_cfg.max_epochs': 1, 'train_cfg.val_interval': 1})
    cfg.dump(folder / 'my_student.py')
    for file, name in zip(2 * teacher_files, ('my_teacher.py', 'my_teacher.pth', 'my_other_teacher.py',
                                              'my_other_teacher.pth')):
        (folder / name).symlink_to(file)
    export_teacher(folder)
    blocks = re.findall(r'```python\n(.*?)```', (ROOT / 'README.md').read_text(), re.S)
    own = [block for block in blocks if 'student=_base_.model' in block or block.startswith('custom_hooks')]
    (folder / 'my_distillation.py').write_text(''.join(own))
    return folder


def foreign_boxes(folder: Path) -> None:
    """What another tool found on the pictures without labels."""
    images = json.loads((folder / 'data/digits/instances_unlabelled.json').read_text())['images']
    (folder / 'results.json').write_text(json.dumps([
        dict(image_id=image['id'], category_id=1, bbox=[2, 2, 20, 30], score=0.9) for image in images]))


def export_teacher(folder: Path) -> None:
    """As the page says, in the folder."""
    (code,) = [block for block in re.findall(r'```python\n(.*?)```', (ROOT / 'docs/distil.md').read_text(), re.S)
               if 'torch.jit.trace' in block]
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 8, 8), torch.nn.ReLU())
    exec(compile(code.replace("'my_", f"'{folder}/my_"), 'docs/distil.md', 'exec'), dict(network=network))


@pytest.mark.slow
def test_commands_run(folder, fork):
    """One after the other, each once; runs of one epoch instead of twelve."""
    todo = dict.fromkeys(command for page in PAGES for command in commands(page) if cheap(command))
    expected = {command: text for page in PAGES for command, text in shown(page)}
    assert len(todo) > 15 and todo.keys() >= expected.keys()
    for command in todo:
        tool, *arguments = words(command.replace('epoch_12', 'epoch_1'))[1:]
        if tool.endswith('/train.py'):
            arguments += ['--preflight-images', '0']  # the teacher is not trained
            if '--min-teacher-map' in arguments:
                arguments[arguments.index('--min-teacher-map') + 1] = '0'
        code = fork(tool.removeprefix('tools/'), *arguments, folder=folder, output=folder / 'output',
                    environment=settings(command))
        output = (folder / 'output').read_text()
        assert code == 0, f'{command}\n{output}'
        assert expected.get(command, '') in output
