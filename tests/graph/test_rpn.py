"""A new RPN is unsure of everything; the trained one's names are tested elsewhere."""

import numpy as np
import tensorflow as tf

from mrcnn_skin.graph.rpn import build_rpn_model


def test_a_new_rpn_starts_near_one_half_and_where_the_anchors_lie():
    # Features as large as a trained backbone's: a deviation of 8
    features = np.random.default_rng(0).normal(0, 8, (1, 16, 16, 96))
    model = build_rpn_model(1, 3, depth=96, width=96)
    _, probs, deltas = model(tf.constant(features, tf.float32))
    assert probs.shape == (1, 16 * 16 * 3, 2) and deltas.shape == (1, 16 * 16 * 3, 4)
    assert 0.2 < np.quantile(probs[..., 1], 0.1) < 0.5
    assert 0.5 < np.quantile(probs[..., 1], 0.9) < 0.8
    assert 0.1 < np.std(deltas) < 1.5
