"""A new RPN is unsure of everything; run at single anchors, it says the same."""

import numpy as np
import pytest
import tensorflow as tf
from tiny import tiny_config

from mrcnn_skin.graph.rpn import build_rpn_model, rpn, sampled_rpn


def test_a_new_rpn_starts_near_one_half_and_where_the_anchors_lie():
    # Features as large as a trained backbone's: a deviation of 8
    features = np.random.default_rng(0).normal(0, 8, (1, 16, 16, 96))
    model = build_rpn_model(1, 3, depth=96, width=96)
    _, probs, deltas = model(tf.constant(features, tf.float32))
    assert probs.shape == (1, 16 * 16 * 3, 2) and deltas.shape == (1, 16 * 16 * 3, 4)
    assert 0.2 < np.quantile(probs[..., 1], 0.1) < 0.5
    assert 0.5 < np.quantile(probs[..., 1], 0.9) < 0.8
    assert 0.1 < np.std(deltas) < 1.5


def plain_rpn(model, pyramid, index):
    """What the RPN says at the sampled anchors, by way of all the others."""
    logits, probs, deltas = rpn(model, pyramid)
    np.testing.assert_allclose(probs, tf.nn.softmax(logits), atol=1e-6)
    logits = tf.gather(logits, index, batch_dims=1)
    return logits, tf.gather(deltas, index, batch_dims=1)


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_sampled_anchors_give_the_same_numbers_and_gradients_as_all_of_them(stride):
    config = tiny_config(RPN_ANCHOR_STRIDE=stride)
    rng = np.random.default_rng(stride)
    sizes = [(20, 12), (10, 6), (5, 3), (3, 2), (2, 1)]
    pyramid = [tf.constant(rng.normal(size=(2, *s, 16)), tf.float32) for s in sizes]
    model = build_rpn_model(stride, 3, depth=16, width=32)
    cells = sum(-(-h // stride) * -(-w // stride) for h, w in sizes)
    index = tf.constant(rng.integers(3 * cells, size=(2, 40)), tf.int32)
    index = tf.concat([index, [[0, 3 * cells - 1]] * 2], axis=1)

    results, gradients = [], []
    for run in (
        lambda: plain_rpn(model, pyramid, index),
        lambda: sampled_rpn(model, pyramid, index, config),
    ):
        with tf.GradientTape() as tape:
            tape.watch(pyramid)
            logits, deltas = run()
            loss = tf.reduce_sum(logits[..., 1] ** 2) + tf.reduce_sum(deltas**2)
        results.append((logits, deltas))
        gradients.append(tape.gradient(loss, [*model.trainable_variables, *pyramid]))
    for plain, sampled in zip(*results, strict=True):
        np.testing.assert_allclose(plain, sampled, atol=1e-5)
    for plain, sampled in zip(*gradients, strict=True):
        scale = np.abs(plain).max()
        assert scale > 0
        np.testing.assert_allclose(plain / scale, sampled / scale, atol=1e-5)
