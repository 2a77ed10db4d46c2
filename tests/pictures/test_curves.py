from unittest import mock

import cv2
import pytest

from kddet.pictures import curve_names, draw_curves
from kddet.pictures.curve_panels import curve_panels
from kddet.project.run_log import Log


def series(*values):
    return [(index + 1, value) for index, value in enumerate(values)]


PLAIN = Log('plain', dict(loss=series(2.0, 1.0), loss_cls=series(1.0, 0.5), lr=series(0.1, 0.1)),
            {'coco/bbox_mAP': series(0.1), 'coco/bbox_mAP_50': series(0.2), 'time': series(1.0)})
DISTILLED = Log('distilled', dict(loss_cls=series(1.0), loss_hint=series(*range(90)), loss=series(2.0), **{
    'diagnostics/hint_ratio': series(0.1, float('nan')), 'diagnostics/hint_value': series(1.0)}),
                {'coco/bbox_mAP': series(0.3)})


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


def test_epochs_and_iterations_are_apart_and_map_is_in_points():
    by_iteration = Log('long', val={'coco/bbox_mAP': [(500, 0.4)]}, by_epoch=False)
    panels = curve_panels([PLAIN, by_iteration, DISTILLED])
    assert [(panel.title, panel.unit, panel.series) for panel in panels[:2]] == [
        ('mAP on validation', 'epoch', {0: [(1, 10.0)], 2: [(1, 30.0)]}),
        ('mAP on validation', 'iteration', {1: [(500, 40.0)]})]
    assert {panel.unit for panel in panels[2:]} == {'iteration'}
    assert 'other' in [panel.title for panel in curve_panels([Log('x', val={'other': series(1.0)})])]


def test_ticks_are_whole_and_the_green_band_is_explained(tmp_path):
    with mock.patch('kddet.pictures.curves.save') as save:
        draw_curves([Log('two', dict(loss=series(2.0, 1.0, 3.0), **{'diagnostics/hint_ratio': series(0.1, 0.2)}))],
                    tmp_path / 'x.png')
    figure = save.call_args.args[0]
    figure.canvas.draw()
    for panel in figure.axes[:2]:
        assert all(place == int(place) for place in panel.get_xticks())
    assert '0.01 to 10 is sound (green)' in figure.axes[1].get_title()
