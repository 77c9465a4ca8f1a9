"""What several parts of the network share: norm, precision, how rows are batched."""

from contextlib import contextmanager

import keras
from keras import ops

from ..layers.normalization import BatchNorm

NOT_A_KERAS_FILE = (
    "the network is not saved as a Keras model. Use MaskRCNN.save_weights('NAME.h5'), "
    "which stores the Config too, or mrcnn_skin.serving.saved_model.export_saved_model "
    "to serve it"
)


class Network(keras.Model):
    """A functional model that is saved as weights by name and a Config, not whole."""

    def save(self, filepath, **kwargs):
        raise ValueError(f"{filepath} cannot be written: {NOT_A_KERAS_FILE}")

    def get_config(self):
        """Refuse what keras.saving.save_model would write and could not load again."""
        raise ValueError(NOT_A_KERAS_FILE)


def leaf_layers(model):
    """The layers of a model, those of a nested model in its place."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from leaf_layers(layer)
        else:
            yield layer


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


@contextmanager
def computing_in(precision):
    """Layers made within compute in "float32" or "bfloat16"; their weights are float32.

    Those that are given a type of their own, as losses and boxes are, keep it.
    """
    before = keras.config.dtype_policy()
    mixed = precision != "float32"
    keras.config.set_dtype_policy(f"mixed_{precision}" if mixed else precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
