"""The command line, as a user runs it."""
import copy
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS

from kddet.checkpoint import load_checkpoint

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
QUICK = sorted((ROOT / 'configs/quick').glob('*.py'))


@pytest.fixture
def run(fork, tmp_path):
    def run(tool, *arguments, code=0, **environment):
        if tool == 'train.py' and not {'--preflight-images', '--min-teacher-map'}.intersection(arguments):
            arguments += ('--preflight-images', '0')  # the teachers of these tests are not trained
        output = tmp_path / 'output'
        assert fork(tool, *arguments, folder=tmp_path, output=output, environment=environment) == code, \
            output.read_text()
        return output.read_text()
    return run


@pytest.fixture(scope='module')
def trained(distilled_config, fork, tmp_path_factory):
    """A distillation config on disk, trained by tools/train.py: ``(config file, work dir)``."""
    folder = tmp_path_factory.mktemp('trained')
    cfg = copy.deepcopy(distilled_config)
    cfg.log_level = 'INFO'
    cfg.dump(folder / 'distil.py')
    assert not fork('train.py', 'distil.py', '--work-dir', 'work', '--preflight-images', '0', folder=folder,
                    output=folder / 'output')
    return folder / 'distil.py', folder / 'work'


def test_train_writes_a_student_checkpoint(trained):
    saved = load_checkpoint(trained[1] / 'epoch_2.pth')
    assert 'backbone.conv1.weight' in saved['state_dict'] and saved['meta']['epoch'] == 2


def test_a_dry_run_says_go_or_stop_and_leaves_the_work_dir_alone(run, tmp_path, trained):
    run('make_digits.py', '--train', '64', '--val', '16')
    out = run('train.py', ROOT / 'configs/quick/fgfi_quick.py', '--dry-run')
    assert re.search(r'^  go: \d note, \d ok$', out, re.M) and 'note  teacher        no checkpoint' in out
    assert 'neck, strides 4, 8, 16, 32: 32 to 32 channels, 3x3 convolution' in out
    untrained = ('train.py', trained[0], '--min-teacher-map', '0.01', '--work-dir', 'w')
    error = run(*untrained, '--dry-run', code=1)
    assert 'error: accuracy: the teacher has mAP 0.000 on 4 of 4 images' in error and 'Traceback' not in error
    assert not (tmp_path / 'w').exists()
    assert 'accuracy: the teacher has mAP 0.000' in run(*untrained, code=1)
    assert not list((tmp_path / 'w').glob('*.pth'))
    log = next((tmp_path / 'w').glob('*/*.log')).read_text()
    assert re.search(r'^  stop  accuracy ', log, re.M) and 'Epoch(train)' not in log
    assert len(list((tmp_path / 'work_dirs/.cache').glob('teacher-*.json'))) == 1


def test_every_process_gets_the_verdict(repository, tmp_path, trained):
    done = subprocess.run(
        [sys.executable, '-m', 'torch.distributed.run', '--nproc-per-node', '2', '--master-port', '29533',
         str(repository / 'tools/train.py'), str(trained[0]), '--launcher', 'pytorch', '--dry-run', '--cfg-options',
         'env_cfg.dist_cfg.backend=gloo'], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1 and done.stdout.count('pre-flight: ') == 1
    assert re.search(r'^  stop  accuracy +the teacher has mAP 0.000 on 4 of 4', done.stdout, re.M)
    assert '8 images a step (4 on each of 2 processes)' in done.stdout
    assert done.stderr.count('error: accuracy: ') == 2


def test_one_argument_distils_a_plain_config(plain_config, teacher_files, run, tmp_path):
    """And the config that it writes trains the same, from anywhere."""
    cfg = copy.deepcopy(plain_config)
    cfg.log_level = 'INFO'
    (tmp_path / 'mine').mkdir()
    cfg.dump(tmp_path / 'mine/student.py')
    text = (tmp_path / 'mine/student.py').read_text()
    arguments = ('mine/student.py', '--teacher', teacher_files[0], '--teacher-checkpoint', teacher_files[1],
                 '--method', 'hint,adl', '--method-options', 'hint.adapter=None', 'adl.loss_weight=0.5')
    run('train.py', *arguments)
    assert 'train it with' in run('train.py', *arguments, '--dump-config', 'mine/distil.py')
    run('train.py', 'mine/distil.py', '--work-dir', 'again')
    assert (tmp_path / 'mine/student.py').read_text() == text
    saved, again = (load_checkpoint(tmp_path / folder / 'epoch_2.pth')['state_dict']
                    for folder in ('work_dirs/hint+adl_student', 'again'))
    assert saved.keys() == again.keys() and all(torch.equal(value, again[key]) for key, value in saved.items())
    plain = MODELS.build(cfg.model)
    plain.load_state_dict(saved)
    error = run('train.py', 'mine/student.py', '--teacher', teacher_files[0], code=2)
    assert '--teacher is given without --method' in error


def test_one_argument_takes_the_options_of_the_teacher(plain_config, teacher_files, run, tmp_path):
    """They are in the config that is written, which trains the same."""
    plain_config.dump(tmp_path / 'student.py')
    arguments = ('train.py', 'student.py', '--method', 'hint', '--teacher', teacher_files[0], '--teacher-checkpoint',
                 teacher_files[1])
    options = ('--teacher-options', 'input_scale=2.0', 'dtype=bfloat16', 'cache.dir=kept')
    run(*arguments, '--work-dir', 'plain')
    run(*arguments, *options)
    run(*arguments, *options, '--dump-config', 'distil.py')
    teacher = Config.fromfile(tmp_path / 'distil.py').model.teacher
    assert (teacher.input_scale, teacher.dtype, teacher.cache.dir) == (2.0, 'bfloat16', 'kept')
    assert list((tmp_path / 'kept').iterdir())
    run('train.py', 'distil.py', '--work-dir', 'again')
    plain, saved, again = (load_checkpoint(tmp_path / folder / 'epoch_2.pth')['state_dict']
                           for folder in ('plain', 'work_dirs/hint_student', 'again'))
    assert all(torch.equal(value, again[key]) for key, value in saved.items())
    assert not all(torch.equal(value, plain[key]) for key, value in saved.items())


def test_a_run_that_diverges_stops_with_the_term_and_the_images(trained, run):
    error = run('train.py', trained[0], '--work-dir', 'w', '--cfg-options', 'optim_wrapper.optimizer.lr=1e30',
                'optim_wrapper.clip_grad=None', 'param_scheduler=[]', code=1)
    last = error[error.index('error: '):]
    assert re.match(r'error: iteration \d+: (loss\w* is (nan|inf)(, )?)+; images: .*\.jpg', last)
    assert 'Traceback' not in last


def test_train_goes_on_where_it_was(trained, run, tmp_path):
    shutil.copytree(trained[1], tmp_path / 'work')
    (tmp_path / 'work/epoch_2.pth').unlink()
    (tmp_path / 'work/last_checkpoint').write_text(str(tmp_path / 'work/epoch_1.pth'))
    out = run('train.py', trained[0], '--work-dir', tmp_path / 'work', '--resume')
    assert 'resumed epoch: 1, iter: 2' in out and 'Epoch(train) [1]' not in out
    again = load_checkpoint(tmp_path / 'work/epoch_2.pth')['state_dict']
    assert all(torch.equal(v, again[k]) for k, v in load_checkpoint(trained[1] / 'epoch_2.pth')['state_dict'].items())


def test_report_on_a_run(trained, run, tmp_path):
    out = run('report.py', trained[1], '--out', 'page/report.html')
    assert 'measuring teacher on 4 pictures' in out and 'wrote page/report.html' in out
    page = (tmp_path / 'page/report.html').read_text(encoding='utf-8')
    assert all(part in page for part in ('loss_hint', 'Before the first step', 'class="scene"'))
    assert 'What is missing here' not in page
    assert len(list((tmp_path / 'work_dirs/.cache').glob('detections-*'))) == 2
    error = run('report.py', trained[1], 'gone', code=2)
    assert "error: work dir 'gone' does not exist" in error and 'Traceback' not in error
    assert "'-1' is not a whole number of 0 or more" in run('report.py', trained[1], '--pictures', '-1', code=2)


def test_test_takes_either_config_and_no_teacher(trained, run, plain_config, tmp_path):
    config, work_dir = trained
    without_teacher = config.read_text().replace('teacher.pth', 'gone.pth').replace('teacher.py', 'gone.py')
    (tmp_path / 'distil.py').write_text(without_teacher)
    plain_config.dump(tmp_path / 'plain.py')
    found = []
    for name in ('distil', 'plain'):
        run('test.py', f'{name}.py', work_dir / 'epoch_2.pth', '--out', f'{name}.pkl', '--work-dir', name)
        found.append(pickle.loads((tmp_path / f'{name}.pkl').read_bytes()))
    assert len(found[0]) == len(found[1]) == 4
    for ours, theirs in zip(*found):
        assert torch.equal(ours['pred_instances']['scores'], theirs['pred_instances']['scores'])


def test_test_draws_and_augments(trained, run, tmp_path):
    config, work_dir = trained
    run('test.py', config, work_dir / 'epoch_2.pth', '--show-dir', 'shown', '--work-dir', 'a')
    assert len(list((tmp_path / 'a').glob('*/shown/*.jpg'))) == 4
    assert 'bbox_mAP' in run('test.py', config, work_dir / 'epoch_2.pth', '--tta', '--work-dir', 'b')


def test_export_gives_a_plain_student(trained, run, plain_config, tmp_path):
    config, work_dir = trained
    out = run('export_student.py', work_dir / 'epoch_2.pth', '-o', 'student.pth', '--config', config)
    assert 'student.pth' in out
    exported = torch.load(tmp_path / 'student.pth')
    assert set(exported) == {'state_dict', 'meta'} and not any('distiller' in key for key in exported['state_dict'])
    plain = MODELS.build(copy.deepcopy(plain_config.model))
    plain.load_state_dict(exported['state_dict'], strict=True)
    assert (tmp_path / 'student.pth').stat().st_size < (work_dir / 'epoch_2.pth').stat().st_size / 2
    # the config is in the checkpoint, so it need not be given
    run('export_student.py', work_dir / 'epoch_2.pth', '-o', 'again.pth')
    assert (tmp_path / 'again.pth').is_file()


def test_export_reads_a_config_with_dotted_keys(run, plain_config, tmp_path):
    cfg = copy.deepcopy(plain_config)
    cfg.optim_wrapper.paramwise_cfg = dict(custom_keys={'bbox_head.retina_cls': dict(lr_mult=2.0), 'neck': dict()})
    weights = MODELS.build(copy.deepcopy(cfg.model)).state_dict()
    torch.save(dict(state_dict=weights, meta=dict(cfg=cfg.pretty_text)), tmp_path / 'dotted.pth')
    run('export_student.py', 'dotted.pth', '-o', 'student.pth')
    assert (tmp_path / 'student.pth').is_file()


def test_export_of_something_else_writes_nothing(run, tmp_path, trained):
    torch.save(dict(state_dict={'a.weight': torch.ones(1)}), tmp_path / 'other.pth')
    error = run('export_student.py', 'other.pth', '-o', 'student.pth', '--config', trained[0], code=2)
    assert 'missing' in error and not (tmp_path / 'student.pth').exists()
    error = run('export_student.py', 'other.pth', '-o', 'student.pth', code=2)
    assert '--config' in error


@pytest.mark.parametrize(('tool', 'arguments', 'message'), [
    ('train.py', ['nothing.py'], "config 'nothing.py' does not exist"),
    ('test.py', ['nothing.py', 'nothing.pth'], "checkpoint 'nothing.pth' does not exist"),
    ('train.py', ['CONFIG', '--resume', 'nothing.pth'], "checkpoint 'nothing.pth' does not exist"),
    ('train.py', ['CONFIG', '--preflight-images', '-1'], "'-1' is not a whole number of 0 or more"),
    ('train.py', [ROOT / 'configs/digits/fcos_r18-half_fpn_16e_digits.py', '--dry-run'], 'config of a plain detector'),
    ('train.py', ['CONFIG', '--cfg-options', 'model.teacher.checkpoint=gone.pth'], "'gone.pth' does not exist"),
    ('train.py', ['CONFIG', '--cfg-options', 'model.methods.hint.tap=neck.fpn_conv'], 'near matches: neck.fpn_convs'),
    ('train.py', ['CONFIG', '--cfg-options', 'model.methods.hint.loss_weight=-1'], 'must be 0 or more'),
    ('test.py', ['CONFIG', 'CONFIG', '--out', 'a.json'], 'must end in .pkl'),
    ('make_digits.py', ['--size', '5'], 'size 5'),
    ('run_study.py', ['nothing.yaml'], "study 'nothing.yaml' does not exist"),
    ('export_student.py', ['nothing.pth', '-o', 'x.pth'], "checkpoint 'nothing.pth' does not exist"),
    pytest.param('train.py', ['CONFIG', '--amp'], '--amp needs a GPU',
                 marks=pytest.mark.skipif(torch.cuda.is_available(), reason='a GPU is there')),
])
def test_wrong_input_is_one_sentence(run, trained, tool, arguments, message):
    arguments = [trained[0] if argument == 'CONFIG' else argument for argument in arguments]
    error = run(tool, *arguments, code=2)
    assert message in error and 'Traceback' not in error
    assert len([line for line in error.splitlines() if line.startswith('error: ')]) == 1


def test_traceback_on_request(run):
    assert 'Traceback' in run('train.py', 'nothing.py', code=1, KDDET_TRACEBACK='1')


def test_evil_checkpoint_is_refused_on_resume(run, trained, tmp_path):
    class Payload:
        def __reduce__(self):
            return os.system, (f'touch {tmp_path}/proof',)
    torch.save(dict(state_dict={}, evil=Payload()), tmp_path / 'evil.pth')
    error = run('train.py', trained[0], '--resume', 'evil.pth', '--work-dir', 'w', code=2)
    assert 'refused' in error and 'system' in error and not (tmp_path / 'proof').exists()


@pytest.mark.parametrize('config', QUICK, ids=lambda path: path.stem)
def test_quick_config_gives_what_it_says(config, run, tmp_path):
    run('make_digits.py', '--train', '64', '--val', '16')  # the first pictures of the data set are always the same
    for earlier in re.findall(r'after (\S+\.py)', config.read_text().partition('_base_')[0]):
        run('train.py', config.parent / earlier)
    run('train.py', config, '--work-dir', 'work')
    says = re.search(r'Expected: (\w+) ([0-9.]+) \+- ([0-9.]+) .*; (\w+\.pth),', config.read_text())
    key, *numbers, left = says.groups()
    expected, tolerance = map(float, numbers)
    (log,) = (tmp_path / 'work').glob('*/vis_data/scalars.json')
    first = json.loads(log.read_text().splitlines()[0])
    assert first[key] == pytest.approx(expected, abs=tolerance)
    assert (tmp_path / 'work' / left).is_file()


def test_a_teacher_of_other_classes_is_refused_with_both_lists(run, plain_config, distilled_config, tmp_path):
    teacher = copy.deepcopy(plain_config)
    teacher.train_dataloader.dataset.metainfo = dict(classes=('cat', 'dog'))
    teacher.model.bbox_head.num_classes = 2
    teacher.dump(tmp_path / 'teacher.py')
    cfg = copy.deepcopy(distilled_config)
    cfg.model.teacher = dict(config=str(tmp_path / 'teacher.py'), checkpoint=None)
    cfg.model.methods = dict(soft=dict(type='kddet.WeightedClassification'))
    cfg.dump(tmp_path / 'distil.py')
    error = run('train.py', 'distil.py', code=2)
    assert 'the student has 10 (zero, one, two' in error and 'the teacher 2 (cat, dog)' in error
    assert 'Traceback' not in error


def test_a_model_is_inspected(run):
    student, teacher = (ROOT / f'configs/digits/retinanet_r18-{width}.py' for width in
                        ('quarter_fpn_10e_digits', 'half_fpn_16e_digits'))
    out = run('inspect_model.py', student, '--teacher', teacher, '--shape', '160', '160')
    assert re.search(r'^neck +FPN +32x40x40 /4, .*= neck.P2, neck.P3, neck.P4, neck.P5$', out, re.M)
    assert 'backbone level 3, stride 32: student 128 channels, teacher level 3 with 256' in out
    assert '32 or more' in run('inspect_model.py', student, '--shape', '8', '160', code=2)


def test_the_table_of_a_model_is_the_tables_alone(run):
    """MMDet warns of how some heads are built."""
    out = run('inspect_model.py', 'mmdet::htc/htc_r50_fpn_1x_coco.py', '--shape', '64', '64')
    assert out.startswith('HybridTaskCascade, an image of 64 x 64') and 'Warning' not in out
    assert 'not reached: roi_head.mask_head' in out


def test_masks_are_drawn(trained, run, tmp_path):
    out = run('visualize.py', 'masks', trained[0], '--out', 'masks', '--number', '2', '--method-options',
              'threshold_factor=0.3', 'scope=level')
    pictures = sorted((tmp_path / 'masks').glob('*.png'))
    assert len(pictures) == 2 and all(f'wrote masks/{path.name}' in out for path in pictures)
    assert all(path.stat().st_size > 20_000 for path in pictures)
    assert '1 or more' in run('visualize.py', 'masks', trained[0], '--out', 'masks', '--number', '0', code=2)


def test_a_distilled_run_is_looked_at(trained, run, tmp_path):
    """Ground truth, teacher and student beside each other; their features; the curves of the run."""
    config, work_dir = trained
    out = run('visualize.py', 'compare', config, work_dir / 'epoch_2.pth', '--out', 'beside', '--number', '2',
              '--score-thr', '0.05')
    pictures = sorted((tmp_path / 'beside').glob('*.png'))
    assert len(pictures) == 2 and all(f'wrote beside/{path.name}' in out for path in pictures)
    assert all(cv2.imread(str(path)).shape [1:] == (3 * 480 + 12, 3) for path in pictures)
    run('visualize.py', 'energy', config, work_dir / 'epoch_2.pth', '--out', 'energy', '--number', '1')
    (energy,) = (tmp_path / 'energy').glob('*.png')
    assert cv2.imread(str(energy)).shape[1] == 320 * 5  # the input and four levels
    run('visualize.py', 'curves', work_dir, '--out', 'new/curves.png')
    assert cv2.imread(str(tmp_path / 'new/curves.png')).shape[1] == 420 * 4


@pytest.mark.parametrize(('arguments', 'message'), [
    (['compare', 'CONFIG', 'CHECKPOINT', '--out', 'x', '--images', 'gone.jpg'], 'image gone.jpg does not exist'),
    (['energy', 'CONFIG', 'CHECKPOINT', '--out', 'x', '--method', 'fgfi'], '--method fgfi: choose one of hint'),
    (['curves', 'WORK_DIR', '--out', 'x.jpg'], 'the file for the curves ends in .png'),
    (['curves', '.', '--out', 'x.png'], "no json log in"),
])
def test_what_cannot_be_looked_at_is_one_sentence(trained, run, arguments, message):
    stands_for = dict(CONFIG=trained[0], CHECKPOINT=trained[1] / 'epoch_2.pth', WORK_DIR=trained[1])
    error = run('visualize.py', *(stands_for.get(argument, argument) for argument in arguments), code=2)
    assert message in error and 'Traceback' not in error


def test_diagnostics_are_in_the_log_and_leave_the_training_as_it_is(trained, run, tmp_path):
    out = run('train.py', trained[0], '--work-dir', 'work', '--method-diagnostics', '2')
    assert len(re.findall(r'Diagnostics \[[24]\]  hint: .*gradient .* of the detection loss, cosine', out)) == 2
    (log,) = (tmp_path / 'work').glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    found = [line for line in lines if 'diagnostics/hint_ratio' in line]
    assert [line['step'] for line in found] == [2, 4]
    assert all(line['diagnostics/hint_ratio'] > 0 and -1 <= line['diagnostics/hint_cosine'] <= 1 for line in found)
    saved, again = (load_checkpoint(folder / 'epoch_2.pth')['state_dict'] for folder in (trained[1], tmp_path / 'work'))
    assert all(torch.equal(value, again[key]) for key, value in saved.items())


def test_a_teacher_of_eighty_classes_teaches_those_that_both_have(run, plain_config, tmp_path):
    teacher = copy.deepcopy(plain_config)
    teacher.train_dataloader.dataset.metainfo = dict(classes=[f'c{i}' for i in range(77)] + ['nine', 'two', 'three'])
    teacher.model.bbox_head.num_classes = 80
    teacher.dump(tmp_path / 'teacher.py')
    torch.save(dict(state_dict=MODELS.build(teacher.model).state_dict()), tmp_path / 'teacher.pth')
    plain_config.dump(tmp_path / 'student.py')
    arguments = ('train.py', 'student.py', '--method', 'adl', '--teacher', 'teacher.py', '--teacher-checkpoint',
                 'teacher.pth')
    assert '--class-map auto, in a config' in run(*arguments, code=2)
    out = run(*arguments, '--class-map', 'auto')
    assert 'classes: 3 of 10 are compared with the teacher; without a partner: zero, one, four' in out
    assert (tmp_path / 'work_dirs/adl_student/epoch_2.pth').is_file()
    table = ('--class-map', 'nine=c0', 'two=two', '--dump-config', 'distil.py')
    assert 'classes: 2 of 10 are compared with the teacher' in run(*arguments, *table)
    assert Config.fromfile(tmp_path / 'distil.py').model.teacher.class_map == [[9, 0], [2, 78]]


def test_encodings_are_drawn(run, tmp_path):
    run('make_digits.py', '--train', '64', '--val', '16')
    config = ROOT / 'configs/quick/labelenc-step1_quick.py'
    run('train.py', config, '--work-dir', 'work')
    out = run('visualize.py', 'labelenc', config, 'work/epoch_1.pth', '--out', 'encodings', '--number', '2',
              '--score-thr', '0')
    written = sorted((tmp_path / 'encodings').glob('*.png'))
    assert len(written) == 2 and all(f'wrote encodings/{path.name}' in out for path in written)
    assert all(path.stat().st_size > 30_000 for path in written)
    other = ROOT / 'configs/quick/fgfi_quick.py'
    error = run('visualize.py', 'labelenc', other, 'work/epoch_1.pth', '--out', 'x', code=2)
    assert 'is a kddet.Distiller; give the config of step 1' in error


def test_masks_are_measured_beside_a_training_step(run):
    out = run('benchmark_masks.py', '--shape', '96', '128', '--boxes', '5', '--iters', '1', '--batch', '1')
    assert re.search(r'training step .* ms\n', out)
    assert len(re.findall(r'masks.* ms +[0-9.]+% of the step', out)) == 2


def test_steps_are_measured(run, tmp_path):
    configs = [ROOT / f'configs/quick/{name}_quick.py' for name in ('fgfi', 'hint')]
    out = run('benchmark.py', *configs, '--shape', '64', '64', '--iters', '1', '--batch', '1', '--json', 'a/rows.jsonl')
    assert len(re.findall(r'^\| (?:fgfi|hint)_quick \| 1 x 64 x 64 \|(?: -?[0-9.]+ \|){5}$', out, re.M)) == 2
    rows = [json.loads(line) for line in (tmp_path / 'a/rows.jsonl').read_text().splitlines()]
    assert [row['config'] for row in rows] == ['fgfi_quick', 'hint_quick'] and rows[0]['machine']
    assert '1 or more' in run('benchmark.py', configs[0], '--iters', '0', code=2)


def test_adaptive_distillation_is_measured_beside_the_focal_loss(run):
    out = run('benchmark_adl.py', '--shape', '64', '64', '--iters', '1', '--classes', '5')
    assert len(re.findall(r'^  (?:focal loss|form=).* ms +[0-9.]+ x +[0-9.]+ MiB +[0-9.]+ x$', out, re.M)) == 3


def test_quickstart_in_small(run, tmp_path):
    small = ('quickstart.py', '--epochs', '1', '1', '--pictures', '16', '8')
    out = run(*small)
    assert all(f'{name:9}  Epoch(train)' in out for name in ('teacher', 'baseline', 'distilled'))
    summary = json.loads((tmp_path / 'work_dirs/quickstart/summary.json').read_text())
    models = summary['models']
    assert models['teacher']['parameters'] > 2 * models['baseline']['parameters']
    assert models['baseline']['parameters'] == models['distilled']['parameters']
    assert models['teacher']['flops'] > models['baseline']['flops'] > 1e6
    assert {'mAP', 'mAP_50', 'mAP_75', 'seconds'} <= set(models['distilled']) and summary['seed'] == 0
    assert (tmp_path / 'work_dirs/quickstart/report.png').stat().st_size > 50_000
    before = (tmp_path / 'work_dirs/quickstart/distilled/epoch_1.pth').stat().st_mtime
    assert 'Epoch(train)' not in run(*small)  # nothing is trained again
    assert (tmp_path / 'work_dirs/quickstart/distilled/epoch_1.pth').stat().st_mtime == before


@pytest.mark.parametrize('hard', [True, False])
def test_semi_supervised(run, teacher_files, tmp_path, hard):
    """The teacher labels pictures, and a student learns from them beside the labelled ones, by boxes or by scores."""
    run('make_digits.py', '--train', '8', '--val', '4', '--unlabelled', '12', '--size', '96')
    config, checkpoint = teacher_files
    run('pseudo_label.py', config, checkpoint, '--images', 'data/digits/unlabelled', '--ann',
        'data/digits/instances_unlabelled.json', '--out', 'data/digits/pseudo.json', '--score-thr', '0',
        '--workers', '0')
    assert json.loads((tmp_path / 'data/digits/pseudo.json').read_text())['annotations']
    semi = ROOT / 'configs/adl/adl_retinanet_r18-half_to_r18-quarter_fpn_500i_digits-semi.py'
    run('train.py', semi, '--work-dir', 'semi', '--cfg-options', f'model.teacher.config={config}',
        f'model.teacher.checkpoint={checkpoint}', f'train_dataloader.dataset.datasets.1.use_hard_loss={hard}',
        'train_cfg.max_iters=2', 'train_cfg.val_interval=2', 'default_hooks.checkpoint.interval=2',
        'default_hooks.logger.interval=1')
    (log,) = (tmp_path / 'semi').glob('*/vis_data/scalars.json')
    assert json.loads(log.read_text().splitlines()[0])['loss_adl'] > 0
    assert load_checkpoint(tmp_path / 'semi/iter_2.pth')['state_dict'].keys() >= {'bbox_head.retina_cls.weight'}
