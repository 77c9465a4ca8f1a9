"""Final detections from known boxes and probabilities."""

import numpy as np
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
