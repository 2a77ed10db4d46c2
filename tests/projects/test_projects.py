"""Projects as users have them, distilled with no change to their files; the command lines are a user's."""
import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from kddet.checkpoint import load_checkpoint
from kddet.datasets.digits import CLASSES
from kddet.project.config import build_detector, load_config

pytestmark = pytest.mark.slow
PROJECTS = Path(__file__).parent
ROOT = PROJECTS.parents[1]
TRAIN = ROOT / 'tools/train.py'
WITHOUT_KDDET = """
import runpy, sys
sys.modules['kddet'] = None  # importing it is an error
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')
"""


@pytest.fixture(scope='module')
def home(tmp_path_factory):
    """Copies of the projects outside this repository, with pictures of beans and the weights of two teachers."""
    folder = tmp_path_factory.mktemp('home')
    for name in ('beans', 'peas'):
        shutil.copytree(PROJECTS / name, folder / name, ignore=shutil.ignore_patterns('__pycache__'))
    draw_beans(folder / 'beans/data')
    with pytest.MonkeyPatch.context() as patch:
        for name, config in dict(beans='bean-net_large', peas='pea-net').items():
            patch.syspath_prepend(folder / name)
            save_untrained(folder / name / f'configs/{config}.py', folder / f'{config}.pth')
        yield folder


def save_untrained(config, file):
    torch.manual_seed(1)
    cfg = load_config(config)
    cfg.model.backbone.init_cfg = None
    detector = build_detector(cfg)
    detector.init_weights()
    torch.save(dict(state_dict=detector.state_dict()), file)


def draw_beans(folder):
    random = np.random.default_rng(0)
    kinds = dict(black=(20, 20, 20), pinto=(90, 110, 170), green=(60, 160, 60))
    for part, count in dict(train=8, val=2).items():
        (folder / part).mkdir(parents=True)
        rows = []
        for index in range(count):
            picture = random.integers(170, 230, (96, 96, 3), dtype=np.uint8)
            for kind, (x, y) in zip(random.permutation(list(kinds)), ((26, 30), (66, 64))):
                radii = random.integers(12, 20, 2)
                cv2.ellipse(picture, (x, y), tuple(map(int, radii)), 0, 0, 360, kinds[kind], -1)
                rows.append([f'{index}.png', 96, 96, *((x, y) - radii), *((x, y) + radii), kind])
            cv2.imwrite(str(folder / part / f'{index}.png'), picture)
        with (folder / f'{part}.csv').open('w') as file:
            csv.writer(file).writerows(rows)


def hashes(folder):
    return {path.relative_to(folder): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob('*')) if path.is_file() and '__pycache__' not in path.parts}


def python(*arguments, cwd, packages=(), **environment):
    """Run a script with packages of the user's own on PYTHONPATH, and kddet, which is installed."""
    path = os.pathsep.join(map(str, [*packages, ROOT]))
    done = subprocess.run([sys.executable, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=300,
                          env=dict(os.environ, PYTHONPATH=path, **environment))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def beans(home, *arguments):
    """The command that distils the project's small detector, from a folder that is not the project's."""
    (home / 'elsewhere').mkdir(exist_ok=True)
    return python(TRAIN, '../beans/configs/bean-net_small.py', '--teacher', '../peas/configs/pea-net.py',
                  '--teacher-checkpoint', '../pea-net.pth', '--preflight-images', '0', '--class-map', 'auto',
                  '--method', 'hint,adl', '--method-options', 'hint.loss_weight=0.02', *arguments,
                  cwd=home / 'elsewhere',
                  packages=[home / 'beans', home / 'peas'])


def diary(work_dir):
    return json.loads((work_dir / 'diary.json').read_text())


def weights(file):
    return load_checkpoint(file)['state_dict']


@pytest.fixture(scope='module')
def distilled(home):
    """The work dir of the run, what it printed, and the project's files before it."""
    before = hashes(home / 'beans')
    out = beans(home)
    return home / 'elsewhere/work_dirs/hint+adl_bean-net_small', out, before


def test_a_project_is_distilled_with_no_change_to_its_files(home, distilled):
    """By a teacher of another project, with other classes, another normalisation, a neck of its own and a registry."""
    work_dir, out, before = distilled
    assert hashes(home / 'beans') == before
    assert 'classes: 2 of 3 are compared with the teacher; without a partner: pinto' in out
    seen = diary(work_dir)
    assert seen['calls'] == dict(after_train_iter=4, after_val_epoch=2) and seen['backbone'] == 'BeanNet'
    assert seen['rates'] == pytest.approx([0.0002 * 0.5**layer for layer in (4, 3, 2, 1, 0)])
    assert all(float.fromhex(losses[key]) > 0 for losses in seen['losses'] for key in ('loss_hint', 'loss_adl'))
    assert any(work_dir.glob('best_coco_bbox_mAP_epoch_*.pth'))
    saved = load_checkpoint(work_dir / 'epoch_2.pth')
    averaged = saved['ema_state_dict']['module.backbone.stem.0.conv.weight']
    assert saved['ema_state_dict']['steps'] == 4
    assert not torch.equal(averaged, saved['state_dict']['backbone.stem.0.conv.weight'])


def test_the_written_config_trains_the_same_with_the_projects_own_tools(home, distilled):
    beans(home, '--dump-config', '../distil.py')
    python(home / 'beans/tools/train.py', 'distil.py', '--work-dir', 'own', cwd=home,
           packages=[home / 'beans', home / 'peas'])
    assert diary(home / 'own') == diary(distilled[0])
    ours, theirs = weights(distilled[0] / 'epoch_2.pth'), weights(home / 'own/epoch_2.pth')
    assert ours.keys() == theirs.keys() and all(torch.equal(value, theirs[key]) for key, value in ours.items())


def test_the_checkpoint_is_tested_with_the_projects_own_config_and_tools_without_kddet(home, distilled):
    python('-c', WITHOUT_KDDET, home / 'beans/tools/test.py', 'beans/configs/bean-net_small.py',
           distilled[0] / 'epoch_2.pth', '--work-dir', 'tested', cwd=home, packages=[home / 'beans'],
           TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD='1')  # what MMEngine needs on torch 2.6 and later
    (log,) = distilled[0].glob('*/vis_data/scalars.json')
    validated = json.loads(log.read_text().splitlines()[-1])
    (log,) = (home / 'tested').glob('*/*.json')
    tested = json.loads(log.read_text().splitlines()[-1])
    maps = {key: value for key, value in validated.items() if key.startswith('coco/')}
    assert maps['coco/bbox_mAP_50'] > 0 and {key: tested[key] for key in maps} == maps


def test_a_project_with_a_registry_and_a_scope_of_its_own_is_distilled(home):
    """By a teacher of MMDet's scope, iteration by iteration, from the project's root."""
    python(TRAIN, 'configs/pea-net.py', '--teacher', '../beans/configs/bean-net_large.py', '--teacher-checkpoint',
           '../bean-net_large.pth', '--method', 'fgfi', '--method-options', 'fgfi.warmup=0', cwd=home / 'peas',
           packages=[home / 'beans', home / 'peas'])
    work_dir = home / 'peas/work_dirs/fgfi_pea-net'
    plain = build_detector(load_config(home / 'peas/configs/pea-net.py'))
    saved = weights((work_dir / 'last_checkpoint').read_text())
    assert set(plain.state_dict()) == {key for key in saved if not key.startswith('distiller.')}
    (log,) = work_dir.glob('*/vis_data/scalars.json')
    assert [json.loads(line)['loss_fgfi'] > 0 for line in log.read_text().splitlines()] == [True, True]


def test_a_config_that_a_package_ships_is_distilled(home, digits):
    """MMDet's own student and teacher, made small where a command line can."""
    teacher = 'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py'
    save_untrained(teacher, home / 'r18.pth')
    data = 'train_dataloader.dataset'
    python(TRAIN, 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py', '--method', 'hint', '--teacher', teacher,
           '--teacher-checkpoint', 'r18.pth', '--cfg-options', 'model.backbone.init_cfg=None',
           'model.backbone.depth=18', 'model.backbone.base_channels=8', 'model.neck.in_channels=[8,16,32,64]',
           'model.neck.out_channels=16', 'model.bbox_head.in_channels=16', 'model.bbox_head.feat_channels=16',
           'model.bbox_head.num_classes=10', f'{data}.data_root={digits}', f'{data}.ann_file=instances_train.json',
           f'{data}.data_prefix.img=train', f'{data}.metainfo.classes={",".join(CLASSES)}',
           f'{data}.pipeline.2.scale=(96,96)', 'train_dataloader.num_workers=0',
           'train_dataloader.persistent_workers=False', 'train_cfg.max_epochs=1', 'val_cfg=None',
           'val_dataloader=None', 'val_evaluator=None', cwd=home)
    saved = weights(home / 'work_dirs/hint_retinanet_r50_fpn_1x_coco/epoch_1.pth')
    assert saved['backbone.conv1.weight'].shape[0] == 8
    assert saved['distiller.methods.hint.adapters.0.project.weight'].shape[:2] == (256, 16)
