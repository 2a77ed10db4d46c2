"""Write the weights of a plain student: adapters and training state dropped, loaded strictly before it is written."""
import argparse
import ast

from mmengine.config import Config

from kddet.checkpoint import load_checkpoint, load_weights, save_whole, student_weights
from kddet.command_line.parser import Parser, check_file, main_guard
from kddet.project.config import build_detector, load_config, student_config

META = ('dataset_meta', 'epoch', 'iter', 'experiment_name', 'mmengine_version', 'seed', 'time')


def parse_args() -> argparse.Namespace:
    parser = Parser(description=__doc__)
    parser.add_argument('checkpoint', help='written by distillation training')
    parser.add_argument('-o', '--out', required=True, help='file to write, e.g. student.pth')
    parser.add_argument('--config', help='distillation or student config (default: the one inside the checkpoint)')
    return parser.parse_args()


def literal_config(text: str, checkpoint: str) -> dict:
    """The values of a config as MMEngine writes it, nested ``dict(...)`` and literals; nothing is executed."""
    def value(node: ast.expr) -> object:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict':
            dotted = [value(item) for item in node.args if isinstance(item, ast.Dict)]  # keys that are no names
            if dotted and not node.keywords and len(node.args) == 1:
                return dotted[0]
            if not node.args:
                return {keyword.arg: value(keyword.value) for keyword in node.keywords}
        if isinstance(node, ast.Dict) and all(node.keys):
            return {ast.literal_eval(key): value(item) for key, item in zip(node.keys, node.values) if key}
        if isinstance(node, (ast.List, ast.Tuple)):
            items = [value(item) for item in node.elts]
            return items if isinstance(node, ast.List) else tuple(items)
        return ast.literal_eval(node)

    try:
        statements = ast.parse(text).body
        return {statement.targets[0].id: value(statement.value) for statement in statements}  # type: ignore
    except (ValueError, SyntaxError, AttributeError) as error:
        raise ValueError(f'the config inside {checkpoint} is more than literals; give it with --config') from error


def main() -> None:
    args = parse_args()
    checkpoint = load_checkpoint(args.checkpoint)
    meta = checkpoint.get('meta', {})
    if args.config:
        cfg = load_config(args.config)
    elif 'cfg' in meta:
        cfg = Config(literal_config(meta['cfg'], args.checkpoint))
    else:
        raise ValueError(f'{args.checkpoint} does not hold its config; give it with --config')
    cfg = student_config(cfg)
    student = build_detector(cfg)
    line = load_weights(student, student_weights(checkpoint), name=args.checkpoint,
                        remedy='Give the config of this student, --config CONFIG')
    check_file(args.out, '--out')
    kept = {key: meta[key] for key in META if key in meta}
    save_whole(dict(meta=dict(kept, cfg=cfg.pretty_text), state_dict=student.state_dict()), args.out)
    print(f'{line}; plain {type(student).__name__} written to {args.out}')


if __name__ == '__main__':
    main_guard(main)
