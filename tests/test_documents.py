"""What the documents tell a reader to run, is run."""
import ast
import copy
import re
import subprocess
import sys

import pytest

from kddet import MODELS, Distiller, DistillMethod
from kddet.testing import tiny_detector, toy_samples


def blocks(repository, language='python'):
    return re.findall(rf'```{language}\n(.*?)```', (repository / 'README.md').read_text(), re.S)


def commands(repository):
    text = re.sub(r'```.*?```', '', (repository / 'README.md').read_text(), flags=re.S)
    return re.findall(r'^    ((?:make|python) .*)$', text, re.M)


def test_every_verb_named_is_in_the_makefile(repository):
    makefile = (repository / 'Makefile').read_text()
    for document in ('README.md', 'CONTRIBUTING.md'):
        verbs = set(re.findall(r'\bmake ([a-z][a-z-]+)\b(?=`|$|\s+#)', (repository / document).read_text(), re.M))
        assert verbs
        for verb in verbs:
            assert re.search(rf'^{verb}:.*## ', makefile, re.M), f'{document}: make {verb}'


def test_every_file_linked_is_there(repository):
    patterns = ('*.md', 'docs/**/*.md', 'configs/*/README.md')
    documents = [file for pattern in patterns for file in repository.glob(pattern)]
    for document in documents:
        for link in re.findall(r'\]\((?!http)([^)#]+)', document.read_text()):
            assert (document.parent / link).exists(), f'{document}: {link}'


def test_the_method_in_the_readme_works(repository):
    (code,) = [block for block in blocks(repository) if 'class MeanMatching' in block]
    exec(compile(code, 'README.md', 'exec'), {})
    model = Distiller(tiny_detector('retinanet'), dict(config=dict(model=tiny_detector('retinanet')), checkpoint=None),
                      dict(mean=dict(type='kddet.MeanMatching'))).train()
    losses = model(**model.data_preprocessor(toy_samples(), True), mode='loss')
    assert losses['loss_mean'] > 0


def test_methods_on_the_pages_of_the_configs_can_be_built(repository):
    seen = 0
    for page in repository.glob('configs/*/README.md'):
        for block in re.findall(r'```python\n(.*?)```', page.read_text(), re.S):
            for statement in ast.parse(block).body:
                for method in eval(compile(ast.Expression(statement.value), page.name, 'eval')).values():
                    assert isinstance(MODELS.build(method), DistillMethod)
                    seen += 1
    assert seen


@pytest.mark.slow
def test_commands_on_the_pages_of_the_configs_run(repository, digits, tmp_path):
    for folder in ('tools', 'configs'):
        (tmp_path / folder).symlink_to(repository / folder)
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data/digits').symlink_to(digits)
    found = [command for page in sorted(repository.glob('configs/*/README.md'))
             for command in re.findall(r'^    python (.*)$', page.read_text(), re.M)]
    assert found
    for command in found:
        subprocess.run([sys.executable, *command.split()], cwd=tmp_path, check=True, capture_output=True)


@pytest.mark.slow
def test_distilling_ones_own_detector_as_the_readme_says(repository, plain_config, teacher_files, tmp_path):
    (config,) = [block for block in blocks(repository) if "student=_base_.model" in block]
    (hook,) = [block for block in blocks(repository) if block.startswith('custom_hooks')]
    cfg = copy.deepcopy(plain_config)
    cfg.merge_from_dict({'train_cfg.max_epochs': 12, 'train_cfg.val_interval': 12})
    cfg.dump(tmp_path / 'my_student.py')
    for file, name in zip(teacher_files, ('my_teacher.py', 'my_teacher.pth')):
        (tmp_path / name).symlink_to(file)
    (tmp_path / 'my_distillation.py').write_text(config + hook)
    (tmp_path / 'tools').symlink_to(repository / 'tools')
    own = [command for command in commands(repository) if 'my_' in command]  # and the activation is ours
    assert [command.split()[1] for command in own] == [
        'tools/train.py', 'tools/test.py', 'tools/export_student.py', 'tools/train.py', 'tools/train.py',
        'tools/inspect_model.py', 'tools/train.py', *3 * ['tools/visualize.py'], 'tools/report.py']
    for command in own:
        untrained = ['--preflight-images', '0'] if 'train.py' in command else []
        subprocess.run([sys.executable, *command.split()[1:], *untrained], cwd=tmp_path, check=True,
                       capture_output=True)
    assert (tmp_path / 'pictures/curves.png').is_file() and (tmp_path / 'report.html').is_file()
    assert (tmp_path / 'student.pth').is_file() and (tmp_path / 'work_dirs/hint_my_student/epoch_12.pth').is_file()
