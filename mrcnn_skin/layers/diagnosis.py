"""One diagnosis for all regions of an image (Config.DIAGNOSIS "image")."""

import keras
import tensorflow as tf

from .boxes import GeometryLayer


class SharedDiagnosis(GeometryLayer):
    """Let all regions of an image vote on the class of its lesion.

    A dermoscopy image shows one lesion, and the regions beside the best one are wider,
    narrower and shifted views of it. Each still says itself whether it is a lesion.
    """

    def call(self, probs, rois):
        """Share the classes' part in what is not background.

        probs: [batch, rois, classes], the background's first; rois: [batch, rois, 4],
        padded with zeros. Each region counts alike. Returns [batch, rois, classes]: of
        each region its own P(background), and the image's mean of the other classes,
        P(class) / (1 - P(background)), scaled to the rest.
        """
        lesion = tf.reduce_sum(probs[..., 1:], axis=-1, keepdims=True)
        votes = tf.reduce_all(rois[..., 2:] > rois[..., :2], axis=-1, keepdims=True)
        votes &= lesion > 0.0  # else the background's certainty underflowed the rest
        shares = tf.where(votes, probs[..., 1:] / tf.where(votes, lesion, 1.0), 0.0)
        count = tf.reduce_sum(tf.cast(votes, tf.float32), axis=1, keepdims=True)
        mean = tf.reduce_sum(shares, axis=1, keepdims=True) / tf.maximum(count, 1.0)
        return tf.concat([probs[..., :1], lesion * mean], axis=-1)

    def compute_output_spec(self, probs, rois):
        return keras.KerasTensor(probs.shape)
