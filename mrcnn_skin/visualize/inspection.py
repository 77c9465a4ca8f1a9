"""Figures of the steps inside the network: anchors, proposals, RoIs, feature maps.

The steps are recomputed from a graph's outputs (MaskRCNN.run_graph) with the functions
of geometry/. Boxes are (y1, x1, y2, x2), pixels of the canvas unless a docstring says
normalised.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from ..config import Config
from ..geometry.anchors import backbone_shapes, generate_anchors
from ..geometry.boxes import (
    apply_box_deltas,
    clip_boxes,
    compute_overlaps,
    denorm_boxes,
    non_max_suppression,
    norm_boxes,
)
from ..geometry.inputs import as_boxes, as_image, require_count
from ..layers.roi_align import FIRST_LEVEL, PyramidROIAlign
from ..layers.rpn_targets import NEGATIVE_IOU, POSITIVE_IOU
from .instances import display_images, draw_rectangle, random_colors

UNIT_WINDOW = (0, 0, 1, 1)


def draw_box_sets(
    image: np.ndarray, box_sets: dict[str, ArrayLike], limit: int = 30, cols: int = 4
) -> Figure:
    """Draw several sets of boxes, each on its own copy of an image.

    Args:
        image: uint8 [h, w, 3].
        box_sets: {title: [n, 4]}.
        limit: number of boxes that are drawn of each set, the first in red.
        cols: images per row.
    """
    titles = [
        f"{title}\n{len(boxes)} boxes"
        + (f", the first {limit} drawn" if len(boxes) > limit else "")
        for title, boxes in box_sets.items()
    ]
    figure = display_images([image] * len(box_sets), titles, cols)
    for ax, boxes in zip(figure.axes, box_sets.values(), strict=False):
        boxes = as_boxes(boxes)[:limit]
        for box, color in zip(boxes, random_colors(len(boxes)), strict=True):
            draw_rectangle(ax, box, color, lw=1.3)
    return figure


def draw_anchor_levels(image: np.ndarray, config: Config) -> Figure:
    """Draw the anchor positions of each of RPN_LEVELS, and the anchors in the middle.

    Args:
        image: uint8 [h, w, 3], of the network's size.
        config: the Config of the anchors.
    """
    image = as_image(image)
    strides = config.RPN_STRIDES
    shapes = backbone_shapes(image.shape, strides)
    levels, titles = [], []
    for number, scale, shape, stride in zip(
        config.RPN_LEVELS, config.RPN_ANCHOR_SCALES, shapes, strides, strict=True
    ):
        anchors = generate_anchors(
            scale, config.RPN_ANCHOR_RATIOS, shape, stride, config.RPN_ANCHOR_STRIDE
        )
        levels.append(anchors.reshape(-1, len(config.RPN_ANCHOR_RATIOS), 4))
        title = f"P{number}: every {stride} px, side {scale:g} px"
        titles.append(f"{title}\n{len(anchors)} anchors")
    figure = display_images([image] * len(levels), titles, cols=len(levels))
    for ax, anchors in zip(figure.axes, levels, strict=True):
        centers = (anchors[:, 0, :2] + anchors[:, 0, 2:]) / 2
        ax.plot(centers[:, 1], centers[:, 0], ".", color="white", ms=2)
        nearest = np.square(centers - np.array(image.shape[:2]) / 2).sum(axis=1)
        for box in anchors[nearest.argmin()]:
            draw_rectangle(ax, box, "yellow", lw=1.3)
        ax.set(xlim=(0, image.shape[1]), ylim=(image.shape[0], 0))
    return figure


def rpn_target_sets(
    anchors: ArrayLike,
    rpn_match: np.ndarray,
    rpn_bbox: np.ndarray,
    gt_boxes: ArrayLike,
    config: Config,
) -> dict[str, np.ndarray]:
    """Sort an image's anchors by their targets.

    Args:
        anchors: [anchors, 4].
        rpn_match, rpn_bbox: as of build_rpn_targets.
        gt_boxes: [n, 4].
        config: a Config.

    Returns:
        {title: boxes} for draw_box_sets: positive anchors, the same moved by their
        targets, sampled negative anchors, and neutral ones, which are never sampled.
    """
    anchors = np.asarray(anchors)
    positive = anchors[rpn_match == 1]
    deltas = rpn_bbox[: len(positive)] * config.RPN_BBOX_STD_DEV
    iou = compute_overlaps(anchors, gt_boxes).max(axis=1, initial=0)
    is_neutral = (iou >= NEGATIVE_IOU) & (iou <= POSITIVE_IOU) & (rpn_match != 1)
    return {
        "positive": positive,
        "positive, moved by their targets": apply_box_deltas(positive, deltas),
        "negative, sampled": anchors[rpn_match == -1],
        f"neutral: IoU {NEGATIVE_IOU} to {POSITIVE_IOU}": anchors[is_neutral],
    }


def proposal_steps(
    rpn_probs: ArrayLike,
    rpn_deltas: ArrayLike,
    anchors: ArrayLike,
    image_shape: Sequence[int],
    config: Config,
) -> dict[str, np.ndarray]:
    """Repeat the steps of ProposalLayer for one image.

    Args:
        rpn_probs: [anchors, (background, foreground)].
        rpn_deltas: [anchors, (dy, dx, log(dh), log(dw))], in standard deviations.
        anchors: [anchors, 4], normalised.
        image_shape: (height, width, ...) of the canvas.
        config: the Config of the network.

    Returns:
        {title: int32 [n, 4]} for draw_box_sets, each best first.
    """
    scores = np.asarray(rpn_probs)[:, 1]
    best = np.argsort(-scores, kind="stable")[: config.PRE_NMS_LIMIT]
    boxes = np.asarray(anchors)[best]
    deltas = np.asarray(rpn_deltas)[best] * config.RPN_BBOX_STD_DEV
    refined = apply_box_deltas(boxes, deltas)
    clipped = clip_boxes(refined, UNIT_WINDOW)
    kept = non_max_suppression(clipped, scores[best], config.RPN_NMS_THRESHOLD)
    proposals = clipped[kept[: config.POST_NMS_ROIS_INFERENCE]]
    steps = {
        "best anchors": boxes,
        "refined": refined,
        "clipped to the image": clipped,
        "after NMS": proposals,
    }
    return {title: denorm_boxes(step, image_shape) for title, step in steps.items()}


def detection_steps(
    rois: np.ndarray,
    probs: np.ndarray,
    deltas: np.ndarray,
    window: Sequence[float],
    image_shape: Sequence[int],
    config: Config,
) -> dict[str, np.ndarray]:
    """Repeat the steps of DetectionLayer for one image.

    Args:
        rois: [rois, 4], normalised.
        probs: [rois, classes], the background first.
        deltas: [rois, classes, (dy, dx, log(dh), log(dw))], in standard deviations.
        window: (y1, x1, y2, x2), the part of the canvas that is not padding.
        image_shape: (height, width, ...) of the canvas.
        config: the Config of the network.

    Returns:
        {title: int32 [n, 4]} for draw_box_sets, each best first.
    """
    class_ids = probs[:, 1:].argmax(axis=1) + 1
    rows = np.arange(len(rois))
    by_class = config.DETECTION_SCORE == "class"
    scores = probs[rows, class_ids] if by_class else 1 - probs[:, 0]
    is_lesion = scores > probs[:, 0] if by_class else scores > 0
    best = np.lexsort((-scores, ~is_lesion))  # those of the background come last
    rois, scores, class_ids = rois[best], scores[best], class_ids[best]
    own_deltas = deltas[best, class_ids] * config.BBOX_STD_DEV
    refined = apply_box_deltas(rois, own_deltas)
    refined = clip_boxes(refined, norm_boxes([window], image_shape)[0])
    sure = np.flatnonzero(is_lesion[best] & (scores > config.DETECTION_MIN_CONFIDENCE))
    if not len(sure) and config.DETECTION_KEEP_BEST:
        sure = rows[:1]
    # Classes are moved apart, so that none suppresses another
    apart = refined + 2 * by_class * class_ids[:, None]
    kept = non_max_suppression(
        apart[sure], scores[sure], config.DETECTION_NMS_THRESHOLD
    )
    steps = {
        "regions": rois,
        "refined for their class": refined,
        f"score above {config.DETECTION_MIN_CONFIDENCE:g}": refined[sure],
        "after NMS": refined[sure][kept[: config.DETECTION_MAX_INSTANCES]],
    }
    return {title: denorm_boxes(step, image_shape) for title, step in steps.items()}


def rois_by_level(
    rois: ArrayLike, image_shape: Sequence[int], config: Config
) -> dict[str, np.ndarray]:
    """Sort regions by the pyramid level of their features.

    Args:
        rois: [n, 4].
        image_shape: (height, width, ...) of the canvas.
        config: the Config of the network.

    Returns:
        {title: boxes} for draw_box_sets, one of each of ROI_LEVELS.
    """
    rois = np.asarray(rois)
    levels, first = config.ROI_LEVELS, config.ROI_LEVELS[0]
    stride = config.BACKBONE_STRIDES[first - FIRST_LEVEL]
    align = PyramidROIAlign((config.POOL_SIZE,) * 2, stride, first)
    first_shape = np.array(image_shape[:2]) // stride
    normalised = norm_boxes(rois, image_shape)
    level = align.levels(normalised, first_shape, len(levels)).numpy()
    return {f"P{number}": rois[level == number - first] for number in levels}


def display_roi_align(
    image: np.ndarray, rois: ArrayLike, pooled: ArrayLike, limit: int = 6
) -> Figure:
    """Show regions of an image above their pooled features.

    Args:
        image: uint8 [h, w, 3].
        rois: [n, 4].
        pooled: [n, pool_h, pool_w, channels], shown as the mean magnitude of the
            channels.
        limit: number of regions.
    """
    image, rois = as_image(image), as_boxes(rois, name="rois")
    pooled = np.asarray(pooled)[: len(rois)]  # less padding
    require_count(len(rois), pooled=pooled)
    window = 0, 0, *image.shape[:2]
    rois = clip_boxes(rois[:limit], window).round().astype(int)
    crops = [image[y1:y2, x1:x2] for y1, x1, y2, x2 in rois]
    maps = list(np.abs(pooled[: len(rois)]).mean(axis=-1))
    titles = [f"{crop.shape[0]} x {crop.shape[1]} px" for crop in crops]
    titles += ["{} x {} cells".format(*features.shape) for features in maps]
    return display_images([*crops, *maps], titles, cols=max(len(rois), 1))


def plot_class_probabilities(
    probs: ArrayLike, class_names: Sequence[str], limit: int = 60
) -> Figure:
    """Plot the class probabilities of regions, the most probable lesion first.

    Args:
        probs: [n, classes].
        class_names: by class id, the background first.
        limit: number of regions.
    """
    probs = np.asarray(probs)
    probs = probs[np.argsort(probs[:, 0], kind="stable")][:limit]
    figure = Figure(figsize=(12, 3), layout="constrained")
    ax = figure.subplots()
    below = np.zeros(len(probs))
    for class_id in [*range(1, len(class_names)), 0]:  # the background on top
        color = f"C{class_id - 1}" if class_id else "lightgrey"
        heights = probs[:, class_id]
        name = class_names[class_id]
        ax.bar(range(len(probs)), heights, 0.9, below, color=color, label=name)
        below = below + heights
    ax.set(xlabel="region, by 1 - P(background)", ylabel="probability", ylim=(0, 1))
    ax.margins(x=0.01)
    ax.legend(loc="upper right")
    return figure


def display_activations(values: dict[str, ArrayLike], channels: int = 6) -> Figure:
    """Show the channels of feature maps that vary most, a row for each map.

    Each channel has a colour scale of its own.

    Args:
        values: {name: [1, h, w, channels]}, as of run_graph for one image.
        channels: number shown of each map.
    """
    pictures, titles = [], []
    for name, features in values.items():
        features = np.asarray(features)[0]
        spread = features.std(axis=(0, 1))
        order = np.argsort(-spread, kind="stable")[:channels]
        blank = np.zeros(features.shape[:2])
        for place in range(channels):
            is_there = place < len(order)
            pictures.append(features[..., order[place]] if is_there else blank)
            titles.append(f"{name} [{order[place]}]" if is_there else "")
    return display_images(pictures, titles, cols=channels)
