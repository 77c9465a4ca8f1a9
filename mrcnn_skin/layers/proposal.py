"""From the RPN's scores and deltas to the proposals for the heads."""

import keras
import tensorflow as tf

from .boxes import GeometryLayer, apply_box_deltas, clip_boxes, map_images


class ProposalLayer(GeometryLayer):
    """Refine the best anchors and drop those that overlap better ones.

    proposal_count: number of proposals, padded with zeros.
    nms_threshold: IoU above which the lower score is dropped.
    pre_nms_limit: number of anchors before NMS, best first.
    std_dev: of the four deltas, [4].
    """

    def __init__(self, proposal_count, nms_threshold, pre_nms_limit, std_dev, **kwargs):
        super().__init__(**kwargs)
        self.proposal_count = proposal_count
        self.nms_threshold = nms_threshold
        self.pre_nms_limit = pre_nms_limit
        self.std_dev = tuple(std_dev)

    def call(self, rpn_probs, rpn_deltas, anchors):
        """Propose regions for each image.

        rpn_probs: [batch, anchors, (background, foreground)].
        rpn_deltas: [batch, anchors, 4], in standard deviations.
        anchors: [anchors, 4], normalised.
        Returns proposals [batch, proposal_count, 4], normalised, clipped to the
        image, best first; and their foreground probability [batch, proposal_count].
        """
        count = tf.minimum(self.pre_nms_limit, tf.shape(anchors)[0])
        scores, index = tf.math.top_k(rpn_probs[..., 1], count)
        deltas = tf.gather(rpn_deltas, index, batch_dims=1) * self.std_dev
        boxes = apply_box_deltas(tf.gather(anchors, index), deltas)
        boxes = clip_boxes(boxes, tf.constant([0.0, 0.0, 1.0, 1.0]))
        # Boxes of diverged weights become padding: the loss is then NaN, which is
        # reported, instead of a crash in crop_and_resize
        finite = tf.reduce_all(tf.math.is_finite(boxes), axis=-1)
        finite &= tf.math.is_finite(scores)
        boxes = tf.where(finite[..., None], boxes, 0.0)
        scores = tf.where(finite, scores, 0.0)
        specs = self.compute_output_spec(rpn_probs, rpn_deltas, anchors)
        return map_images(self._suppress, (boxes, scores), specs)

    def compute_output_spec(self, rpn_probs, rpn_deltas, anchors):
        return (
            keras.KerasTensor([None, self.proposal_count, 4]),
            keras.KerasTensor([None, self.proposal_count]),
        )

    def _suppress(self, boxes, scores):
        keep = tf.image.non_max_suppression(
            boxes, scores, self.proposal_count, self.nms_threshold
        )
        padding = self.proposal_count - tf.shape(keep)[0]
        return (
            tf.pad(tf.gather(boxes, keep), [[0, padding], [0, 0]]),
            tf.pad(tf.gather(scores, keep), [[0, padding]]),
        )
