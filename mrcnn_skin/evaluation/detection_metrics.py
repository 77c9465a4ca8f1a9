"""Match detections with true instances; average precision.

The definitions are those of Matterport's utils: VOC's, with the IoU of masks. The
scores of the ISIC challenges are in metrics.py.
"""

import numpy as np

from ..geometry.boxes import compute_overlaps, compute_overlaps_masks
from ..geometry.inputs import as_boxes, as_mask, require_count

COCO_THRESHOLDS = np.arange(50, 100, 5) / 100


def compute_matches(
    gt_boxes,
    gt_class_ids,
    gt_masks,
    pred_boxes,
    pred_class_ids,
    pred_scores,
    pred_masks,
    iou_threshold=0.5,
    score_threshold=0.0,
):
    """Match detections with true instances, in the order of their scores.

    A detection matches the free instance of its class with the largest mask IoU, if
    that is at least iou_threshold.

    Args:
        gt_boxes: [N, (y1, x1, y2, x2)]; rows of zeros at the end are padding.
        gt_class_ids: int [N], or padded as the boxes are.
        gt_masks: bool [height, width, N], or padded.
        pred_boxes, pred_class_ids, pred_masks: the same of M detections.
        pred_scores: [M], or padded.
        iou_threshold: lowest IoU of a match.
        score_threshold: a second one, as in Matterport.

    Returns:
        gt_match [N], the detection of each instance; pred_match [M], the instance of
        each detection, -1 for none; overlaps [M, N], IoU of masks. Detections are
        numbered by falling score.

    Raises:
        ValueError: for values that are missing or unusable.
    """
    gt_class_ids, gt_masks = _without_padding(
        gt_boxes, gt_masks, "gt_", gt_class_ids=gt_class_ids
    )
    of_detections = {"pred_class_ids": pred_class_ids, "pred_scores": pred_scores}
    pred_class_ids, pred_scores, pred_masks = _without_padding(
        pred_boxes, pred_masks, "pred_", **of_detections
    )
    order = np.argsort(-pred_scores.astype(float), kind="stable")
    pred_class_ids = pred_class_ids[order]
    overlaps = compute_overlaps_masks(pred_masks[..., order], gt_masks)
    count, found = len(gt_class_ids), len(order)
    gt_match, pred_match = np.full(count, -1), np.full(found, -1)
    least = max(iou_threshold, score_threshold)
    for row, iou in enumerate(overlaps):
        for instance in np.argsort(-iou, kind="stable"):
            if iou[instance] < least:
                break
            is_free = gt_match[instance] < 0
            if is_free and pred_class_ids[row] == gt_class_ids[instance]:
                gt_match[instance], pred_match[row] = row, instance
                break
    return gt_match, pred_match, overlaps


def _without_padding(boxes, masks, prefix, **values):
    """The values [N] and masks [height, width, N] of all boxes but those of padding."""
    boxes = as_boxes(boxes, name=f"{prefix}boxes")
    count = np.flatnonzero(boxes.any(axis=1)).max(initial=-1) + 1
    masks = as_mask(masks, ndim=3, name=f"{prefix}masks")[..., :count]
    values = {name: np.asarray(value)[:count] for name, value in values.items()}
    require_count(count, **values, **{f"{prefix}masks": np.moveaxis(masks, -1, 0)})
    return *values.values(), masks


def compute_ap(
    gt_boxes,
    gt_class_ids,
    gt_masks,
    pred_boxes,
    pred_class_ids,
    pred_scores,
    pred_masks,
    iou_threshold=0.5,
):
    """Compute the average precision of one image at one IoU threshold.

    Precision is made monotonic and summed over the steps of recall. All classes share
    one ranking. The arguments are those of compute_matches.

    Returns:
        AP, 0 without a true instance; precisions and recalls [M + 2], after each
        detection by falling score, with both ends; overlaps [M, N].
    """
    truth = gt_boxes, gt_class_ids, gt_masks
    prediction = pred_boxes, pred_class_ids, pred_scores, pred_masks
    gt_match, pred_match, overlaps = compute_matches(*truth, *prediction, iou_threshold)
    hits = np.cumsum(pred_match >= 0)
    precisions = hits / np.arange(1, len(hits) + 1)
    recalls = hits / max(len(gt_match), 1)
    precisions = np.concatenate([[0], precisions, [0]])
    recalls = np.concatenate([[0], recalls, [1]])
    precisions = np.maximum.accumulate(precisions[::-1])[::-1]
    ap = float(np.sum(np.diff(recalls) * precisions[1:]))
    return ap, precisions, recalls, overlaps


def compute_ap_range(
    gt_box,
    gt_class_id,
    gt_mask,
    pred_box,
    pred_class_id,
    pred_score,
    pred_mask,
    iou_thresholds=None,
    verbose=1,
):
    """Return the mean of compute_ap over IoU thresholds, by default COCO's.

    The arguments are those of compute_matches; verbose prints the AP of each threshold.
    """
    thresholds = COCO_THRESHOLDS if iou_thresholds is None else iou_thresholds
    truth = gt_box, gt_class_id, gt_mask
    prediction = pred_box, pred_class_id, pred_score, pred_mask
    values = []
    for threshold in thresholds:
        values.append(compute_ap(*truth, *prediction, iou_threshold=threshold)[0])
        if verbose:
            print(f"AP @{threshold:.2f}:\t {values[-1]:.3f}")
    mean = float(np.mean(values))
    if verbose:
        print(f"AP @{thresholds[0]:.2f}-{thresholds[-1]:.2f}:\t {mean:.3f}")
    return mean


def compute_recall(pred_boxes, gt_boxes, iou):
    """Compute the share of true boxes that a predicted box overlaps by `iou` or more.

    A predicted box counts for the true box that it overlaps most.

    Args:
        pred_boxes: [M, (y1, x1, y2, x2)].
        gt_boxes: [N, ...], in the same unit.
        iou: lowest IoU.

    Returns:
        Recall, 0 without a true box, and int [K], the predicted boxes that reach `iou`.
    """
    overlaps = compute_overlaps(pred_boxes, gt_boxes)  # [M, N]
    if not overlaps.size:
        return 0.0, np.empty([0], int)
    positive_ids = np.flatnonzero(overlaps.max(axis=1) >= iou)
    matched = set(overlaps.argmax(axis=1)[positive_ids])
    return len(matched) / len(gt_boxes), positive_ids
