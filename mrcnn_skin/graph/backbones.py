"""The backbones that a Config can ask for by name.

A backbone is a function (images, config) -> [C2, C3, C4, C5]; to add one, enter it into
BACKBONES.
"""

from functools import partial

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

    Raises ValueError for a name that is not there.
    """
    if callable(config.BACKBONE):
        return config.BACKBONE(images, config)
    require_backbone(config.BACKBONE)
    return BACKBONES[config.BACKBONE](images, config)


def require_backbone(name):
    """Raise ValueError unless a name is in BACKBONES."""
    if name not in BACKBONES:
        raise ValueError(
            f"BACKBONE must be one of {', '.join(BACKBONES)} or a callable, got "
            f"{name!r}"
        )
