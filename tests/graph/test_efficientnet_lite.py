"""EfficientNet-Lite: its published size, its arithmetic, and what of it learns."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import tiny_config, training_batch

from mrcnn_skin import IsicLiteConfig
from mrcnn_skin.graph.backbones import build_backbone
from mrcnn_skin.graph.mask_rcnn import build_inference_model, build_training_model
from mrcnn_skin.layers.normalization import BatchNorm
from mrcnn_skin.training.stages import set_trainable
from mrcnn_skin.weights_io.by_name import load_h5, named_weights, save_h5

SIDE = 64


def build(config, shape=(SIDE, SIDE, 3)):
    images = keras.Input(shape)
    return keras.Model(images, build_backbone(images, config))


@pytest.fixture(scope="module")
def backbone():
    return build(IsicLiteConfig())


def values_of(model):
    return {name: np.array(v) for name, v in named_weights(model).items()}


@pytest.mark.parametrize(
    "backbone, widths",
    [
        ("efficientnet_lite0", (24, 40, 112, 320)),
        ("efficientnet_lite2", (24, 48, 120, 352)),
    ],
)
def test_strides_and_channels_of_an_oblong_image(backbone, widths):
    stages = build(IsicLiteConfig(BACKBONE=backbone), (96, 160, 3)).output
    shapes = [tuple(stage.shape[1:]) for stage in stages]
    sizes = (24, 40), (12, 20), (6, 10), (3, 5)
    assert shapes == [(*s, w) for s, w in zip(sizes, widths, strict=True)]


@pytest.mark.parametrize(
    "backbone, blocks, published",
    [
        ("efficientnet_lite0", (1, 2, 2, 6, 5), 4_652_008),
        ("efficientnet_lite2", (1, 3, 3, 8, 6), 6_092_072),
    ],
)
def test_it_is_as_large_as_published(backbone, blocks, published):
    model = build(IsicLiteConfig(BACKBONE=backbone))
    names = [layer.name for layer in model.layers]
    found = [
        sum(bool(re.fullmatch(f"res{stage}[a-z]_depthwise", n)) for n in names)
        for stage in range(1, 6)
    ]
    assert tuple(found) == blocks
    # With the classifier: 1x1 convolution to 1280, its norm, 1000 classes
    learning = sum(np.prod(v.shape) for v in model.trainable_variables)
    classifier = model.output[-1].shape[-1] * 1280 + 2 * 1280 + 1280 * 1000 + 1000
    assert learning + classifier == published


def test_weights_of_a_block_by_hand(backbone):
    # 4c widens 80 channels to 480, filters them with 3x3, and narrows to 80
    layers = {
        "res4c_expand": {"kernel": (1, 1, 80, 480)},
        "res4c_depthwise": {"kernel": (3, 3, 480, 1)},
        "res4c_project": {"kernel": (1, 1, 480, 80)},
    }
    for part, width in (("expand", 480), ("depthwise", 480), ("project", 80)):
        names = ("gamma", "beta", "moving_mean", "moving_variance")
        layers[f"bn4c_{part}"] = dict.fromkeys(names, (width,))
    found = {
        name: tuple(variable.shape)
        for name, variable in named_weights(backbone).items()
        if "4c_" in name
    }
    assert found == {
        f"{layer}/{tensor}": shape
        for layer, tensors in layers.items()
        for tensor, shape in tensors.items()
    }


def test_depthwise_blocks_agree_with_numpy(backbone):
    # 3a: 5x5 with stride 2, padded by 1 above and left and by 2 below and right, as
    # "same" does for an even side. 3b: the same with stride 1, and a shortcut
    rng = np.random.default_rng(0)
    for layer in backbone.layers:
        if isinstance(layer, BatchNorm):
            layer.moving_mean.assign(rng.normal(size=layer.moving_mean.shape))
            layer.moving_variance.assign(
                rng.uniform(0.5, 2, layer.moving_variance.shape)
            )
    weights = values_of(backbone)
    ends = ["res2b_add", "bn3a_project", "res3b_add"]
    model = keras.Model(
        backbone.input, [backbone.get_layer(name).output for name in ends]
    )
    x, y, z = (
        t.numpy()[0].astype(float)
        for t in model(rng.uniform(-127, 127, (1, SIDE, SIDE, 3)))
    )
    expected = numpy_block(x, "3a", 2, weights)
    np.testing.assert_allclose(y, expected, rtol=1e-3, atol=1e-4 * abs(y).max())
    expected = y + numpy_block(y, "3b", 1, weights)
    np.testing.assert_allclose(z, expected, rtol=1e-3, atol=1e-4 * abs(z).max())


def numpy_block(x, name, stride, weights):
    """A block with a 5x5 kernel, without its shortcut: [h, w, channels] by loops."""

    def normalise(x, part):
        gamma, beta, mean, variance = (
            weights[f"bn{name}_{part}/{tensor}"]
            for tensor in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta

    x = np.clip(
        normalise(x @ weights[f"res{name}_expand/kernel"][0, 0], "expand"), 0, 6
    )
    kernel = weights[f"res{name}_depthwise/kernel"][..., 0]
    before = 1 if stride == 2 else 2
    padded = np.pad(x, ((before, 2), (before, 2), (0, 0)))
    rows, columns = (side // stride for side in x.shape[:2])
    y = np.empty((rows, columns, x.shape[2]))
    for row in range(rows):
        for column in range(columns):
            top, left = row * stride, column * stride
            window = padded[top : top + 5, left : left + 5]
            y[row, column] = (window * kernel).sum(axis=(0, 1))
    y = np.clip(normalise(y, "depthwise"), 0, 6)
    return normalise(y @ weights[f"res{name}_project/kernel"][0, 0], "project")


def test_new_layers_start_apart_from_each_other(backbone):
    # Initialisers without a seed of their own repeat themselves if they are shared
    weights = values_of(build(IsicLiteConfig()))
    first, second = (weights[f"res4{block}_depthwise/kernel"] for block in "bc")
    assert first.shape == second.shape and not np.allclose(first, second)
    assert first.std() == pytest.approx(np.sqrt(2 / 9), rel=0.1)


def test_heads_have_a_norm_of_their_own():
    model = build_inference_model(tiny_lite_config())
    names = {layer.name for layer in model.layers}
    assert names >= {"bn_conv1", "bn5e_project", "mrcnn_class_gn1", "mrcnn_mask_gn4"}
    assert not names & {"gn_conv1", "mrcnn_class_bn1", "mrcnn_mask_bn4"}
    model = build_inference_model(tiny_lite_config(NORM="group", HEAD_NORM="batch"))
    names = {layer.name for layer in model.layers}
    assert names >= {"gn_conv1", "gn5e_project", "mrcnn_class_bn1", "mrcnn_mask_bn4"}


def tiny_lite_config(**overrides):
    """IsicLiteConfig's backbone and norms with the widths of the tiny network."""
    lite = IsicLiteConfig()
    fields = ("BACKBONE", "NORM", "HEAD_NORM", "MEAN_PIXEL", "GROUP_NORM_GROUPS")
    kept = {name: getattr(lite, name) for name in fields}
    return tiny_config(**{**kept, **overrides})


@pytest.fixture(scope="module")
def model():
    return build_training_model(tiny_lite_config())


def test_a_step_gives_every_weight_a_gradient_and_leaves_the_statistics(model):
    set_trainable(model, "all")
    inputs = training_batch(tiny_lite_config(), class_ids=(1, 2))
    before = values_of(model)
    with tf.GradientTape() as tape:
        terms = model(inputs, training=True)
        total = tf.add_n(list(terms.values()))
    gradients = tape.gradient(total, model.trainable_variables)
    assert np.isfinite(total) and all(np.all(np.isfinite(g)) for g in gradients)
    moved = {
        variable.path.split("/")[-2]
        for variable, gradient in zip(model.trainable_variables, gradients, strict=True)
        if np.any(gradient)
    }
    assert moved >= {"conv1", "bn_conv1", "res1a_depthwise", "res5e_project"}
    for name, value in values_of(model).items():
        if "moving_" in name:
            np.testing.assert_array_equal(value, before[name], err_msg=name)


@pytest.mark.parametrize("layers, first", [("5+", 5), ("4+", 4), ("3+", 3)])
def test_stages_of_training_take_the_blocks_from_there_on(model, layers, first):
    learning = {n for n in set_trainable(model, layers) if re.match("(res|bn)", n)}
    blocks = {1: "a", 2: "ab", 3: "ab", 4: "abcdef", 5: "abcde"}
    assert learning == {
        f"{kind}{stage}{letter}_{part}"
        for stage in range(first, 6)
        for letter in blocks[stage]
        for kind in ("res", "bn")
        for part in ("expand", "depthwise", "project")
    }
    heads = set(set_trainable(model, "heads"))
    assert not any(name.startswith(("res", "bn", "conv")) for name in heads)


def test_weights_travel_by_name_from_the_backbone_to_the_network(
    backbone, model, tmp_path
):
    save_h5(backbone, tmp_path / "backbone.h5")
    report = load_h5(model, tmp_path / "backbone.h5")
    assert not report.unused and not report.mismatched
    assert len(report.loaded) == len(backbone.weights)
    heads = ("mrcnn_", "rpn_", "fpn_")
    assert all(name.startswith(heads) for name in report.missing)
    loaded = values_of(model)
    for name, value in values_of(backbone).items():
        np.testing.assert_array_equal(loaded[name], value, err_msg=name)
