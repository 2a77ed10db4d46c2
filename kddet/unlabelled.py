"""Images of a batch that the student's own losses leave out: they teach through the teacher's outputs alone."""
from __future__ import annotations

from typing import Any

from mmengine.config import Config
from torch import Tensor

from kddet.project.config import data_sources, type_name
from kddet.recording.forward import forward_to
from kddet.recording.recorder import Recorder, Records
from kddet.recording.rois import roi_taps

USE_HARD_LOSS = 'use_hard_loss'  # meta information of a data sample; images without it are labelled


def labelled_first(inputs: Tensor, samples: list) -> tuple[Tensor, list, int]:
    """A batch with its unlabelled images at its end, and how many are labelled.

    Args:
        inputs: ``(N, 3, H, W)``.
        samples: N data samples; those whose meta information says ``use_hard_loss=False`` are unlabelled.

    Raises:
        ValueError: all are unlabelled.
    """
    labelled = [index for index, sample in enumerate(samples) if sample.metainfo.get(USE_HARD_LOSS, True)]
    if len(labelled) == len(samples):
        return inputs, samples, len(samples)
    if not labelled:
        raise ValueError(f'none of the {len(samples)} images of a batch is labelled, and the student has a loss of its '
                         "own; mix them with MMDet's MultiSourceSampler, source_ratio=[1, 1]")
    order = [*labelled, *(index for index in range(len(samples)) if index not in set(labelled))]
    return inputs[order], [samples[index] for index in order], len(labelled)


def check_unlabelled_data(cfg: Config) -> None:
    """Before anything is built: refuse unlabelled images without boxes for a model that would take them as background.

    Raises:
        ValueError: names the data set.
    """
    if (kind := type_name(cfg.model.get('type'))) == 'kddet.Distiller':
        return
    for source in data_sources(cfg.get('train_dataloader', {}).get('dataset', {})):
        if type_name(source.get('type')) == 'kddet.UnlabelledDataset' and not source.get('use_hard_loss', True):
            raise ValueError(f'{source.get("ann_file")!r} is read with use_hard_loss=False, and a {kind} '
                             'would train its images as empty ones; give it a kddet.Distiller, or leave use_hard_loss '
                             'on')


def check_all_labelled(samples: list, who: str) -> None:
    """Refuse a batch with unlabelled images: they have no boxes, and would be background.

    Raises:
        ValueError: names what cannot use them.
    """
    if not all(sample.metainfo.get(USE_HARD_LOSS, True) for sample in samples):
        raise ValueError(f'{who} trains on labels, and the batch has images with use_hard_loss=False; a '
                         'kddet.Distiller can use them')


def check_unlabelled(methods: dict) -> None:
    """Refuse methods that images without labels have nothing for.

    Args:
        methods: the active ones, by name.

    Raises:
        ValueError: a method reads labels of every image, or the RoI head, which has no RoIs to run on.
    """
    for name, method in methods.items():
        reads = 'the labels of every image' if method.reads_labels else \
            'the RoI head, which samples by labels,' if roi_taps(method.student_taps) else None
        if reads:
            raise ValueError(f'method {name!r} ({type(method).__name__}) reads {reads} and cannot be used with '
                             'use_hard_loss=False; leave it on, or choose other `heads` or taps')


def forward_unlabelled(student: Any, inputs: Tensor, records: Records) -> None:
    """Forward images without labels through the student and append them to what was recorded of the labelled ones.

    They are a batch of their own for the student's batch norm.

    Args:
        inputs: ``(U, 3, H, W)``.
        records: of the student's own loss forward on the labelled images.
    """
    with Recorder(student, records, 'student') as unlabelled:
        forward_to(student, inputs, records)
    records.append_unlabelled(unlabelled, len(inputs))
