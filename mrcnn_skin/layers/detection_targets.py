"""Samples of proposals for the heads, with their targets."""

import keras
import tensorflow as tf

from ..geometry.masks import FULL_COVERAGE, THRESHOLD
from .boxes import (
    GeometryLayer,
    box_refinement,
    crop_and_resize,
    map_images,
    overlap_crowd,
    overlaps,
    sample,
)

POSITIVE_IOU = 0.5


class DetectionTargetLayer(GeometryLayer):
    """Sample proposals and compute their targets (Matterport's layer of this name).

    rois_per_image: sampled at most; positive_ratio: of them positive at most.
    std_dev: of the four deltas, [4]; mask_shape: (height, width) of a mask target.
    mini_masks: the masks cover their instance's box, not the whole image.

    Two things differ from Matterport. The true boxes join the proposals, so that the
    heads learn while the RPN still misses; and an image without a lesion, or without
    a positive proposal, gives its share of negatives instead of nothing. As there, a
    crowd is no instance to learn, and proposals that overlap it are no negatives.
    """

    def __init__(
        self, rois_per_image, positive_ratio, std_dev, mask_shape, mini_masks, **kwargs
    ):
        super().__init__(**kwargs)
        self.rois_per_image = rois_per_image
        self.positive_ratio = positive_ratio
        self.std_dev = tuple(std_dev)
        self.mask_shape = tuple(mask_shape)
        self.mini_masks = mini_masks
        self.positives = max(1, round(rois_per_image * positive_ratio))

    def call(self, proposals, gt_class_ids, gt_boxes, gt_masks, seed):
        """Sample for each image of the batch.

        proposals: [batch, proposals, 4], normalised, padded with zeros.
        gt_class_ids: int32 [batch, instances], 0 where there is no instance, negative
        for a crowd.
        gt_boxes: [batch, instances, 4], normalised.
        gt_masks: uint8 [batch, instances, h, w], 0 to FULL_COVERAGE.
        seed: int32 [batch, 2].
        Returns, with R = rois_per_image and positives first:
        rois [batch, R, 4]; match int32 [batch, R], 1 positive, -1 negative, 0 padding;
        target_class_ids int32 [batch, R]; target_deltas [batch, R, 4], in standard
        deviations; target_masks [batch, R, *mask_shape], 0/1.
        """
        inputs = proposals, gt_class_ids, gt_boxes, gt_masks, seed
        specs = self.compute_output_spec(*inputs)
        outputs = map_images(self._image, inputs, specs)
        return tuple(tf.stop_gradient(output) for output in outputs)

    def compute_output_spec(self, proposals, gt_class_ids, gt_boxes, gt_masks, seed):
        """Return the shapes and types of call's results."""
        rows = [None, self.rois_per_image]
        return (
            keras.KerasTensor([*rows, 4]),
            keras.KerasTensor(rows, "int32"),
            keras.KerasTensor(rows, "int32"),
            keras.KerasTensor([*rows, 4]),
            keras.KerasTensor([*rows, *self.mask_shape]),
        )

    def _image(self, proposals, gt_class_ids, gt_boxes, gt_masks, seed):
        crowds = gt_class_ids, gt_boxes
        present = gt_class_ids > 0
        gt_class_ids = tf.boolean_mask(gt_class_ids, present)
        gt_boxes = tf.boolean_mask(gt_boxes, present)
        gt_masks = tf.boolean_mask(gt_masks, present)
        proposals = tf.concat([gt_boxes, proposals], axis=0)

        iou = overlaps(proposals, gt_boxes)
        iou = tf.pad(iou, [[0, 0], [0, 1]])  # a column even where there is no box
        best_iou = tf.reduce_max(iou, axis=1)
        is_region = tf.reduce_all(proposals[:, 2:] > proposals[:, :2], axis=1)
        positive, is_positive, negative, is_negative = self._sample(
            is_region & (best_iou >= POSITIVE_IOU),
            is_region & (best_iou < POSITIVE_IOU) & ~overlap_crowd(proposals, *crowds),
            seed,
        )
        gt_index = tf.argmax(tf.gather(iou, positive), axis=1, output_type=tf.int32)
        gt_index = tf.where(is_positive, gt_index, 0)
        # One more instance, so that index 0 exists in every image
        gt_class_ids = tf.pad(gt_class_ids, [[0, 1]])
        gt_boxes = tf.pad(gt_boxes, [[0, 1], [0, 0]], constant_values=1.0)
        gt_masks = tf.pad(gt_masks, [[0, 1], [0, 0], [0, 0]])

        rois = tf.gather(proposals, positive)
        boxes = tf.gather(gt_boxes, gt_index)
        rows = (
            tf.gather(gt_class_ids, gt_index),
            box_refinement(rois, boxes) / self.std_dev,
            self._masks(rois, boxes, gt_masks, gt_index),
        )
        rows = [_zero_where_not(is_positive, row) for row in rows]
        negatives = self.rois_per_image - self.positives
        rows = [
            tf.pad(row, [[0, negatives]] + [[0, 0]] * (row.shape.rank - 1))
            for row in rows
        ]
        match = [tf.cast(is_positive, tf.int32), -tf.cast(is_negative, tf.int32)]
        rois = tf.concat([rois, tf.gather(proposals, negative)], axis=0)
        match = tf.concat(match, axis=0)
        return (_zero_where_not(match != 0, rois), match, *rows)

    def _sample(self, positive, negative, seed):
        """Positives, and negatives in the fixed proportion to them."""
        positives, is_positive = sample(positive, self.positives, seed)
        count = self.rois_per_image - self.positives
        negatives, is_negative = sample(negative, count, seed + 1)
        found = tf.reduce_sum(tf.cast(is_positive, tf.float32))
        found = tf.where(found > 0, found, float(self.positives))
        room = tf.cast(tf.round(found * count / self.positives), tf.int32)
        return positives, is_positive, negatives, is_negative & (tf.range(count) < room)

    def _masks(self, rois, boxes, gt_masks, gt_index):
        """Cut each RoI's part of its instance's mask: [rois, *mask_shape], 0/1."""
        if self.mini_masks:  # RoI relative to the box that the mini mask covers
            origin = tf.tile(boxes[:, :2], [1, 2])
            size = tf.tile(boxes[:, 2:] - boxes[:, :2], [1, 2])
            rois = tf.math.divide_no_nan(rois - origin, size)
        gt_masks = tf.cast(gt_masks, tf.float32)[..., None]
        masks = crop_and_resize(gt_masks, rois, gt_index, self.mask_shape)[..., 0]
        return tf.cast(masks >= THRESHOLD * FULL_COVERAGE, tf.float32)


class MaskRois(GeometryLayer):
    """Select the RoIs of the Segment subnet: the positive ones.

    The first RoI of the batch is always included, since convolutions have no
    gradient over zero rows; MaskLoss gives it no weight unless it is positive.
    """

    def call(self, match):
        """match: int32 [batch, rois]. Returns bool [batch, rois]."""
        first = tf.one_hot(0, tf.size(match), on_value=True, off_value=False)
        return (match > 0) | tf.reshape(first, tf.shape(match))

    def compute_output_spec(self, match):
        return keras.KerasTensor(match.shape, "bool")


def _zero_where_not(condition, rows):
    """Zero the rows whose condition is false, NaN rows included."""
    shape = tf.concat(
        [tf.shape(condition), tf.ones([rows.shape.rank - 1], tf.int32)], 0
    )
    return tf.where(tf.reshape(condition, shape), rows, tf.zeros_like(rows))
