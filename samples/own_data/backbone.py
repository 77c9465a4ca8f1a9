"""A backbone of your own: write a function and register its name.

config = IsicConfig(BACKBONE="plain")
"""

from keras import layers

from mrcnn_skin.graph.backbones import BACKBONES
from mrcnn_skin.graph.common import norm


def plain(images, config):
    """One convolution a stage: [C2, C3, C4, C5] of strides 4, 8, 16 and 32."""
    x, stages = images, []
    for stage, width in enumerate((16, 32, 64, 128, 128), start=1):
        # Named after ResNet's layers, so that train(layers="4+") knows the stage
        name = f"{stage}a_branch2a"
        x = layers.Conv2D(width, 3, 2, padding="same", name=f"res{name}")(x)
        x = layers.ReLU(name=f"res{name}_relu")(norm(x, f"bn{name}", config))
        stages.append(x)
    return stages[1:]


BACKBONES["plain"] = plain
