"""Time, memory and size."""
import shutil

from kddet.report import make_report
from kddet.report.cost import cost
from kddet.report.detectors import line_up
from kddet.report.run_folder import open_runs


def test_from_log_and_checkpoint(work_dirs):
    baseline, distilled = open_runs(work_dirs)
    distilled.log.train['time'] = [(2, 1.0), (4, 2.0)]
    columns = line_up([distilled], baseline, [])
    rows = dict(cost(columns, columns[1], []))
    assert [column.mark for column in columns] == ['teacher', 'baseline', 'run0']
    teacher, plain, student = (float(text.split()[0]) for text in rows['parameters of the detector'])
    assert teacher > plain == student > 0
    assert rows['parameters trained beside it'][:2] == ['', 'none']
    assert rows['parameters trained beside it'][2].endswith(' M')
    assert rows['time of an iteration, median'] == ['', '0.500 s', '1.500 s']
    assert rows['against the baseline'] == ['', '', '3.00 times']
    assert rows['time of all iterations'] == ['', '0.0 min', '0.1 min']
    assert rows['memory of the GPU, largest'] == ['', '2.0 GiB', '2.0 GiB']


def test_a_checkpoint_that_is_cut_short_costs_a_line_and_not_the_page(work_dirs, tmp_path):
    run = shutil.copytree(work_dirs[1], tmp_path / 'cut')
    file = run / 'epoch_2.pth'
    file.write_bytes(file.read_bytes()[:-5000])
    page = make_report([run], work_dirs[0], measure=False)
    assert 'What cut trains beside the detector is not known' in page and 'epoch_2.pth' in page
    assert 'time of an iteration, median' in page
