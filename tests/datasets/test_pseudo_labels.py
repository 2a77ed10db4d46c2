import json
import subprocess
import sys

import mmcv
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from kddet.datasets.pseudo_labels import PseudoLabels, category_ids, detect, pictures_of

PIPELINE = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True),
            dict(type='Resize', scale=(32, 32), keep_ratio=True),
            dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))]


class Detector:
    """Finds one sure and one unsure box in every picture; the sure one reaches out of it."""

    def __init__(self):
        self.seen = []

    def test_step(self, batch):
        found = []
        for sample in batch['data_samples']:
            self.seen.append(sample.img_id)
            sample.pred_instances = InstanceData(
                bboxes=torch.tensor([[-5., 10., 200., 20.], [1., 1., 5., 5.], [3., 3., 3.2, 9.]]),
                scores=torch.tensor([0.9, 0.3, 0.8]), labels=torch.tensor([1, 0, 0]))
            assert isinstance(sample, DetDataSample)
            found.append(sample)
        return found


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / 'pictures'
    for name in ('b.png', 'a.jpg', 'deep/c.png'):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        mmcv.imwrite(np.zeros((40, 60, 3), dtype=np.uint8), str(path))
    (folder / 'notes.txt').write_text('no picture')
    return folder


@pytest.fixture
def poisoned(pictures, tmp_path):
    """A json of two of the pictures whose boxes must never be read."""
    content = dict(images=[dict(id=17, file_name='b.png'), dict(id=4, file_name='a.jpg')],
                   annotations=[dict(id=1, image_id=17, category_id=30, bbox=[0, 0, 11, 11], iscrowd=0, area=121)],
                   categories=[dict(id=30, name='dog'), dict(id=20, name='cat')])
    path = tmp_path / 'ann.json'
    path.write_text(json.dumps(content))
    return path


def run(folder, found, out, stop_after=None, **origin):
    labels = PseudoLabels(out, dict(score_thr=0.4, **origin))
    detector = Detector()
    todo = [entry for entry in found if entry['id'] not in labels.done]
    for number, entry in enumerate(detect(detector, PIPELINE, folder, todo, score_thr=0.4, batch_size=2), 1):
        labels.add(entry)
        if number == stop_after:
            return labels, detector
    return labels, detector


def test_pictures_of_a_folder(pictures):
    folder, found = pictures_of(pictures, None)
    assert folder == pictures
    assert found == [dict(id=1, file_name='a.jpg'), dict(id=2, file_name='b.png'), dict(id=3, file_name='deep/c.png')]


def test_detections_become_a_coco_json(pictures, tmp_path):
    folder, found = pictures_of(pictures, None)
    labels, _ = run(folder, found, tmp_path / 'pseudo.json', checkpoint_sha256='abc')
    labels.write(('dog', 'cat'), [1, 2], found, keep_empty=False)
    content = json.loads((tmp_path / 'pseudo.json').read_text())
    assert content['info'] == dict(score_thr=0.4, checkpoint_sha256='abc',
                                   description='pseudo labels, not ground truth')
    assert content['images'][0] == dict(id=1, file_name='a.jpg', width=60, height=40)
    assert len(content['annotations']) == 3  # the unsure one and the one of no width are left out
    first = content['annotations'][0]
    assert (first['image_id'], first['category_id'], first['score']) == (1, 2, 0.9)
    assert first['bbox'] == [0, 10, 60, 10] and first['area'] == 600  # cut at the border
    assert content['categories'] == [dict(id=1, name='dog'), dict(id=2, name='cat')]
    assert not (tmp_path / 'pseudo.json.part').exists()
    from pycocotools.coco import COCO
    assert len(COCO(str(tmp_path / 'pseudo.json')).getAnnIds()) == 3


def test_boxes_of_the_given_json_never_get_in(pictures, poisoned, tmp_path):
    folder, found = pictures_of(pictures, poisoned)
    assert found == [dict(id=17, file_name='b.png'), dict(id=4, file_name='a.jpg')]
    labels, _ = run(folder, found, tmp_path / 'pseudo.json')
    content = labels.write(('dog', 'cat'), category_ids(('dog', 'cat'), poisoned), found, keep_empty=True)
    assert [entry['bbox'] for entry in content['annotations']] == [[0, 10, 60, 10]] * 2
    assert {entry['category_id'] for entry in content['annotations']} == {20}
    assert [entry['id'] for entry in content['images']] == [17, 4]


def test_an_interrupted_run_goes_on(pictures, tmp_path):
    folder, found = pictures_of(pictures, None)
    run(folder, found, tmp_path / 'pseudo.json', stop_after=1)
    with (tmp_path / 'pseudo.json.part').open('a') as file:
        file.write('{"id": 2, "file_na')  # cut by a kill
    labels, detector = run(folder, found, tmp_path / 'pseudo.json')
    assert detector.seen == [2, 3]
    whole = labels.write(('dog', 'cat'), [1, 2], found, keep_empty=True)
    labels, _ = run(folder, found, tmp_path / 'other.json')
    assert labels.write(('dog', 'cat'), [1, 2], found, keep_empty=True) == whole


def test_a_part_of_another_origin_is_refused(pictures, tmp_path):
    folder, found = pictures_of(pictures, None)
    run(folder, found, tmp_path / 'pseudo.json', stop_after=1, checkpoint_sha256='abc')
    with pytest.raises(ValueError, match='begun with another detector.*delete it to begin anew'):
        run(folder, found, tmp_path / 'pseudo.json', checkpoint_sha256='def')


@pytest.mark.parametrize('keep', [True, False])
def test_pictures_without_a_detection(pictures, tmp_path, keep):
    _, found = pictures_of(pictures, None)
    labels = PseudoLabels(tmp_path / 'pseudo.json', {})
    for entry in found:
        labels.add(dict(entry, width=60, height=40, detections=[[0, 0.5, [0, 0, 9, 9]]] if entry['id'] == 2 else []))
    assert len(labels.write(('dog',), [1], found, keep_empty=keep)['images']) == (3 if keep else 1)


def test_a_picture_that_cannot_be_read_is_named(pictures, tmp_path):
    (pictures / 'b.png').write_bytes(b'no picture')
    folder, found = pictures_of(pictures, None)
    with pytest.raises(ValueError, match=r"image '.*b.png' cannot be read"):
        run(folder, found, tmp_path / 'pseudo.json')


def test_wrong_inputs(pictures, poisoned, tmp_path):
    with pytest.raises(FileNotFoundError, match="folder of images .*nowhere' does not exist"):
        pictures_of(tmp_path / 'nowhere', None)
    with pytest.raises(FileNotFoundError, match="2 of 2 images of .* the first is 'b.png'; give their folder"):
        pictures_of(None, poisoned)
    (tmp_path / 'bad.json').write_text('[1]')
    with pytest.raises(ValueError, match='is no COCO json: it has no list of images'):
        pictures_of(pictures, tmp_path / 'bad.json')
    (tmp_path / 'bad.json').write_text('{')
    with pytest.raises(ValueError, match='is not json'):
        pictures_of(pictures, tmp_path / 'bad.json')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(ValueError, match='no images in'):
        pictures_of(tmp_path / 'empty', None)
    with pytest.raises(ValueError, match=r'classes horse are not among the categories .*\(dog, cat\)'):
        category_ids(('dog', 'horse'), poisoned)


@pytest.mark.slow
def test_through_the_command_line(repository, teacher_files, digits, tmp_path):
    command = [sys.executable, str(repository / 'tools/pseudo_label.py'), *teacher_files, '--out', 'pseudo.json',
               '--images', str(digits / 'val'), '--workers', '0', '--batch-size', '3']
    done = subprocess.run([*command, '--score-thr', '0.005'], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / 'pseudo.json').read_text())
    assert len(content['images']) == 4 and len(content['info']['checkpoint_sha256']) == 12
    assert f'{len(content["annotations"])} boxes on 4 of 4 images' in done.stdout
    assert [entry['name'] for entry in content['categories']][:2] == ['zero', 'one']
    done = subprocess.run([*command, '--score-thr', '1.5'], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and "'1.5' is not a number from 0 to 1" in done.stderr
