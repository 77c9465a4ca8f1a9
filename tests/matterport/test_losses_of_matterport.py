"""MatterportConfig has Matterport's five losses, by a calculation of its own in NumPy.

Matterport averages over all sampled anchors, over all deltas of the positives, over
all RoIs, and over all pixels of the positives' masks.
"""

import numpy as np
import pytest
import tensorflow as tf
from tiny import lean_config

from mrcnn_skin.config import Config, MatterportConfig
from mrcnn_skin.graph.mask_rcnn import build_training_model

BATCH, SAMPLES, CLASSES = 2, 40, 3
PRESET = {name: v for name, v in vars(MatterportConfig).items() if name.isupper()}


@pytest.fixture(scope="module")
def layer():
    """A function of a term's name: its layer, as the preset's training graph has it."""
    return build_training_model(lean_config(**PRESET)).get_layer


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def cross_entropy(logits, class_ids):
    """-log softmax at the true class; float64 [n, classes], int [n]."""
    logits = logits.astype(np.float64)
    log_sum = np.log(np.exp(logits).sum(axis=1))
    return log_sum - logits[np.arange(len(logits)), class_ids]


def smooth_l1(x):
    x = np.abs(x.astype(np.float64))
    return np.where(x < 1, x**2 / 2, x - 0.5)


def assert_same(loss, values):
    """float32 rounds a sum of hundreds to some 1e-6."""
    assert float(loss) == pytest.approx(values.mean(), rel=2e-6)


def normal(rng, *shape):
    return rng.normal(0, 3, shape).astype(np.float32)


def test_rpn_losses(layer, rng):
    logits, match = (
        normal(rng, BATCH, SAMPLES, 2),
        rng.integers(-1, 2, (BATCH, SAMPLES)),
    )
    loss = layer("rpn_class_loss")(logits, match)
    sampled = match != 0
    assert_same(loss, cross_entropy(logits[sampled], (match[sampled] == 1).astype(int)))

    deltas, target = normal(rng, BATCH, SAMPLES, 4), normal(rng, BATCH, SAMPLES, 4)
    loss = layer("rpn_bbox_loss")(deltas, match, target)
    assert_same(loss, smooth_l1((target - deltas)[match == 1]))


def test_losses_of_the_heads(layer, rng):
    class_ids = rng.integers(0, CLASSES, (BATCH, SAMPLES))
    match = np.where(class_ids > 0, 1, -1)
    logits = normal(rng, BATCH, SAMPLES, CLASSES)
    loss = layer("mrcnn_class_loss")(
        logits, class_ids, match, np.ones([BATCH, CLASSES])
    )
    assert_same(loss, cross_entropy(logits.reshape(-1, CLASSES), class_ids.ravel()))

    deltas, target = (
        normal(rng, BATCH, SAMPLES, CLASSES, 4),
        normal(rng, BATCH, SAMPLES, 4),
    )
    loss = layer("mrcnn_bbox_loss")(deltas, class_ids, target, match)
    image, roi = np.nonzero(class_ids)
    own = deltas[image, roi, class_ids[image, roi]]
    assert_same(loss, smooth_l1(target[image, roi] - own))


def test_loss_of_the_masks(layer, rng):
    class_ids = rng.integers(0, CLASSES, (BATCH, SAMPLES))
    positive = class_ids > 0
    logits = normal(rng, positive.sum(), 5, 5, CLASSES)  # of the RoIs that have a mask
    targets = rng.integers(0, 2, (BATCH, SAMPLES, 5, 5)).astype(np.float32)
    loss = layer("mrcnn_mask_loss")(
        logits, class_ids, targets, np.where(positive, 1, -1), tf.constant(positive)
    )
    own = np.stack(
        [m[..., c] for m, c in zip(logits, class_ids[positive], strict=True)]
    )
    p = 1 / (1 + np.exp(-own.astype(np.float64)))
    assert_same(loss, -np.log(np.where(targets[positive] > 0, p, 1 - p)))


def test_the_preset_changes_losses_and_augmentation_alone():
    config, plain = MatterportConfig().to_dict(), Config().to_dict()
    assert {name for name in config if config[name] != plain[name]} == set(PRESET)
    assert set(config["LOSS_WEIGHTS"].values()) == {1.0}
