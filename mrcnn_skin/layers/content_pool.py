"""The mean of a feature map over the image, without the padding around it."""

import keras
import tensorflow as tf


class ContentPool(keras.layers.Layer):
    """Global average pooling over the part of a canvas that is not padding.

    stride: of the feature map, pixels of the image for one of its cells.

    A plain mean would depend on the image's aspect ratio, and differ between a padded
    canvas and one cut to the content. Padding is black, and a cell counts by its share
    of pixels that are not; so black rims of the lens do not count either.
    """

    def __init__(self, stride, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})  # for long sums
        self.stride = stride

    def call(self, features, image):
        """features: [batch, h, w, channels]; image: [batch, h stride, w stride, c].

        image: 0 where it is black. Returns [batch, channels], 0 for a black image.
        """
        shown = tf.reduce_max(tf.cast(image > 0, tf.float32), axis=-1, keepdims=True)
        weights = tf.nn.avg_pool2d(shown, self.stride, self.stride, "SAME")
        total = tf.reduce_sum(features * weights, axis=[1, 2])
        return total / tf.maximum(tf.reduce_sum(weights, axis=[1, 2]), 1e-6)
