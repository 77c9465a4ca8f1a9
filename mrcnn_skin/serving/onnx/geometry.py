"""Box arithmetic, RoIAlign and suppression in ONNX's operators, for whole batches.

The twins of the layers of the same names in mrcnn_skin/layers, whose settings they
read. `op` writes an operator into the graph (onnxscript.OpBuilder); + - * / between
values do so too. Boxes are (y1, x1, y2, x2), normalised as in layers/boxes.py.
"""

from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir
from onnx import TensorProto

from ...layers.detection import CLASS_OFFSET
from ...layers.roi_align import CANONICAL_LEVEL, CANONICAL_SIDE


@contextmanager
def arithmetic(op):
    """Make + - * / between values write operators into the graph of `op`."""
    before = onnx_ir.set_value_magic_handler(op)
    try:
        yield
    finally:
        onnx_ir.set_value_magic_handler(before)


CORNERS = (0.0, 0.0, 1.0, 1.0)  # the whole image, normalised; and norm_boxes' shift


@dataclass
class Map:
    """A feature map in ONNX's layout, [batch, channels, h, w]."""

    nchw: Any


def constant(op, values):
    return op.Constant(value=onnx_ir.tensor(np.asarray(values, np.float32)))


def to_float(op, x):
    return op.Cast(x, to=TensorProto.FLOAT)


def to_int(op, x):
    return op.Cast(x, to=TensorProto.INT64)


def part(op, x, start, stop, axis=-1):
    """Slice x[..., start:stop], or along another axis."""
    return op.Slice(x, [start], [stop], [axis])


def halves(op, boxes):
    """Split boxes [..., 4] into the corners (y1, x1) and (y2, x2)."""
    return part(op, boxes, 0, 2), part(op, boxes, 2, 4)


def twice(op, pair):
    """Repeat [..., 2] as [..., 4], for both corners of a box."""
    return op.Concat(pair, pair, axis=-1)


def box_scale(op, size):
    """Return the factor from normalised boxes to pixels, [4]; size: (height, width)."""
    return twice(op, size) - 1.0


def apply_box_deltas(op, boxes, deltas):
    """Refine boxes [..., 4] by deltas [..., 4]; the twin of layers.boxes."""
    top_left, bottom_right = halves(op, boxes)
    shift, stretch = halves(op, deltas)
    size = bottom_right - top_left
    center = top_left + (shift + 0.5) * size
    size = size * op.Exp(stretch)
    top_left = center - size * 0.5
    return op.Concat(top_left, top_left + size, axis=-1)


def clip_boxes(op, boxes, window):
    low, high = (twice(op, corner) for corner in halves(op, window))
    return op.Min(op.Max(boxes, low), high)


def have_area(op, boxes):
    """Return which boxes have a height and a width, bool [..., 1]."""
    top_left, bottom_right = halves(op, boxes)
    sides = op.ReduceMin(bottom_right - top_left, [-1], keepdims=1)
    return op.Greater(sides, 0.0)


def suppress(op, boxes, scores, rows, limit, nms_threshold, min_score=None):
    """Apply non-maximum suppression to every image.

    Args:
        op: the builder.
        boxes: [batch, n, 4].
        scores: [batch, n].
        rows: [batch, n, columns], the values of each box.
        limit: highest number of boxes to keep.
        nms_threshold: IoU.
        min_score: scores must exceed it; None for no limit.

    Returns:
        rows [batch, limit, columns], best first, padded with zeros, and the number of
        boxes, int64 [batch].
    """
    found = op.NonMaxSuppression(
        boxes,
        op.Unsqueeze(scores, [1]),
        [limit],
        [nms_threshold],
        *([] if min_score is None else [[min_score]]),
    )  # [found, (image, 0, box)], best first within an image
    image, box = part(op, found, 0, 1), part(op, found, 2, 3)
    batch = op.Shape(boxes, start=0, end=1)
    is_of = op.Equal(image, op.Range(0, op.Squeeze(batch), 1))  # [found, batch]
    is_of = to_int(op, is_of)
    # The first of an image has place 0, and so on
    place = op.ReduceSum(op.CumSum(is_of, 0) * is_of, [1], keepdims=1) - 1
    columns = op.Shape(rows, start=2, end=3)
    padded = op.Expand(0.0, op.Concat(batch, [limit], columns, axis=0))
    kept = op.GatherND(rows, op.Concat(image, box, axis=1))
    padded = op.ScatterND(padded, op.Concat(image, place, axis=1), kept)
    return padded, op.ReduceSum(is_of, [0], keepdims=0)


def propose(op, layer, probs, deltas, anchors):
    """ProposalLayer.call, without its check for boxes that are not finite."""
    count = op.Min([layer.pre_nms_limit], op.Shape(anchors, start=0, end=1))
    foreground = op.Squeeze(part(op, probs, 1, 2), [2])
    scores, index = op.TopK(foreground, count, _outputs=2)
    deltas = op.GatherND(deltas, op.Unsqueeze(index, [2]), batch_dims=1)
    boxes = op.Gather(anchors, index)
    boxes = apply_box_deltas(op, boxes, deltas * list(layer.std_dev))
    boxes = clip_boxes(op, boxes, constant(op, CORNERS))
    rows = op.Concat(boxes, op.Unsqueeze(scores, [2]), axis=-1)
    rows, _ = suppress(
        op, boxes, scores, rows, layer.proposal_count, layer.nms_threshold
    )
    return part(op, rows, 0, 4), op.Squeeze(part(op, rows, 4, 5), [2])


def detect(op, layer, rois, probs, deltas, window):
    """DetectionLayer.call."""
    classes = part(op, probs, 1, np.iinfo(np.int64).max)
    class_ids = op.ArgMax(classes, axis=-1, keepdims=1) + 1  # [batch, rois, 1]
    if layer.score == "class":
        scores = op.ReduceMax(classes, [-1], keepdims=1)
    else:
        scores = 1.0 - part(op, probs, 0, 1)
    deltas = op.GatherND(deltas, class_ids, batch_dims=2) * list(layer.std_dev)
    boxes = apply_box_deltas(op, rois, deltas)
    boxes = clip_boxes(op, boxes, op.Unsqueeze(window, [1]))
    is_region = op.And(have_area(op, rois), have_area(op, boxes))
    scores = op.Where(is_region, scores, 0.0)

    background = part(op, probs, 0, 1) if layer.score == "class" else 0.0
    is_lesion = op.And(op.Greater(scores, background), is_region)
    class_ids = to_float(op, class_ids)
    rows = op.Concat(boxes, class_ids, scores, probs, axis=-1)
    shifted = boxes + CLASS_OFFSET * class_ids if layer.score == "class" else boxes
    found = op.Where(is_lesion, scores, 0.0)
    low = op.LessOrEqual(op.ReduceMax(found, [1], keepdims=1), layer.min_confidence)
    if layer.keep_best:
        any_lesion = op.Greater(op.ReduceMax(found, [1], keepdims=1), 0.0)
        ranked = op.Where(any_lesion, found, scores)
        # Where none is sure enough, a score of 2 for the best and 0 for the others
        best = op.ArgMax(ranked, axis=1, keepdims=1)
        places = op.Range(0, op.Squeeze(op.Shape(scores, start=1, end=2)), 1)
        is_best = op.Equal(op.Unsqueeze(places, [1]), best)
        any_region = op.Greater(op.ReduceMax(scores, [1], keepdims=1), 0.0)
        alone = to_float(op, is_best) * 2.0
        found = op.Where(op.And(low, any_region), alone, found)
    found = op.Squeeze(found, [2])
    rows, count = suppress(
        op,
        shifted,
        found,
        rows,
        layer.max_instances,
        layer.nms_threshold,
        layer.min_confidence,
    )
    detections = part(op, rows, 0, 6)
    probs = part(op, rows, 6, np.iinfo(np.int64).max)
    return detections, probs, count, op.Squeeze(low, [1, 2])


def share_diagnosis(op, layer, probs, rois):
    """SharedDiagnosis.call."""
    background = part(op, probs, 0, 1)
    classes = part(op, probs, 1, np.iinfo(np.int64).max)
    lesion = op.ReduceSum(classes, [-1], keepdims=1)
    votes = op.And(have_area(op, rois), op.Greater(lesion, 0.0))
    shares = op.Where(votes, classes / op.Where(votes, lesion, 1.0), 0.0)
    count = op.ReduceSum(to_float(op, votes), [1], keepdims=1)
    mean = op.ReduceSum(shares, [1], keepdims=1) / op.Max(count, 1.0)
    return op.Concat(background, lesion * mean, axis=-1)


def pool_content(op, layer, features, image):
    """ContentPool.call."""
    colours = op.ReduceMax(image.nchw, [1], keepdims=1)
    stride = [layer.stride] * 2
    weights = op.AveragePool(
        to_float(op, op.Greater(colours, 0.0)),
        kernel_shape=stride,
        strides=stride,
        auto_pad="SAME_UPPER",
    )
    total = op.ReduceSum(features.nchw * weights, [2, 3], keepdims=0)
    return total / op.Max(op.ReduceSum(weights, [2, 3], keepdims=0), 1e-6)


def distance(op, layer, features):
    """Unfamiliarity.call."""
    x = (features - constant(op, layer.mean)) * constant(op, layer.scale)
    explained = op.MatMul(x, constant(op, layer.factors))
    total, explained = (
        op.ReduceSum(values * values, [-1], keepdims=0) for values in (x, explained)
    )
    return total - explained


def doubt(op, layer, probs, rois):
    """LesionDoubt.call."""
    background = op.Where(have_area(op, rois), part(op, probs, 0, 1), 1.0)
    return op.ReduceMin(background, [1, 2], keepdims=0) / constant(op, layer.limit)


def make_anchors(op, layer, image):
    """Anchors.call."""
    size = op.Shape(image.nchw, start=2, end=4)
    levels = [
        _level_anchors(op, layer, size, scale, stride)
        for scale, stride in zip(layer.scales, layer.strides, strict=True)
    ]
    anchors = op.Concat(*levels, axis=0)
    shift = constant(op, CORNERS)
    return (anchors - shift) / box_scale(op, to_float(op, size))


def _level_anchors(op, layer, size, scale, stride):
    """Return the anchors of one level, [rows * columns * ratios, 4], pixels."""
    step = layer.anchor_stride * stride
    y, x = (to_float(op, op.Range(0, op.Gather(size, axis), step)) for axis in (0, 1))
    root = np.sqrt(np.array(layer.ratios, np.float32))
    half = np.stack([scale / root, scale * root], axis=-1) / 2  # [ratios, 2]
    around = constant(op, np.concatenate([-half, half], axis=-1)[None, None])
    y, x = op.Unsqueeze(y, [1, 2, 3]), op.Unsqueeze(x, [0, 2, 3])
    centers = op.Concat(y + x * 0.0, x + y * 0.0, axis=-1)  # [rows, columns, 1, 2]
    return op.Reshape(twice(op, centers) + around, [-1, 4])


def roi_align(op, layer, rois, feature_maps):
    """PyramidROIAlign.call without `keep`.

    RoiAlign samples the middles of cells, crop_and_resize the corners of the box as
    well: the same points if the box is wider by half a cell all round.
    """
    batch, count = (op.Shape(rois, start=i, end=i + 1) for i in (0, 1))
    image = op.Unsqueeze(op.Range(0, op.Squeeze(batch), 1), [1])
    image = op.Reshape(op.Expand(image, op.Concat(batch, count, axis=0)), [-1])
    rois = op.Reshape(rois, [-1, 4])
    if len(feature_maps) == 1:
        return Map(_crop(op, layer, rois, image, feature_maps[0].nchw))
    level = _levels(op, layer, rois, feature_maps)
    pooled, order = [], []
    for number, features in enumerate(feature_maps):
        index = op.Reshape(op.NonZero(op.Equal(level, float(number))), [-1])
        chosen = op.Gather(rois, index), op.Gather(image, index)
        pooled.append(_crop(op, layer, *chosen, features.nchw))
        order.append(op.Unsqueeze(index, [1]))
    pooled, order = op.Concat(*pooled, axis=0), op.Concat(*order, axis=0)
    unsorted = op.Expand(0.0, op.Shape(pooled))
    return Map(op.ScatterND(unsorted, order, pooled))


def _levels(op, layer, rois, feature_maps):
    """PyramidROIAlign.levels, as floats."""
    top_left, bottom_right = halves(op, rois)
    shape = op.Shape(feature_maps[0].nchw, start=2, end=4)
    sides = (bottom_right - top_left) * to_float(op, shape * layer.stride)
    side = op.Sqrt(op.Max(op.ReduceProd(sides, [1], keepdims=0), 1e-6))
    level = op.Round(op.Log(side / CANONICAL_SIDE) / float(np.log(2.0)))
    level = level + float(CANONICAL_LEVEL - layer.first_level)
    return op.Clip(level, 0.0, len(feature_maps) - 1.0)


def _crop(op, layer, rois, image, features):
    height, width = layer.pool_shape
    last = to_float(op, op.Shape(features, start=2, end=4)) - 1.0
    top_left, bottom_right = (corner * last for corner in halves(op, rois))
    cells = constant(op, [height - 1, width - 1])
    half_cell = (bottom_right - top_left) / cells * 0.5
    wider = op.Concat(top_left - half_cell, bottom_right + half_cell, axis=-1)
    wider = op.Gather(wider + 0.5, [1, 0, 3, 2], axis=1)  # x before y
    return op.RoiAlign(
        features,
        wider,
        image,
        output_height=height,
        output_width=width,
        sampling_ratio=1,
        coordinate_transformation_mode="half_pixel",
    )
