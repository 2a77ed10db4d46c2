import argparse
import os.path as osp

from mmengine.config import Config
from mmengine.runner import Runner


def main():
    parser = argparse.ArgumentParser(description='Train a detector of beans')
    parser.add_argument('config')
    parser.add_argument('--work-dir')
    args = parser.parse_args()
    cfg = Config.fromfile(args.config)
    cfg.work_dir = args.work_dir or osp.join('work_dirs', osp.splitext(osp.basename(args.config))[0])
    Runner.from_cfg(cfg).train()


if __name__ == '__main__':
    main()
