"""Features of regions, from the pyramid level that fits their size."""

import keras
import tensorflow as tf

from .boxes import GeometryLayer, crop_and_resize

FIRST_LEVEL = 2  # P2, the finest there is
CANONICAL_LEVEL, CANONICAL_SIDE = 4, 224.0  # FPN paper: 224 px regions go to P4


class PyramidROIAlign(GeometryLayer):
    """RoIAlign over pyramid levels (FPN paper, eq. 1; Mask R-CNN, section 3).

    pool_shape: (height, width) of the output.
    stride: of the first feature map, to know the image's size in pixels.
    first_level: number of the first feature map, 2 for P2.

    One bilinear sample a cell, with crop_and_resize, as Matterport does.
    """

    def __init__(self, pool_shape, stride=4, first_level=FIRST_LEVEL, **kwargs):
        super().__init__(**kwargs)
        self.pool_shape = tuple(pool_shape)
        self.stride = stride
        self.first_level = first_level

    def call(self, rois, feature_maps, keep=None):
        """Crop the features of every region; the RoI axis is folded into the batch.

        rois: [batch, rois, 4], normalised.
        feature_maps: of successive levels, [batch, h, w, channels], finest first.
        keep: bool [batch, rois], the regions wanted; all if None.
        Returns [batch * rois, pool_h, pool_w, channels], or as many rows as are kept.
        """
        batch, count = tf.shape(rois)[0], tf.shape(rois)[1]
        image = tf.repeat(tf.range(batch), count)
        rois = tf.reshape(tf.stop_gradient(rois), [-1, 4])
        if keep is not None:
            keep = tf.reshape(keep, [-1])
            rois, image = tf.boolean_mask(rois, keep), tf.boolean_mask(image, keep)
        level = self.levels(rois, tf.shape(feature_maps[0])[1:3], len(feature_maps))

        pooled, order = [], []
        for number, features in enumerate(feature_maps):
            index = tf.where(level == number)[:, 0]
            crops = crop_and_resize(
                tf.cast(features, tf.float32),
                tf.gather(rois, index),
                tf.gather(image, index),
                self.pool_shape,
            )
            pooled.append(crops)
            order.append(index)
        # Row i of the result is the row of the concatenation that holds RoI i
        back = tf.argsort(tf.concat(order, axis=0))
        pooled = tf.gather(tf.concat(pooled, axis=0), back)
        spec = self.compute_output_spec(rois, feature_maps)
        return tf.ensure_shape(pooled, spec.shape)

    def compute_output_spec(self, rois, feature_maps, keep=None):
        return keras.KerasTensor([None, *self.pool_shape, feature_maps[0].shape[-1]])

    def levels(self, rois, first_shape, count):
        """Index of each RoI's feature map: k = 4 + log2(sqrt(w h) / 224), in range.

        k is rounded, as Matterport's weights expect; the paper takes its floor.
        rois: [rois, 4]; first_shape: int [2], rows and columns of the first map.
        count: number of feature maps. Returns int32 [rois], 0 for the first map.
        """
        image = tf.cast(first_shape * self.stride, tf.float32)
        sides = (rois[:, 2:] - rois[:, :2]) * image
        side = tf.sqrt(tf.maximum(tf.reduce_prod(sides, axis=1), 1e-6))
        level = tf.round(tf.math.log(side / CANONICAL_SIDE) / tf.math.log(2.0))
        level = tf.cast(level, tf.int32) + CANONICAL_LEVEL - self.first_level
        return tf.clip_by_value(level, 0, count - 1)
