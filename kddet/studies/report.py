"""What the quickstart shows at its end: a table, and a picture of curves and detections."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
import torch
from mmdet.apis import inference_detector
from mmengine.analysis import get_model_complexity_info
from mmengine.registry import init_default_scope

from kddet.checkpoint import load_checkpoint, load_weights, student_weights
from kddet.project.config import build_detector, student_config

from .runs import Run

SCORE = 0.3  # detections below are not drawn


def parameters_and_flops(run: Run) -> tuple[int, int]:
    """Of the detector that a run leaves behind, for one picture of its validation size."""
    detector = plain_detector(run)
    scale = next(step for step in run.cfg.val_dataloader.dataset.pipeline if step['type'] == 'Resize')['scale']
    detector.forward = detector._forward if not hasattr(detector, 'roi_head') else detector.extract_feat
    flops = get_model_complexity_info(detector, (3, *scale), show_table=False, show_arch=False)['flops']
    return sum(parameter.numel() for parameter in detector.parameters()), int(flops)


def plain_detector(run: Run) -> Any:
    """The plain MMDet detector with a run's weights, on the CPU."""
    cfg = student_config(run.cfg)
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    detector = build_detector(cfg).eval()
    load_weights(detector, student_weights(load_checkpoint(run.checkpoint)), name=run.name)
    detector.cfg, detector.dataset_meta = cfg, dict(cfg.metainfo)  # what inference_detector reads
    return detector


def table(rows: dict[str, dict]) -> str:
    """Text table of the figures of ``{name: summary row}``."""
    columns = ['', 'parameters', 'GFLOPs', 'mAP', 'mAP50', 'mAP75', 'training time']
    lines = [columns] + [[
        name, f'{row["parameters"] / 1e6:.2f} M', f'{row["flops"] / 1e9:.2f}', f'{100 * row["mAP"]:.1f}',
        f'{100 * row["mAP_50"]:.1f}', f'{100 * row["mAP_75"]:.1f}', f'{row["seconds"] / 60:.1f} min']
        for name, row in rows.items()]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    return '\n'.join('  '.join(cell.ljust(width) if i == 0 else cell.rjust(width)
                               for i, (cell, width) in enumerate(zip(line, widths))) for line in lines)


@torch.no_grad()
def draw(runs: dict[str, Run], path: Path, pictures: int = 4) -> None:
    """mAP over epochs on the left; on the right, detections on the same validation pictures under the ground truth."""
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot
    figure = pyplot.figure(figsize=(15, 8.5), layout='constrained')
    halves: Any = figure.subfigures(1, 2, width_ratios=[1, 1.35])
    left, right = halves
    _curves(left.subplots(), runs)
    cells = right.subplots(len(runs) + 1, pictures)
    right.suptitle(f'ground truth and detections (score above {SCORE})')
    images = _validation_pictures(next(iter(runs.values())), pictures)
    for cell, (file, boxes, labels) in zip(cells[0], images):
        _show(cell, file, boxes, [str(label) for label in labels], 'lime')
    cells[0][0].set_ylabel('ground truth', fontsize=11)
    for row, (name, run) in zip(cells[1:], runs.items()):
        detector = plain_detector(run)
        row[0].set_ylabel(f'{name} ({100 * run.result["measures"]["mAP"]:.1f})', fontsize=11)
        for cell, (file, _, _) in zip(row, images):
            found = inference_detector(detector, str(file)).pred_instances
            found = found[found.scores >= SCORE]
            found = found[found.scores.argsort()]  # the best on top
            texts = [f'{label} {score:.1f}' for label, score in zip(found.labels.tolist(), found.scores.tolist())]
            _show(cell, file, found.bboxes.numpy(), texts, 'yellow')
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _curves(axes, runs: dict[str, Run]) -> None:
    for name, run in runs.items():
        epochs, values = zip(*run.result['curve'])
        axes.plot(epochs, [100 * value for value in values], marker='o', markersize=4, label=name)
    axes.set(xlabel='epoch', ylabel='box mAP on validation', title='mAP over training')
    axes.grid(alpha=0.3)
    axes.legend(loc='lower right')


def _validation_pictures(run: Run, count: int) -> list[tuple[Path, np.ndarray, np.ndarray]]:
    """Evenly spaced over the validation set: ``(file, boxes (G, 4), labels (G,))``."""
    dataset = run.cfg.val_dataloader.dataset
    content = json.loads((Path(dataset.data_root) / dataset.ann_file).read_text())
    every = max(1, len(content['images']) // count)
    pictures = []
    for image in content['images'][::every][:count]:
        annotations = [a for a in content['annotations'] if a['image_id'] == image['id']]
        boxes = np.array([[x, y, x + w, y + h] for x, y, w, h in (a['bbox'] for a in annotations)]).reshape(-1, 4)
        labels = np.array([a['category_id'] - 1 for a in annotations])
        pictures.append((Path(dataset.data_root) / dataset.data_prefix.img / image['file_name'],
                         boxes, labels))
    return pictures


def _show(axes, file: Path, boxes: np.ndarray, texts: list[str], colour: str) -> None:
    from matplotlib.patches import Rectangle
    axes.imshow(mmcv.imread(str(file), channel_order='rgb'))
    axes.set(xticks=[], yticks=[])
    for (x1, y1, x2, y2), text in zip(boxes, texts):
        axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=colour, linewidth=1.2))
        axes.text(x1, max(y1, 8), text, fontsize=7, color='black', va='bottom',
                  bbox=dict(facecolor=colour, edgecolor='none', pad=0.6, alpha=0.8))
