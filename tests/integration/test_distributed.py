"""Two gloo processes on the CPU, with find_unused_parameters=False."""
import copy
from functools import partial

import pytest
import torch
import torch.distributed as dist
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import init_default_scope
from torch import multiprocessing

from kddet import Distiller, LabelEncAutoencoder
from kddet.command_line.launch import leave
from kddet.diagnostics.terms import TermWatch
from kddet.testing import tiny_detector, toy_samples


def both(function, *arguments):
    """Run a function on both ranks, ``function(rank, *arguments)``.

    Spawned: a fork of a process in which torch has begun threads can hang.
    """
    multiprocessing.spawn(function, arguments, nprocs=2)


def model(teacher_reads=True, method='HintLearning', family='fcos', empty=False, step1=None, joint=True):
    init_default_scope('mmdet')
    torch.manual_seed(0)
    student = tiny_detector(family)  # FCOS and ATSS normalise by positives over all ranks, as RetinaNet does not
    # a batch norm sees other images on each rank; the joint batch is compared, so its statistics stay out of it
    student.backbone.norm_eval = True
    if method == 'LabelEncAutoencoder':
        autoencoder = LabelEncAutoencoder(student, dict(stem_channels=8), joint, dim=0)
        autoencoder.init_weights()
        autoencoder.methods['distance'].schedule = float(teacher_reads)
        return autoencoder.train()
    if method == 'LabelEnc':
        distiller = Distiller(student, methods=dict(method=dict(type='kddet.LabelEnc', step1=str(step1))))
        distiller.init_weights()
        return distiller.train()
    distiller = Distiller(student, dict(config=dict(model=tiny_detector(family, 16)), checkpoint=None),
                          dict(method=dict(type=f'kddet.{method}')))
    distiller.init_weights()
    if not teacher_reads:
        distiller.methods['method'].schedule = 0.0
    return distiller.train()


def batch(empty, rank=None):
    """Two pictures, the second one with or without boxes, or one of them."""
    second = () if empty else ((20, 20, 70, 60), (60, 60, 120, 110))
    whole = toy_samples(boxes=(((8, 8, 40, 56), (50, 30, 110, 90)), second), sizes=((128, 128), (128, 128)))
    return whole if rank is None else {key: value[rank:rank + 1] for key, value in whole.items()}


def gradients(network, data):
    module = getattr(network, 'module', network)
    data = module.data_preprocessor(copy.deepcopy(data), True)
    total, _ = module.parse_losses(network(**data, mode='loss'))
    total.backward()
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


def watched(rank, folder):
    """Gradients without and with diagnostics, and what they say."""
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2)
    network = MMDistributedDataParallel(model(method='FineGrainedImitation', family='atss'),
                                        find_unused_parameters=False, broadcast_buffers=False)
    plain = gradients(network, batch(True, rank))
    network.zero_grad()
    with TermWatch(network.module, scale=8.0) as watch:
        found = gradients(network, batch(True, rank))
    torch.save((plain, found, watch.reports), folder / f'{rank}.pth')
    leave()


def worker(rank, folder, *options, **more):
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2)
    network = MMDistributedDataParallel(model(*options, step1=folder / 'step1.pth', **more),
                                        find_unused_parameters=False, broadcast_buffers=False)
    for _ in range(2):  # an unused parameter is only noticed in the second iteration
        network.zero_grad()
        found = gradients(network, batch(options[-1], rank))
    torch.save(found, folder / f'{rank}.pth')
    leave()


@pytest.mark.parametrize('options', [(True, 'HintLearning', 'fcos', False)] + [
    pytest.param(options, marks=pytest.mark.slow) for options in (
        (False, 'HintLearning', 'fcos', False), (True, 'Chen2017', 'fcos', True), (True, 'Chen2017', 'atss', True),
        (True, 'FineGrainedImitation', 'atss', True), (True, 'AdaptiveDistillation', 'fcos', True),
        (True, 'LabelEncAutoencoder', 'fcos', False), (False, 'LabelEncAutoencoder', 'fcos', True),
        (True, 'LabelEnc', 'fcos', True))])
def test_gradients_are_equal_on_both_ranks_and_to_the_joint_batch(tmp_path, options):
    torch.save(dict(state_dict=model(method='LabelEncAutoencoder').state_dict()), tmp_path / 'step1.pth')
    both(worker, tmp_path, *options)
    first, second = (torch.load(tmp_path / f'{rank}.pth') for rank in range(2))
    joint = gradients(model(*options, step1=tmp_path / 'step1.pth'), batch(options[-1]))
    assert first.keys() == second.keys() == joint.keys()
    assert options[1] == 'AdaptiveDistillation' or any(name.startswith('methods.') for name in joint)
    for name, value in joint.items():
        assert torch.equal(first[name], second[name]), name
        torch.testing.assert_close(first[name], value, rtol=2e-3, atol=1e-5, msg=lambda text, name=name: name + text)


@pytest.mark.slow
@pytest.mark.parametrize(('method', 'family', 'joint'), [
    ('LabelEncAutoencoder', 'faster-rcnn', True), ('LabelEncAutoencoder', 'faster-rcnn', False),
    ('LabelEncAutoencoder', 'fcos', False), ('LabelEnc', 'faster-rcnn', True), ('Chen2017', 'faster-rcnn', True)])
def test_all_that_trains_has_a_gradient_the_same_on_both_ranks(tmp_path, method, family, joint):
    """Of models whose losses are not those of the joint batch: heads that sample, or normalise by their own rank's
    positives. The second rank has no boxes."""
    torch.save(dict(state_dict=model(method='LabelEncAutoencoder', family=family).state_dict()), tmp_path / 'step1.pth')
    both(partial(worker, joint=joint), tmp_path, True, method, family, True)
    first, second = (torch.load(tmp_path / f'{rank}.pth') for rank in range(2))
    own = model(True, method, family, True, step1=tmp_path / 'step1.pth', joint=joint)
    assert first.keys() == second.keys() == {name for name, p in own.named_parameters() if p.requires_grad}
    assert all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.slow
def test_diagnostics_look_at_the_batch_of_each_rank_and_leave_gradients_alone(tmp_path):
    """The second rank has no boxes, so that its term is 0."""
    both(watched, tmp_path)
    for rank in range(2):
        plain, found, (report,) = torch.load(tmp_path / f'{rank}.pth', weights_only=False)
        assert plain.keys() == found.keys() and all(torch.equal(value, found[key]) for key, value in plain.items())
        assert report.name == 'method' and report.agreement.shared > 50
        assert (report.agreement.ratio > 0) == (rank == 0)
