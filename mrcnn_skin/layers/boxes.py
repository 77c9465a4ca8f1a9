"""Box arithmetic on tensors, shared by the layers; the twins of geometry/boxes.py.

Boxes are (y1, x1, y2, x2) in normalised coordinates unless a docstring says
otherwise: (pixels - (0, 0, 1, 1)) / (h - 1, w - 1, h - 1, w - 1), as in Matterport.
"""

import keras
import tensorflow as tf

CROWD_IOU = 0.001  # from this IoU on a box overlaps a crowd, as in Matterport


class GeometryLayer(keras.layers.Layer):
    """Base of the layers that compute boxes: float32 always, and never under XLA.

    Half precision would move boxes by a quarter of a pixel; XLA has no kernel for
    non-maximum suppression nor for crop_and_resize.

    Each defines compute_output_spec: Keras would trace call() to find the shapes, which
    took most of the time of building a graph.
    """

    def __init__(self, **kwargs):
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        self.supports_jit = False


def map_images(function, inputs, specs):
    """Call `function` on the tensors of each image of a batch.

    inputs: tuple of tensors [batch, ...], the arguments of `function` without their
    first axis. specs: KerasTensors [batch, ...] of the results. Returns their tuple.
    """
    types = tuple(tf.as_dtype(spec.dtype) for spec in specs)
    results = tf.map_fn(lambda rows: function(*rows), inputs, fn_output_signature=types)
    pairs = zip(results, specs, strict=True)
    return tuple(tf.ensure_shape(result, spec.shape) for result, spec in pairs)


def apply_box_deltas(boxes, deltas):
    """Refine boxes by deltas (R-CNN, appendix C); unclipped.

    boxes: [..., 4]; deltas: [..., (dy, dx, log(dh), log(dw))]. Returns [..., 4].
    """
    y1, x1, y2, x2 = tf.unstack(boxes, axis=-1)
    dy, dx, dh, dw = tf.unstack(deltas, axis=-1)
    height, width = y2 - y1, x2 - x1
    center_y = y1 + (0.5 + dy) * height
    center_x = x1 + (0.5 + dx) * width
    height, width = height * tf.exp(dh), width * tf.exp(dw)
    top, left = center_y - 0.5 * height, center_x - 0.5 * width
    return tf.stack([top, left, top + height, left + width], axis=-1)


def box_refinement(boxes, gt_boxes):
    """Deltas that turn `boxes` into `gt_boxes`: the inverse of apply_box_deltas.

    boxes, gt_boxes: [..., 4], of positive height and width.
    Returns [..., (dy, dx, log(dh), log(dw))].
    """
    y1, x1, y2, x2 = tf.unstack(boxes, axis=-1)
    gt_y1, gt_x1, gt_y2, gt_x2 = tf.unstack(gt_boxes, axis=-1)
    height, width = y2 - y1, x2 - x1
    gt_height, gt_width = gt_y2 - gt_y1, gt_x2 - gt_x1
    dy = (gt_y1 + 0.5 * gt_height - y1 - 0.5 * height) / height
    dx = (gt_x1 + 0.5 * gt_width - x1 - 0.5 * width) / width
    return tf.stack(
        [dy, dx, tf.math.log(gt_height / height), tf.math.log(gt_width / width)],
        axis=-1,
    )


def clip_boxes(boxes, window):
    """Clip boxes [..., 4] to a window that broadcasts against them, [..., 4]."""
    low = tf.stack([window[..., 0], window[..., 1]] * 2, axis=-1)
    high = tf.stack([window[..., 2], window[..., 3]] * 2, axis=-1)
    return tf.clip_by_value(boxes, low, high)


def overlaps(boxes1, boxes2):
    """IoU of every pair: boxes1 [n, 4], boxes2 [m, 4]. Returns [n, m]."""
    first, second = boxes1[:, None], boxes2[None]
    corner1 = tf.maximum(first[..., :2], second[..., :2])
    corner2 = tf.minimum(first[..., 2:], second[..., 2:])
    intersection = tf.reduce_prod(tf.maximum(corner2 - corner1, 0.0), axis=-1)
    area1 = tf.reduce_prod(first[..., 2:] - first[..., :2], axis=-1)
    area2 = tf.reduce_prod(second[..., 2:] - second[..., :2], axis=-1)
    return tf.math.divide_no_nan(intersection, area1 + area2 - intersection)


def overlap_crowd(boxes, gt_class_ids, gt_boxes):
    """Which boxes overlap a crowd, so that they are no examples of background.

    boxes: [n, 4]; gt_class_ids: int [m], negative for a crowd; gt_boxes: [m, 4].
    Returns bool [n].
    """
    crowds = tf.boolean_mask(gt_boxes, gt_class_ids < 0)
    return tf.reduce_any(overlaps(boxes, crowds) >= CROWD_IOU, axis=1)


def norm_boxes(boxes, shape):
    """Pixels to normalised coordinates (Matterport's norm_boxes_graph).

    boxes: [..., 4], pixels; shape: (height, width) of the image, ints or int tensors.
    """
    height, width = tf.cast(shape[0], tf.float32), tf.cast(shape[1], tf.float32)
    scale = tf.stack([height, width, height, width]) - 1.0
    return (tf.cast(boxes, tf.float32) - (0.0, 0.0, 1.0, 1.0)) / scale


def denorm_boxes(boxes, shape):
    """The inverse of norm_boxes: [..., 4] float32 in pixels, not rounded."""
    height, width = tf.cast(shape[0], tf.float32), tf.cast(shape[1], tf.float32)
    scale = tf.stack([height, width, height, width]) - 1.0
    return boxes * scale + (0.0, 0.0, 1.0, 1.0)


def crop_and_resize(images, boxes, image_index, shape):
    """tf.image.crop_and_resize, kept off the far border.

    There its rounding carries the last row or column of samples beyond the image in
    one of five boxes, and fills it with zeros.

    images: [batch, h, w, c], sides up to some 1000; boxes: [n, 4], normalised.
    image_index: int32 [n]; shape: (height, width). Returns float32 [n, *shape, c].
    """
    inside = boxes * (1.0 - 1e-6)  # a thousandth of a pixel less at the most
    return tf.image.crop_and_resize(images, inside, image_index, shape)


def sample(mask, count, seed):
    """Choose at most `count` of the entries that are true, at random but repeatably.

    mask: bool [n]; count: int; seed: int32 [2].
    Returns (indices int32 [count], chosen bool [count]); where there are fewer than
    `count` entries the rest is not chosen and its indices mean nothing.
    """
    size = tf.shape(mask)[0]
    key = tf.random.stateless_uniform([size], seed)
    key = tf.where(mask, key, -1.0)
    key = tf.concat([key, tf.fill([count], -1.0)], axis=0)  # at least `count` long
    values, indices = tf.math.top_k(key, count)
    return tf.minimum(indices, tf.maximum(size - 1, 0)), values >= 0.0
