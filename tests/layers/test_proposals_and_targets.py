"""RPN targets, proposals and RoI targets on a handful of known boxes."""

import numpy as np
import tensorflow as tf

from mrcnn_skin.geometry import anchors as anchors_np
from mrcnn_skin.geometry import boxes as boxes_np
from mrcnn_skin.layers import boxes
from mrcnn_skin.layers.anchors import Anchors, NormBoxes
from mrcnn_skin.layers.detection_targets import DetectionTargetLayer, MaskRois
from mrcnn_skin.layers.proposal import ProposalLayer
from mrcnn_skin.layers.rpn_targets import RPNTargets

STD = (0.1, 0.1, 0.2, 0.2)
SEED = tf.constant([[3, 5]])


def test_box_arithmetic_equals_its_numpy_twin():
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 50, (20, 2, 2)).astype(np.float32)
    first = np.concatenate([corners[:, 0], corners[:, 0] + 5 + corners[:, 1]], axis=1)
    second = np.roll(first, 1, axis=0)
    np.testing.assert_allclose(
        boxes.overlaps(first, second),
        boxes_np.compute_overlaps(first, second),
        atol=1e-5,
    )
    deltas = boxes.box_refinement(first, second)
    np.testing.assert_allclose(
        deltas, boxes_np.box_refinement(first, second), atol=1e-5
    )
    np.testing.assert_allclose(boxes.apply_box_deltas(first, deltas), second, atol=1e-3)
    normalised = boxes.norm_boxes(first, (101, 201))
    np.testing.assert_allclose(normalised[:, 0], first[:, 0] / 100, rtol=1e-6)
    np.testing.assert_allclose(normalised[:, 3], (first[:, 3] - 1) / 200, rtol=1e-5)
    np.testing.assert_allclose(
        boxes.denorm_boxes(normalised, (101, 201)), first, atol=1e-4
    )


def test_sample_takes_no_more_than_there_are_and_repeats():
    mask = tf.constant([False, True, True, False, True])
    index, chosen = boxes.sample(mask, 8, SEED[0])
    assert sorted(index.numpy()[chosen.numpy()]) == [1, 2, 4]
    few, chosen_few = boxes.sample(mask, 2, SEED[0])
    assert chosen_few.numpy().all() and set(few.numpy()) < {1, 2, 4}
    np.testing.assert_array_equal(few, boxes.sample(mask, 2, SEED[0])[0])


def test_anchors_equal_their_numpy_twin_on_an_oblong_image():
    scales, ratios, strides = (16, 32, 64, 128, 256), (0.5, 1, 2), (4, 8, 16, 32, 64)
    image = tf.zeros([1, 128, 192, 3])
    shapes = anchors_np.backbone_shapes((128, 192), strides)
    expected = anchors_np.generate_pyramid_anchors(scales, ratios, shapes, strides, 1)
    expected = boxes.norm_boxes(expected, (128, 192))
    np.testing.assert_allclose(
        Anchors(scales, ratios, strides)(image), expected, atol=1e-5
    )


def test_rpn_targets_of_four_anchors():
    # IoU with the box: 1; 1/3; 0; and .6 = best of nothing, neutral
    anchors = tf.constant(
        [[0, 0, 0.4, 0.4], [0, 0.2, 0.4, 0.6], [0.6, 0.6, 1, 1], [0, 0.1, 0.4, 0.5]],
        tf.float32,
    )
    class_ids = tf.constant([[2, 0]])
    gt_boxes = tf.constant([[[0, 0, 0.4, 0.4], [0, 0, 1, 1]]], tf.float32)
    index, match, deltas = RPNTargets(8, STD)(anchors, class_ids, gt_boxes, SEED)
    used = match.numpy()[0] != 0
    said = dict(zip(index.numpy()[0][used], match.numpy()[0][used], strict=True))
    assert said == {0: 1, 2: -1}, "1/3 and .6 are neither positive nor negative"
    np.testing.assert_allclose(deltas[0][match.numpy()[0] == 1], [[0] * 4], atol=1e-6)


def test_the_best_anchor_of_a_box_is_positive_however_bad_with_right_deltas():
    anchors = tf.constant([[0, 0, 0.4, 0.4], [0.6, 0.6, 1, 1]], tf.float32)
    gt_boxes = tf.constant([[[0, 0, 0.2, 0.4]]], tf.float32)  # IoU .5
    index, match, deltas = RPNTargets(8, STD)(
        anchors, tf.constant([[1]]), gt_boxes, SEED
    )
    row = np.flatnonzero(match.numpy()[0] == 1)
    assert index.numpy()[0][row] == [0]
    # Centre .2 -> .1 of height .4: -.25; height halves: ln .5
    np.testing.assert_allclose(
        deltas.numpy()[0][row], [[-2.5, 0, np.log(0.5) / 0.2, 0]], atol=1e-5
    )


def test_an_image_without_a_lesion_gives_negative_anchors_only():
    anchors = tf.constant([[0, 0, 0.4, 0.4], [0.6, 0.6, 1, 1]], tf.float32)
    _, match, deltas = RPNTargets(8, STD)(
        anchors, tf.constant([[0]]), tf.zeros([1, 1, 4]), SEED
    )
    assert sorted(match.numpy()[0])[:3] == [-1, -1, 0]
    assert np.all(np.isfinite(deltas))


def test_rpn_targets_keep_to_the_number_and_half_positive():
    anchors = tf.tile(tf.constant([[0, 0, 0.4, 0.4], [0.6, 0.6, 1, 1]]), [50, 1])
    gt_boxes = tf.constant([[[0, 0, 0.4, 0.4]]], tf.float32)
    index, match, _ = RPNTargets(16, STD)(anchors, tf.constant([[1]]), gt_boxes, SEED)
    match = match.numpy()[0]
    assert (match == 1).sum() == 8 and (match == -1).sum() == 8
    used = index.numpy()[0][match != 0]
    assert len(set(used)) == 16


def test_proposals_of_three_known_boxes():
    anchors = tf.constant(
        [[0, 0, 0.5, 0.5], [0, 0, 0.5, 0.48], [0.5, 0.5, 1, 1]], tf.float32
    )
    probs = tf.constant([[[0.1, 0.9], [0.2, 0.8], [0.3, 0.7]]])
    deltas = tf.constant([[[0, 0, 0, 0], [0, 0, 0, 0], [1.0, 0, 0, 0]]])
    layer = ProposalLayer(4, 0.7, 100, STD)
    proposals, scores = layer(probs, deltas, anchors)
    # The second overlaps the first by .96; the third moves down .05 and is clipped
    expected = [[0, 0, 0.5, 0.5], [0.55, 0.5, 1, 1], [0] * 4, [0] * 4]
    np.testing.assert_allclose(proposals[0], expected, atol=1e-6)
    np.testing.assert_allclose(scores[0], [0.9, 0.7, 0, 0], atol=1e-6)


def test_boxes_that_are_no_numbers_become_padding():
    anchors = tf.constant([[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]], tf.float32)
    deltas = tf.constant([[[np.nan, 0, 0, 0], [0, 0, np.inf, 0]]])
    probs = tf.constant([[[0.1, 0.9], [np.nan, np.nan]]])
    proposals, scores = ProposalLayer(2, 0.7, 100, STD)(probs, deltas, anchors)
    assert not np.any(proposals) and not np.any(scores)


def roi_targets(proposals, class_ids, gt_boxes, gt_masks, rois=6, mini=True):
    layer = DetectionTargetLayer(rois, 0.5, STD, (4, 4), mini)
    arrays = (np.asarray(a)[None] for a in (proposals, class_ids, gt_boxes, gt_masks))
    proposals, class_ids, gt_boxes, gt_masks = arrays
    outputs = layer(
        tf.constant(proposals, tf.float32),
        tf.constant(class_ids, tf.int32),
        tf.constant(gt_boxes, tf.float32),
        tf.constant(gt_masks, tf.uint8),
        SEED,
    )
    return [output.numpy()[0] for output in outputs]


def test_roi_targets_positives_first_with_deltas_and_masks():
    mini = np.zeros((2, 5, 5))
    mini[0, :, :3] = 1  # the left half of the box, its middle column included
    rois, match, class_ids, deltas, masks = roi_targets(
        [[0, 0, 0.4, 0.4], [0.0, 0.0, 0.2, 0.4], [0.7, 0.7, 0.9, 0.9], [0] * 4],
        [2, 0],
        [[0, 0, 0.4, 0.4], [0] * 4],
        mini,
    )
    positive = match == 1
    # The true box, the same again as a proposal, and its upper half (IoU .5)
    assert positive.sum() == 3 and positive[:3].all()
    assert class_ids.tolist() == [2, 2, 2, 0, 0, 0]
    half = np.flatnonzero(np.isclose(rois[:3, 2], 0.2))[0]
    np.testing.assert_allclose(
        deltas[half], [0.5 / 0.1, 0, np.log(2) / 0.2, 0], atol=1e-5
    )
    # Samples at columns 0, 4/3, 8/3, 4 of the mini mask: 1, 1, 1/3 -> 0, 0
    np.testing.assert_array_equal(masks[half], [[1, 1, 0, 0]] * 4)
    negatives = match == -1
    assert negatives.sum() == 1
    np.testing.assert_allclose(rois[negatives], [[0.7, 0.7, 0.9, 0.9]])
    assert not rois[match == 0].any() and not masks[~positive].any()


def test_roi_targets_cut_from_a_full_mask():
    full = np.zeros((1, 101, 101))
    full[0, :20, :] = 1
    _, match, _, _, masks = roi_targets(
        [[0] * 4], [1], [[0, 0, 0.3, 1.0]], full, mini=False
    )
    # Rows 0, 10, 20, 30 of the image
    expected = np.repeat([[1], [1], [0], [0]], 4, axis=1)
    np.testing.assert_array_equal(masks[match == 1][0], expected)


def test_an_image_without_a_lesion_gives_negative_rois():
    rois, match, class_ids, deltas, masks = roi_targets(
        [[0, 0, 0.4, 0.4], [0.7, 0.7, 0.9, 0.9]], [0], [[0] * 4], np.zeros((1, 5, 5))
    )
    assert (match == -1).sum() == 2 and not (match == 1).any()
    assert not class_ids.any() and not deltas.any() and not masks.any()


def test_mask_rois_are_the_positive_ones_and_never_none():
    match = tf.constant([[0, 1, -1], [1, 0, 0]])
    keep = MaskRois()(match)
    np.testing.assert_array_equal(keep, [[1, 1, 0], [1, 0, 0]])
    np.testing.assert_array_equal(MaskRois()(tf.constant([[-1, 0]])), [[1, 0]])


def test_norm_boxes_layer():
    image = tf.zeros([1, 101, 51, 3])
    result = NormBoxes()(tf.constant([[[10.0, 10.0, 51.0, 26.0]]]), image)
    np.testing.assert_allclose(result, [[[0.1, 0.2, 0.5, 0.5]]], atol=1e-6)
