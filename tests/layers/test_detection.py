"""Final detections from known boxes and probabilities."""

import numpy as np
import pytest
import tensorflow as tf

from mrcnn_skin.layers.detection import DetectionLayer

STD = (0.1, 0.1, 0.2, 0.2)
WHOLE = [[0.0, 0.0, 1.0, 1.0]]


def detect(rois, probs, deltas=None, window=WHOLE, **options):
    settings = {"max_instances": 3, "min_confidence": 0.5, "nms_threshold": 0.3}
    probs = tf.constant([probs], tf.float32)
    if deltas is None:
        deltas = np.zeros((*probs.shape, 4))
    layer = DetectionLayer(std_dev=STD, **{**settings, **options})
    outputs = layer(
        tf.constant([rois], tf.float32),
        probs,
        tf.constant(deltas, tf.float32),
        tf.constant(window),
    )
    return [output.numpy()[0] for output in outputs]


def test_class_score_suppresses_within_a_class_only():
    same = [0.1, 0.1, 0.5, 0.5]
    detections, probs, count, low = detect(
        [same, same, same],
        [[0.1, 0.2, 0.7], [0.0, 0.1, 0.9], [0.3, 0.6, 0.1]],
    )
    assert count == 2 and not low
    np.testing.assert_allclose(
        detections, [[*same, 2, 0.9], [*same, 1, 0.6], [0] * 6], atol=1e-6
    )
    np.testing.assert_allclose(probs[0], [0.0, 0.1, 0.9], atol=1e-6)


def test_lesion_score_is_one_minus_background_over_all_classes():
    same = [0.1, 0.1, 0.5, 0.5]
    detections, probs, count, _ = detect(
        [same, same], [[0.2, 0.4, 0.4], [0.1, 0.5, 0.4]], score="lesion"
    )
    assert count == 1
    np.testing.assert_allclose(detections[0], [*same, 1, 0.9], atol=1e-6)
    np.testing.assert_allclose(probs[0], [0.1, 0.5, 0.4], atol=1e-6)


def test_deltas_of_the_class_move_the_box_and_the_window_clips_it():
    deltas = np.zeros((1, 1, 3, 4))
    deltas[0, 0, 2] = [1.0, 0, 0, np.log(2) / 0.2]  # down .1 h, twice as wide
    detections, *_ = detect(
        [[0.2, 0.2, 0.6, 0.6]],
        [[0.0, 0.2, 0.8]],
        deltas,
        [[0.0, 0.1, 0.63, 0.9]],
    )
    np.testing.assert_allclose(detections[0, :4], [0.24, 0.1, 0.63, 0.8], atol=1e-6)


def test_the_best_roi_is_kept_below_the_confidence_if_asked():
    rois = [[0.1, 0.1, 0.5, 0.5], [0.2, 0.2, 0.9, 0.9]]
    probs = [[0.9, 0.1, 0.0], [0.6, 0.1, 0.3]]
    detections, _, count, low = detect(rois, probs, keep_best=True)
    assert count == 1 and low
    np.testing.assert_allclose(detections[0], [*rois[1], 2, 0.3], atol=1e-6)
    detections, _, count, low = detect(rois, probs)
    assert count == 0 and low and not detections.any()


def test_padding_and_boxes_outside_of_the_window_are_no_detections():
    detections, _, count, low = detect(
        [[0, 0, 0, 0], [0.8, 0.8, 0.9, 0.9]],
        [[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]],
        window=[[0.0, 0.0, 0.5, 0.5]],
        keep_best=True,
    )
    assert count == 0 and low and not detections.any()


def test_a_score_that_only_equals_the_confidence_is_low():
    roi = [0.1, 0.1, 0.5, 0.5]
    detections, _, count, low = detect([roi], [[0.5, 0.5, 0.0]], keep_best=True)
    assert count == 1 and low
    np.testing.assert_allclose(detections[0], [*roi, 1, 0.5])
    _, _, count, low = detect([roi], [[0.5, 0.5, 0.0]])
    assert count == 0 and low


def test_boxes_that_overlap_too_little_both_stay_and_the_number_is_limited():
    # IoU of neighbours: .1 x .4 of .7 x .4, a seventh
    rois = [[0.1, 0.1 + 0.3 * i, 0.5, 0.5 + 0.3 * i] for i in range(2)]
    probs = [[0.3, 0.7, 0.0], [0.1, 0.9, 0.0]]
    detections, _, count, _ = detect(rois, probs)
    assert count == 2
    np.testing.assert_allclose(detections[:2, 5], [0.9, 0.7], atol=1e-6)
    assert detect(rois, probs, nms_threshold=0.1)[2] == 1
    detections, probs, count, _ = detect(rois, probs, max_instances=1)
    assert count == 1 and detections.shape == (1, 6) and probs.shape == (1, 3)


def test_the_images_of_a_batch_have_their_own_windows():
    roi = [[0.2, 0.2, 0.8, 0.8]]
    layer = DetectionLayer(2, 0.5, 0.3, STD)
    detections, _, count, low = layer(
        tf.constant([roi, roi]),
        tf.constant([[[0.1, 0.9]], [[0.9, 0.1]]]),
        tf.zeros([2, 1, 2, 4]),
        tf.constant([[0.0, 0.0, 0.5, 1.0], [0.0, 0.0, 1.0, 1.0]]),
    )
    np.testing.assert_allclose(detections[0, 0, :4], [0.2, 0.2, 0.5, 0.8])
    assert count.numpy().tolist() == [1, 0] and low.numpy().tolist() == [False, True]


WON, LOST = [0.45, 0.4, 0.15], [0.3, 0.2, 0.5]  # by the background
ROIS = [[0.1, 0.1, 0.4, 0.4], [0.5, 0.1, 0.9, 0.4], [0.5, 0.5, 0.9, 0.9]]


@pytest.mark.parametrize(
    "probs, score, kept",
    [
        # Matterport's argmax over all classes drops the first; of equal probabilities
        # it takes the first one, the background's
        ([WON, LOST, [0.4, 0.2, 0.4]], "class", {1: 0.5}),
        ([WON, LOST, [0.39, 0.2, 0.41]], "class", {1: 0.5, 2: 0.41}),
        ([WON, LOST, [0.4, 0.2, 0.4]], "lesion", {1: 0.7, 2: 0.6, 0: 0.55}),
        ([WON, WON, WON], "class", {}),
    ],
)
def test_background_that_wins_is_no_detection_at_any_confidence(probs, score, kept):
    detections, _, count, low = detect(ROIS, probs, min_confidence=0.0, score=score)
    assert count == len(kept) and low == (not kept)
    for row, (roi, value) in zip(detections, kept.items(), strict=False):
        np.testing.assert_allclose(row[[0, 1, 2, 3, 5]], [*ROIS[roi], value], atol=1e-6)


@pytest.mark.parametrize(
    "probs, best",
    [
        # A lesion below the confidence, though the first scores higher by .4
        ([[0.45, 0.4, 0.15], [0.34, 0.31, 0.35], [0.8, 0.1, 0.1]], 1),
        # Background everywhere: the highest foreground
        ([[0.55, 0.25, 0.2], [0.6, 0.1, 0.3], [0.8, 0.1, 0.1]], 1),
    ],
)
def test_the_best_that_is_kept_is_a_lesion_if_there_is_one(probs, best):
    detections, _, count, low = detect(ROIS, probs, keep_best=True)
    assert count == 1 and low
    np.testing.assert_allclose(detections[0, :4], ROIS[best], atol=1e-6)
    # Padding beside them, which has no class, is never the best
    padded, *_ = detect([[0] * 4, *ROIS], [[0, 0, 1], *probs], keep_best=True)
    np.testing.assert_allclose(padded, detections, atol=1e-6)


def test_boxes_that_are_no_numbers_are_no_detections():
    deltas = np.zeros((1, 2, 2, 4))
    deltas[0, 0, 1] = [0, 0, np.inf, 0]
    rois = [[0.1, 0.1, 0.5, 0.5], [0.2, 0.2, 0.6, 0.6]]
    detections, _, count, _ = detect(rois, [[0.0, 1.0], [0.2, 0.8]], deltas)
    assert count == 1
    np.testing.assert_allclose(detections[0], [*rois[1], 1, 0.8], atol=1e-6)


def test_of_equal_scores_the_earlier_region_stays():
    """Two overlapping pairs of equal scores, then a tie between what is left."""
    rois = [[0.0, 0.0, 0.4, 0.4], [0.0, 0.02, 0.4, 0.42]]
    rois += [[0.5, 0.52, 0.9, 0.92], [0.5, 0.5, 0.9, 0.9]]
    detections, _, count, _ = detect(rois, [[0.2, 0.8]] * 4)
    assert count == 2
    np.testing.assert_allclose(detections[:2, :4], [rois[0], rois[2]], atol=1e-6)
