import numpy as np
from mmdet.datasets import BaseDetDataset
from mmdet.datasets.transforms import PackDetInputs

from .registry import DATASETS


@DATASETS.register_module()
class PeaDataset(BaseDetDataset):
    """Peas that are drawn when they are asked for: nothing to download."""

    METAINFO = dict(classes=('pea', 'green', 'stone', 'black'))

    def __init__(self, length=4, **kwargs):
        self.length = length
        super().__init__(**kwargs)

    def load_data_list(self):
        return [dict(img_id=index) for index in range(self.length)]

    def prepare_data(self, index):
        random = np.random.default_rng(index)
        image = random.integers(90, 160, (96, 96, 3), dtype=np.uint8)
        left, top = random.integers(4, 60, 2)
        image[top:top + 28, left:left + 28] = (40, 200, 60)
        return PackDetInputs(('img_id', 'img_shape', 'ori_shape', 'scale_factor'))(dict(
            img=image, img_id=index, img_shape=(96, 96), ori_shape=(96, 96), scale_factor=(1.0, 1.0),
            gt_bboxes=np.array([[left, top, left + 28, top + 28]], dtype=np.float32), gt_bboxes_labels=np.array([0]),
            gt_ignore_flags=np.array([False])))
