import json

import pytest
import torch
from mmengine.registry import MODELS, init_default_scope

from kddet.preflight import NOTE, Line, Report
from kddet.preflight.report import write_report
from kddet.project.config import is_distillation
from kddet.report import make_report


@pytest.fixture(scope='session')
def leave_behind(tmp_path_factory):
    """Writes what a training would have left, with an untrained student and a made-up log."""
    root = tmp_path_factory.mktemp('runs')

    def write(name, cfg, seed=0, extra=()):
        init_default_scope('mmdet')
        torch.manual_seed(seed)
        model = MODELS.build(cfg.model)
        model.init_weights()
        folder = root / name
        (folder / 'start/vis_data').mkdir(parents=True)
        torch.save(dict(state_dict=model.state_dict(), meta={}), folder / 'epoch_2.pth')
        (folder / 'last_checkpoint').write_text('/where/it/was/trained/epoch_2.pth')
        cfg.dump(folder / 'start/vis_data/config.py')
        entries = [dict(iter=step, epoch=1 + step // 3, step=step, time=0.5, data_time=0.1, memory=2048, lr=0.1,
                        loss=4.0 / step, loss_cls=3.0 / step, **dict.fromkeys(extra, 1.0 / step))
                   for step in (1, 2, 3, 4)]
        for epoch in (2, 1):
            entries.insert(2 * epoch, {'coco/bbox_mAP': 0.1 * epoch, 'coco/bbox_mAP_50': 0.2 * epoch,
                                       'coco/bbox_mAP_l': -1.0, 'time': 0.1, 'step': epoch})
        (folder / 'start/vis_data/scalars.json').write_text('\n'.join(map(json.dumps, entries)))
        if is_distillation(cfg):
            write_report(Report('a learns from b', [Line('accuracy', NOTE, 'it is low', 'look', ['on 4 images'])]),
                         folder / 'start')
        (folder / 'start/start.log').write_text('    seed: 7\n    GPU 0: Some GPU\n    GPU number: 2\n')
        return folder
    return write


@pytest.fixture(scope='session')
def work_dirs(leave_behind, plain_config, distilled_config):
    """``(baseline, distilled)``."""
    return leave_behind('baseline', plain_config), leave_behind('hint', distilled_config, 1, ['loss_hint'])


@pytest.fixture(scope='session')
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp('cache')


@pytest.fixture(scope='session')
def page(work_dirs, cache):
    return make_report([work_dirs[1]], work_dirs[0], pictures=1, cache=cache)
