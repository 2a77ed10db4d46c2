import torch

from kddet import Distiller
from kddet.pictures.features import compared_features, feature_methods
from kddet.testing import tiny_detector, toy_samples


def test_what_is_compared_is_what_the_loss_sees():
    model = Distiller(tiny_detector('faster-rcnn'), dict(config=dict(model=tiny_detector('faster-rcnn', 16)),
                                                         checkpoint=None), dict(
        hint=dict(type='kddet.HintLearning', loss_weight=1.0, levels=(0, 2)),
        chen=dict(type='kddet.Chen2017', reg=None), fgfi=dict(type='kddet.FineGrainedImitation'),
        vectors=dict(type='kddet.HintLearning', tap='roi_head.bbox_head.fc_cls:input'))).eval()
    methods = feature_methods(model.methods)
    assert set(methods) == {'hint', 'chen.hint', 'fgfi'}
    data = model.data_preprocessor(toy_samples(), True)
    found = compared_features(model, 'hint', data['inputs'], data['data_samples'])
    assert [own.shape == other.shape == (2, 32, side, side) for own, other in found for side in [own.shape[3]]]
    assert [own.shape[3] for own, _ in found] == [32, 8]
    by_hand = sum((own - other).square().mean() for own, other in found) / 2
    with torch.no_grad():
        torch.testing.assert_close(model(**data, mode='loss')['loss_hint'], by_hand)
    assert not any(own.requires_grad or other.requires_grad for own, other in found)
