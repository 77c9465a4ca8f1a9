"""How unlike the training images an image is."""

import keras
import tensorflow as tf

from .boxes import GeometryLayer


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


class LesionDoubt(GeometryLayer):
    """The probability that even the best region shows no lesion, over a limit.

    Training images show a lesion each. Skin without one has familiar features, but no
    region that is sure to be a lesion. inference/familiarity.py sets the limit.
    """

    def build(self, probs_shape, rois_shape):
        """Make the limit; with that of 1 no image is doubted."""
        self.limit = self.add_weight([1], "ones", name="limit", trainable=False)

    def call(self, probs, rois):
        """Return the doubt over the limit, [batch].

        probs: [batch, rois, classes], the background's first; rois: [batch, rois, 4],
        padded with zeros.
        """
        is_region = tf.reduce_all(rois[..., 2:] > rois[..., :2], axis=-1)
        background = tf.where(is_region, probs[..., 0], 1.0)
        return tf.reduce_min(background, axis=1) / self.limit

    def compute_output_spec(self, probs, rois):
        return keras.KerasTensor(probs.shape[:1])
