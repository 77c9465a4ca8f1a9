"""Which strategy a number of devices gives; training on two is in test_loop.py."""

import pytest
import tensorflow as tf

from mrcnn_skin.training.devices import device_strategy


def test_one_device_keeps_the_strategy_in_force():
    assert device_strategy(1) is tf.distribute.get_strategy()


def test_more_devices_than_tensorflow_started_with_is_an_error():
    present = len(tf.config.list_logical_devices("GPU")) or len(
        tf.config.list_logical_devices("CPU")
    )
    with pytest.raises(ValueError, match=f"GPU_COUNT is {present + 1}, but"):
        device_strategy(present + 1)
