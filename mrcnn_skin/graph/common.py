"""What several parts of the network share: their norm, and how rows are batched."""

import keras
from keras import ops

from ..layers.normalization import BatchNorm


def norm(x, name, config, kind="same"):
    """Normalise `x`.

    kind: "batch", "group", or "same", which is as Config.NORM says.
    name: of the BatchNorm, as in Matterport's weight file. A GroupNorm is called
    "gn" where the BatchNorm is called "bn": statistics learned for the one never load
    into the other.
    """
    if (config.NORM if kind == "same" else kind) == "group":
        layer = keras.layers.GroupNormalization(
            config.GROUP_NORM_GROUPS, name=other_norm(name)
        )
    else:
        layer = BatchNorm(train_bn=config.TRAIN_BN, name=name)
    return layer(x)


def other_norm(name):
    """Name of the GroupNorm in place of a BatchNorm, and the other way round."""
    if "gn" in name:
        return name.replace("gn", "bn")
    return name.replace("bn", "gn")


def unfold(x, count):
    """[batch * count, ...] to [batch, count, ...]: rows of regions back to images."""
    return ops.reshape(x, [-1, count, *x.shape[1:]])
