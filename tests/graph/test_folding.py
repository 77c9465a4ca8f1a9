"""Folded networks against the plain ones they follow."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from tiny import SIDE, tiny_config

from mrcnn_skin.graph.common import leaf_layers
from mrcnn_skin.graph.folding import Folded, WeightWatch
from mrcnn_skin.graph.mask_rcnn import build_inference_model
from mrcnn_skin.layers.normalization import BatchNorm


def randomise(model, seed=0):
    """Give the norms values that show any mistake: none is 0 or 1."""
    rng = np.random.default_rng(seed)
    for layer in leaf_layers(model):
        if "Norm" in type(layer).__name__:
            for weight in layer.weights:
                weight.assign(rng.uniform(0.4, 0.9, weight.shape))


def difference(a, b):
    """Largest difference relative to the largest value."""
    return np.abs(a - b).max() / np.abs(a).max()


def test_one_convolution_by_hand():
    x = keras.Input([1, 1, 1])
    y = BatchNorm(name="norm", epsilon=0.0)(layers.Conv2D(1, 1, name="conv")(x))
    model = keras.Model(x, y)
    values = [[[[[3.0]]]], [5.0], [2.0], [7.0], [1.0], [16.0]]
    for weight, value in zip(model.weights, values, strict=True):
        weight.assign(value)  # kernel, bias, gamma, beta, mean, variance
    folded = Folded(model)
    folded.follow()
    conv = folded.network.get_layer("conv")
    # s = 2 / sqrt(16); 3 s; (5 - 1) s + 7
    np.testing.assert_allclose(conv.kernel, [[[[1.5]]]])
    np.testing.assert_allclose(conv.bias, [9.0])
    assert "norm" not in [layer.name for layer in folded.network.layers]


def small_model():
    """Every case: no bias, depthwise, stride, a shared input, norms that must stay."""
    keras.utils.set_random_seed(0)
    x = keras.Input([8, 8, 3])
    y = layers.Conv2D(6, 3, 2, padding="same", use_bias=False, name="no_bias")(x)
    y = BatchNorm(name="norm1")(y)
    y = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="depth")(y)
    y = layers.ReLU(name="relu")(BatchNorm(name="norm2", scale=False)(y))
    twice = layers.Conv2D(12, 1, name="used_twice")(y)
    kept = BatchNorm(name="norm3")(twice)
    y = layers.Add(name="add")([kept, twice])
    y = layers.Conv2D(5, 1, activation="relu", name="nonlinear")(y)
    y = BatchNorm(name="norm4")(y)
    y = BatchNorm(name="norm5", center=False)(layers.Conv2D(4, 1, name="last")(y))
    return keras.Model(x, y)


def test_folding_is_exact_and_leaves_what_cannot_be_folded():
    model = small_model()
    randomise(model)
    folded = Folded(model)
    folded.follow()
    names = {layer.name for layer in folded.network.layers}
    assert {n for n in names if n.startswith("norm")} == {"norm3", "norm4"}
    x = np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype(np.float32)
    assert difference(model(x), folded.network(x)) < 1e-5
    assert folded.network.get_layer("used_twice") is model.get_layer("used_twice")


def test_a_folded_network_follows_its_source():
    model = small_model()
    folded = Folded(model)
    x = np.random.default_rng(1).normal(size=(1, 8, 8, 3)).astype(np.float32)
    for seed in range(2):
        randomise(model, seed)
        folded.follow()
        assert difference(model(x), folded.network(x)) < 1e-5
    folded.network.get_layer("last").bias.assign([9.0] * 4)
    folded.follow()  # nothing changed, so nothing is written
    np.testing.assert_array_equal(folded.network.get_layer("last").bias, [9.0] * 4)
    model.get_layer("norm5").moving_mean.assign([1.0, 2.0, 3.0, 4.0])
    folded.follow()
    assert difference(model(x), folded.network(x)) < 1e-5


def test_bfloat16_is_near_and_ends_in_float32():
    keras.utils.set_random_seed(0)
    x = keras.Input([8, 8, 3])
    y = layers.Conv2D(8, 3, name="conv")(x)
    y = layers.ReLU(name="relu")(BatchNorm(name="norm")(y))
    y = layers.GroupNormalization(4, name="group")(y)
    y = layers.Conv2D(1, 1, activation="sigmoid", name="probability")(y)
    model = keras.Model(x, y)
    randomise(model)
    folded = Folded(model, "bfloat16")
    folded.follow()
    dtypes = {layer.name: layer.compute_dtype for layer in folded.network.layers}
    assert dtypes["conv"] == dtypes["relu"] == "bfloat16"
    assert dtypes["group"] == dtypes["probability"] == "float32"
    assert folded.network.get_layer("conv").kernel.dtype == "bfloat16"
    image = np.random.default_rng(1).normal(size=(1, 8, 8, 3)).astype(np.float32)
    output = folded.network(image)
    assert output.dtype == tf.float32
    error = np.abs(output - model(image)).max()
    assert 0 < error < 0.02


@pytest.fixture(scope="module", params=["batch", "group"])
def network(request):
    keras.utils.set_random_seed(0)
    config = tiny_config(NORM=request.param, DETECTION_MIN_CONFIDENCE=0.0)
    model = build_inference_model(config)
    randomise(model)
    return model


def outputs(model, seed=0):
    image = np.random.default_rng(seed).uniform(0, 255, (1, SIDE, SIDE, 3))
    return model([image.astype(np.float32), np.array([[0, 0, 1, 1]], np.float32)])


def test_the_whole_network_folded_answers_as_before(network):
    folded = Folded(network)
    folded.follow()
    wanted, got = outputs(network), outputs(folded.network)
    assert wanted["num_detections"][0] > 0
    assert set(wanted) == set(got)
    for name, value in wanted.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-4, atol=1e-5)
    kinds = [type(layer) for layer in folded.network.layers]
    assert BatchNorm not in kinds


def test_the_rpn_is_folded_once_for_all_levels(network):
    folded = Folded(network, "bfloat16")
    folded.follow()
    rpn = folded.network.get_layer("rpn_model")
    assert rpn.get_layer("rpn_conv_shared").compute_dtype == "bfloat16"
    assert rpn.get_layer("rpn_class").compute_dtype == "float32"
    assert outputs(folded.network)["detections"].dtype == tf.float32


def writes(variable):
    """Ways to change a variable, in Keras, in TensorFlow and in a graph."""
    graph = tf.function(lambda: variable.value.assign_add(tf.ones([2, 2])))
    return {
        "assign": lambda: variable.assign(variable + 1.0),
        "assign_add": lambda: variable.value.assign_add(tf.ones([2, 2])),
        "graph": graph,
        "scatter": lambda: variable.value.scatter_nd_add([[1, 1]], [1.0]),
        "descent": lambda: tf.raw_ops.ResourceApplyGradientDescent(
            var=variable.value.handle, alpha=-1.0, delta=tf.ones([2, 2])
        ),
    }


@pytest.mark.parametrize("way", ["assign", "assign_add", "graph", "scatter", "descent"])
def test_a_watch_sees_every_kind_of_change(way):
    first, second = (keras.Variable(np.eye(2, dtype=np.float32)) for _ in range(2))
    watch = WeightWatch([first, second])
    assert watch.have_changed()
    assert not watch.have_changed() and not watch.have_changed()
    writes(second)[way]()
    assert watch.have_changed()


def test_a_watch_over_nothing_sees_nothing():
    assert not WeightWatch([]).have_changed()
