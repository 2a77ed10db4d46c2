import json

import pytest

from kddet.benchmarks.page import KINDS, page, read_rows
from kddet.benchmarks.step import Cost

MACHINE = dict(device='cpu', machine='one', threads=2, iters=3, date='2026-01-01')
ROWS = [dict(kind='mmrazor', student='small', teacher='large', shape=[2, 64, 64], mmrazor=1.2, kddet=1.0, **MACHINE),
        dict(kind='teacher', config='hint', shape=[2, 64, 64], trained=False, option='bfloat16', ratio=0.5, change=0.01,
             **MACHINE),
        dict(kind='scaling', config='hint', shape=[2, 64, 64], efficiency=0.9, **MACHINE)]


@pytest.fixture
def written(tmp_path):
    def written(rows):
        file = tmp_path / 'rows.jsonl'
        file.write_text(''.join(json.dumps(row) + '\n' for row in rows))
        return read_rows([file])
    return written


def test_the_page_has_a_table_a_machine_and_the_latest_row(written):
    rows = written([Cost(config='hint', device=device, threads=2, shape=(2, 64, 64), amp=False, iters=3, student=2.0,
                         teacher=1.0, distillation=whole, student_memory=100.0, distillation_memory=132.0,
                         recorded_memory=10.0, machine=machine, date=day).row()
                    for device, whole, machine, day in (('cpu', 9.0, 'one', '2026-01-01'),
                                                        ('cpu', 3.3, 'one', '2026-01-02'),
                                                        ('A100', 3.0, 'other', '2026-01-03'))])
    text = page(rows)
    assert '2 threads, one; medians of 3 or more; 2026-01-02.' in text and 'A100, other; medians of 3' in text
    assert text.count('| hint |') == 2 and '| 1.10 |' in text and '| 3.00 |' not in text


def test_every_kind_has_a_section(written):
    text = page(written(ROWS))
    assert '| small <- large | 2 x 64 x 64 | 1.20 | 1.00 | 1.20 |' in text
    assert '| hint | 2 x 64 x 64 | random | bfloat16 | 0.50 | 1.0e-02 |' in text
    assert '| hint | 2 x 64 x 64 | 0.90 |' in text
    assert [f'## {kind.title}' in text for kind in KINDS.values()] == [False, True, True, True]
