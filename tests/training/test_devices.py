"""Which strategy a number of devices gives, and that two learn what one does."""

import os
import subprocess
import sys
from pathlib import Path

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


TWO_DEVICES = """
import sys
import numpy as np
from tiny import lean_config
from mrcnn_skin import MaskRCNN
from mrcnn_skin.data.synthetic import SyntheticDataset
from mrcnn_skin.training.stages import Stage
from mrcnn_skin.weights_io.by_name import copy_weights, named_weights

images = SyntheticDataset(6, (64, 64))
models = [
    MaskRCNN(
        "training",
        lean_config(GPU_COUNT=n, IMAGES_PER_GPU=4 // n, NORM="batch"),
        f"{sys.argv[1]}/{n}",
    )
    for n in (2, 1)
]
copy_weights(models[1].keras_model, models[0].keras_model)
start = {k: np.array(v) for k, v in named_weights(models[1].keras_model).items()}
for model in models:
    model.train(images, None, stages=[Stage("all", 2, 1e-3)], verbose=0)
assert models[0].strategy.num_replicas_in_sync == 2
two, one = (named_weights(model.keras_model) for model in models)
moved = max(np.abs(start[name] - one[name]).max() for name in one)
apart = max(np.abs(np.array(two[name]) - one[name]).max() for name in one)
print("moved", moved, "apart", apart)
assert moved > 1e-3 and apart < 1e-5, (moved, apart)
"""


@pytest.mark.slow
def test_two_devices_learn_what_one_does(tmp_path):
    """With BatchNorm, whose frozen statistics must survive the devices' copies."""
    root = Path(__file__).resolve().parents[2]
    process = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES, tmp_path],
        env={
            **os.environ,
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "PYTHONPATH": f"{root}{os.pathsep}{root / 'tests'}",
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr[-3000:]
