"""Anchors: the boxes of fixed sizes that the RPN scores and refines.

Only their places are made here; which of them are positive is decided by
mrcnn_skin.layers.rpn_targets.
"""

import numpy as np


def backbone_shapes(image_shape, strides):
    """Sizes of the feature maps of a backbone (Matterport's compute_backbone_shapes).

    image_shape: (height, width, ...), pixels.
    strides: pixels of the image per cell, one for each level.
    Returns int [levels, (height, width)], cells; a part of a cell counts as one.
    """
    size = np.asarray(image_shape[:2])
    return -(-size[None, :] // np.asarray(strides)[:, None])


def generate_anchors(scales, ratios, shape, feature_stride, anchor_stride):
    """Anchors of one feature map (Matterport's generate_anchors).

    scales: side of the square anchor, pixels; one number or several.
    ratios: width / height of the anchors, each with the area of scale x scale.
    shape: (height, width) of the feature map, cells.
    feature_stride: pixels of the image per cell.
    anchor_stride: cells from one anchor to the next.
    Returns float32 [N, (y1, x1, y2, x2)], pixels, reaching out of the image at its
    borders. Positions go row by row; in one position the ratios follow each other,
    and in one ratio the scales, as [rows, columns, anchors] of the RPN flattens.
    """
    scales, ratios = np.meshgrid(np.atleast_1d(scales), np.atleast_1d(ratios))
    root = np.sqrt(ratios.ravel())
    sizes = np.stack([scales.ravel() / root, scales.ravel() * root], axis=1)
    y = np.arange(0, shape[0], anchor_stride) * feature_stride
    x = np.arange(0, shape[1], anchor_stride) * feature_stride
    centers = np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1)
    centers = centers.reshape(-1, 1, 2)  # [positions, 1, (y, x)]
    boxes = np.concatenate([centers - sizes / 2, centers + sizes / 2], axis=2)
    return boxes.reshape(-1, 4).astype(np.float32)


def generate_pyramid_anchors(
    scales, ratios, feature_shapes, feature_strides, anchor_stride
):
    """Anchors of all levels of a feature pyramid, finest level first.

    scales: one per level, pixels.
    ratios, anchor_stride: the same on all levels, as in generate_anchors.
    feature_shapes: [levels, (height, width)], cells, as of backbone_shapes.
    feature_strides: one per level, pixels per cell.
    Returns float32 [N, (y1, x1, y2, x2)], pixels, one level after the other.
    Raises ValueError if the levels of the arguments differ in number.
    """
    counts = len(scales), len(feature_shapes), len(feature_strides)
    if len(set(counts)) != 1:
        raise ValueError(
            "scales, feature_shapes and feature_strides must have one entry per "
            f"level, got {counts[0]}, {counts[1]} and {counts[2]}"
        )
    levels = zip(scales, feature_shapes, feature_strides, strict=True)
    return np.concatenate(
        [
            generate_anchors(scale, ratios, shape, stride, anchor_stride)
            for scale, shape, stride in levels
        ]
    )
