"""Attention on feature maps against the papers' equations in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import SIDE, lean_config

from mrcnn_skin.graph.attention import attend
from mrcnn_skin.graph.folding import Folded
from mrcnn_skin.graph.mask_rcnn import build_inference_model
from mrcnn_skin.weights_io.by_name import load_h5, named_weights, save_h5

CHANNELS = 32
KINDS = {"se", "cbam"}
LAYERS = {
    "se": {"x_se_squeeze", "x_se_excite"},
    "cbam": {"x_cbam_squeeze", "x_cbam_excite", "x_cbam_spatial"},
}


def build(kind):
    """Attention on maps of any size, and its weights by name, none of them 0."""
    keras.utils.set_random_seed(0)
    x = keras.Input([None, None, CHANNELS])
    model = keras.Model(x, attend(x, "x", lean_config(FPN_ATTENTION=kind)))
    return model, stir(model)


def stir(model, part=""):
    rng = np.random.default_rng(0)
    chosen = {n: w for n, w in named_weights(model).items() if part in n}
    for variable in chosen.values():
        variable.assign(rng.normal(size=variable.shape) * 0.3)
    return {name: np.array(variable) for name, variable in chosen.items()}


def features():
    return np.random.default_rng(1).normal(size=(2, 5, 6, CHANNELS)).astype("float32")


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def channel_gate(pooled, weights, name):
    hidden = pooled @ weights[f"{name}_squeeze/kernel"]
    hidden = np.maximum(hidden + weights[f"{name}_squeeze/bias"], 0)
    return hidden @ weights[f"{name}_excite/kernel"] + weights[f"{name}_excite/bias"]


def test_squeeze_and_excitation_agrees_with_numpy():
    model, weights = build("se")
    assert weights["x_se_squeeze/kernel"].shape == (CHANNELS, CHANNELS // 16)
    x = features()
    gate = sigmoid(channel_gate(x.mean(axis=(1, 2)), weights, "x_se"))
    np.testing.assert_allclose(model(x), 2 * gate[:, None, None] * x, rtol=1e-4)


def test_cbam_agrees_with_numpy():
    model, weights = build("cbam")
    x = features()
    logits = sum(
        channel_gate(pooled, weights, "x_cbam")
        for pooled in (x.mean(axis=(1, 2)), x.max(axis=(1, 2)))
    )
    y = 2 * sigmoid(logits)[:, None, None] * x
    cells = np.stack([y.mean(axis=-1), y.max(axis=-1)], axis=-1)
    padded = np.pad(cells, [(0, 0), (3, 3), (3, 3), (0, 0)])
    kernel = weights["x_cbam_spatial/kernel"]
    logits = np.empty((2, 5, 6, 1))
    for row in range(5):
        for column in range(6):
            window = padded[:, row : row + 7, column : column + 7]
            logits[:, row, column] = np.tensordot(window, kernel, axes=3)
    gate = sigmoid(logits + weights["x_cbam_spatial/bias"])
    np.testing.assert_allclose(model(x), 2 * gate * y, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_it_starts_as_if_it_were_not_there_and_learns(kind):
    keras.utils.set_random_seed(0)
    x = keras.Input([5, 6, CHANNELS])
    model = keras.Model(x, attend(x, "x", lean_config(FPN_ATTENTION=kind)))
    assert {layer.name for layer in model.layers if layer.weights} == LAYERS[kind]
    with tf.GradientTape() as tape:
        y = model(features())
        loss = tf.reduce_sum(y**2)
    np.testing.assert_allclose(y, features(), rtol=1e-6)
    gradients = tape.gradient(loss, model.trainable_variables)
    learning = {
        v.path
        for v, g in zip(model.trainable_variables, gradients, strict=True)
        if np.any(g)
    }
    last = {name for name in LAYERS[kind] if not name.endswith("squeeze")}
    assert learning == {f"{n}/{part}" for n in last for part in ("kernel", "bias")}


def test_without_it_nothing_is_added():
    x = keras.Input([5, 6, CHANNELS])
    assert attend(x, "x", lean_config()) is x


@pytest.fixture(scope="module", params=sorted(KINDS))
def networks(request):
    """One level of the pyramid without attention, and one with."""
    settings = {"DETECTION_MIN_CONFIDENCE": 0.0}
    keras.utils.set_random_seed(0)
    plain = build_inference_model(lean_config(**settings))
    kind = request.param
    return plain, build_inference_model(lean_config(FPN_ATTENTION=kind, **settings))


def inputs():
    image = np.random.default_rng(0).uniform(0, 255, (1, SIDE, SIDE, 3))
    return [image.astype("float32"), np.array([[0, 0, 1, 1]], np.float32)]


def test_weights_travel_by_name_and_the_folded_network_agrees(networks, tmp_path):
    plain, model = networks
    save_h5(plain, tmp_path / "plain.h5")
    report = load_h5(model, tmp_path / "plain.h5", verbose=0)
    assert not report.unused and not report.mismatched
    assert {name.split("_")[1] for name in report.missing} == {"p4"}
    expected, got = plain(inputs()), model(inputs())
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, atol=1e-5, err_msg=name)

    changed = stir(model, "fpn_p4_")
    assert {name.split("_")[2] for name in changed} <= KINDS
    with_attention = model(inputs())
    assert np.abs(with_attention["probs"] - expected["probs"]).max() > 1e-4
    for precision, atol in (("float32", 1e-5), ("bfloat16", 0.05)):
        folded = Folded(model, precision)
        folded.follow()
        answers = folded.network(inputs())["probs"].numpy()[0].max(axis=0)
        wanted = with_attention["probs"].numpy()[0].max(axis=0)
        np.testing.assert_allclose(answers, wanted, atol=atol)
