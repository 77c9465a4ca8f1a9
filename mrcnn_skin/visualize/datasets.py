"""Figures of a data set: classes, sizes of lesions, images with ground truth.

Sizes are measured after the resize, as the network sees them.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..config import Config
from ..data.dataset import Dataset, load_instances
from ..data.pipeline import load_example
from ..data.resize_cache import Example
from ..geometry.inputs import as_image
from .instances import class_label
from .overlays import TRUTH_COLOR, overlay, overlay_truth

BINS = 24


def draw_example(example: Example, class_names: Sequence[str]) -> np.ndarray:
    """Draw the true outlines, boxes and classes of an example.

    Args:
        example: as of data.pipeline.load_example.
        class_names: by class id.

    Returns:
        uint8 [h + strip, w, 3].
    """
    names = [class_label(class_names, class_id) for class_id in example.class_ids]
    captions = ["  ".join(names) or "no lesion"]
    return overlay(example.image, example.masks, example.boxes, captions, TRUTH_COLOR)


def draw_prediction(
    dataset: Dataset,
    image_id: int,
    detector: Callable[[np.ndarray], dict],
    captions: Sequence | None = None,
    width: int | None = None,
) -> np.ndarray:
    """Draw what a detector finds in an image beside the ground truth.

    Args:
        dataset: a prepared Dataset.
        image_id: index of image_info.
        detector: function of an image, as inference.Detector.
        captions, width: as of overlay_truth.

    Returns:
        uint8 [h + strip, w, 3].
    """
    image = as_image(dataset.load_image(image_id))
    masks, _ = load_instances(dataset, image_id, image.shape[:2])
    result = detector(image)
    return overlay_truth(image, masks.any(axis=-1), result, captions, width)


def box_statistics(
    dataset: Dataset, config: Config, image_ids: Iterable[int] | None = None
) -> pd.DataFrame:
    """Measure every true instance, except crowds, on the network's canvas.

    Args:
        dataset: a prepared Dataset.
        config: a Config.
        image_ids: of the images; None for all.

    Returns:
        DataFrame, one row per instance: image (id), class, height, width (of the box,
        pixels), side (square root of the box's area, pixels), ratio (width / height),
        center_y, center_x (0 to 1 of the canvas) and area (of the mask, share of the
        image without padding).
    """
    tables = []
    for image_id in dataset.image_ids if image_ids is None else image_ids:
        example = load_example(dataset, config, image_id)
        kept = example.class_ids >= 0
        boxes = example.boxes[kept]
        height, width = (boxes[:, 2:] - boxes[:, :2]).T
        centers = (boxes[:, :2] + boxes[:, 2:]) / 2 / example.image.shape[:2]
        top, left, bottom, right = example.window
        areas = example.masks[..., kept].sum(axis=(0, 1))
        columns = {
            "image": int(image_id),
            "class": [dataset.class_names[i] for i in example.class_ids[kept]],
            "height": height,
            "width": width,
            "side": np.sqrt(height * width),
            "ratio": width / height,
            "center_y": centers[:, 0],
            "center_x": centers[:, 1],
            "area": areas / ((bottom - top) * (right - left)),
        }
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def plot_class_counts(dataset: Dataset) -> Figure:
    """Plot the number of images of each class; class 0 is "no label or lesion"."""
    counts = np.bincount(dataset.labels(), minlength=dataset.num_classes)
    names = ["no label or lesion", *dataset.class_names[1:]]
    figure = Figure(figsize=(6, 0.6 + 0.5 * len(names)), layout="constrained")
    ax = figure.subplots()
    colors = ["grey", *(f"C{i}" for i in range(len(names) - 1))]
    bars = ax.barh(names, counts, color=colors)
    labels = [f"{count} ({count / max(counts.sum(), 1):.0%})" for count in counts]
    ax.bar_label(bars, labels, padding=3)
    ax.set(xlabel="images", xlim=(0, 1.2 * max(counts.max(), 1)))
    ax.invert_yaxis()
    return figure


def plot_box_statistics(table: pd.DataFrame, config: Config) -> Figure:
    """Plot sides, ratios, areas and centres of lesions beside the anchors.

    Dotted lines are RPN_ANCHOR_SCALES and RPN_ANCHOR_RATIOS; lesions far from all of
    them are hard to propose.

    Args:
        table: of box_statistics.
        config: the Config of the anchors.
    """
    figure = Figure(figsize=(15, 3.6), layout="constrained")
    sides, ratios, areas, centers = figure.subplots(1, 4)
    longest = max([*config.RPN_ANCHOR_SCALES, table["side"].max()])
    bins = {
        "side": np.linspace(0, 1.05 * longest, BINS),
        "ratio": np.geomspace(0.25, 4, BINS),
        "area": np.linspace(0, 1, BINS),
    }
    for ax, column in ((sides, "side"), (ratios, "ratio"), (areas, "area")):
        groups = table.groupby("class")[column]
        parts = [values for _, values in groups]
        names = [name for name, _ in groups]
        ax.hist(parts, bins[column], stacked=True, label=names)
        ax.set_ylabel("lesions")
    for ax, values in (
        (sides, config.RPN_ANCHOR_SCALES),
        (ratios, config.RPN_ANCHOR_RATIOS),
    ):
        for value in values:
            ax.axvline(value, color="black", ls=":")
    for name, rows in table.groupby("class"):
        centers.plot(rows["center_x"], rows["center_y"], ".", label=name)
    sides.set(title="side of the box (dotted: anchors)", xlabel="pixels")
    ratios.set(title="width / height (dotted: anchors)", xscale="log")
    ratios.set_xticks([0.25, 0.5, 1, 2, 4], ["0.25", "0.5", "1", "2", "4"])
    ratios.minorticks_off()
    areas.set(title="lesion's share of the image")
    centers.set(title="centres on the canvas", xlim=(0, 1), ylim=(1, 0), aspect=1)
    sides.legend()
    return figure
