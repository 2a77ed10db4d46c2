import cv2
import pytest

from kddet.pictures import curve_names, draw_curves
from kddet.project.run_log import Log


def series(*values):
    return [(index + 1, value) for index, value in enumerate(values)]


PLAIN = Log('plain', dict(loss=series(2.0, 1.0), loss_cls=series(1.0, 0.5), lr=series(0.1, 0.1)),
            {'coco/bbox_mAP': series(0.1), 'coco/bbox_mAP_50': series(0.2), 'time': series(1.0)})
DISTILLED = Log('distilled', dict(loss_cls=series(1.0), loss_hint=series(*range(90)), loss=series(2.0), **{
    'diagnostics/hint_ratio': series(0.1, float('nan'))}), {'coco/bbox_mAP': series(0.3)})


def test_map_every_loss_and_diagnostics_are_drawn():
    assert curve_names([PLAIN, DISTILLED]) == ['coco/bbox_mAP', 'loss', 'loss_cls', 'loss_hint',
                                               'diagnostics/hint_ratio']
    assert curve_names([Log('voc', {}, {'pascal_voc/AP50': series(1.0), 'other': series(1.0)})]) == ['pascal_voc/AP50']


def test_runs_of_any_length_on_one_picture(tmp_path):
    draw_curves([PLAIN, DISTILLED], tmp_path / 'new/curves.png')
    height, width, _ = cv2.imread(str(tmp_path / 'new/curves.png')).shape
    assert width > 1500 and height > 500  # four panels beside each other, and one below


def test_nothing_to_draw(tmp_path):
    with pytest.raises(ValueError, match='logs of empty hold neither'):
        draw_curves([Log('empty')], tmp_path / 'x.png')
