"""Run a detector over a dataset, score it, and write the results.

A detector is any function of an image, uint8 [h, w, 3], that returns a dict:
rois: [n, (y1, x1, y2, x2)], pixels, the best lesion first;
scores: float [n];
masks: bool [h, w, n], absent without segmentation;
p_malignant: float, None without classification;
class_ids: int [n];
probs: [n, classes], absent without classification;
low_confidence: bool;
unfamiliar: bool, and unfamiliar_score: float; None or absent if not measured.

metrics.py defines the scores, summary.py averages them, submission.py has the formats
of the challenges.
"""

import json
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from ..atomic import write_text
from ..data.dataset import load_instances, require_dataset
from ..data.files import UnreadableImage
from ..geometry.boxes import extract_bboxes
from .metrics import detection_scores, segmentation_scores
from .submission import mask_path, official_mask, write_classification, write_mask
from .summary import ANSWER, BOX, COLUMNS, TASKS, summarize


class Case(NamedTuple):
    """One image with its ground truth and the detector's result.

    Attributes:
        info: image_info of the dataset.
        image: uint8 [height, width, 3].
        masks: bool [height, width, n], true instances and crowds.
        class_ids: int [n], negative for crowds.
        result: dict of the detector.
    """

    info: dict
    image: np.ndarray
    masks: np.ndarray
    class_ids: np.ndarray
    result: dict

    @property
    def truth(self):
        """bool [h, w], the union of the instances without crowds; None without any."""
        masks = self.masks[..., self.class_ids >= 0]
        return masks.any(axis=-1) if masks.shape[-1] else None


def evaluate(detector, dataset, out_dir=None, progress=True, image_ids=None):
    """Score a detector on the images of a dataset, as the validation of a training.

    Args:
        detector, dataset, progress, image_ids: see score_images.
        out_dir: folder for metrics.json, per_image.csv, classification.csv and masks/;
            None to write nothing.

    Returns:
        The dict of summarize, and "unreadable", the number of unreadable images.

    Raises:
        ValueError: if no image can be read.
    """
    per_image, unreadable = score_images(
        detector, dataset, out_dir, progress, image_ids
    )
    metrics = {"unreadable": unreadable, **summarize(per_image)}
    if out_dir is not None:
        write_tables(out_dir, per_image, metrics)
    return metrics


def score_images(
    detector, dataset, out_dir=None, progress=True, image_ids=None, details=()
):
    """Score a detector on images, one by one.

    The true mask is the union of an image's instances without crowds, the predicted one
    is the official_mask of the best lesion, empty without a lesion. An image without
    mask or diagnosis is skipped for that task only. Unreadable images are counted, with
    a warning.

    Args:
        detector: a detector.
        dataset: a prepared Dataset.
        out_dir: folder for masks/<image>_segmentation.png; None to write none.
        progress: whether to show a progress bar, or its title.
        image_ids: of the dataset, the images to score; None for all.
        details: functions of a Case that return {column: value} to add.

    Returns:
        A DataFrame with summary.COLUMNS and the columns of `details`, one row per
        image, and the number of unreadable images.

    Raises:
        ValueError: if no image can be read, or if the dataset has pseudo-masks.
    """
    require_dataset(dataset)
    image_ids = dataset.image_ids if image_ids is None else image_ids
    _refuse_pseudo_masks(dataset, image_ids)
    title = progress if isinstance(progress, str) else "evaluate"
    rows, unreadable = [], 0
    for image_id in tqdm(image_ids, desc=title, unit="image", disable=not progress):
        try:
            image = dataset.load_image(image_id)
            truth = load_instances(dataset, image_id, image.shape[:2])
        except (UnreadableImage, FileNotFoundError) as error:
            warnings.warn(f"{error}; not scored", stacklevel=2)
            unreadable += 1
            continue
        case = Case(dataset.image_info[image_id], image, *truth, detector(image))
        row, mask = _score_case(case, dataset, image_id)
        for describe in details:
            row |= describe(case)
        rows.append(row)
        if out_dir is not None and mask is not None:
            write_mask(mask_path(out_dir, row["image"]), mask)

    if not rows:
        raise ValueError(f"none of the {unreadable} images to score can be read")
    columns = dict.fromkeys([*COLUMNS, *(name for row in rows for name in row)])
    return pd.DataFrame(rows, columns=list(columns)), unreadable


def _refuse_pseudo_masks(dataset, image_ids):
    pseudo = sum(dataset.image_info[i].get("is_pseudo_mask", False) for i in image_ids)
    if pseudo:
        raise ValueError(
            f"{pseudo} of {len(image_ids)} masks are pseudo-masks, predicted by a "
            "network: they are for training only, and nothing is scored against them"
        )


def _score_case(case, dataset, image_id):
    """Return the row of an image, a dict, and the predicted mask or None."""
    shape, names = case.image.shape[:2], dataset.class_names
    answer, mask = describe_answer(case.result, shape, names)
    row = {"image": str(case.info["id"]), **answer}
    label = dataset.label(image_id)
    if label:  # 0 is an image without a diagnosis
        row["true_class"] = names[label]
    truth = case.truth
    if truth is not None:
        boxes = case.result["rois"]
        found = boxes[0] if len(boxes) else np.zeros(4)
        row |= detection_scores(extract_bboxes(truth[:, :, None])[0], found)
        if mask is not None:
            row |= segmentation_scores(truth, mask)
    return row, mask


def format_metrics(metrics):
    """Format the metrics of evaluate as a table of text."""
    counts = f"{metrics['images']} images, {metrics['low_confidence']} low confidence"
    if "unfamiliar" in metrics:
        counts += f", {metrics['unfamiliar']} unfamiliar"
    if metrics.get("unreadable"):
        counts += f", {metrics['unreadable']} more could not be read"
    lines = [counts]
    for task in TASKS:
        names, values = f"{task:<14}", " " * 14
        for name, value in metrics.get(task, {}).items():
            width = max(len(name), 6) + 2
            names += f"{name:>{width}}"
            values += f"{value:>{width}{'d' if name == 'images' else '.3f'}}"
        if task in metrics:
            lines += ["", names, values]
    return "\n".join(lines)


def write_tables(out_dir, per_image, metrics):
    """Write per_image.csv, metrics.json (nan as null) and classification.csv."""
    out_dir = Path(out_dir)
    write_text(out_dir / "per_image.csv", per_image.to_csv(index=False))
    valid = json.loads(json.dumps(metrics), parse_constant=lambda nan: None)
    write_text(out_dir / "metrics.json", json.dumps(valid, indent=2) + "\n")
    diagnosed = per_image.dropna(subset=["p_malignant"])
    if len(diagnosed):
        columns = diagnosed["image"], diagnosed["p_malignant"]
        write_classification(out_dir / "classification.csv", *columns)


def predicted_mask(result, shape):
    """Return the official_mask of the best lesion, bool [height, width].

    It is empty without a lesion, and None without a mask head. shape: (height, width).
    """
    if "masks" not in result:
        return None
    if not len(result["rois"]):
        return np.zeros(shape, bool)
    return official_mask(result["masks"][:, :, 0])


def describe_answer(result, shape, class_names):
    """Describe a detector's result, for every table and page.

    Args:
        result: of a detector.
        shape: (height, width) of the image.
        class_names: by class id, the background first.

    Returns:
        A dict with the keys summary.ANSWER, None where unknown: p_malignant;
        predicted_class, by the threshold of P(malignant) or else the best region's
        class; score, the confidence that this region is a lesion, not the certainty of
        the diagnosis; low_confidence and unfamiliar (bool); unfamiliar_score; y1, x1,
        y2, x2 and lesion_area in pixels. And predicted_mask(result, shape).
    """
    mask = predicted_mask(result, shape)
    row = dict.fromkeys(ANSWER)
    row["p_malignant"] = _short(result["p_malignant"])
    row["low_confidence"] = bool(result["low_confidence"])
    row["unfamiliar"] = result.get("unfamiliar")
    row["unfamiliar_score"] = _short(result.get("unfamiliar_score"))
    if len(result["rois"]):
        row["score"] = _short(result["scores"][0])
        box = (round(float(side), 1) for side in result["rois"][0])
        row |= zip(BOX, box, strict=True)
        if "probs" in result:  # else every region has class 1
            decided = result.get("predicted_class_id", result["class_ids"][0])
            row["predicted_class"] = class_names[decided]
            row["threshold"] = result.get("threshold")
    if mask is not None:
        row["lesion_area"] = int(mask.sum())
    return row, mask


def _short(value):
    """Return a float32 as the shortest equal Python float."""
    return None if value is None else float(str(np.float32(value)))
