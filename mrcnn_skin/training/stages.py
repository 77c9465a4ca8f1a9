"""What is trained when: heads first, then more of the backbone, then everything."""

import re
import zlib
from typing import NamedTuple

import keras

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
    """A part of a run: which layers learn, for how many epochs, how fast.

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
            re.compile(stage.layers)
        except (ValueError, re.error) as error:
            raise ValueError(
                "a stage must be LAYERS:EPOCHS:LEARNING_RATE, such as heads:20:1e-3, "
                f"got {part!r}"
            ) from error
        if stage.epochs < 1 or not stage.learning_rate > 0 or not stage.layers:
            raise ValueError(
                f"a stage must have layers, at least 1 epoch and a learning rate above "
                f"0, got {part!r}"
            )
        stages.append(stage)
    return tuple(stages)


def set_trainable(model, layers):
    """Make exactly the named layers of a model learn, nested models' included.

    layers: a name in LAYER_SETS, or a regular expression that a layer's whole name
    must match. Flags are set one layer at a time, for a model's own flag does not
    reach layers that were set before. Returns the names of the layers that learn.
    Raises ValueError if none does.
    """
    pattern = re.compile(LAYER_SETS.get(layers, layers))
    learning = list(_set_flags(model, pattern))
    if not learning:
        raise ValueError(f"no layer with weights matches {layers!r}")
    return learning


def _set_flags(model, pattern):
    model.trainable = True
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _set_flags(layer, pattern)
        else:
            layer.trainable = bool(pattern.fullmatch(layer.name))
            if layer.trainable and layer.weights:
                yield layer.name
