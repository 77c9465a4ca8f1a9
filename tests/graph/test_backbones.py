"""What a backbone of one's own must return, and what is said of all others."""

import keras
import pytest
from tiny import lean_config, tiny_backbone

from mrcnn_skin.graph.backbones import build_backbone


def backbone(change):
    """A BACKBONE that returns what `change` makes of tiny_backbone's [C2, ..., C5]."""
    return lambda images, config: change(tiny_backbone(images, config))


def build(function, side=64, **overrides):
    config = lean_config(BACKBONE=function, **overrides)
    return build_backbone(keras.Input([side, side, 3]), config)


@pytest.mark.parametrize(
    "change, returned",
    [
        (lambda stages: stages[:3], "16, 16, 8.*, 8, 8, 8.*, 4, 4, 16"),
        (lambda stages: [*stages, stages[-1]], "2, 2, 16.*2, 2, 16"),
        (lambda stages: [stages[0], *stages[:3]], "16, 16, 8.*16, 16, 8.*4, 4, 16"),
        (lambda stages: stages[::-1], "2, 2, 16.*16, 16, 8"),
        (lambda stages: stages[0], r"\[\(None, 16, 16, 8\)\]"),
        (lambda stages: [keras.layers.Flatten()(x) for x in stages], "None, 2048"),
        (lambda stages: None, r"\[None\]"),
        (lambda stages: "resnet", r"\[None\]"),
    ],
)
def test_what_are_no_four_stages_is_refused_with_the_shapes(change, returned):
    message = rf"^BACKBONE must return .*\[4, 8, 16, 32\].*backbone.*{returned}"
    with pytest.raises(ValueError, match=message):
        build(backbone(change))


def test_strides_follow_the_config():
    halved = [2, 4, 8, 16, 32]
    with pytest.raises(ValueError, match=r"strides are \[2, 4, 8, 16\]"):
        build(tiny_backbone, BACKBONE_STRIDES=halved)
    with pytest.raises(ValueError, match=r"strides are \[4, 8, 16, 16\]"):
        build(tiny_backbone, BACKBONE_DILATION=2)
    wide = backbone(lambda stages: [*stages[:3], stages[2]])
    assert len(build(wide, BACKBONE_DILATION=2)) == 4


@pytest.mark.parametrize("side", [64, None])
@pytest.mark.parametrize("container", [list, tuple])
def test_four_stages_are_taken_of_any_size(side, container):
    assert len(build(backbone(container), side)) == 4
