"""Anchors of an image of any size, and boxes into the graph's coordinates."""

import keras
import tensorflow as tf

from .boxes import GeometryLayer, norm_boxes


class Anchors(GeometryLayer):
    """Anchors of all pyramid levels, finest first.

    scales: anchor side in pixels, one a level; ratios: width / height.
    strides: of each level's feature map; anchor_stride: 1 for every cell.
    The twin of geometry.anchors.generate_pyramid_anchors.
    """

    def __init__(self, scales, ratios, strides, anchor_stride=1, **kwargs):
        super().__init__(**kwargs)
        self.scales = tuple(scales)
        self.ratios = tuple(ratios)
        self.strides = tuple(strides)
        self.anchor_stride = anchor_stride

    def call(self, image):
        """image: [batch, h, w, c]. Returns [anchors, 4], normalised."""
        shape = tf.shape(image)[1:3]
        levels = [
            self._level(shape, scale, stride)
            for scale, stride in zip(self.scales, self.strides, strict=True)
        ]
        anchors = norm_boxes(tf.concat(levels, axis=0), shape)
        return tf.ensure_shape(anchors, [None, 4])

    def compute_output_spec(self, image):
        return keras.KerasTensor([None, 4])

    def _level(self, shape, scale, stride):
        root = tf.sqrt(tf.constant(self.ratios, tf.float32))
        heights, widths = scale / root, scale * root  # [ratios]
        rows, columns = (-(-shape[axis] // stride) for axis in (0, 1))
        y = tf.cast(tf.range(0, rows, self.anchor_stride) * stride, tf.float32)
        x = tf.cast(tf.range(0, columns, self.anchor_stride) * stride, tf.float32)
        y, x, heights = y[:, None, None], x[None, :, None], heights[None, None]
        half_h = 0.5 * heights + 0.0 * (y + x)  # [rows, columns, ratios]
        half_w = 0.5 * widths[None, None] + 0.0 * (y + x)
        boxes = tf.stack([y - half_h, x - half_w, y + half_h, x + half_w], axis=-1)
        return tf.reshape(boxes, [-1, 4])


class NormBoxes(GeometryLayer):
    """Boxes [batch, n, 4] in pixels of `image` [batch, h, w, c] to normalised ones."""

    def call(self, boxes, image):
        return norm_boxes(boxes, tf.shape(image)[1:3])

    def compute_output_spec(self, boxes, image):
        return keras.KerasTensor(boxes.shape)
