"""Readers of heads: the rows are those of MMDet's own losses, and the teacher's rows are in the same order."""
import copy
import math

import pytest
import torch
from mmdet.structures.bbox import bbox2roi
from torch import nn

from kddet import Distiller
from kddet.heads import find_heads
from kddet.recording.recorder import Recorder
from kddet.recording.rois import extractor_taps, recorded_rois, roi_taps
from kddet.testing import CONFIGS, tiny_detector, toy_samples

FAMILIES = sorted(CONFIGS)
NORM_ON_BBOX = 'fcos, norm_on_bbox'
DECODED = 'faster-rcnn, decoded boxes'
VARIANTS = [*FAMILIES, NORM_ON_BBOX, 'retinanet, decoded boxes', DECODED, 'retinanet, softmax', 'class-agnostic']


def detector_config(variant):
    if variant == NORM_ON_BBOX:
        model = tiny_detector('fcos')
        model.bbox_head.update(norm_on_bbox=True, centerness_on_reg=True)
    elif variant == 'retinanet, decoded boxes':
        model = tiny_detector('retinanet')
        model.bbox_head.update(reg_decoded_bbox=True, loss_bbox=dict(type='GIoULoss', loss_weight=1.0))
    elif variant == DECODED:
        model = tiny_detector('faster-rcnn')
        model.roi_head.bbox_head.update(reg_decoded_bbox=True, loss_bbox=dict(type='GIoULoss', loss_weight=1.0))
    elif variant == 'retinanet, softmax':
        model = tiny_detector('retinanet')
        model.bbox_head.loss_cls = dict(type='CrossEntropyLoss', use_sigmoid=False)
    elif variant == 'class-agnostic':
        model = tiny_detector('faster-rcnn')
        model.roi_head.bbox_head.reg_class_agnostic = True
    else:
        model = tiny_detector(variant)
    return model


def twins(variant, heads=None, **teacher):
    """A Distiller whose teacher has the student's weights; batch norm uses its running statistics in both."""
    torch.manual_seed(0)
    model = Distiller(detector_config(variant), dict(config=dict(model=detector_config(variant)), checkpoint=None,
                                                     **teacher),
                      dict(chen=dict(type='kddet.Chen2017', hint=None, cls=dict(heads=heads), reg=dict(heads=heads))))
    torch.manual_seed(1)
    for parameter in model.student.parameters():  # so that scores and boxes are neither flat nor 0
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.7 * parameter[0].numel()**-0.5)
    model.teacher.detector.load_state_dict(model.student.state_dict())
    model.train()
    for module in model.student.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    return model


def read(model, batch=None):
    """The readers' rows of one forward of both models, with the student's records and its losses."""
    torch.manual_seed(3)
    data = model.data_preprocessor(copy.deepcopy(batch or toy_samples()), True)
    inputs, samples = data['inputs'], data['data_samples']
    part = model.methods['chen'].parts['reg']
    teacher = model.teacher.record(inputs, samples, part.teacher_taps)
    proposals = extractor_taps(model.student) if roi_taps(part.teacher_taps) else []
    with Recorder(model.student, [*part.student_taps, *proposals]) as student:
        losses = model.student.loss(inputs, samples)
    if proposals:
        model.teacher.replay(teacher, recorded_rois(student, proposals))
    return [(reader, reader.classification(student, teacher), reader.regression(student, teacher))
            for reader in part.readers], student, losses


def total(value):
    return sum(value) if isinstance(value, list) else value


@pytest.mark.parametrize('variant', VARIANTS)
def test_same_weights_give_the_same_rows(variant):
    """What the two models say of a row is equal to rounding only if order, units and RoIs are the same."""
    heads, *_ = read(twins(variant))
    assert heads
    for reader, scores, boxes in heads:
        assert scores.student.std() > 0 and len(boxes.student)
        assert torch.allclose(scores.student, scores.teacher, atol=1e-4), reader.tap
        assert torch.allclose(boxes.student, boxes.teacher, rtol=1e-4, atol=1e-4), reader.tap
        assert scores.student.shape[0] == scores.labels.shape[0] == scores.weights.shape[0]
        assert boxes.student.shape == boxes.target.shape == (boxes.weights.shape[0], 4)
        assert boxes.student.std() > 0 and boxes.target.isfinite().all()


@pytest.mark.parametrize('variant', VARIANTS)
def test_levels_are_the_rows_without_a_copy_of_the_logits(variant):
    heads, student, _ = read(twins(variant))
    for reader, scores, _ in heads:
        for model in range(2):
            maps = [pair[model] for pair in scores.paired]
            index = scores.by_level(torch.arange(len(scores.labels)))  # of its row, where a logit stands in a level
            for level, row in zip(maps, index):
                column = torch.arange(level.shape[2])[:, None].expand_as(level)
                assert torch.equal((scores.student, scores.teacher)[model][row.expand_as(level), column], level)
        own = [level.data_ptr() for level in student.pyramid(reader.tap, 0)]
        assert [level.student.data_ptr() for level in scores.levels] == own


@pytest.mark.parametrize('variant', VARIANTS)
def test_rows_give_the_host_its_own_classification_loss(variant):
    heads, student, losses = read(twins(variant))
    for reader, scores, _ in heads:
        head = student[f'{reader.tap}.loss_cls'][0]
        labels = scores.labels
        if 'gfl' in variant:
            labels = (labels, torch.cat([call.args[1][1] for call in student[f'{reader.tap}.loss_cls']]))
        own = reader.head.loss_cls(scores.student, labels, scores.weights, avg_factor=head.kwargs['avg_factor'])
        assert head.kwargs['avg_factor'] == scores.avg_factor
        assert (own * reader.factor).item() == pytest.approx(total(losses[reader.classification_loss]).item(), rel=1e-4)


@pytest.mark.parametrize('variant', VARIANTS)
def test_rows_give_the_host_its_own_regression_loss(variant):
    """Deltas go straight into L1; distances are boxes around the origin; deltas on decoded boxes around an anchor."""
    heads, _, losses = read(twins(variant))
    for reader, _, boxes in heads:
        pair = [boxes.student, boxes.target]
        if variant in ('fcos', 'gfl', NORM_ON_BBOX):
            pair = [torch.cat([-value[:, :2], value[:, 2:]], 1) for value in pair]
        elif variant == 'atss' or (reader.head.reg_decoded_bbox and reader.name != 'rpn'):
            anchor = torch.tensor([[0., 0., 64., 64.]]).expand(len(boxes.student), 4)
            pair = [reader.head.bbox_coder.decode(anchor, value) for value in pair]
            if variant == DECODED:
                continue  # its RoIs have other shapes: covered by the targets below
        weights = boxes.weights
        if 'IoU' not in type(reader.head.loss_bbox).__name__:
            weights = weights[:, None].expand(-1, 4)
        own = reader.head.loss_bbox(*pair, weights, avg_factor=boxes.avg_factor)
        key = reader.classification_loss.replace('cls', 'bbox')
        assert (own * reader.factor).item() == pytest.approx(total(losses[key]).item(), rel=2e-2 if 'gfl' in variant
                                                             else 1e-3)


def test_targets_of_decoded_boxes_are_the_deltas_again():
    """Faster R-CNN with and without decoding: the same RoIs are assigned the same deltas."""
    targets = []
    for variant in ('faster-rcnn', DECODED):
        heads, *_ = read(twins(variant))
        targets.append(heads[1][2].target)
    assert len(targets[0]) and torch.allclose(*targets, atol=1e-4)


@pytest.mark.parametrize('family', ['faster-rcnn', 'mask-rcnn', 'cascade-rcnn'])
def test_both_models_score_the_same_rois_in_the_same_order(family):
    model = twins(family)
    taps = extractor_taps(model.student)
    data = model.data_preprocessor(toy_samples(), True)
    seen = []
    handles = [module.register_forward_hook(lambda module, args, output: seen.append(args[1]))
               for name, module in model.teacher.detector.named_modules() if name in taps]
    with Recorder(model.student, taps) as records:
        model.loss(data['inputs'], data['data_samples'])
    for handle in handles:
        handle.remove()
    rois = recorded_rois(records, taps)
    assert len(rois) == len(seen) == (3 if family == 'cascade-rcnn' else 1)
    assert all(torch.equal(own, other) for own, other in zip(rois, seen))
    if len(rois) > 1:
        assert not torch.equal(rois[0], rois[1])


def test_class_aware_boxes_are_the_columns_of_the_ground_truth_class():
    model = twins('faster-rcnn')
    heads, student, _ = read(model)
    (_, scores, boxes), = [entry for entry in heads if entry[0].name == 'roi']
    raw = student['roi_head.bbox_head'][0].output[1]
    positive = [row for row, label in enumerate(scores.labels.tolist()) if label < 3]
    expected = torch.stack([raw[row, 4 * scores.labels[row]:4 * scores.labels[row] + 4] for row in positive])
    assert torch.equal(boxes.student, expected)


def test_only_sampled_anchors_of_the_rpn_count():
    heads, student, _ = read(twins('faster-rcnn'))
    _, scores, boxes = heads[0]
    assert scores.num_samples == scores.avg_factor == (scores.weights > 0).sum()
    assert scores.num_samples < len(scores.weights) / 10
    assert ((scores.labels == 0) & (scores.weights > 0)).sum() == len(boxes.student)


@pytest.mark.parametrize('variant', [*FAMILIES, NORM_ON_BBOX])
def test_no_ground_truth_gives_rows_without_positives(variant):
    heads, *_ = read(twins(variant), toy_samples(boxes=((), ())))
    for _, scores, boxes in heads:
        assert len(scores.student) and boxes.student.shape == boxes.teacher.shape == boxes.target.shape == (0, 4)
        (boxes.student.sum() + scores.student.sum()).backward(retain_graph=True)


@pytest.mark.parametrize('family', ['retinanet', 'fcos', 'atss', 'gfl'])
def test_a_larger_input_of_the_teacher_meets_the_student_one_level_up(family):
    model = twins(family, input_scale=2.0)
    (reader, scores, boxes), = read(model)[0]
    assert reader.partner == {0: 1, 1: 2, 2: 3, 3: 4}
    assert scores.student.shape == scores.teacher.shape and boxes.student.shape == boxes.teacher.shape
    sizes = [2 * side * side * reader.head.num_base_priors for side in (16, 8, 4, 2, 1)]
    weights = scores.weights.split(sizes)
    assert weights[-1].sum() == 0 and weights[0].sum() > 0  # the coarsest level has no partner


@pytest.mark.parametrize('variant', ['fcos', NORM_ON_BBOX, 'gfl', 'retinanet', 'atss'])
def test_boxes_of_the_same_object_are_equal_at_any_size_of_the_input(variant):
    """A teacher that gives every cell the same box, in pixels of its own picture, gives the same rows at both."""
    found = []
    for scale in (1.0, 2.0):
        model = twins(variant, input_scale=scale)
        head = model.teacher.detector.bbox_head
        layers = dict(fcos='conv_reg', gfl='gfl_reg', retinanet='retina_reg', atss='atss_reg')
        layer = getattr(head, layers[variant.split(',')[0]])
        nn.init.zeros_(layer.weight)
        nn.init.constant_(layer.bias, 0.5)
        strides = head.strides if 'fcos' in variant else [1] * 5
        if 'norm' not in variant:  # FCOS without it learns a scale a level, here that of its stride
            for own, stride in zip(getattr(head, 'scales', ()), strides):
                own.scale.data.fill_(2 * math.log(3 * stride) if variant == 'fcos' else 1)
        found.append(read(model)[0][0][2])
    both = [boxes.teacher[boxes.weights > 0] for boxes in found]
    rows = min(len(boxes) for boxes in both)
    assert rows and torch.allclose(both[0][:rows], both[1][:rows], rtol=1e-4)


@pytest.mark.parametrize('variant', ['retinanet', 'fcos', 'atss', 'gfl', NORM_ON_BBOX])  # RoIAlign has no bf16 on a CPU
def test_autocast_leaves_what_is_compared_in_float32(variant):
    heads = [read(twins(variant))[0]]
    with torch.autocast('cpu', torch.bfloat16):
        heads.append(read(twins(variant))[0])
    for (_, _, plain), (_, scores, boxes) in zip(*heads):
        assert boxes.target.dtype == torch.float32 and scores.student.isfinite().all()
        if variant == 'gfl':
            assert boxes.student.dtype == boxes.teacher.dtype == torch.float32
        assert torch.allclose(plain.target, boxes.target, atol=1e-4)


def test_rois_are_scaled_to_a_larger_input():
    model = twins('faster-rcnn', ['roi'], input_scale=1.5)  # maps of no common size: the RoI head alone is read
    data = model.data_preprocessor(toy_samples(), True)
    features = model.teacher.record(data['inputs'], data['data_samples'], ['neck', 'roi_head.bbox_head',
                                                                          'roi_head.bbox_roi_extractor'])
    rois = bbox2roi([torch.tensor([[8., 8., 40., 56.]]), torch.tensor([[20., 20., 70., 60.]])])
    with torch.no_grad(), Recorder(model.teacher.detector, ['roi_head.bbox_roi_extractor']) as seen:
        model.teacher.replay(features, [rois])
    assert features.pyramid('neck')[0].shape[2:] == (48, 48)
    assert torch.equal(seen['roi_head.bbox_roi_extractor'][0].args[1][:, 1:], 1.5 * rois[:, 1:])
    assert features['roi_head.bbox_head'][0].output[0].shape == (2, 4)


def test_a_copy_reads_its_own_head():
    model = twins('gfl')
    twin = copy.deepcopy(model)
    assert twin.methods['chen'].parts['reg'].readers[0].head is twin.student.bbox_head
    assert twin.teacher is model.teacher


class TestRefuses:

    @staticmethod
    def pair(student, teacher, **options):
        from mmengine.registry import MODELS
        models = [MODELS.build(dict(cfg, _scope_='mmdet')) for cfg in (student, teacher)]
        return find_heads(*models, **options)

    def test_a_teacher_without_the_head(self):
        with pytest.raises(ValueError, match=r"heads \['rpn', 'roi'\], the teacher \(RetinaNet\) has \['dense'\]"):
            self.pair(tiny_detector('faster-rcnn'), tiny_detector('retinanet'))

    def test_another_number_of_stages(self):
        with pytest.raises(ValueError, match="RoI head has 1 stages, the teacher's 3"):
            self.pair(tiny_detector('faster-rcnn'), tiny_detector('cascade-rcnn'), names=['roi'])

    def test_boxes_of_another_kind(self):
        with pytest.raises(ValueError, match='not in the same regression space'):
            self.pair(tiny_detector('gfl'), tiny_detector('fcos'), boxes=True)
        other = tiny_detector('faster-rcnn')
        other.roi_head.bbox_head.bbox_coder.target_stds = [0.05, 0.05, 0.1, 0.1]
        with pytest.raises(ValueError, match=r'stds \(0.1, 0.1, 0.2, 0.2\).*stds \(0.05, 0.05, 0.1, 0.1\)'):
            self.pair(tiny_detector('faster-rcnn'), other, boxes=True)

    def test_heads_that_compute_their_losses_otherwise(self):
        model = tiny_detector('fcos')
        model.bbox_head = dict(type='VFNetHead', num_classes=3, in_channels=16, feat_channels=16, stacked_convs=1,
                               norm_cfg=None)
        model.train_cfg = dict(assigner=dict(type='ATSSAssigner', topk=9))
        with pytest.raises(ValueError, match='VFNetHead, whose losses are not those of'):
            self.pair(model, tiny_detector('fcos'))

    def test_teachers_whose_maps_mean_something_else(self):
        model = tiny_detector('atss')
        model.bbox_head.update(type='TOODHead', stacked_convs=2)
        model.train_cfg = None
        with pytest.raises(ValueError, match='of the teacher is a TOODHead, whose maps need not mean'):
            self.pair(tiny_detector('atss'), model)

    def test_box_heads_without_a_softmax_over_the_classes_and_the_background(self):
        other = tiny_detector('faster-rcnn')
        other.roi_head.bbox_head.loss_cls = dict(type='SeesawLoss', p=0.8, q=2.0, num_classes=3)
        for pair, owner in (((other, tiny_detector('faster-rcnn')), 'student'),
                            ((tiny_detector('faster-rcnn'), other), 'teacher')):
            with pytest.raises(ValueError, match=f'roi_head.bbox_head of the {owner}: SeesawLoss has no softmax'):
                self.pair(*pair)

    def test_samplers_that_score_rois(self):
        student = tiny_detector('faster-rcnn')
        student.train_cfg.rcnn.sampler.type = 'OHEMSampler'
        with pytest.raises(ValueError, match="the student's OHEMSampler runs the box head on RoIs"):
            Distiller(student, dict(config=dict(model=tiny_detector('faster-rcnn')), checkpoint=None),
                      dict(soft=dict(type='kddet.WeightedClassification')))

    def test_roi_heads_that_need_more_than_rois(self):
        teacher = tiny_detector('faster-rcnn')
        teacher.roi_head.type = 'DoubleHeadRoIHead'
        teacher.roi_head.reg_roi_scale_factor = 1.3
        with pytest.raises(ValueError, match='DoubleHeadRoIHead of FasterRCNN scores RoIs with more than'):
            Distiller(tiny_detector('faster-rcnn'), dict(config=dict(model=teacher), checkpoint=None),
                      dict(soft=dict(type='kddet.WeightedClassification')))

    def test_unknown_and_missing_heads(self):
        with pytest.raises(ValueError, match='mask chosen, there are dense, rpn, roi'):
            self.pair(tiny_detector('retinanet'), tiny_detector('retinanet'), names=['mask'])
        with pytest.raises(ValueError, match=r"heads \['rpn'\] are not in the student"):
            self.pair(tiny_detector('retinanet'), tiny_detector('retinanet'), names=['rpn'])

    def test_other_anchors(self):
        other = detector_config('retinanet')
        other.bbox_head.anchor_generator.octave_base_scale = 8
        with pytest.raises(ValueError, match='a row must mean the same box in both'):
            Distiller(detector_config('retinanet'), dict(config=dict(model=other), checkpoint=None),
                      dict(cls=dict(type='kddet.WeightedClassification')))
        other.bbox_head.anchor_generator.scales_per_octave = 1
        with pytest.raises(ValueError, match=r'class scores of the student are \(27, 32, 32\).*\(9, 32, 32\)'):
            Distiller(detector_config('retinanet'), dict(config=dict(model=other), checkpoint=None),
                      dict(cls=dict(type='kddet.WeightedClassification')))
