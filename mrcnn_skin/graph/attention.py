"""Attention on feature maps: squeeze-and-excitation, and CBAM.

The gates are twice a sigmoid of layers that start at 0, so 1 at first: a network that
was trained without attention answers as before, and learns from there.
"""

from keras import layers, ops

_REDUCTION = 16  # of the channels, between the two layers of a gate; as in both papers
_SPATIAL_KERNEL = 7  # of CBAM, cells


def attend(x, name, config):
    """Apply Config.FPN_ATTENTION to `x`, [batch, h, w, channels], of the same shape."""
    if config.FPN_ATTENTION == "se":
        return squeeze_and_excitation(x, f"{name}_se")
    if config.FPN_ATTENTION == "cbam":
        return cbam(x, f"{name}_cbam")
    return x


def squeeze_and_excitation(x, name):
    """Weight each channel by what the map's means say (Hu et al., 2018, eqs. 2-4)."""
    mean = layers.GlobalAveragePooling2D(dtype="float32", name=f"{name}_mean")(x)
    return _scale(x, _channel_logits([mean], name), f"{name}_scale")


def cbam(x, name):
    """Weight each channel, then each cell (Woo et al., 2018, eqs. 1-3)."""
    pooled = [
        layers.GlobalAveragePooling2D(dtype="float32", name=f"{name}_mean")(x),
        layers.GlobalMaxPooling2D(dtype="float32", name=f"{name}_max")(x),
    ]
    x = _scale(x, _channel_logits(pooled, name), f"{name}_scale")
    cells = ops.stack([ops.mean(x, axis=-1), ops.max(x, axis=-1)], axis=-1)
    logits = layers.Conv2D(
        1,
        _SPATIAL_KERNEL,
        padding="same",
        kernel_initializer="zeros",
        name=f"{name}_spatial",
    )(cells)
    return _scale(x, logits, f"{name}_spatial_scale")


def _channel_logits(pooled, name):
    """Two layers, the same for each of `pooled`; their sum, [batch, 1, 1, channels]."""
    channels = pooled[0].shape[-1]
    hidden = layers.Dense(
        max(channels // _REDUCTION, 1),
        activation="relu",
        dtype="float32",
        name=f"{name}_squeeze",
    )
    excite = layers.Dense(
        channels, kernel_initializer="zeros", dtype="float32", name=f"{name}_excite"
    )
    logits = sum(excite(hidden(x)) for x in pooled)
    return logits[:, None, None]


def _scale(x, logits, name):
    return layers.Multiply(name=name)([x, 2.0 * ops.sigmoid(logits)])
