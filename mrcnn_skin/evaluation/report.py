"""Run a detector over a dataset, score it, and write the files the challenges want.

A detector is any function from an image to a result dict, so that nothing here knows
the model. The scores themselves are defined in metrics.py.
"""

import json
import math
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from skimage.measure import label, regionprops
from tqdm import tqdm

from mrcnn_skin.atomic import written_whole
from mrcnn_skin.data.files import UnreadableImage
from mrcnn_skin.evaluation.metrics import detection_scores, segmentation_scores
from mrcnn_skin.evaluation.summary import BOX, COLUMNS, TASKS, summarize
from mrcnn_skin.geometry.boxes import extract_bboxes


def evaluate(detector, dataset, out_dir=None, progress=True, image_ids=None):
    """Score a detector on every image of a dataset.

    detector: function of an image, uint8 [height, width, 3], that returns a dict of
        rois: [n, (y1, x1, y2, x2)], pixels, the best lesion first;
        scores: float [n];
        masks: bool [height, width, n], or no such key: the model does not segment;
        p_malignant: float, or None: the model does not classify;
        low_confidence: bool.
    dataset: a prepared mrcnn_skin.data.dataset.Dataset.
    out_dir: folder for metrics.json, per_image.csv, classification.csv (columns image,
        malignant) and masks/<image>_segmentation.png; nothing is written without.
    progress: show a progress bar.
    image_ids: of the dataset, which images to score; None for all.

    The true mask is the union of an image's instances, the predicted one is that of
    the best lesion in the challenge's form (official_mask), empty without a lesion.
    Images whose dataset has no mask, or no diagnosis, are left out of that task only;
    so is a task that the model does not have. An image that cannot be read costs a
    warning and is counted as "unreadable".

    Returns {"images": int, "unreadable": int, "low_confidence": int,
    "segmentation": {...}, "detection": {"box_iou"}, "classification": {...}}, each
    task with the number of its images; scores as in metrics.py.
    Raises ValueError if no image can be read.
    """
    labels = dataset.labels()
    rows, unreadable = [], 0
    if image_ids is None:
        image_ids = dataset.image_ids
    for image_id in tqdm(image_ids, desc="evaluate", disable=not progress):
        try:
            image = dataset.load_image(image_id)
            instances, _ = dataset.load_mask(image_id)
        except (UnreadableImage, FileNotFoundError) as error:
            warnings.warn(f"{error}; not scored", stacklevel=2)
            unreadable += 1
            continue
        result = detector(image)
        prediction = _predicted_mask(result, image.shape[:2])
        row = {"image": str(dataset.image_info[image_id]["id"])}
        if labels[image_id]:  # 0 is an image without a diagnosis
            row["label"] = dataset.class_names[labels[image_id]]
        rows.append(row | _result_columns(result))
        if instances.shape[-1]:
            rows[-1] |= _truth_columns(instances.any(axis=-1), prediction, result)
        if out_dir is not None and prediction is not None:
            write_mask(Path(out_dir, "masks", _mask_name(row["image"])), prediction)

    if not rows:
        raise ValueError(f"none of the {unreadable} images to score can be read")
    per_image = pd.DataFrame(rows, columns=COLUMNS)
    metrics = {"unreadable": unreadable, **summarize(per_image)}
    if out_dir is not None:
        write_tables(out_dir, per_image, metrics)
    return metrics


def official_mask(mask):
    """Give a mask the form that ISIC 2018 asks for: one region without holes.

    mask: bool [height, width].
    Returns bool [height, width]: its largest connected component (8 neighbours), holes
    filled; empty when the mask is.
    """
    official = np.zeros(mask.shape, bool)
    regions = regionprops(label(mask))
    if regions:
        largest = max(regions, key=lambda region: region.area)
        official[largest.slice] = largest.image_filled
    return official


def format_metrics(metrics):
    """Return the metrics of evaluate as a small table of text, for printing."""
    counts = f"{metrics['images']} images, {metrics['low_confidence']} low confidence"
    if metrics.get("unreadable"):
        counts += f", {metrics['unreadable']} more could not be read"
    lines = [counts]
    for task in TASKS:
        scores = metrics.get(task, {})
        if scores:
            names = [f"{name:>{_width(name)}}" for name in scores]
            values = [
                f"{value:>{_width(name)}{'d' if name == 'images' else '.3f'}}"
                for name, value in scores.items()
            ]
            lines += ["", f"{task:<14}" + "".join(names), " " * 14 + "".join(values)]
    return "\n".join(lines)


def write_mask(path, mask):
    """Write a mask, bool [height, width], as a PNG of one channel, 0 or 255."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as partial:
        Image.fromarray(mask.astype(np.uint8) * 255).save(partial, format="PNG")


def write_tables(out_dir, per_image, metrics):
    """Write per_image.csv, metrics.json and, with diagnoses, classification.csv.

    A score that is nan becomes null in metrics.json, which stays valid JSON.
    """
    out_dir = Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    with written_whole(out_dir / "per_image.csv") as partial:
        per_image.to_csv(partial, index=False)
    with written_whole(out_dir / "metrics.json") as partial:
        text = json.dumps(_nan_to_none(metrics), indent=2, allow_nan=False)
        partial.write_text(text + "\n", encoding="utf-8")
    diagnosed = per_image.dropna(subset=["p_malignant"])
    if len(diagnosed):
        official = diagnosed[["image", "p_malignant"]].set_axis(
            ["image", "malignant"], axis="columns"
        )
        # The scorer takes a column of bare integers for a mistake: always a point.
        with written_whole(out_dir / "classification.csv") as partial:
            official.to_csv(partial, index=False, float_format="%.12f")


def _predicted_mask(result, shape):
    """Return the best lesion's mask, bool [height, width]; None without a mask head."""
    if "masks" not in result:
        return None
    if not len(result["rois"]):
        return np.zeros(shape, bool)
    return official_mask(result["masks"][:, :, 0])


def _result_columns(result):
    """Return what the model said of an image, without a look at the truth."""
    columns = {
        "p_malignant": result["p_malignant"],
        "low_confidence": bool(result["low_confidence"]),
    }
    if len(result["rois"]):
        columns["score"] = float(result["scores"][0])
        columns |= zip(BOX, np.asarray(result["rois"][0]).tolist(), strict=True)
    return columns


def _truth_columns(truth, prediction, result):
    """Return the scores of one image against its true mask, bool [height, width]."""
    truth_box = extract_bboxes(truth[:, :, None])[0]
    box = result["rois"][0] if len(result["rois"]) else np.zeros(4)
    columns = detection_scores(truth_box, box)
    if prediction is not None:
        columns |= segmentation_scores(truth, prediction)
    return columns


def _mask_name(image):
    return f"{image}_segmentation.png"


def _width(name):
    return max(len(name), 6) + 2


def _nan_to_none(value):
    if isinstance(value, dict):
        return {key: _nan_to_none(item) for key, item in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
