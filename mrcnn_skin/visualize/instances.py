"""Matterport's figures of instances: masks, boxes, regions, differences.

Functions return a matplotlib Figure, which a notebook shows as the result of its cell.
Boxes are (y1, x1, y2, x2), pixels. Images, masks, boxes and colours are those that
geometry.inputs accepts, which raises ValueError for others.
"""

import colorsys
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike
from skimage.measure import find_contours

from ..evaluation.detection_metrics import compute_matches
from ..geometry.boxes import clip_boxes
from ..geometry.inputs import (
    as_boxes,
    as_color,
    as_image,
    as_list,
    as_mask,
    require_count,
)
from ..geometry.masks import unmold_mask
from .overlays import apply_mask

TRUTH, PREDICTION = (0, 1, 0), (1, 0, 0)
GREY = (0.25, 0.25, 0.25)
# How a box is drawn, by its visibility: faint, dotted or solid
LINES = (
    {"ls": ":", "alpha": 0.7, "color": GREY},
    {"ls": ":"},
    {"ls": "-"},
)


def class_label(class_names: Sequence[str], class_id: int) -> str:
    """Return the name of a class for captions; a crowd's class id is negative.

    Raises:
        ValueError: if class_names does not reach to the class id.
    """
    if abs(class_id) >= len(class_names):
        raise ValueError(
            f"class_names must name every class id, got {len(class_names)} names and "
            f"the class id {class_id}"
        )
    name = class_names[abs(class_id)]
    return f"crowd of {name}" if class_id < 0 else name


def random_colors(n: int, bright: bool = True) -> list[tuple]:
    """Return n colours (r, g, b) in 0..1 of evenly spaced hues, always the same."""
    value = 1.0 if bright else 0.7
    return [colorsys.hsv_to_rgb(i / max(n, 1), 1, value) for i in range(n)]


def display_images(
    images: Sequence | np.ndarray,
    titles: Sequence[str] | None = None,
    cols: int = 4,
    cmap: Any = None,
    norm: Any = None,
    interpolation: str | None = None,
) -> Figure:
    """Show images side by side.

    Args:
        images: list of uint8 [h, w, 3], float [h, w, 3] in 0..1, or numbers of any
            kind [h, w], which cmap colours.
        titles: one per image.
        cols: images per row.
        cmap, norm, interpolation: of matplotlib's imshow.
    """
    is_stack = getattr(images, "ndim", 0) == 3 and images.shape[2] not in (1, 3, 4)
    images = list(images) if is_stack else as_list(images)  # [n, h, w] of numbers
    titles = titles if titles is not None else [""] * len(images)
    require_count(len(images), of="image", titles=titles)
    rows = max(1, -(-len(images) // cols))
    figure = Figure(figsize=(3 * cols, 3.2 * rows), layout="constrained")
    for ax in np.ravel(axes := figure.subplots(rows, cols, squeeze=False)):
        ax.axis("off")
    for ax, image, title in zip(axes.flat, images, titles, strict=False):
        ax.imshow(_showable(image), cmap=cmap, norm=norm, interpolation=interpolation)
        ax.set_title(title, size=9)
    return figure


def display_instances(
    image: np.ndarray,
    boxes: ArrayLike,
    masks: ArrayLike | None,
    class_ids: ArrayLike,
    class_names: Sequence[str],
    scores: ArrayLike | None = None,
    title: str = "",
    figsize: tuple[float, float] = (16, 16),
    ax: Axes | None = None,
    show_mask: bool = True,
    show_bbox: bool = True,
    colors: Sequence | None = None,
    captions: Sequence[str] | None = None,
) -> Figure:
    """Draw instances over an image.

    Args:
        image: uint8 [h, w, 3].
        boxes: [n, 4].
        masks: bool [h, w, n], or None.
        class_ids: int [n].
        class_names: by class id.
        scores: [n], 0..1, or None.
        title: of the figure.
        figsize: (width, height) of a new figure, inches.
        ax: axes to draw on; None for a new figure.
        show_mask, show_bbox: whether masks and boxes are drawn.
        colors: (r, g, b), 0..1, one per instance; None for random_colors.
        captions: one per box; None for class and score.

    Returns:
        The Figure, that of `ax` if one is given.
    """
    image, boxes = as_image(image), as_boxes(boxes)
    count = len(boxes)
    if masks is not None:
        masks = as_mask(masks, image.shape[:2], 3, "masks", count)
    colors = random_colors(count) if colors is None else colors
    require_count(
        count, class_ids=class_ids, colors=colors, scores=scores, captions=captions
    )
    colors = [as_color(c, 1, name=f"colors[{i}]") for i, c in enumerate(colors)]
    figure, ax = _axes(ax, figsize, title)
    for i, box in enumerate(boxes):
        if show_mask and masks is not None:
            image = apply_mask(image, masks[..., i], colors[i])
            _draw_contours(ax, masks[..., i], colors[i])
        if show_bbox:
            draw_rectangle(ax, box, colors[i], ls="--")
        if captions is not None:
            caption = captions[i]
        else:
            caption = class_label(class_names, class_ids[i])
            caption += f" {scores[i]:.3f}" if scores is not None else ""
        _write(ax, box, caption)
    ax.imshow(image)
    return figure


def display_differences(
    image: np.ndarray,
    gt_box: ArrayLike,
    gt_class_id: ArrayLike,
    gt_mask: ArrayLike,
    pred_box: ArrayLike,
    pred_class_id: ArrayLike,
    pred_score: ArrayLike,
    pred_mask: ArrayLike,
    class_names: Sequence[str],
    title: str = "",
    ax: Axes | None = None,
    show_mask: bool = True,
    show_box: bool = True,
    iou_threshold: float = 0.5,
    score_threshold: float = 0.5,
) -> Figure:
    """Draw true instances (green) and detections (red) on one image.

    The arguments are those of display_instances and compute_matches. Captions of
    detections say score / IoU with the instance that they match, or with the one that
    they overlap most.

    Returns:
        The Figure, that of `ax` if one is given.
    """
    gt_box = as_boxes(gt_box, name="gt_box")
    pred_box = as_boxes(pred_box, name="pred_box")
    size = as_image(image).shape[:2]
    gt_mask = as_mask(gt_mask, size, 3, "gt_mask", len(gt_box))
    pred_mask = as_mask(pred_mask, size, 3, "pred_mask", len(pred_box))
    require_count(len(gt_box), gt_class_id=gt_class_id)
    require_count(len(pred_box), pred_class_id=pred_class_id, pred_score=pred_score)
    scores = np.asarray(pred_score, float)
    order = np.argsort(-scores, kind="stable")  # as compute_matches
    pred_box, pred_score = pred_box[order], scores[order]
    pred_class_id, pred_mask = np.asarray(pred_class_id)[order], pred_mask[..., order]
    _, pred_match, overlaps = compute_matches(
        gt_box,
        gt_class_id,
        gt_mask,
        pred_box,
        pred_class_id,
        pred_score,
        pred_mask,
        iou_threshold,
        score_threshold,
    )
    iou = [
        row[match] if match >= 0 else row.max(initial=0.0)
        for row, match in zip(overlaps, pred_match, strict=True)
    ]
    captions = [""] * len(gt_class_id)
    captions += [
        f"{score:.2f} / {i:.2f}" for score, i in zip(pred_score, iou, strict=True)
    ]
    return display_instances(
        image,
        np.concatenate([gt_box, pred_box]),
        np.concatenate([gt_mask, pred_mask], axis=-1),
        np.concatenate([gt_class_id, pred_class_id]),
        class_names,
        title=title or "truth (green), detections (red): score / IoU",
        ax=ax,
        show_mask=show_mask,
        show_bbox=show_box,
        colors=[TRUTH] * len(gt_class_id) + [PREDICTION] * len(pred_class_id),
        captions=captions,
    )


def draw_rois(
    image: np.ndarray,
    rois: ArrayLike,
    refined_rois: ArrayLike,
    mask: ArrayLike,
    class_ids: ArrayLike,
    class_names: Sequence[str],
    limit: int = 10,
) -> Figure:
    """Draw regions (dotted), what they are refined to (solid), and their masks.

    Args:
        image: uint8 [h, w, 3].
        rois: [n, 4].
        refined_rois: [n, 4].
        mask: [n, mask_h, mask_w], probabilities over the refined boxes.
        class_ids: int [n], 0 for background, which is drawn faintly.
        class_names: by class id.
        limit: number of regions, chosen at random but the same each time.
    """
    image, rois = as_image(image), as_boxes(rois, name="rois")
    refined_rois = as_boxes(refined_rois, len(rois), name="refined_rois")
    require_count(len(rois), mask=mask, class_ids=class_ids)
    class_ids = np.asarray(class_ids)
    chosen = np.random.default_rng(0).permutation(len(rois))[:limit]
    chosen = chosen[np.argsort(class_ids[chosen], kind="stable")]  # lesions on top
    window = 0, 0, *image.shape[:2]
    refined = clip_boxes(refined_rois, window).round().astype(int)[chosen]
    found = class_ids[chosen] > 0
    masks = [
        unmold_mask(mask[i], box, image.shape) if class_ids[i] else None
        for i, box in zip(chosen, refined, strict=True)
    ]
    return draw_boxes(
        image,
        rois[chosen],
        np.where(found[:, None], refined, 0),
        masks,
        [class_label(class_names, i) if i else "" for i in class_ids[chosen]],
        np.where(found, 1, 0),
        f"{np.count_nonzero(class_ids)} of {len(rois)} regions are foreground; "
        f"{len(chosen)} shown",
    )


def draw_boxes(
    image: np.ndarray,
    boxes: ArrayLike | None = None,
    refined_boxes: ArrayLike | None = None,
    masks: Sequence | None = None,
    captions: Sequence[str] | None = None,
    visibilities: Sequence[int] | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """Draw boxes, what they are refined to, masks and captions; each may be left out.

    Args:
        image: uint8 [h, w, 3].
        boxes: [n, 4]; rows of zeros are left out.
        refined_boxes: [n, 4], solid, with a line from the box's corner; rows of zeros
            are left out.
        masks: list of bool [h, w] or None.
        captions: one per box.
        visibilities: int [n], 0 faint, 1 dotted (the default of boxes that are
            refined) or 2 solid (that of the others).
        title: of the figure.
        ax: axes to draw on; None for a new figure.

    Returns:
        The Figure, that of `ax` if one is given.
    """
    image = as_image(image)
    figure, ax = _axes(ax, (12, 12), title)
    count = max(len(v) for v in ((), boxes, refined_boxes, masks) if v is not None)
    if boxes is not None:
        boxes = as_boxes(boxes, count)
    if refined_boxes is not None:
        refined_boxes = as_boxes(refined_boxes, count, name="refined_boxes")
    require_count(count, masks=masks, captions=captions, visibilities=visibilities)
    if visibilities is None:
        visibilities = [2 if refined_boxes is None else 1] * count
    for i, color in enumerate(random_colors(count)):
        line = {"color": color, **LINES[visibilities[i]]}
        place = None
        if boxes is not None and np.any(boxes[i]):
            place = boxes[i]
            draw_rectangle(ax, place, **line)
        if refined_boxes is not None and np.any(refined_boxes[i]):
            if place is not None:
                (y1, x1), (end_y, end_x) = place[:2], refined_boxes[i][:2]
                ax.plot([x1, end_x], [y1, end_y], color=color, lw=1)
            place = refined_boxes[i]
            draw_rectangle(ax, place, color)
        if captions is not None and place is not None:
            _write(ax, place, captions[i])
        if masks is not None and masks[i] is not None:
            mask = as_mask(masks[i], image.shape[:2], name=f"masks[{i}]")
            image = apply_mask(image, mask, color)
            _draw_contours(ax, mask, color)
    ax.imshow(image)
    return figure


def display_top_masks(
    image: np.ndarray,
    mask: ArrayLike,
    class_ids: ArrayLike,
    class_names: Sequence[str],
    limit: int = 4,
) -> Figure:
    """Show an image and, for each of its largest classes, the union of their masks.

    Args:
        image: uint8 [h, w, 3].
        mask: bool [h, w, n].
        class_ids: int [n].
        class_names: by class id.
        limit: number of classes shown.
    """
    image = as_image(image)
    class_ids = np.asarray(class_ids)
    mask = as_mask(mask, image.shape[:2], 3, count=len(class_ids))
    unions = {i: mask[..., class_ids == i].any(axis=-1) for i in np.unique(class_ids)}
    largest = sorted(unions, key=lambda i: -np.count_nonzero(unions[i]))[:limit]
    empty = np.zeros(image.shape[:2], bool)
    pictures = [unions[i] for i in largest] + [empty] * (limit - len(largest))
    titles = [class_label(class_names, i) for i in largest]
    titles += ["-"] * (limit - len(largest))
    size = f"{image.shape[0]} x {image.shape[1]}"
    return display_images(
        [image, *pictures], [size, *titles], cols=limit + 1, cmap="Blues_r"
    )


def _showable(image):
    """Convert an image to an array that imshow does not clip."""
    array = np.asarray(image)
    if array.ndim == 2 and array.dtype.kind in "biuf":
        return array.astype(np.uint8) if array.dtype == bool else array
    if array.ndim == 3 and array.shape[2] == 3 and array.dtype.kind == "f":
        if np.all((array >= 0) & (array <= 1)):
            return array
    return as_image(image)


def _axes(ax, figsize, title):
    """(Figure, axes without ticks): those given, or new ones."""
    if ax is None:
        ax = Figure(figsize=figsize, layout="constrained").subplots()
    ax.set_title(title)
    ax.axis("off")
    return ax.figure, ax


def draw_rectangle(ax: Axes, box: ArrayLike, color: Any, **line: Any) -> None:
    """Draw a box (y1, x1, y2, x2); line: of matplotlib, solid and 2 points wide."""
    y1, x1, y2, x2 = box
    line = {"ls": "-", "lw": 2, "ec": color, "fill": False, **line}
    ax.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, **line))


def _write(ax, box, text):
    """Write a caption into a box's upper left corner, legible on any skin."""
    label = {"facecolor": "black", "alpha": 0.4, "pad": 1, "edgecolor": "none"}
    if text:
        ax.text(box[1], box[0], text, color="white", size=10, va="top", bbox=label)


def _draw_contours(ax, mask, color):
    """Draw the outline of a mask, closed at the border of the image too."""
    for line in find_contours(np.pad(mask, 1).astype(float), 0.5):
        ax.plot(line[:, 1] - 1, line[:, 0] - 1, color=color, lw=1)
