"""How far an image lies from the training images, by its pooled features."""

import keras
import tensorflow as tf


class Unfamiliarity(keras.layers.Layer):
    """Squared Mahalanobis distance from the features of the training images.

    As Lee et al. (2018) use it, with the covariance of probabilistic PCA (Tipping and
    Bishop, 1999). components: principal components whose variances are kept; that of
    all others is one number. inference/familiarity.py sets the weights so that a
    distance above 1 is unfamiliar. Until then every image is.
    """

    def __init__(self, components, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32", "trainable": False})
        self.components = components

    def build(self, input_shape):
        """Make the statistics; before a fit every image is unfamiliar."""
        size = input_shape[-1]
        for name, shape, value in (
            ("mean", [size], "ones"),
            ("scale", [size], keras.initializers.Constant(1e9)),
            ("factors", [size, self.components], "zeros"),
        ):
            weight = self.add_weight(shape, value, name=name, trainable=False)
            setattr(self, name, weight)

    def call(self, features):
        """features: [batch, size]. Returns distances [batch]."""
        x = (features - self.mean) * self.scale
        explained = tf.reduce_sum(tf.square(tf.matmul(x, self.factors)), axis=-1)
        return tf.reduce_sum(tf.square(x), axis=-1) - explained
