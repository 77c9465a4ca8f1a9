"""The training graph leaves work out; the plain graph, with all of it, agrees."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import tiny_config

from mrcnn_skin.data.pipeline import training_batches
from mrcnn_skin.data.synthetic import SyntheticDataset
from mrcnn_skin.graph.mask_rcnn import build_training_model
from mrcnn_skin.weights_io.by_name import copy_weights, named_weights

SAMPLES = Path(__file__).resolve().parents[2] / "samples" / "benchmark"


def losses_and_gradients(model, inputs):
    """The terms, and {path: gradient of their sum} as NumPy arrays."""
    with tf.GradientTape() as tape:
        terms = model(inputs, training=True)
        total = tf.add_n(list(terms.values()))
    variables = model.trainable_variables
    gradients = tape.gradient(total, variables)
    by_path = {v.path: g.numpy() for v, g in zip(variables, gradients, strict=True)}
    return {name: float(term) for name, term in terms.items()}, by_path


@pytest.fixture(scope="module")
def networks(request):
    """Config, training graph and plain graph of a NORM, with the same weights."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SAMPLES))
        from plain_graph import build_plain_training_model

    keras.utils.set_random_seed(0)
    # With one channel a group, no gradient but rounding would reach the biases
    config = tiny_config(NORM=request.param, GROUP_NORM_GROUPS=4)
    fast, plain = build_training_model(config), build_plain_training_model(config)
    for name, weight in named_weights(fast).items():
        if name.split("/")[1] in ("gamma", "beta", "moving_mean", "moving_variance"):
            weight.assign(keras.random.uniform(weight.shape, 0.5, 1.5))
    copy_weights(fast, plain)
    return config, fast, plain


@pytest.mark.parametrize(
    "networks, instances",
    [("batch", 1), ("group", 1), ("group", 0)],
    indirect=["networks"],
)
def test_losses_and_gradients_equal_those_of_the_plain_graph(networks, instances):
    config, fast, plain = networks
    data = SyntheticDataset(2, (64, 64))
    _, inputs = next(training_batches(data, config).as_numpy_iterator())
    # Without class ids there is no lesion
    inputs["input_gt_class_ids"] = instances * inputs["input_gt_class_ids"]

    terms, gradients = losses_and_gradients(fast, inputs)
    expected_terms, expected = losses_and_gradients(plain, inputs)
    assert terms == pytest.approx(expected_terms, rel=1e-5)
    assert list(terms) == config.LOSS_NAMES
    assert (terms["mrcnn_mask_loss"] > 0) == bool(instances)
    assert set(gradients) == set(expected)
    for path, gradient in gradients.items():
        scale = max(np.abs(expected[path]).max(), 1e-6)
        np.testing.assert_allclose(
            gradient / scale, expected[path] / scale, atol=1e-4, err_msg=path
        )
