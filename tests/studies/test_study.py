import pytest

from kddet.studies import Study
from kddet.studies.study import _methods

CONTENT = '''
title: A title
question: A question?
pairs:
  retinanet:
    teacher: configs/digits/retinanet_r18-half_fpn_16e_digits.py
    student: configs/digits/retinanet_r18-quarter_fpn_10e_digits.py
variants:
  hint:
    methods: {hint: {type: kddet.HintLearning, loss_weight: 2.0}}
  ramped:
    methods: {hint: {type: kddet.HintLearning}}
    hooks: [{type: kddet.LossWeightHook, method: hint, ramp: 10, by_epoch: false}]
seeds: [0, 1]
options: {train_cfg.max_epochs: 3}
teacher_options: {train_cfg.max_epochs: 5}
'''


@pytest.fixture
def study(tmp_path):
    (tmp_path / 's.yaml').write_text(CONTENT)
    return Study.read(tmp_path / 's.yaml')


def test_runs_depend_on_what_they_are_compared_with(study, tmp_path):
    runs = study.runs(tmp_path)
    assert [run.name for run in runs] == [
        'retinanet teacher', 'retinanet baseline seed 0', 'retinanet baseline seed 1', 'retinanet hint seed 0',
        'retinanet ramped seed 0', 'retinanet hint seed 1', 'retinanet ramped seed 1']
    by_name = {run.name: run for run in runs}
    assert by_name['retinanet hint seed 1'].after == (by_name['retinanet teacher'],
                                                      by_name['retinanet baseline seed 1'])


def test_pair_by_pair(study, tmp_path):
    study.pairs['other'] = study.pairs['retinanet']
    assert {run.about['pair'] for run in study.runs(tmp_path, pairs=['other'])} == {'other'}
    assert {run.about['pair'] for run in study.runs(tmp_path)} == {'other', 'retinanet'}
    with pytest.raises(ValueError, match='pairs fcos are not in the study s, which has retinanet, other'):
        study.runs(tmp_path, pairs=['fcos'])


def test_baseline_and_variant_differ_in_the_model_and_hooks_alone(study, tmp_path):
    by_name = {run.name: run.cfg for run in study.runs(tmp_path)}
    baseline, hint = by_name['retinanet baseline seed 1'], by_name['retinanet hint seed 1']
    assert hint.model.type == 'kddet.Distiller' and hint.model.student == baseline.model
    assert hint.model.methods.hint.loss_weight == 2.0
    plain, distilled = baseline.to_dict(), hint.to_dict()
    plain.pop('model'), distilled.pop('model')
    assert plain == distilled and plain['randomness'] == dict(seed=1)
    assert by_name['retinanet ramped seed 0'].custom_hooks[0]['type'] == 'kddet.LossWeightHook'
    assert baseline.train_cfg.max_epochs == 3 and by_name['retinanet teacher'].train_cfg.max_epochs == 5


SEMI = '''
title: A title
question: A question?
pairs:
  retinanet:
    teacher: configs/digits/retinanet_r18-half_fpn_16e_digits.py
    student: configs/digits/retinanet_r18-quarter_fpn_10e_digits.py
    pseudo_labels: {images: unlabelled, ann: instances_unlabelled.json, score_thr: 0.3}
variants:
  labelled:
    methods: {adl: {type: kddet.AdaptiveDistillation}}
  pseudo:
    student: configs/digits/retinanet_r18-quarter_fpn_500i_digits-semi.py
    methods: {}
  soft:
    student: configs/digits/retinanet_r18-quarter_fpn_500i_digits-semi.py
    options: {train_dataloader.dataset.datasets.1.use_hard_loss: false}
    methods: {adl: {type: kddet.AdaptiveDistillation}}
seeds: [0]
'''


def test_pseudo_labels_come_between_the_teacher_and_the_unlabelled_data(tmp_path):
    (tmp_path / 's.yaml').write_text(SEMI)
    runs = {run.name: run for run in Study.read(tmp_path / 's.yaml').runs(tmp_path, data_root='/d')}
    teacher, labels = runs['retinanet teacher'], runs['retinanet pseudo labels']
    assert labels.after == (teacher,) and teacher.checkpoint.name == 'epoch_16.pth'
    command = ' '.join(labels.command())
    assert f'{teacher.config_file} {teacher.checkpoint} --images /d/unlabelled' in command
    assert '--ann /d/instances_unlabelled.json' in command
    assert '--score-thr 0.3' in command
    assert labels not in runs['retinanet labelled seed 0'].after
    for name in ('pseudo', 'soft'):
        run = runs[f'retinanet {name} seed 0']
        assert run.after[2] is labels
        source = run.cfg.train_dataloader.dataset.datasets[1]
        assert source.ann_file == str(labels.checkpoint) and source.data_root == '/d/'
        assert source.get('use_hard_loss', True) is (name == 'pseudo')
    assert runs['retinanet pseudo seed 0'].cfg.model.type == 'RetinaNet'  # without methods a plain student
    assert runs['retinanet soft seed 0'].cfg.model.type == 'kddet.Distiller'


def test_variants_build_on_each_other_and_need_no_teacher(tmp_path, repository):
    study = Study.read(repository / 'configs/studies/labelenc-digits.yaml')
    runs = {run.name: run for run in study.runs(tmp_path, pairs=['faster-rcnn'], seeds=[1])}
    assert len(runs) == 6 and not any('teacher' in name for name in runs)
    first, second = runs['faster-rcnn step1-joint seed 1'], runs['faster-rcnn step2-joint seed 1']
    assert first.cfg.model.type == 'kddet.LabelEncAutoencoder' and first.cfg.model.student.type == 'FasterRCNN'
    assert second.after == (runs['faster-rcnn baseline seed 1'], first)
    assert second.cfg.model.methods.labelenc.step1 == str(first.checkpoint) and 'teacher' not in second.cfg.model
    assert runs['faster-rcnn step1-reconstruction seed 1'].cfg.model.joint is False
    assert _methods(second)['labelenc']['step1'] == '{step1-joint}' and str(tmp_path) not in str(_methods(second))
    some = study.runs(tmp_path, pairs=['retinanet'], seeds=[0], variants=['step1-joint', 'step2-joint'])
    assert [run.about['variant'] for run in some] == ['baseline', 'step1-joint', 'step2-joint']
    with pytest.raises(ValueError, match='seeds 7 are not in the study labelenc-digits, which has 0, 1, 2'):
        study.runs(tmp_path, seeds=[7])
    with pytest.raises(ValueError, match='variants step3 are not in the study'):
        study.runs(tmp_path, variants=['step3'])
    with pytest.raises(ValueError, match='{step1-joint} stands for the checkpoint .*; name step1-joint too'):
        study.runs(tmp_path, variants=['step2-joint'])


def test_a_variant_that_builds_on_a_later_one_is_refused(study, tmp_path):
    study.variants['hint']['methods'] = dict(hint=dict(type='kddet.HintLearning', tap='{ramped}'))
    with pytest.raises(ValueError, match='{ramped} stands for the checkpoint of a variant, and before it there are'):
        study.runs(tmp_path)


def test_data_root_is_moved_everywhere(study, tmp_path):
    cfg = study.runs(tmp_path, '/elsewhere')[1].cfg
    assert cfg.train_dataloader.dataset.data_root == cfg.val_dataloader.dataset.data_root == '/elsewhere/'
    assert cfg.val_evaluator.ann_file == cfg.test_evaluator.ann_file == '/elsewhere/instances_val.json'


@pytest.mark.parametrize(('change', 'message'), [
    (('seeds:', 'seed:'), "unknown key 'seed', did you mean 'seeds'"),
    (('seeds: [0, 1]', 'seeds: 3'), 'seeds is 3, it must be a list'),
    (('title: A title', 'title: '), 'title is None, it must be a str'),
    (('question: A question?', ''), 'question must be given'),
    (('seeds:', 'published: {source: A paper., gains: {none: {A: 1}}}\nseeds:'), 'published takes source and gains'),
    (('    hooks:', '    hoks:'), "variant 'ramped' has hoks; it takes methods, student, options, hooks, pairs"),
    (('methods: {hint: {type: kddet.HintLearning}}', 'pairs: [retinanett]'), 'has retinanett; .* pairs are retinanet'),
])
def test_wrong_studies_are_refused(tmp_path, change, message):
    (tmp_path / 's.yaml').write_text(CONTENT.replace(*change))
    with pytest.raises(ValueError, match=message):
        Study.read(tmp_path / 's.yaml')


def test_not_a_mapping(tmp_path):
    (tmp_path / 's.yaml').write_text('- a\n- b\n')
    with pytest.raises(ValueError, match='holds a list'):
        Study.read(tmp_path / 's.yaml')


@pytest.mark.slow
def test_studies_of_the_repository_can_be_planned(repository, tmp_path):
    files = sorted((repository / 'configs/studies').glob('*.yaml'))
    assert files
    for file in files:
        study = Study.read(file)
        assert len(study.seeds) >= 3
        assert study.runs(tmp_path)
