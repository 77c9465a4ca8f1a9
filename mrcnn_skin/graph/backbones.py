"""The backbones that a Config can ask for by name.

A backbone is a function (images, config) -> [C2, C3, C4, C5].
"""

from functools import partial

from .efficientnet_lite import efficientnet_lite0
from .resnet import resnet

BACKBONES = {
    "resnet26": partial(resnet, blocks=(2, 2, 2, 2)),
    "resnet50": partial(resnet, blocks=(3, 4, 6, 3)),
    "resnet101": partial(resnet, blocks=(3, 4, 23, 3)),
    "efficientnet_lite0": efficientnet_lite0,
}


def build_backbone(images, config):
    """Build Config.BACKBONE, a name in BACKBONES or a callable of the same kind.

    Raises ValueError for a name that is not there.
    """
    if callable(config.BACKBONE):
        return config.BACKBONE(images, config)
    if config.BACKBONE not in BACKBONES:
        raise ValueError(
            f"BACKBONE must be one of {', '.join(BACKBONES)} or a callable, got "
            f"{config.BACKBONE!r}"
        )
    return BACKBONES[config.BACKBONE](images, config)
