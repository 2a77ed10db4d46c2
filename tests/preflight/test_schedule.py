"""Batch size and learning rate against the recipe's."""
import pytest
from mmengine.config import Config

from kddet.preflight.schedule import batch_line


def config(batch=4, lr=0.01, base=16, **changes):
    cfg = Config(dict(train_dataloader=dict(batch_size=batch), optim_wrapper=dict(optimizer=dict(lr=lr)),
                      auto_scale_lr=dict(base_batch_size=base, enable=False)))
    cfg.merge_from_dict(changes)
    return cfg


@pytest.mark.parametrize(('cfg', 'verdict', 'says'), [
    (config(batch=16), 'ok', '16 images a step, learning rate 0.01, as in the recipe'),
    (config(), 'note', '4 images a step, learning rate 0.01; the recipe is for 16 images'),
    (config(**{'auto_scale_lr.enable': True}), 'ok', 'learning rate 0.01 scaled to 0.0025'),
    (config(**{'optim_wrapper.accumulative_counts': 4}), 'ok', 'gradients of 4 steps together, learning rate 0.01, as'),
    (config(auto_scale_lr=None), 'ok', 'does not say for which batch size'),
    (config(lr=None), 'ok', 'learning rate of its own'),
    (config(batch=None, **{'train_dataloader.batch_sampler': dict(batch_size=16)}), 'ok', '16 images a step'),
    (config(batch=None), 'note', 'its size is not in train_dataloader'),
])
def test_says_how_both_differ_from_the_recipe(cfg, verdict, says):
    line = batch_line(cfg)
    assert line.verdict == verdict and says in line.text
    assert bool(line.remedy) == (verdict == 'note')


def test_counts_the_images_of_all_processes(monkeypatch):
    monkeypatch.setattr('kddet.preflight.schedule.get_world_size', lambda: 8)
    assert batch_line(config()).text.startswith('32 images a step (4 on each of 8 processes)')
    assert '--auto-scale-lr makes it 0.02' in batch_line(config()).remedy
