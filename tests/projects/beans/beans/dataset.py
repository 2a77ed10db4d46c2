import csv
import os.path as osp
from collections import defaultdict

from mmdet.datasets import BaseDetDataset
from mmdet.registry import DATASETS


@DATASETS.register_module()
class BeanDataset(BaseDetDataset):
    """Pictures beside a table of boxes: file, width, height, x1, y1, x2, y2, class."""

    METAINFO = dict(classes=('black', 'pinto', 'green'), palette=[(20, 20, 20), (170, 110, 90), (60, 160, 60)])

    def load_data_list(self):
        boxes, sizes = defaultdict(list), {}
        with open(self.ann_file) as file:  # noqa: PTH123
            for name, width, height, *box, kind in csv.reader(file):
                sizes[name] = int(width), int(height)
                boxes[name].append(dict(bbox=[float(side) for side in box], ignore_flag=0,
                                        bbox_label=self.metainfo['classes'].index(kind)))
        return [dict(img_id=index, img_path=osp.join(self.data_prefix['img'], name), width=width, height=height,
                     instances=boxes[name]) for index, (name, (width, height)) in enumerate(sizes.items())]
