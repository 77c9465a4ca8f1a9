"""Files of keras-applications' ResNets; Keras's own networks are the judge."""

import re

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import tiny_config

from mrcnn_skin.graph.backbones import build_backbone
from mrcnn_skin.weights_io.by_name import load_h5, named_weights
from mrcnn_skin.weights_io.imagenet import from_applications, with_unique_names


def backbone(name="resnet50", norm="batch"):
    """A backbone as a model [batch, h, w, 3] -> [C2, C3, C4, C5]."""
    image = keras.Input([None, None, 3])
    config = tiny_config(BACKBONE=name, NORM=norm)
    return keras.Model(image, build_backbone(image, config))


def fill(model, seed=0):
    """Random weights; the variances are small, so that their epsilon matters."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        for weight in layer.weights:
            if weight.name == "kernel":
                scale = np.sqrt(2 / np.prod(weight.shape[:-1]))
                value = rng.normal(0, scale, weight.shape)
            elif weight.name == "moving_variance":
                value = rng.uniform(1e-4, 1e-2, weight.shape)
            elif weight.name == "gamma":
                value = rng.uniform(0.01, 0.05, weight.shape)
            else:
                value = rng.normal(0, 0.1, weight.shape)
            weight.assign(value)


def write_keras2(model, path):
    """The layout of the newer files: conv1_conv/conv1_conv/kernel:0."""
    with h5py.File(path, "w") as file:
        for layer in model.layers:
            for weight in layer.weights:
                file[f"{layer.name}/{layer.name}/{weight.name}:0"] = weight.numpy()


@pytest.fixture(scope="module")
def newer(tmp_path_factory):
    """A newer ResNet, and this network's backbone that loaded its file; the report."""
    network = keras.applications.ResNet101(
        include_top=False, weights=None, input_shape=(None, None, 3)
    )
    fill(network)
    path = tmp_path_factory.mktemp("newer") / "notop.h5"
    write_keras2(network, path)
    model = backbone("resnet101")
    report = load_h5(model, path)
    path.unlink()
    return network, model, report


def test_newer_files_fill_the_whole_backbone(newer):
    network, model, report = newer
    assert not (report.missing or report.unused or report.mismatched)
    assert len(report.loaded) == len(network.weights) == len(named_weights(model))
    assert "conv1 turned from BGR to RGB" in str(report)


def test_newer_networks_compute_the_same_here(newer):
    """Up to the first pooling, which pads elsewhere, and from there to C5."""
    network, model, _ = newer
    rng = np.random.default_rng(1)
    rgb = tf.constant(rng.uniform(-100, 100, (1, 32, 32, 3)), "float32")
    bgr = rgb[..., ::-1]
    stem = keras.Model(network.input, network.get_layer("conv1_relu").output)
    ours = keras.Model(model.input, model.get_layer("conv1_relu").output)
    np.testing.assert_allclose(ours(rgb), stem(bgr), rtol=1e-4, atol=1e-4)

    pooled = tf.constant(rng.uniform(0, 1, (1, 16, 16, 64)), "float32")
    stages = keras.Model(network.get_layer("pool1_pool").output, network.output)
    ours = keras.Model(model.get_layer("pool1").output, model.output[-1])
    expected = stages(pooled).numpy()
    assert expected.std() > 0.01
    np.testing.assert_allclose(ours(pooled), expected, atol=1e-4 * expected.max())


KERAS1 = {
    "kernel": "W",
    "bias": "b",
    "gamma": "gamma",
    "beta": "beta",
    "moving_mean": "running_mean",
    "moving_variance": "running_std",
}


@pytest.fixture(scope="module")
def older_file(tmp_path_factory):
    """A file of release v0.2: res2a_branch2a/res2a_branch2a_W_1:0; and its source."""
    source = backbone()
    fill(source)
    path = tmp_path_factory.mktemp("older") / "notop.h5"
    with h5py.File(path, "w") as file:
        for name, value in named_weights(source).items():
            layer, tensor = name.split("/")
            suffix = "_1" if tensor != "beta" else ""  # both forms are about
            file[f"{layer}/{layer}_{KERAS1[tensor]}{suffix}:0"] = value.numpy()
    yield path, source
    path.unlink()


def test_older_file_of_resnet50(older_file):
    path, source = older_file
    model = backbone()
    report = load_h5(model, path)
    assert not (report.missing or report.unused or report.mismatched)
    for name, value in named_weights(source).items():
        expected = value.numpy()
        if name == "conv1/kernel":
            expected = np.stack([expected[:, :, c] for c in (2, 1, 0)], axis=2)
        np.testing.assert_array_equal(named_weights(model)[name], expected, name)
    assert report.notes == ["conv1 turned from BGR to RGB"]


def test_other_norm_is_refused(older_file):
    with pytest.raises(ValueError, match="bn_conv1 .*gn_conv1.* NORM"):
        load_h5(backbone(norm="group"), older_file[0])


def test_epsilon_by_hand():
    """gamma 2 over a variance of 0.01: what it divides by is the same root."""
    tensors, _ = from_applications(
        {
            "conv1_conv/kernel": np.ones([1, 1, 4, 1]),
            "conv1_bn/gamma": np.array([2.0]),
            "conv1_bn/moving_variance": np.array([0.01]),
        }
    )
    scaled = tensors["bn_conv1/gamma"] / np.sqrt(0.01 + 1e-3)
    np.testing.assert_allclose(scaled, 2.0 / np.sqrt(0.01 + 1.001e-5), rtol=1e-12)
    assert "conv1/kernel" in tensors  # of four channels: there is no BGR to turn


def test_blocks_beyond_the_alphabet_keep_their_names():
    tensors, _ = from_applications(
        {
            "conv1_conv/kernel": np.ones([7, 7, 3, 1]),
            "conv4_block23_0_conv/bias": np.ones(1),
            "conv4_block36_3_bn/beta": np.ones(1),
        }
    )
    assert list(tensors) == [
        "conv1/kernel",
        "res4w_branch1/bias",
        "conv4_block36_3_bn/beta",
    ]


def test_other_tensors_pass_as_they_are():
    tensors = {"conv1/kernel": np.ones([1, 1, 3, 1]), "bn_conv1/gamma": np.ones(1)}
    assert from_applications(tensors) == (tensors, [])


def test_resnet_v2_is_refused():
    tensors = {"conv1_conv/kernel": 0, "conv2_block1_preact_bn/gamma": 0}
    with pytest.raises(ValueError, match="ResNet v2"):
        from_applications(tensors)


def test_two_tensors_of_one_name_are_both_named():
    tensors = dict.fromkeys(["conv1/conv1_W", "conv1/conv1_W_1"], np.ones(1))
    words = "conv1/conv1_W and conv1/conv1_W_1 are both conv1/kernel"
    with pytest.raises(ValueError, match=re.escape(words)):
        from_applications(tensors)
    assert with_unique_names([("a", "place", 1), ("b", "place", 2)]) == {"a": 1, "b": 2}
