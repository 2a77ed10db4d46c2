import dataclasses

import pytest

from kddet.studies import Study
from kddet.studies.results import confidence, gains, page, plot, readme_section, table


def row(variant, value, seed=None, pair='retinanet'):
    return dict(pair=pair, variant=variant, seed=seed, measures=dict(mAP=value, mAP_50=2 * value, mAP_75=value / 2),
                seconds=60.0, peak_memory_mib=500, date='2026-01-01', hardware='2 cores, a CPU', commit='abc',
                versions=dict(torch='2.13.0', mmdet='3.3.0'))


ROWS = [row('teacher', 0.40),
        row('baseline', 0.20, 0), row('baseline', 0.22, 1), row('baseline', 0.24, 2),
        row('hint', 0.23, 0), row('hint', 0.23, 1), row('hint', 0.26, 2)]  # +3, +1, +2 points
STUDY = Study('x-digits', 'A title', 'A question?', pairs=dict(retinanet={}), variants=dict(hint={}), seeds=[0, 1, 2])


def test_gain_is_the_mean_paired_difference():
    teacher, baseline, hint = gains(ROWS)
    assert (teacher.gain, baseline.gain) == (None, None)
    assert hint.gain == pytest.approx(2.0) and hint.deviation == pytest.approx(1.0) and hint.seeds == 3
    assert hint.interval == pytest.approx(4.303 / 3**0.5, abs=1e-3)  # t of 2 degrees of freedom
    assert hint.closed == pytest.approx(2 / 18)
    assert hint.measures['mAP'] == pytest.approx(24.0)


def test_pairing_matters():
    shuffled = [*ROWS[:4], row('hint', 0.26, 0), row('hint', 0.23, 1), row('hint', 0.23, 2)]
    assert gains(shuffled)[2].gain == pytest.approx(2.0)
    assert gains(shuffled)[2].deviation > 2.5 * gains(ROWS)[2].deviation


def test_interval_by_students_t():
    assert confidence(1.0, 2) == pytest.approx(12.706 / 2**0.5, abs=1e-3)
    assert confidence(2.0, 5) == pytest.approx(2 * 2.776 / 5**0.5, abs=1e-3)


def test_one_seed_has_no_interval():
    hint = gains([ROWS[0], ROWS[1], ROWS[4]])[2]
    assert hint.gain == pytest.approx(3.0) and hint.interval is None and hint.deviation is None


def test_a_student_without_partner_is_not_compared():
    assert gains([row('baseline', 0.2, 0), row('hint', 0.3, 1)])[1].gain is None


def test_table_shows_losses_as_well():
    text = table(gains([*ROWS[:4], *[row('bad', 0.1, seed) for seed in range(3)]]))
    assert '| -12.0 | 2.0 | -17.0 to -7.0 | -67% |' in text
    assert text.count('\n') == 1 + 3


def test_page_holds_only_what_the_rows_say():
    text = page(STUDY, ROWS)
    assert table(gains(ROWS)) in text and '2 cores, a CPU; torch 2.13.0, mmdet 3.3.0; commit abc; 2026-01-01' in text
    assert '## What it says' not in text
    assert table(gains(ROWS)) in readme_section([(STUDY, ROWS)])


def test_plot_is_written(tmp_path):
    plot(STUDY, ROWS, tmp_path / 'x.png')
    assert (tmp_path / 'x.png').stat().st_size > 10_000


def test_gains_of_the_paper_stand_beside_ours():
    text = table(gains(ROWS), dict(source='A paper.', gains=dict(hint=dict(PASCAL=1.25, KITTI=-0.5))))
    header, _, *lines = text.splitlines()
    assert header.endswith('| gap closed | PASCAL | KITTI |')
    assert next(line for line in lines if '| hint |' in line).endswith('| +1.2 | -0.5 |')
    assert next(line for line in lines if '| baseline |' in line).endswith('|  |  |')
    text = page(dataclasses.replace(STUDY, published=dict(source='A paper.', gains={})), ROWS)
    assert 'The columns on the right are published: A paper.' in text
