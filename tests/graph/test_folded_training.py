"""A network with its norms folded away gives the same numbers, gradients and names."""

import keras
import numpy as np
import tensorflow as tf

from mrcnn_skin.graph.folding import FoldedModel, fold_norms
from mrcnn_skin.layers.normalization import BatchNorm


def build(train_bn=False):
    """Inputs and outputs: norms that can be folded, a, b and c, and that cannot."""
    x = image = keras.Input([12, 10, 3], name="image")
    x = keras.layers.Conv2D(4, 3, 2, name="conv_a")(x)
    x = keras.layers.ReLU(name="relu")(BatchNorm(train_bn, name="norm_a")(x))
    x = keras.layers.DepthwiseConv2D(
        3, depth_multiplier=2, padding="same", use_bias=False, name="conv_b"
    )(x)
    x = BatchNorm(train_bn, name="norm_b")(x)
    x = keras.layers.Conv2D(5, 1, use_bias=False, name="conv_c")(x)
    x = BatchNorm(train_bn, name="norm_c")(x)
    twice = keras.layers.Conv2D(5, 1, name="conv_taken_twice")(x)
    x = BatchNorm(train_bn, name="norm_beside")(twice)
    x = keras.layers.Add(name="add")([twice, x])
    x = keras.layers.Conv2D(5, 1, activation="relu", name="conv_bent")(x)
    x = BatchNorm(train_bn, name="norm_after_bend")(x)
    return image, {"features": x, "bias": x * 2.0}


def fill(model):
    """Random weights, no two statistics alike."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        low = 0.5 if weight.name in ("gamma", "moving_variance") else -1.0
        weight.assign(rng.uniform(low, 1.5, weight.shape))


def run(model, image, variables):
    with tf.GradientTape() as tape:
        y = model(image, training=True)["features"]
        loss = tf.reduce_sum(y**2)
    return y, tape.gradient(loss, variables)


def test_numbers_and_gradients_are_those_of_the_plain_model():
    model = keras.Model(*build())
    fill(model)
    folded = fold_norms(model)
    names = {layer.name for layer in folded.layers}
    assert {"norm_beside", "norm_after_bend"} < names
    assert {f"norm_{n}_folded" for n in "abc"} < names
    assert not {f"norm_{n}" for n in "abc"} & names
    image = tf.random.stateless_normal([2, 12, 10, 3], [1, 2])
    variables = model.trainable_variables
    (y, gradients), (expected, plain) = (
        run(m, image, variables) for m in (folded, model)
    )
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)
    for variable, got, wanted in zip(variables, gradients, plain, strict=True):
        scale = np.abs(wanted).max()
        np.testing.assert_allclose(
            got / scale, wanted / scale, atol=1e-5, err_msg=variable.path
        )


def test_norms_that_learn_their_statistics_stay():
    model = keras.Model(*build(train_bn=True))
    assert not [x.name for x in fold_norms(model).layers if "folded" in x.name]


def test_a_map_of_one_cell_keeps_its_norm():
    """As behind the box head's 7 x 7 convolution, whose kernel is larger by far."""
    x = image = keras.Input([7, 7, 3], name="image")
    for name in ("wide", "single"):
        x = keras.layers.Conv2D(4, 4, name=f"conv_{name}")(x)
        x = BatchNorm(False, name=f"norm_{name}")(x)
    names = {layer.name for layer in fold_norms(keras.Model(image, x)).layers}
    assert {"norm_wide_folded", "conv_single", "norm_single"} < names


def test_a_folded_model_has_the_layers_and_weights_of_a_plain_one():
    plain, folded = keras.Model(*build()), FoldedModel(*build())
    assert [x.name for x in folded.layers] == [x.name for x in plain.layers]
    for name in ("weights", "trainable_variables"):
        paths = [[w.path for w in getattr(m, name)] for m in (plain, folded)]
        assert paths[0] == paths[1]
    fill(plain)
    fill(folded)
    image = tf.ones([1, 12, 10, 3])
    for training in (True, False):
        results = [m(image, training=training)["bias"] for m in (plain, folded)]
        np.testing.assert_allclose(*results, rtol=1e-4, atol=1e-4)


def test_weights_of_the_moment_count_and_frozen_ones_get_no_gradient():
    model = FoldedModel(*build())
    image = tf.ones([1, 12, 10, 3])
    step = tf.function(lambda image: model(image)["features"])
    before = step(image)
    model.get_layer("norm_a").beta.assign([1.0, 2.0, 3.0, 4.0])
    assert np.abs(step(image) - before).max() > 1e-3
    model.get_layer("norm_a").trainable = False
    names = [v.path for v in model.trainable_variables]
    assert "norm_a/gamma" not in names and "conv_a/kernel" in names
    _, gradients = run(model, image, model.trainable_variables)
    assert all(g is not None for g in gradients)
