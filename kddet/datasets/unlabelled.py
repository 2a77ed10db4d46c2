"""Pictures without ground truth, for semi-supervised distillation: with a detector's boxes, or with none."""
from __future__ import annotations

from typing import Any

from mmdet.datasets import CocoDataset

from kddet.registry import DATASETS
from kddet.unlabelled import USE_HARD_LOSS

from .pseudo_labels import check_pseudo_labels


@DATASETS.register_module()
class UnlabelledDataset(CocoDataset):
    """Unlabelled pictures beside labelled ones, mixed by MMDet's ``MultiSourceSampler`` over a ``ConcatDataset``.

    Its boxes are those that ``tools/pseudo_label.py`` wrote, or none: boxes of any other json are never used.

    Args:
        use_hard_loss: train the student's own losses on the pseudo boxes too. Otherwise no box is read, the pictures
            take part in the methods alone, and ``ann_file`` may be any COCO json that names them.
        kwargs: of MMDet's ``CocoDataset``. Without ``filter_cfg``, pictures without a box are background.

    Raises:
        ValueError: ``use_hard_loss`` and a json that is not one of pseudo labels, or of other classes.
    """

    def __init__(self, *args: Any, use_hard_loss: bool = True, **kwargs: Any) -> None:
        self.use_hard_loss = use_hard_loss
        super().__init__(*args, **kwargs)

    def load_data_list(self) -> list[dict]:
        if self.use_hard_loss:
            check_pseudo_labels(self.ann_file, self.metainfo['classes'])
        return super().load_data_list()

    def parse_data_info(self, raw_data_info: dict) -> dict:
        if not self.use_hard_loss:
            raw_data_info = dict(raw_data_info, raw_ann_info=[])
        return super().parse_data_info(raw_data_info)

    def filter_data(self) -> list[dict]:
        if not self.use_hard_loss:
            self.filter_cfg: dict | None = dict(self.filter_cfg or {}, filter_empty_gt=False)
        return super().filter_data()

    def prepare_data(self, idx: int) -> Any:
        data = super().prepare_data(idx)
        if data is not None and not self.use_hard_loss:
            if 'data_samples' not in data:
                raise ValueError('use_hard_loss=False needs a pipeline that ends with PackDetInputs; a data set that '
                                 'mixes images (MultiImageMixDataset) cannot be around it')
            data['data_samples'].set_metainfo({USE_HARD_LOSS: False})
        return data
