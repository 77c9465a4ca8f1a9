"""The class that all regions of an image agree on, from known probabilities."""

import numpy as np
import tensorflow as tf

from mrcnn_skin.layers.diagnosis import SharedDiagnosis

BOX, FLAT, NONE = [0.1, 0.1, 0.5, 0.5], [0.1, 0.1, 0.1, 0.5], [0.0] * 4


def share(probs, rois):
    return SharedDiagnosis()(tf.constant([probs]), tf.constant([rois]))[0].numpy()


def test_each_region_counts_alike_and_keeps_its_background():
    # Malignant, of what is not background: .8, and .4 of a likely background
    shared = share([[0.0, 0.2, 0.8], [0.9, 0.06, 0.04]], [BOX, BOX])
    wanted = [[0.0, 0.4, 0.6], [0.9, 0.04, 0.06]]
    np.testing.assert_allclose(shared, wanted, atol=1e-6)


def test_images_of_a_batch_have_a_vote_of_their_own():
    probs = [[0.0, 0.2, 0.8], [0.0, 0.6, 0.4]], [[0.5, 0.5, 0.0], [0.0, 0.9, 0.1]]
    shared = SharedDiagnosis()(tf.constant(probs), tf.constant([[BOX] * 2] * 2))
    wanted = [[[0.0, 0.4, 0.6]] * 2, [[0.5, 0.475, 0.025], [0.0, 0.95, 0.05]]]
    np.testing.assert_allclose(shared, wanted, atol=1e-6)


def test_padding_and_what_underflowed_have_no_vote():
    probs = [[0.0, 0.2, 0.3, 0.5], [0.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0]]
    shared = share(probs, [BOX, NONE, BOX])
    np.testing.assert_allclose(shared[0], probs[0], atol=1e-6)
    np.testing.assert_allclose(shared[2], probs[2], atol=1e-6)
    np.testing.assert_allclose(share(probs, [BOX, FLAT, BOX])[0], probs[0], atol=1e-6)
    assert not share([[0.0] * 3], [NONE]).any()


def test_its_gradient_is_finite_beside_padding():
    probs = tf.constant([[[0.0, 0.2, 0.8], [0.0, 0.0, 0.0]]] * 2)
    rois = tf.constant([[BOX, NONE], [NONE, NONE]])
    with tf.GradientTape() as tape:
        tape.watch(probs)
        shared = SharedDiagnosis()(probs, rois)
    assert np.isfinite(tape.gradient(shared, probs)).all()
