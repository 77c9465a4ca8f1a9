"""Stages of training: the heads first, then more of the backbone, then all layers."""

import difflib
import re
import zlib
from typing import NamedTuple

import keras

from ..config_rules import is_number, is_whole
from ..graph.common import leaf_layers

_HEADS = r"(mrcnn_|rpn_|fpn_).*"


def _from_stage(first):
    """Pattern of the heads and of the ResNet's stages from `first` to 5."""
    return rf"{_HEADS}|(res|bn|gn)[{first}-5].*"


# Matterport's names for sets of layers
LAYER_SETS = {
    "heads": _HEADS,
    "3+": _from_stage(3),
    "4+": _from_stage(4),
    "5+": _from_stage(5),
    "all": ".*",
}


class Stage(NamedTuple):
    """A part of a run: its layers, number of epochs and learning rate.

    layers: a name in LAYER_SETS, or a regular expression of layer names.
    """

    layers: str
    epochs: int
    learning_rate: float


def recipe_number(stage):
    """A number for a stage's layers and learning rate: checkpoints hold no text.

    The same for stages that one optimizer can go on with, however long they are.
    """
    return zlib.crc32(f"{stage.layers} {float(stage.learning_rate)!r}".encode())


# Three phases: the paper names their number, Matterport's COCO recipe their contents
PAPER_STAGES = (
    Stage("heads", 40, 1e-3),
    Stage("4+", 80, 1e-3),
    Stage("all", 40, 1e-4),
)


def parse_stages(text):
    """Read "heads:20:1e-3,all:20:1e-4", or "paper" for PAPER_STAGES.

    Returns a tuple of Stage. Raises ValueError saying which part is wrong.
    """
    if text == "paper":
        return PAPER_STAGES
    stages = []
    for part in text.split(","):
        try:
            layers, epochs, learning_rate = part.rsplit(":", 2)
            stage = Stage(layers.strip(), int(epochs), float(learning_rate))
        except ValueError as error:
            raise ValueError(
                "a stage must be LAYERS:EPOCHS:LEARNING_RATE, such as heads:20:1e-3, "
                f"got {part!r}"
            ) from error
        _require_usable(stage)
        stages.append(stage)
    return tuple(stages)


def require_stages(model, stages):
    """Raise ValueError unless a network can be trained in these stages."""
    is_list = isinstance(stages, list | tuple) and not isinstance(stages, Stage)
    if not (is_list and stages and all(isinstance(s, Stage) for s in stages)):
        raise ValueError(
            "stages must be a list of at least one Stage(layers, epochs, "
            f"learning_rate), got {stages!r}; parse_stages makes it of text"
        )
    for stage in stages:
        _require_usable(stage)
        find_layers(model, stage.layers)


def _require_usable(stage):
    """Raise ValueError unless a stage is valid by itself."""
    _layer_pattern(stage.layers)
    if not is_whole(stage.epochs) or stage.epochs < 1:
        raise ValueError(
            "epochs of a stage must be a whole number of at least 1, got "
            f"{stage.epochs!r}"
        )
    rate = stage.learning_rate
    if not is_number(rate) or rate <= 0:
        raise ValueError(
            f"learning_rate of a stage must be a number above 0, got {rate!r}"
        )


def _layer_pattern(layers):
    """The pattern of a name in LAYER_SETS or of a regular expression."""
    fault = ""
    if isinstance(layers, str) and layers:
        try:
            return re.compile(LAYER_SETS.get(layers, layers))
        except re.error as error:
            fault = f": {error}"
    raise ValueError(
        f"layers of a stage must be one of {', '.join(LAYER_SETS)}, or a regular "
        "expression of layer names such as 'rpn_.*|mrcnn_.*', got "
        f"{layers!r}{fault}"
    )


def find_layers(model, layers):
    """Names of the layers with weights that `layers` matches, nested models' included.

    layers: a name in LAYER_SETS, or a regular expression that a layer's whole name
    must match. Raises ValueError if no layer does, or for anything else.
    """
    pattern = _layer_pattern(layers)
    names = [layer.name for layer in leaf_layers(model) if layer.weights]
    found = [name for name in names if pattern.fullmatch(name)]
    if not found:
        close = difflib.get_close_matches(layers, [*LAYER_SETS, *names], n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"no layer with weights matches {layers!r}{hint}")
    return found


def set_trainable(model, layers):
    """Make exactly the layers of `find_layers` trainable, and return their names."""
    names = find_layers(model, layers)
    _set_flags(model, set(names))
    return names


def _set_flags(model, names):
    """Set the flag of each layer: a model's own does not reach layers set before."""
    model.trainable = True
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            _set_flags(layer, names)
        else:
            layer.trainable = layer.name in names
