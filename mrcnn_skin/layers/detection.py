"""From the outputs of the heads to the final detections of each image."""

import keras
import tensorflow as tf

from .boxes import GeometryLayer, apply_box_deltas, clip_boxes, map_images

CLASS_OFFSET = 2.0  # moves classes apart in normalised coordinates, for NMS by class


class DetectionLayer(GeometryLayer):
    """Refine the RoIs by the deltas of their class, score them, apply NMS.

    max_instances: number of detections, padded with zeros.
    min_confidence: score that a RoI must exceed.
    nms_threshold: IoU above which the lower score is dropped.
    std_dev: of the four deltas, [4].
    score: "class", the probability of the RoI's class, each class on its own, and no
        RoI whose likeliest class is the background, as in Matterport; "lesion",
        1 - P(background), all classes together.
    keep_best: return the best RoI of an image where none exceeds min_confidence; one
        whose likeliest class is the background only if there is no other.
    """

    def __init__(
        self,
        max_instances,
        min_confidence,
        nms_threshold,
        std_dev,
        score="class",
        keep_best=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.max_instances = max_instances
        self.min_confidence = min_confidence
        self.nms_threshold = nms_threshold
        self.std_dev = tuple(std_dev)
        self.score = score
        self.keep_best = keep_best

    def call(self, rois, probs, deltas, window):
        """Detect in each image of the batch.

        rois: [batch, rois, 4], normalised, padded with zeros.
        probs: [batch, rois, classes]; deltas: [batch, rois, classes, 4], in standard
        deviations. window: [batch, 4], normalised, the part that is not padding.
        Returns, with D = max_instances and best first: detections [batch, D,
        (y1, x1, y2, x2, class_id, score)]; their class probabilities [batch, D,
        classes]; num_detections int32 [batch]; low_confidence bool [batch], true
        where no score exceeds min_confidence.
        """
        class_ids = tf.argmax(probs[..., 1:], axis=-1, output_type=tf.int32) + 1
        if self.score == "class":
            scores = tf.gather(probs, class_ids, batch_dims=2)
            is_lesion = scores > probs[..., 0]
        else:
            scores = 1.0 - probs[..., 0]
            is_lesion = scores > 0.0
        deltas = tf.gather(deltas, class_ids, batch_dims=2) * self.std_dev
        is_region = tf.reduce_all(rois[..., 2:] > rois[..., :2], axis=-1)
        boxes = clip_boxes(apply_box_deltas(rois, deltas), window[:, None])
        is_region &= tf.reduce_all(boxes[..., 2:] > boxes[..., :2], axis=-1)
        scores = tf.where(is_region, scores, 0.0)
        is_lesion &= is_region

        return map_images(
            self._suppress,
            (boxes, scores, is_lesion, class_ids, probs),
            self.compute_output_spec(rois, probs, deltas, window),
        )

    def compute_output_spec(self, rois, probs, deltas, window):
        """Return the shapes and types of call's results."""
        return (
            keras.KerasTensor([None, self.max_instances, 6]),
            keras.KerasTensor([None, self.max_instances, probs.shape[-1]]),
            keras.KerasTensor([None], "int32"),
            keras.KerasTensor([None], "bool"),
        )

    def _suppress(self, boxes, scores, is_lesion, class_ids, probs):
        found = tf.where(is_lesion, scores, 0.0)
        shifted = boxes
        if self.score == "class":
            shifted += CLASS_OFFSET * tf.cast(class_ids, tf.float32)[:, None]
        keep = tf.image.non_max_suppression(
            shifted,
            found,
            self.max_instances,
            self.nms_threshold,
            score_threshold=self.min_confidence,
        )
        low = tf.reduce_max(found) <= self.min_confidence
        if self.keep_best:
            ranked = tf.where(tf.reduce_any(is_lesion), found, scores)
            best = tf.argmax(ranked, output_type=tf.int32)[None]
            any_region = tf.reduce_max(scores) > 0.0
            keep = tf.cond(low & any_region, lambda: best, lambda: keep)
        rows = tf.concat(
            [boxes, tf.cast(class_ids, tf.float32)[:, None], scores[:, None]], axis=1
        )
        count = tf.shape(keep)[0]
        padding = [[0, self.max_instances - count], [0, 0]]
        rows = tf.pad(tf.gather(rows, keep), padding)
        return rows, tf.pad(tf.gather(probs, keep), padding), count, low
