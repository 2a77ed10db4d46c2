"""Time, memory and size."""
from kddet.report.cost import cost
from kddet.report.detectors import line_up
from kddet.report.run_folder import open_runs


def test_from_log_and_checkpoint(work_dirs):
    baseline, distilled = open_runs(work_dirs)
    distilled.log.train['time'] = [(2, 1.0), (4, 2.0)]
    columns = line_up([distilled], baseline, [])
    rows = dict(cost(columns, columns[1]))
    assert [column.mark for column in columns] == ['teacher', 'baseline', 'run0']
    teacher, plain, student = (float(text.split()[0]) for text in rows['parameters of the detector'])
    assert teacher > plain == student > 0
    assert rows['parameters trained beside it'][:2] == ['', 'none']
    assert rows['parameters trained beside it'][2].endswith(' M')
    assert rows['time of an iteration, median'] == ['', '0.500 s', '1.500 s']
    assert rows['against the baseline'] == ['', '', '3.00 times']
    assert rows['time of all iterations'] == ['', '0.0 min', '0.1 min']
    assert rows['memory of the GPU, largest'] == ['', '2.0 GiB', '2.0 GiB']
