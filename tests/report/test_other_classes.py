"""The page on a run whose teacher has other classes than the student."""
import copy
import json
import re

import pytest
import torch
from mmengine.registry import MODELS

from kddet.project.classes import resolve_class_map
from kddet.project.overlay import distillation_config
from kddet.report import make_report

pytestmark = pytest.mark.slow
STUDENT, TEACHER = ('nine', 'five', 'two'), ('two', 'cat', 'nine', 'dog')


def with_classes(cfg, classes):
    cfg = copy.deepcopy(cfg)
    cfg.model.bbox_head.num_classes = len(classes)
    for split in ('train', 'val'):
        cfg[f'{split}_dataloader'].dataset.metainfo = dict(classes=classes)
    return cfg


@pytest.fixture(scope='module')
def student_config(plain_config, digits, tmp_path_factory):
    """Three of the ten classes, in annotations of their own and in an order of their own."""
    folder, cfg = tmp_path_factory.mktemp('three'), with_classes(plain_config, STUDENT)
    for split in ('train', 'val'):
        content = json.loads((digits / f'instances_{split}.json').read_text())
        ids = {category['name']: category['id'] for category in content['categories']}
        content['categories'] = [dict(id=ids[name], name=name) for name in STUDENT]
        content['annotations'] = [dict(each, category_id=ids[STUDENT[index % 3]])
                                  for index, each in enumerate(content['annotations'])]
        (folder / f'{split}.json').write_text(json.dumps(content))
        cfg[f'{split}_dataloader'].dataset.ann_file = str(folder / f'{split}.json')
    cfg.val_evaluator.ann_file = str(folder / 'val.json')
    return cfg


@pytest.fixture(scope='module')
def page(student_config, plain_config, leave_behind, tmp_path_factory):
    folder, teacher = tmp_path_factory.mktemp('four'), with_classes(plain_config, TEACHER)
    teacher.dump(folder / 'teacher.py')
    torch.manual_seed(3)
    torch.save(dict(state_dict=MODELS.build(teacher.model).state_dict()), folder / 'teacher.pth')
    cfg = distillation_config(student_config, methods=dict(adl=dict(type='kddet.AdaptiveDistillation')), teacher=dict(
        config=str(folder / 'teacher.py'), checkpoint=str(folder / 'teacher.pth'), class_map='auto'))
    resolve_class_map(cfg)
    return make_report([leave_behind('three', cfg, 1, ['loss_adl'])], leave_behind('three-plain', student_config),
                       pictures=2, cache=folder / 'cache')


def rows_of(page, table):
    """Texts of the cells of each row, by its first."""
    body = page[page.index(f'aria-label="{table}"'):]
    body = body[:body.index('</table>')]
    cells = [[re.sub('<[^>]*>', '', cell).strip() for cell in re.findall('<t[hd][^>]*>(.*?)</t[hd]>', row, re.S)]
             for row in re.findall('<tr>(.*?)</tr>', body, re.S)]
    return {row[0]: row[1:] for row in cells}


def test_the_teacher_is_measured_on_the_classes_that_both_have(page):
    figures, classes = rows_of(page, 'Figures of every detector'), rows_of(page, 'AP of every class')
    assert figures['teacher'][0].endswith('on 2 of 3 classes') and figures['teacher'][1].endswith('on 2')
    assert not figures['three'][0].endswith('classes')
    own = [float(classes[name][1].split()[0]) for name in ('nine', 'two')]
    assert float(figures['teacher'][0].split()[0]) == pytest.approx(sum(own) / 2, abs=0.06)
    assert 'What is missing here' not in page


def test_classes_of_one_side_are_shown_as_such(page):
    classes = rows_of(page, 'AP of every class')
    assert list(classes)[1:] == list(STUDENT) and classes['five'][1] == 'not its class'
    assert all(classes[name][1] != 'not its class' for name in ('nine', 'two'))
    assert 'Classes of teacher alone, which the student does not have: cat, dog.' in page


def test_a_level_over_other_classes_is_not_drawn_beside_the_curves(page):
    assert 'class="line teacher level"' not in page and 'teacher (dashed)' not in page
    assert 'not comparable' in page
