"""Proposals: what is looked at, what is clipped, and one image beside another."""

import numpy as np
import tensorflow as tf

from mrcnn_skin.geometry import boxes as boxes_np
from mrcnn_skin.layers.proposal import ProposalLayer

STD = (0.1, 0.1, 0.2, 0.2)


def two_way(foreground):
    p = np.asarray(foreground, np.float32)
    return tf.constant(np.stack([1 - p, p], axis=-1))


def test_only_the_best_anchors_are_looked_at():
    anchors = tf.constant([[0, 0, 0.1, 0.1], [0.3, 0.3, 0.4, 0.4], [0.6, 0.6, 1, 1]])
    probs, deltas = two_way([[0.2, 0.9, 0.5]]), tf.zeros([1, 3, 4])
    proposals, scores = ProposalLayer(3, 0.7, 2, STD)(probs, deltas, anchors)
    np.testing.assert_allclose(scores[0], [0.9, 0.5, 0], atol=1e-6)
    np.testing.assert_allclose(proposals[0, :2], [anchors[1], anchors[2]])


def test_no_more_come_out_than_asked():
    anchors = tf.constant([[0, 0, 0.1, 0.1], [0.3, 0.3, 0.4, 0.4], [0.6, 0.6, 1, 1]])
    probs, deltas = two_way([[0.2, 0.9, 0.5]]), tf.zeros([1, 3, 4])
    proposals, scores = ProposalLayer(1, 0.7, 3, STD)(probs, deltas, anchors)
    np.testing.assert_allclose(proposals, [[[0.3, 0.3, 0.4, 0.4]]])


def test_each_image_has_its_own_scores_and_deltas():
    anchors = tf.constant([[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]])
    probs = two_way([[0.9, 0.1], [0.1, 0.9]])
    deltas = np.zeros((2, 2, 4), np.float32)
    deltas[1, 1] = [-5.0, 0, 0, np.log(0.5) / 0.2]  # up by half, half as wide
    proposals, _ = ProposalLayer(1, 0.7, 10, STD)(probs, tf.constant(deltas), anchors)
    expected = [[[0, 0, 0.5, 0.5]], [[0.25, 0.625, 0.75, 0.875]]]
    np.testing.assert_allclose(proposals, expected, atol=1e-6)


def test_many_random_boxes_equal_the_numpy_calculation():
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 0.7, (60, 2)).astype(np.float32)
    anchors = np.concatenate([corners, corners + rng.uniform(0.1, 0.5, (60, 2))], 1)
    anchors = anchors.astype(np.float32)
    deltas = rng.normal(size=(60, 4)).astype(np.float32)
    foreground = rng.permutation(60).astype(np.float32) / 60
    proposals, scores = ProposalLayer(20, 0.5, 40, STD)(
        two_way([foreground]), tf.constant(deltas[None]), tf.constant(anchors)
    )
    best = np.argsort(-foreground)[:40]
    refined = boxes_np.apply_box_deltas(anchors[best], deltas[best] * STD)
    refined = boxes_np.clip_boxes(refined, (0, 0, 1, 1))
    keep = boxes_np.non_max_suppression(refined, foreground[best], 0.5)[:20]
    assert 5 < len(keep)
    np.testing.assert_allclose(proposals[0, : len(keep)], refined[keep], atol=1e-5)
    np.testing.assert_allclose(scores[0, : len(keep)], foreground[best][keep])
    assert not proposals.numpy()[0, len(keep) :].any()


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


def test_of_equal_scores_the_earlier_anchor_stays():
    anchors = [[0.0, 0.0, 0.4, 0.4], [0.0, 0.02, 0.4, 0.42]]
    anchors = tf.constant([*anchors, [0.5, 0.52, 0.9, 0.92], [0.5, 0.5, 0.9, 0.9]])
    probs, deltas = two_way([[0.6] * 4]), tf.zeros([1, 4, 4])
    proposals, _ = ProposalLayer(3, 0.5, 4, STD)(probs, deltas, anchors)
    expected = [anchors[0], anchors[2], [0, 0, 0, 0]]
    np.testing.assert_allclose(proposals[0], expected, atol=1e-6)
    proposals, _ = ProposalLayer(3, 0.5, 1, STD)(probs, deltas, anchors)
    np.testing.assert_allclose(proposals[0, 0], anchors[0], atol=1e-6)
