import argparse
import json

from mmengine.config import Config
from mmengine.runner import Runner


def main():
    parser = argparse.ArgumentParser(description='Evaluate a detector of beans')
    parser.add_argument('config')
    parser.add_argument('checkpoint')
    parser.add_argument('--work-dir', required=True)
    args = parser.parse_args()
    cfg = Config.fromfile(args.config)
    cfg.work_dir, cfg.load_from = args.work_dir, args.checkpoint
    print(json.dumps(Runner.from_cfg(cfg).test()))


if __name__ == '__main__':
    main()
