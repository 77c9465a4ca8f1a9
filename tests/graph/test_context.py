"""Context of the Classify subnet: its values, and what it leaves as it was."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import SIDE, lean_config, training_batch

from mrcnn_skin.graph.folding import Folded
from mrcnn_skin.graph.mask_rcnn import build_inference_model, build_training_model
from mrcnn_skin.weights_io.by_name import load_h5, named_weights, save_h5

CONTEXT = 16
LAYERS = {"mrcnn_context_fc", "mrcnn_context_gn", "mrcnn_context_logits"}


def config(**overrides):
    settings = {"CLASSIFY_CONTEXT": CONTEXT, "HEAD_NORM": "group"}
    return lean_config(**{**settings, "DETECTION_MIN_CONFIDENCE": 0.0, **overrides})


def inputs():
    """Two images, the second with a black half, and windows of the whole canvas."""
    rng = np.random.default_rng(0)
    images = rng.uniform(1, 255, (2, SIDE, SIDE, 3)).astype(np.float32)
    images[1, :, SIDE // 2 :] = 0.0
    return [images, np.array([[0, 0, 1, 1]] * 2, np.float32)]


def stir(model, seed=0):
    """Values that show any mistake in the layers of the context."""
    rng = np.random.default_rng(seed)
    for name, variable in named_weights(model).items():
        if name.startswith("mrcnn_context"):
            values = rng.normal(size=variable.shape)
            variable.assign(abs(values) if "variance" in name else values)


@pytest.fixture(scope="module")
def plain():
    keras.utils.set_random_seed(0)
    return build_inference_model(config(CLASSIFY_CONTEXT=0))


@pytest.fixture(scope="module")
def model(plain):
    model = build_inference_model(config())
    stir(model)
    copy_shared(plain, model)
    return model


def copy_shared(source, target):
    variables = named_weights(target)
    for name, weight in named_weights(source).items():
        variables[name].assign(weight)


def test_only_its_own_layers_are_new(plain, model):
    new = set(named_weights(model)) - set(named_weights(plain))
    assert {name.split("/")[0] for name in new} == LAYERS
    assert set(named_weights(plain)) < set(named_weights(model))


def test_logits_agree_with_numpy(model):
    names = ("res5a_branch2a_relu", "mrcnn_class_logits", "mrcnn_bbox", "mrcnn_class")
    probe = keras.Model(model.input, [model.get_layer(n).output for n in names])
    images, windows = inputs()
    c5, logits, _, probs = (x.numpy() for x in probe([images, windows]))
    weights = {name: np.array(w) for name, w in named_weights(model).items()}
    # 2 x 2 cells of 32 px; only the left ones of the second image show something
    pooled = np.stack([c5[0].mean(axis=(0, 1)), c5[1, :, 0].mean(axis=0)])
    x = pooled @ weights["mrcnn_context_fc/kernel"] + weights["mrcnn_context_fc/bias"]
    groups = x.reshape(2, 8, CONTEXT // 8)  # GROUP_NORM_GROUPS is 8
    groups = groups - groups.mean(axis=-1, keepdims=True)
    x = groups / np.sqrt((groups**2).mean(axis=-1, keepdims=True) + 1e-3)
    x = x.reshape(2, CONTEXT) * weights["mrcnn_context_gn/gamma"]
    x = np.maximum(x + weights["mrcnn_context_gn/beta"], 0)
    shared = x @ weights["mrcnn_context_logits/kernel"]
    expected = np.exp(logits.reshape(2, -1, 3) + shared[:, None])
    expected /= expected.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(probs, expected, atol=1e-5)
    assert np.abs(shared).max() > 0.1


def test_a_network_trained_without_answers_as_before(plain, tmp_path):
    save_h5(plain, tmp_path / "plain.h5")
    model = build_inference_model(config())
    report = load_h5(model, tmp_path / "plain.h5", verbose=0)
    assert not report.unused and not report.mismatched
    assert {name.split("/")[0] for name in report.missing} == LAYERS
    expected = plain(inputs())
    for name, value in model(inputs()).items():
        np.testing.assert_allclose(value, expected[name], atol=1e-6, err_msg=name)


@pytest.mark.parametrize("precision, atol", [("float32", 1e-5), ("bfloat16", 0.05)])
def test_folded_it_answers_the_same(model, precision, atol):
    folded = Folded(model, precision)
    folded.follow()
    names = ["mrcnn_context_fc", "mrcnn_context_logits"]
    kinds = {folded.network.get_layer(name).compute_dtype for name in names}
    assert kinds == {"float32"}
    # RoIs that rounding puts into another order are not compared one by one
    results = [
        m(inputs())["probs"].numpy().max(axis=1) for m in (model, folded.network)
    ]
    np.testing.assert_allclose(*results, atol=atol)


def test_the_class_loss_alone_teaches_it():
    training = build_training_model(config(TRAINING_PRECISION="bfloat16"))
    stir(training)
    batch = training_batch(config(), class_ids=(1, 2))
    variables = [v for v in training.trainable_variables if "mrcnn_context" in v.path]
    assert len(variables) == 5  # kernel, bias, gamma, beta, and the logits' kernel
    with tf.GradientTape(persistent=True) as tape:
        terms = training(batch, training=True)
    for term, value in terms.items():
        gradients = tape.gradient(value, variables)
        if term == "mrcnn_class_loss":
            sizes = [float(tf.norm(g)) for g in gradients]
            assert min(sizes) > 0 and np.isfinite(sizes).all(), sizes
        else:
            assert gradients == [None] * len(variables), term


@pytest.mark.parametrize(
    "tasks, has_context",
    [(("classify",), True), (("detect",), False)],
)
def test_it_goes_with_the_task_classify(tasks, has_context):
    names = named_weights(build_inference_model(config(TASKS=tasks)))
    assert ("mrcnn_context_fc/kernel" in names) == has_context


def test_frozen_batch_norm_has_a_name_of_its_own():
    model = build_inference_model(config(HEAD_NORM="batch"))
    assert "mrcnn_context_bn/gamma" in named_weights(model)


def test_its_width_must_suit_group_norm():
    with pytest.raises(ValueError, match="GROUP_NORM_GROUPS must divide.*12"):
        config(CLASSIFY_CONTEXT=12)
