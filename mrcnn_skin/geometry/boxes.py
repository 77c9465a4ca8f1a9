"""Boxes as NumPy arrays: from masks, overlaps, suppression, deltas, coordinates.

Boxes are [N, (y1, x1, y2, x2)] with y2 and x2 outside the box, and results are
float32 unless said otherwise. The tensor versions used inside the network live in
mrcnn_skin.layers, not here.
"""

import numpy as np

from .inputs import as_boxes, as_mask, require_count


def extract_bboxes(mask):
    """Tightest box around each mask (Matterport's extract_bboxes).

    mask: [height, width, N], as of inputs.as_mask.
    Returns int32 [N, (y1, x1, y2, x2)], pixels; zeros for an empty mask.
    Raises ValueError as as_mask does.
    """
    mask = as_mask(mask, ndim=3)
    if not mask.size:
        return np.zeros([mask.shape[2], 4], np.int32)
    height, width = mask.shape[:2]
    rows = mask.any(axis=1)  # [height, N]
    columns = mask.any(axis=0)  # [width, N]
    y1, x1 = rows.argmax(axis=0), columns.argmax(axis=0)
    y2 = height - rows[::-1].argmax(axis=0)
    x2 = width - columns[::-1].argmax(axis=0)
    boxes = np.stack([y1, x1, y2, x2], axis=1)
    return (boxes * rows.any(axis=0)[:, None]).astype(np.int32)


def compute_overlaps(boxes1, boxes2):
    """Intersection over union of every pair of boxes.

    boxes1, boxes2: [N, (y1, x1, y2, x2)] and [M, ...], both in the same unit.
    Returns float32 [N, M]; 0 where neither box has an area.
    """
    boxes1, boxes2 = as_boxes(boxes1, name="boxes1"), as_boxes(boxes2, name="boxes2")
    intersection = _intersections(boxes1, boxes2)
    return _over_union(intersection, _areas(boxes1), _areas(boxes2))


def compute_iou(box, boxes, box_area, boxes_area):
    """Intersection over union of one box with many, whose areas are known already.

    box: [(y1, x1, y2, x2)]; boxes: [N, 4], in the same unit.
    box_area: number; boxes_area: [N].
    Returns float32 [N]; 0 where neither box has an area.
    """
    boxes = as_boxes(boxes)
    require_count(len(boxes), boxes_area=boxes_area)
    intersection = _intersections(as_boxes([box], name="box"), boxes)
    areas = np.array([box_area], np.float32), np.asarray(boxes_area, np.float32)
    return _over_union(intersection, *areas)[0]


def compute_overlaps_masks(masks1, masks2):
    """Intersection over union of every pair of masks.

    masks1, masks2: [height, width, N] and [height, width, M], as of inputs.as_mask.
    Returns float32 [N, M]; 0 where both masks are empty.
    Raises ValueError as as_mask does, and if the two differ in height or width, unless
    one of them holds no mask.
    """
    masks1 = as_mask(masks1, ndim=3, name="masks1")
    masks2 = as_mask(masks2, ndim=3, name="masks2")
    if not (masks1.shape[2] and masks2.shape[2]):
        return np.zeros([masks1.shape[2], masks2.shape[2]], np.float32)
    if masks1.shape[:2] != masks2.shape[:2]:
        raise ValueError(
            f"masks1 and masks2 must have the same height and width, "
            f"got {masks1.shape[:2]} and {masks2.shape[:2]}"
        )
    pixels = masks1.shape[0] * masks1.shape[1]
    flat1 = masks1.reshape(pixels, masks1.shape[2]).astype(np.float32)
    flat2 = masks2.reshape(pixels, masks2.shape[2]).astype(np.float32)
    return _over_union(flat1.T @ flat2, flat1.sum(axis=0), flat2.sum(axis=0))


def non_max_suppression(boxes, scores, threshold):
    """Greedy suppression: the best box removes those that overlap it too much.

    boxes:  [N, (y1, x1, y2, x2)], any unit.
    scores: [N]; of equal scores the earlier box goes first.
    threshold: a box goes when its IoU with a kept one is greater than this.
    Returns int32 [kept], indices into boxes, best score first.
    Raises ValueError if boxes and scores differ in N.
    """
    boxes, scores = as_boxes(boxes), np.ravel(np.asarray(scores, float))
    require_count(len(boxes), scores=scores)
    kept = []
    order = np.argsort(-scores, kind="stable")
    while order.size:
        best, rest = order[0], order[1:]
        kept.append(best)
        order = rest[compute_overlaps(boxes[best, None], boxes[rest])[0] <= threshold]
    return np.array(kept, dtype=np.int32)


def apply_box_deltas(boxes, deltas):
    """Move and stretch boxes by predicted deltas (Faster R-CNN, eq. 2).

    boxes:  [N, (y1, x1, y2, x2)], any unit.
    deltas: [N, (dy, dx, log(dh), log(dw))], not divided by a standard deviation.
    Returns [N, (y1, x1, y2, x2)], in the unit of boxes, unclipped.
    Raises ValueError if the two differ in N.
    """
    boxes = as_boxes(boxes)
    deltas = as_boxes(deltas, len(boxes), name="deltas")
    centers, sizes = _to_center_size(boxes)
    centers = centers + deltas[:, :2] * sizes
    half = sizes * np.exp(deltas[:, 2:]) / 2
    return np.concatenate([centers - half, centers + half], axis=1)


def box_refinement(box, gt_box):
    """Deltas that turn box into gt_box; the inverse of apply_box_deltas.

    box, gt_box: [N, (y1, x1, y2, x2)], both in the same unit.
    Returns [N, (dy, dx, log(dh), log(dw))], not divided by a standard deviation.
    Raises ValueError if the two differ in N, or where a box has no area: no finite
    delta leads from or to it.
    """
    box = as_boxes(box, name="box")
    gt_box = as_boxes(gt_box, len(box), name="gt_box")
    centers, sizes = _to_center_size(box)
    gt_centers, gt_sizes = _to_center_size(gt_box)
    if (sizes <= 0).any() or (gt_sizes <= 0).any():
        smallest = min(sizes.min(), gt_sizes.min())
        raise ValueError(
            "box and gt_box must have heights and widths above 0, got "
            f"{smallest:g} for one of them"
        )
    return np.concatenate(
        [(gt_centers - centers) / sizes, np.log(gt_sizes / sizes)], axis=1
    )


def clip_boxes(boxes, window):
    """Cut boxes off at the borders of a window.

    boxes:  [N, (y1, x1, y2, x2)]; window: (y1, x1, y2, x2), in the same unit.
    Returns [N, (y1, x1, y2, x2)]; a box outside the window loses its area.
    """
    y1, x1, y2, x2 = window
    return np.clip(as_boxes(boxes), [y1, x1, y1, x1], [y2, x2, y2, x2])


def norm_boxes(boxes, shape):
    """Pixels to normalised coordinates (Matterport's norm_boxes).

    A box's last pixel, not the border beyond it, is divided by the index of the
    image's last pixel: (0, 0, height, width) becomes (0, 0, 1, 1). This is the
    convention of tf.image.crop_and_resize.

    boxes: [N, (y1, x1, y2, x2)], pixels, y2 and x2 outside the box.
    shape: (height, width, ...) of the image, pixels, at least 2 each.
    Returns [N, (y1, x1, y2, x2)], normalised, y2 and x2 inside the box.
    """
    scale, shift = _norm_scale_shift(shape)
    return (as_boxes(boxes) - shift) / scale


def denorm_boxes(boxes, shape):
    """Normalised to pixel coordinates, rounded; the inverse of norm_boxes.

    boxes: [N, (y1, x1, y2, x2)], normalised, y2 and x2 inside the box.
    shape: (height, width, ...) of the image, pixels, at least 2 each.
    Returns int32 [N, (y1, x1, y2, x2)], pixels, y2 and x2 outside the box.
    """
    scale, shift = _norm_scale_shift(shape)
    return np.around(as_boxes(boxes) * scale + shift).astype(np.int32)


def _norm_scale_shift(shape):
    height, width = shape[:2]
    if height < 2 or width < 2:
        raise ValueError(f"shape must be at least 2 x 2, got {height} x {width}")
    scale = np.array([height - 1, width - 1] * 2, dtype=np.float32)
    return scale, np.array([0, 0, 1, 1], dtype=np.float32)


def _to_center_size(boxes):
    sizes = boxes[:, 2:] - boxes[:, :2]
    return boxes[:, :2] + sizes / 2, sizes


def _intersections(boxes1, boxes2):
    """Common area of every pair of boxes: [N, 4] and [M, 4] give [N, M]."""
    top_left = np.maximum(boxes1[:, None, :2], boxes2[None, :, :2])
    bottom_right = np.minimum(boxes1[:, None, 2:], boxes2[None, :, 2:])
    return np.maximum(bottom_right - top_left, 0).prod(axis=2)


def _areas(boxes):
    return (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)


def _over_union(intersection, areas1, areas2):
    union = areas1[:, None] + areas2[None, :] - intersection
    return np.divide(
        intersection, union, out=np.zeros_like(intersection), where=union > 0
    )
