"""RPN targets against an independent calculation in NumPy, over many anchors."""

import numpy as np
import pytest
import tensorflow as tf

from mrcnn_skin.geometry import anchors as anchors_np
from mrcnn_skin.geometry import boxes as boxes_np
from mrcnn_skin.layers.rpn_targets import RPNTargets

STD = (0.1, 0.1, 0.2, 0.2)
SIDE = 64
GT_BOXES = [[8, 8, 40, 41], [30, 20, 63, 60]]


def targets(anchors, gt_boxes, class_ids, samples=32, seed=(1, 2)):
    outputs = RPNTargets(samples, STD)(
        tf.constant(anchors),
        tf.constant([class_ids]),
        tf.constant(np.array([gt_boxes], np.float32)),
        tf.constant([seed]),
    )
    return [output.numpy()[0] for output in outputs]


@pytest.fixture(scope="module")
def scene():
    """Anchors and boxes, normalised, and their IoU by NumPy."""
    shapes = anchors_np.backbone_shapes((SIDE, SIDE), (4, 8))
    pixels = anchors_np.generate_pyramid_anchors(
        (16, 32), (0.5, 1, 2), shapes, (4, 8), 1
    )
    anchors = boxes_np.norm_boxes(pixels, (SIDE, SIDE))
    gt_boxes = boxes_np.norm_boxes(GT_BOXES, (SIDE, SIDE))
    return anchors, gt_boxes, boxes_np.compute_overlaps(anchors, gt_boxes)


def test_every_sampled_anchor_is_what_its_iou_says(scene):
    anchors, gt_boxes, iou = scene
    # A third row is padding, as large as the image: it must not count
    padded = np.concatenate([gt_boxes, [[0, 0, 1, 1]]])
    seen = {1: set(), -1: set()}
    for step in range(40):
        index, match, deltas = targets(anchors, padded, [1, 2, 0], seed=(5, step))
        assert (match != 0).sum() == 32
        assert len(set(index[match != 0])) == 32
        for value in seen:
            seen[value] |= set(index[match == value])
        positive = match == 1
        own = gt_boxes[iou[index[positive]].argmax(axis=1)]
        expected = boxes_np.box_refinement(anchors[index[positive]], own) / STD
        np.testing.assert_allclose(deltas[positive], expected, atol=1e-4)
        assert not deltas[~positive].any()
    best = np.isclose(iou, iou.max(axis=0), atol=1e-7).any(axis=1)
    assert seen[1] == set(np.flatnonzero((iou.max(axis=1) > 0.7) | best))
    negative = (iou.max(axis=1) < 0.3) & ~best
    assert seen[-1] <= set(np.flatnonzero(negative))
    # 40 times some 26 of 889: 1 - (1 - 26 / 889)^40 = .7 of them were drawn
    assert len(seen[-1]) > 0.6 * negative.sum()


def test_the_thresholds_are_the_papers():
    # Parts of the box, as large as their IoU with it; the first is the box itself
    iou = np.array([1, 0.71, 0.69, 0.31, 0.29], np.float32)
    anchors = np.stack([0 * iou, 0 * iou, 0 * iou + 0.5, iou], axis=1)
    index, match, _ = targets(anchors, [[0, 0, 0.5, 1]], [1])
    assert set(index[match == 1]) == {0, 1}
    assert set(index[match == -1]) == {4}


def test_a_seed_repeats_and_another_differs(scene):
    anchors, gt_boxes, _ = scene
    first, again, other = (
        targets(anchors, gt_boxes, [1, 2], seed=seed)[0]
        for seed in ((1, 2), (1, 2), (1, 3))
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_images_of_a_batch_do_not_mix(scene):
    anchors, gt_boxes, _ = scene
    arguments = tf.constant([[1, 0], [0, 0]]), tf.constant(np.stack([gt_boxes] * 2))
    outputs = RPNTargets(32, STD)(
        tf.constant(anchors), *arguments, tf.constant([[1, 2], [3, 4]])
    )
    alone = targets(anchors, gt_boxes, [1, 0])
    for both, one in zip(outputs, alone, strict=True):
        np.testing.assert_array_equal(both[0], one)
    assert not (outputs[1].numpy()[1] == 1).any()


def test_a_box_without_area_makes_no_anchor_positive(scene):
    anchors, _, _ = scene
    _, match, deltas = targets(anchors, [[0.5, 0.5, 0.5, 0.5]], [1])
    assert not (match == 1).any()
    assert np.all(np.isfinite(deltas))


def test_the_best_anchor_of_a_box_is_positive_however_bad_with_right_deltas():
    anchors = np.array([[0, 0, 0.4, 0.4], [0.6, 0.6, 1, 1]], np.float32)
    index, match, deltas = targets(anchors, [[0, 0, 0.2, 0.4]], [1], samples=8)
    (row,) = np.flatnonzero(match == 1)
    assert index[row] == 0  # IoU .5
    # Centre .2 -> .1 of height .4: -.25; height halves: ln .5
    np.testing.assert_allclose(deltas[row], [-2.5, 0, np.log(0.5) / 0.2, 0], atol=1e-5)


def test_an_image_without_a_lesion_gives_negative_anchors_only():
    anchors = np.array([[0, 0, 0.4, 0.4], [0.6, 0.6, 1, 1]], np.float32)
    _, match, deltas = targets(anchors, [[0, 0, 0, 0]], [0], samples=8)
    assert (match == -1).sum() == 2 and not (match == 1).any()
    assert np.all(np.isfinite(deltas))


CROWD = [0, 0, 0.5, 0.5]


@pytest.mark.parametrize(
    "gt_boxes, class_ids, positive, negative",
    [
        # The crowd is the first anchor, holds the second (IoU .0064) and has IoU
        # .0101 with the third; only the last two are far from it
        ([CROWD], [-1], set(), {3, 4}),
        ([CROWD], [1], {0}, {1, 2, 3, 4}),
        # An instance inside of the crowd is learned all the same, one outside too
        ([CROWD, [0.1, 0.1, 0.14, 0.14]], [-2, 1], {1}, {3, 4}),
        ([[0.8, 0.8, 1, 1], CROWD], [2, -2], {3}, {4}),
        ([[0.8, 0.8, 1, 1], CROWD], [2, 0], {3}, {0, 1, 2, 4}),  # padding
    ],
)
def test_anchors_on_a_crowd_are_neither_positive_nor_negative(
    gt_boxes, class_ids, positive, negative
):
    anchors = [CROWD, [0.1, 0.1, 0.14, 0.14], [0.45, 0.45, 0.55, 0.55]]
    anchors = np.array([*anchors, [0.8, 0.8, 1, 1], [0, 0.6, 0.2, 0.8]], np.float32)
    index, match, _ = targets(anchors, gt_boxes, class_ids)
    assert set(index[match == 1]) == positive
    assert set(index[match == -1]) == negative


def test_no_more_are_sampled_than_asked_and_half_of_them_positive():
    pair = np.array([[0, 0, 0.4, 0.4], [0.6, 0.6, 1, 1]], np.float32)
    index, match, _ = targets(np.tile(pair, [50, 1]), [pair[0]], [1], samples=16)
    assert (match == 1).sum() == 8 and (match == -1).sum() == 8
    assert len(set(index[match != 0])) == 16
