"""Which strategy a number of devices gives; training on two is in test_loop.py."""

import numpy as np
import pytest
import tensorflow as tf

from mrcnn_skin.layers.roi_align import PyramidROIAlign
from mrcnn_skin.training.devices import device_strategy, make_repeatable


def test_one_device_keeps_the_strategy_in_force():
    assert device_strategy(1) is tf.distribute.get_strategy()


def test_more_devices_than_tensorflow_started_with_is_an_error():
    present = len(tf.config.list_logical_devices("GPU")) or len(
        tf.config.list_logical_devices("CPU")
    )
    with pytest.raises(ValueError, match=f"GPU_COUNT is {present + 1}, but"):
        device_strategy(present + 1)


@pytest.mark.skipif(
    bool(tf.config.list_physical_devices("GPU")), reason="repeatable on CPUs only"
)
def test_the_gradient_of_overlapping_regions_is_the_same_bit_by_bit():
    """Unless asked not to, TensorFlow's threads add to one pixel in any order."""
    make_repeatable()
    rng = np.random.default_rng(0)
    features = tf.constant(rng.normal(size=(1, 48, 48, 128)), tf.float32)
    corners = np.sort(rng.random((1, 64, 2, 2)), axis=2).reshape(1, 64, 4)
    weights = tf.constant(rng.normal(size=(64, 14, 14, 128)), tf.float32)
    layer = PyramidROIAlign((14, 14))
    gradients = set()
    for _ in range(8):
        with tf.GradientTape() as tape:
            tape.watch(features)
            pooled = layer(tf.constant(corners, tf.float32), [features])
            total = tf.reduce_sum(pooled * weights)
        gradients.add(tape.gradient(total, features).numpy().tobytes())
    assert len(gradients) == 1
