"""Write the weights of a plain student: adapters and training state dropped, loaded strictly before it is written."""
import argparse

from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from kddet.checkpoint import load_checkpoint, load_weights, save_whole, student_weights
from kddet.cli import main_guard
from kddet.config import load_config, student_config

META = ('dataset_meta', 'epoch', 'iter', 'experiment_name', 'mmengine_version', 'seed', 'time')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('checkpoint', help='written by distillation training')
    parser.add_argument('-o', '--out', required=True, help='file to write, e.g. student.pth')
    parser.add_argument('--config', help='distillation or student config (default: the one inside the checkpoint)')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    checkpoint = load_checkpoint(args.checkpoint)
    meta = checkpoint.get('meta', {})
    if args.config:
        cfg = load_config(args.config)
    elif 'cfg' in meta:
        cfg = Config.fromstring(meta['cfg'], file_format='.py')
    else:
        raise ValueError(f'{args.checkpoint} does not hold its config; give it with --config')
    cfg = student_config(cfg)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmdet')):
        student = MODELS.build(cfg.model)
    line = load_weights(student, student_weights(checkpoint), name=args.checkpoint)
    kept = {key: meta[key] for key in META if key in meta}
    save_whole(dict(meta=dict(kept, cfg=cfg.pretty_text), state_dict=student.state_dict()), args.out)
    print(f'{line}; plain {type(student).__name__} written to {args.out}')


if __name__ == '__main__':
    main_guard(main)
