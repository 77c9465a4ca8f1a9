"""Which strategy a number of devices gives, and that two learn what one does."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import kernels
from tiny import tiny_config

from mrcnn_skin.graph.mask_rcnn import build_inference_model, build_training_model
from mrcnn_skin.inference.detector import Detector
from mrcnn_skin.layers.roi_align import PyramidROIAlign
from mrcnn_skin.training.devices import device_strategy, make_repeatable, unused_gpu


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


def test_a_card_that_tensorflow_does_not_use_is_warned_of(tmp_path):
    assert unused_gpu(tmp_path / "none") == "" == unused_gpu(tmp_path)
    (tmp_path / "0000:01:00.0").mkdir()
    if tf.config.list_physical_devices("GPU"):
        assert unused_gpu(tmp_path) == ""
    else:
        assert "1 NVIDIA card(s)" in unused_gpu(tmp_path)


def operations(graph):
    """Names of all operations of a graph and the functions that it calls."""
    definition = graph.as_graph_def()
    bodies = [definition.node, *(f.node_def for f in definition.library.function)]
    return {node.op for body in bodies for node in body}


def lacks_gpu_kernel(name):
    """Whether TensorFlow's registry has kernels of an operation, but none for GPUs."""
    found = kernels.get_registered_kernels_for_op(name).kernel
    return found and not {"GPU", "DEFAULT"} & {kernel.device_type for kernel in found}


@pytest.mark.slow
@pytest.mark.skipif(
    not tf.test.is_built_with_cuda(), reason="this TensorFlow has no GPU kernels"
)
def test_all_operations_but_one_have_a_gpu_kernel():
    config = tiny_config()
    model = build_training_model(config)

    def step(inputs):
        with tf.GradientTape() as tape:
            loss = tf.add_n(list(model(inputs, training=True).values()))
        return tape.gradient(loss, model.trainable_weights)

    specs = {
        name: tf.TensorSpec([1, *x.shape[1:]], x.dtype)
        for name, x in model.input.items()
    }
    training = tf.function(step).get_concrete_function(specs).graph
    detector = Detector(build_inference_model(config), config)
    detection = detector._detect.get_concrete_function().graph
    assert not [name for name in operations(training) if lacks_gpu_kernel(name)]
    lacking = [name for name in operations(detection) if lacks_gpu_kernel(name)]
    assert lacking == ["ScaleAndTranslate"]
