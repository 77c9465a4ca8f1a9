"""Cut the features around single anchors out of the pyramid.

What the RPN says about an anchor depends on these few cells alone; running it there
is in graph/rpn.py, and which anchors are wanted in rpn_targets.py.
"""

import keras
import tensorflow as tf


class AnchorPatches(keras.layers.Layer):
    """What a 3x3 convolution sees at single anchors.

    anchors_per_location: of one cell. anchor_stride: of the convolution, 1 for every
    cell; its padding is "same".
    """

    def __init__(self, anchors_per_location, anchor_stride=1, **kwargs):
        super().__init__(**kwargs)
        self.anchors_per_location = anchors_per_location
        self.anchor_stride = anchor_stride

    def call(self, pyramid, anchor_index):
        """Cut one patch an anchor.

        pyramid: maps of levels, each [batch, h, w, channels]. anchor_index: int32
        [batch, anchors], among the anchors of all levels, finest first, row by row.
        Returns [batch * anchors, 3, 3, channels]. Zeros lie beyond the border of a
        level.
        """
        patches, start = 0.0, 0
        for features in pyramid:
            size = tf.shape(features)[1:3]
            cells = -(-size // self.anchor_stride)  # rows and columns of anchors
            location = (anchor_index - start) // self.anchors_per_location
            cell = tf.stack([location // cells[1], location % cells[1]], axis=-1)
            # An anchor of a coarser level lies behind the last row, one of a finer
            # level before the first: its patch here is to be zeros
            is_here = (location >= 0) & (location < cells[0] * cells[1])
            patches += self._cut(features, self._centers(cell, size, cells), is_here)
            start += cells[0] * cells[1] * self.anchors_per_location
        return tf.reshape(patches, [-1, *patches.shape[2:]])

    def compute_output_spec(self, pyramid, anchor_index):
        channels = pyramid[0].shape[-1]
        return keras.KerasTensor([None, 3, 3, channels], self.compute_dtype)

    def _centers(self, cell, size, cells):
        """Where the 3x3 kernel's middle lies on a level of `size`, for each cell."""
        overhang = tf.maximum((cells - 1) * self.anchor_stride + 3 - size, 0)
        return cell * self.anchor_stride + 1 - overhang // 2

    def _cut(self, features, centers, is_here):
        """Patches [batch, anchors, 3, 3, channels] around `centers`."""
        size = tf.shape(features)[1:3]
        reach = tf.range(-1, 2)
        rows = centers[..., 0, None, None] + reach[:, None]  # [batch, anchors, 3, 1]
        columns = centers[..., 1, None, None] + reach
        is_inside = is_here[..., None, None] & (rows >= 0) & (rows < size[0])
        is_inside &= (columns >= 0) & (columns < size[1])
        channels = features.shape[-1]
        flat = tf.reshape(features, [tf.shape(features)[0], -1, channels])
        index = tf.where(is_inside, rows * size[1] + columns, 0)
        patches = tf.gather(flat, index, batch_dims=1)
        return tf.where(is_inside[..., None], patches, tf.zeros_like(patches))
