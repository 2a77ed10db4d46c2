"""What the documents tell a reader to run, is run."""
import ast
import re
from inspect import signature

import pytest

import kddet
from kddet import HOOKS, MODELS, Distiller, DistillMethod
from kddet.teachers.frozen import teacher_class
from kddet.testing import tiny_detector, toy_samples


def blocks(repository, language='python'):
    return re.findall(rf'```{language}\n(.*?)```', (repository / 'README.md').read_text(), re.S)


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


def pages(repository):
    """Every document but those that are built from others."""
    found = [*repository.glob('configs/*/README.md'), *repository.glob('docs/**/*.md')]
    return [page for page in found if '_build' not in page.parts]


def assignments(repository, name):
    """Values that the pages' pieces of Python give a name."""
    texts = [text for page in pages(repository) for text in re.findall(r'```python\n(.*?)```', page.read_text(), re.S)]
    found = [statement for text in texts for statement in ast.parse(text).body if isinstance(statement, ast.Assign)]
    return [eval(compile(ast.Expression(statement.value), 'page', 'eval')) for statement in found
            if statement.targets[0].id == name]


def test_methods_on_the_pages_can_be_built(repository):
    found = [method for methods in assignments(repository, 'methods') for method in methods.values()]
    assert found and all(isinstance(MODELS.build(method), DistillMethod) for method in found)


def test_hooks_on_the_pages_can_be_built(repository):
    found = [hook for hooks in assignments(repository, 'custom_hooks') for hook in hooks]
    assert found and all(HOOKS.build(hook) for hook in found)


def test_teachers_on_the_pages_take_what_they_are_given(repository):
    found = assignments(repository, 'teacher')
    assert found and all(signature(teacher_class(teacher)).bind(
        **{key: value for key, value in teacher.items() if key != 'type'}) for teacher in found)


@pytest.mark.parametrize(('page', 'kind'), [
    ('adl', 'AdaptiveDistillation'), ('fgfi', 'FineGrainedImitation'), ('hint', 'HintLearning'),
    ('labelenc', 'LabelEnc'), ('labelenc', 'LabelEncAutoencoder')])
def test_tables_of_options_have_each_with_its_default(repository, page, kind):
    rows = re.findall(r'^\| (`[^|]*) \|([^|]*)\|', (repository / f'configs/{page}/README.md').read_text(), re.M)
    found = {name: default.strip() for names, default in rows for name in re.findall('`(\\w+)`', names)}
    for name, parameter in signature(getattr(kddet, kind)).parameters.items():
        assert name in found or name in ('data_preprocessor', 'trust_checkpoint'), f'{kind} takes {name}'
        if isinstance(parameter.default, (bool, int, float, str)) and name in found:
            assert str(parameter.default) in found[name], f'{name} of {kind} is {parameter.default}'


def test_messages_in_the_troubleshooting_are_those_of_kddet(repository):
    """Piece by piece between what differs; implicit concatenation is joined by the parser."""
    texts = [node.value for folder in ('kddet', 'tools') for file in (repository / folder).rglob('*.py')
             for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Constant)
             and isinstance(node.value, str)]
    messages = re.findall(r'^    error: (.*)$', (repository / 'docs/troubleshooting.md').read_text(), re.M)
    assert len(messages) > 5
    for piece in (piece.strip() for message in messages for piece in message.split('…')):
        assert any(piece in text for text in texts), piece
