"""Where lines lie in a chart."""
import pytest

from kddet.report.charts import BOTTOM, HEIGHT, LEFT, MOST, RIGHT, TOP, WIDTH, Chart, Line, thinned

NAN = float('nan')


def places(chart, index=0):
    return [tuple(map(float, place.split(','))) for place in chart.places(chart.lines[index]).split()]


def test_a_line_spans_the_chart_and_stays_in_it():
    chart = Chart('loss', 'iteration', [Line('a', 'run0', [(10, 4.0), (20, NAN), (30, 2.0)])])
    (x1, y1), (x2, y2) = places(chart)
    assert (x1, x2) == (LEFT, WIDTH - RIGHT)
    assert TOP < y1 < y2 < HEIGHT - BOTTOM and y2 == pytest.approx(HEIGHT - BOTTOM - (y2 - y1), abs=0.2)
    assert all(LEFT <= place <= WIDTH - RIGHT for place, _ in chart.x_ticks)
    assert [text for _, text in chart.y_ticks][:2] == ['0', '1']


def test_a_level_crosses_the_chart_and_does_not_stretch_it():
    chart = Chart('mAP', 'epoch', [Line('a', 'run0', [(5, 1.0), (8, 2.0)]),
                                   Line('teacher', 'teacher', [(0, 3.0)], level=True)])
    assert places(chart)[0][0] == LEFT
    (x1, y1), (x2, y2) = places(chart, 1)
    assert (x1, x2) == (LEFT, WIDTH - RIGHT) and TOP <= y1 == y2 < places(chart)[1][1]


def test_spikes_are_drawn_logarithmically_and_zeros_never():
    spike = [(0, 100.0), *((step, 1.0) for step in range(1, 9))]
    chart = Chart('loss', 'iteration', [Line('a', 'run0', spike)])
    assert chart.logarithmic and places(chart)[0][1] == TOP and places(chart)[-1][1] == HEIGHT - BOTTOM
    assert not Chart('loss', 'iteration', [Line('a', 'run0', [*spike, (9, 0.0)])]).logarithmic


@pytest.mark.parametrize('points', [[(1, 5.0)], [(1, 0.0), (2, 0.0)], [(1, NAN)], [], [(1, -2.0), (2, -2.0)]])
def test_few_points(points):
    chart = Chart('loss', 'iteration', [Line('a', 'run0', points)])
    assert len(chart.lines) == bool(points and points[0][1] == points[0][1])
    for line in chart.lines:
        assert all(LEFT <= float(place.split(',')[0]) <= WIDTH and TOP <= float(place.split(',')[1]) <= HEIGHT
                   for place in chart.places(line).split())


def test_many_points_become_means_of_neighbours():
    found = thinned([(step, step % 2) for step in range(4 * MOST)])
    assert len(found) == MOST and {y for _, y in found} == {0.5}
    assert [x for x, _ in found][:2] == [1.5, 5.5]
