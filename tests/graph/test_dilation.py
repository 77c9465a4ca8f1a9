"""A dilated last stage: what stays of C5 and of the pyramid, and what is new."""

import keras
import numpy as np
import pytest
from tiny import tiny_config

from mrcnn_skin import IsicConfig, IsicLiteConfig
from mrcnn_skin.graph.backbones import build_backbone
from mrcnn_skin.graph.folding import Folded
from mrcnn_skin.graph.fpn import fpn
from mrcnn_skin.graph.heads import context_logits
from mrcnn_skin.weights_io.by_name import copy_weights, named_weights


def features(config, seed=0):
    """The backbone's and the pyramid's maps of an oblong image, as one model."""
    keras.utils.set_random_seed(seed)
    image = keras.Input([64, 128, 3])
    stages = build_backbone(image, config)
    return keras.Model(image, [*stages, *fpn(stages, config)])


@pytest.fixture(
    scope="module",
    params=[(IsicConfig, "resnet26", 0), (IsicLiteConfig, "efficientnet_lite0", 1)],
    ids=lambda param: param[1],
)
def maps(request):
    """Maps without and with dilation from the same weights, and where they agree."""
    kind, backbone, offset = request.param
    config = kind(BACKBONE=backbone, TOP_DOWN_PYRAMID_SIZE=16)
    models = [features(config.replace(BACKBONE_DILATION=d)) for d in (1, 2)]
    copy_weights(*models)
    assert list(named_weights(models[0])) == list(named_weights(models[1]))
    image = np.random.default_rng(0).uniform(-127, 127, (1, 64, 128, 3))
    image = image.astype("float32")
    plain, dilated = ([np.array(x) for x in m(image)] for m in models)
    return plain, dilated, offset, models[1], image


def test_every_second_cell_of_c5_is_what_it_was(maps):
    plain, dilated, offset, *_ = maps
    assert plain[3].shape[1:3] == (2, 4) and dilated[3].shape[1:3] == (4, 8)
    kept = dilated[3][:, offset::2, offset::2]
    np.testing.assert_allclose(kept, plain[3], atol=1e-4 * np.abs(plain[3]).max())
    between = dilated[3][:, 1 - offset :: 2, 1 - offset :: 2]
    assert np.abs(between - plain[3]).max() > 0.01 * np.abs(plain[3]).max()
    for before, after in zip(plain[:3], dilated[:3], strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-4)


def test_the_pyramid_keeps_its_strides(maps):
    plain, dilated, offset, *_ = maps
    assert [x.shape for x in plain[4:]] == [x.shape for x in dilated[4:]]
    if offset == 0:  # P5 and P6 take just the cells that were there before
        for before, after in zip(plain[7:], dilated[7:], strict=True):
            scale = np.abs(before).max()
            np.testing.assert_allclose(after, before, atol=1e-4 * scale)


def test_p4_takes_in_c5_cell_by_cell(maps):
    _, dilated, _, model, _ = maps
    c4, c5, p4 = dilated[2][0], dilated[3][0], dilated[6][0]
    weights = {name: np.array(w) for name, w in named_weights(model).items()}

    def conv1(x, name):
        return x @ weights[f"{name}/kernel"][0, 0] + weights[f"{name}/bias"]

    merged = conv1(c5, "fpn_c5p5") + conv1(c4, "fpn_c4p4")
    padded = np.pad(merged, [(1, 1), (1, 1), (0, 0)])
    expected = np.tensordot(padded[1:4, 2:5], weights["fpn_p4/kernel"], axes=3)
    expected = expected + weights["fpn_p4/bias"]  # of row 1 and column 2
    np.testing.assert_allclose(p4[1, 2], expected, atol=1e-3 * np.abs(p4).max())


@pytest.mark.parametrize("precision, tolerance", [("float32", 1e-4), ("bfloat16", 0.1)])
def test_folded_it_gives_the_same(maps, precision, tolerance):
    _, dilated, _, model, image = maps
    folded = Folded(model, precision)
    folded.follow()
    for wanted, got in zip(dilated, folded.network(image), strict=True):
        scale = np.abs(wanted).max()
        np.testing.assert_allclose(got, wanted, atol=tolerance * scale)


def test_the_context_counts_the_cells_of_a_dilated_c5():
    config = tiny_config(BACKBONE_DILATION=2, CLASSIFY_CONTEXT=16)
    c5, image = keras.Input([4, 8, 32]), keras.Input([64, 128, 3])
    model = keras.Model([c5, image], context_logits(c5, image, config))
    logits = model([np.ones((1, 4, 8, 32)), np.ones((1, 64, 128, 3))])
    np.testing.assert_array_equal(logits, np.zeros((1, 1, 3)))
