"""One diagnosis an image, from the class probabilities of its regions."""

import keras
import tensorflow as tf

from .boxes import GeometryLayer


@keras.saving.register_keras_serializable(package="mrcnn_skin")
class Diagnosis(GeometryLayer):
    """P(malignant) of an image: the mean over its regions.

    malignant_class_ids: whose probabilities add up to malignancy.
    """

    def __init__(self, malignant_class_ids, **kwargs):
        super().__init__(**kwargs)
        self.malignant_class_ids = tuple(malignant_class_ids)

    def call(self, probs, boxes):
        """Diagnose each image of the batch.

        probs: [batch, regions, classes], the background's first; boxes: [batch,
        regions, 4], all zeros where there is no region. A region says P(malignant)
        among the classes that are not background, and each region counts alike.
        Returns [batch], NaN for an image without a region.
        """
        malignant = tf.reduce_sum(
            tf.gather(probs, self.malignant_class_ids, axis=-1), axis=-1
        )
        lesion = tf.reduce_sum(probs[..., 1:], axis=-1)
        counts = tf.reduce_all(boxes[..., 2:] > boxes[..., :2], axis=-1)
        counts &= lesion > 0.0  # else the background's certainty underflowed the rest
        ratio = tf.where(counts, malignant / tf.where(counts, lesion, 1.0), 0.0)
        count = tf.reduce_sum(tf.cast(counts, tf.float32), axis=-1)
        mean = tf.reduce_sum(ratio, axis=-1) / tf.maximum(count, 1.0)
        return tf.where(count > 0.0, mean, float("nan"))

    def get_config(self):
        return {
            **super().get_config(),
            "malignant_class_ids": self.malignant_class_ids,
        }
