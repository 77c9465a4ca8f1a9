"""The backbones that a Config can ask for by name.

A backbone is a function (images, config) -> [C2, C3, C4, C5]; to add one, enter it into
BACKBONES.
"""

from functools import partial

import keras

from .efficientnet_lite import efficientnet_lite
from .resnet import resnet

BACKBONES = {
    "resnet26": partial(resnet, blocks=(2, 2, 2, 2)),
    "resnet50": partial(resnet, blocks=(3, 4, 6, 3)),
    "resnet101": partial(resnet, blocks=(3, 4, 23, 3)),
    "efficientnet_lite0": partial(efficientnet_lite, width=1.0, depth=1.0),
    "efficientnet_lite2": partial(efficientnet_lite, width=1.1, depth=1.2),
}


def build_backbone(images, config):
    """Build Config.BACKBONE, a name in BACKBONES or a callable of the same kind.

    Raises ValueError for a name that is not there, or a callable whose results are not
    the four stages.
    """
    if not callable(config.BACKBONE):
        require_backbone(config.BACKBONE)
        return BACKBONES[config.BACKBONE](images, config)
    stages = keras.tree.flatten(config.BACKBONE(images, config))
    shapes = [getattr(stage, "shape", None) for stage in stages]
    strides = list(config.BACKBONE_STRIDES[:4])
    strides[3] //= config.BACKBONE_DILATION
    sides = [[side and -(-side // s) for side in images.shape[1:3]] for s in strides]
    if [shape and list(shape[1:3]) for shape in shapes] != sides:
        raise ValueError(
            f"BACKBONE must return [C2, C3, C4, C5], whose strides are {strides}, so "
            f"[batch, h, w, channels] of images {images.shape} with h, w of {sides}; "
            f"{config.BACKBONE!r} returned {shapes}"
        )
    return stages


def require_backbone(name):
    """Raise ValueError unless a name is in BACKBONES."""
    if name not in BACKBONES:
        raise ValueError(
            f"BACKBONE must be one of {', '.join(BACKBONES)} or a callable, got "
            f"{name!r}"
        )
