"""Samples of anchors for the RPN, with their targets."""

import keras
import tensorflow as tf

from .boxes import (
    GeometryLayer,
    box_refinement,
    map_images,
    overlap_crowd,
    overlaps,
    sample,
)

POSITIVE_IOU = 0.7  # paper: positive anchors have IoU > 0.7 ...
NEGATIVE_IOU = 0.3  # ... and negative ones < 0.3


class RPNTargets(GeometryLayer):
    """Sample anchors and compute their targets (Matterport's build_rpn_targets).

    anchors_per_image: sampled at most; half of them positive at most.
    std_dev: of the four deltas, [4].

    An anchor is positive above IoU 0.7, and so is the best anchor of every box, so
    that no lesion goes unlearned. An image without a lesion has negatives only. A
    crowd, many instances in one box, makes no anchor positive, and those that overlap
    it are not negative either.
    """

    def __init__(self, anchors_per_image, std_dev, **kwargs):
        super().__init__(**kwargs)
        self.anchors_per_image = anchors_per_image
        self.std_dev = tuple(std_dev)

    def call(self, anchors, gt_class_ids, gt_boxes, seed):
        """Sample for each image of the batch.

        anchors: [anchors, 4]; gt_boxes: [batch, instances, 4], both normalised.
        gt_class_ids: int32 [batch, instances], 0 where there is no instance, negative
        for a crowd.
        seed: int32 [batch, 2].
        Returns anchor_index int32 [batch, samples]; match int32 [batch, samples], 1
        positive, -1 negative, 0 not used; deltas [batch, samples, 4], in standard
        deviations, for the positive ones.
        """
        return map_images(
            lambda *image: self._image(anchors, *image),
            (gt_class_ids, gt_boxes, seed),
            self.compute_output_spec(anchors, gt_class_ids, gt_boxes, seed),
        )

    def compute_output_spec(self, anchors, gt_class_ids, gt_boxes, seed):
        """Return the shapes and types of call's results."""
        samples = self.anchors_per_image // 2 + self.anchors_per_image
        return (
            keras.KerasTensor([None, samples], "int32"),
            keras.KerasTensor([None, samples], "int32"),
            keras.KerasTensor([None, samples, 4]),
        )

    def _image(self, anchors, gt_class_ids, gt_boxes, seed):
        is_crowd = overlap_crowd(anchors, gt_class_ids, gt_boxes)
        gt_boxes = tf.boolean_mask(gt_boxes, gt_class_ids > 0)
        # A box of IoU -1 stands in where there is none, so that argmax has a column
        iou = overlaps(anchors, gt_boxes)  # [anchors, instances]
        iou = tf.pad(iou, [[0, 0], [0, 1]], constant_values=-1.0)
        gt_boxes = tf.concat([gt_boxes, [[0.0, 0.0, 1.0, 1.0]]], axis=0)

        best_iou = tf.reduce_max(iou, axis=1)
        best_of_box = tf.reduce_max(iou, axis=0)
        is_best = (iou == best_of_box) & (best_of_box > 0.0)
        positive = (best_iou > POSITIVE_IOU) | tf.reduce_any(is_best, axis=1)
        negative = (best_iou < NEGATIVE_IOU) & ~positive & ~is_crowd

        half = self.anchors_per_image // 2
        positives, is_positive = sample(positive, half, seed)
        negatives, is_negative = sample(negative, self.anchors_per_image, seed + 1)
        room = self.anchors_per_image - tf.reduce_sum(tf.cast(is_positive, tf.int32))
        is_negative &= tf.range(self.anchors_per_image) < room

        box = tf.gather(gt_boxes, tf.argmax(tf.gather(iou, positives), axis=1))
        deltas = box_refinement(tf.gather(anchors, positives), box) / self.std_dev
        deltas = tf.where(is_positive[:, None], deltas, 0.0)
        match = tf.concat(
            [tf.cast(is_positive, tf.int32), -tf.cast(is_negative, tf.int32)], axis=0
        )
        deltas = tf.pad(deltas, [[0, self.anchors_per_image], [0, 0]])
        return tf.concat([positives, negatives], axis=0), match, deltas
