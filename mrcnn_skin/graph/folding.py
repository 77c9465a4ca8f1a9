"""The network as it is fastest to run: BatchNorm folded into convolutions, bfloat16.

A folded network has the layers of a plain one under the same names and follows its
weights. It does not learn; its answers are the plain network's but for rounding.
"""

import keras
import numpy as np
import tensorflow as tf

from .common import leaf_layers
from .folded_training import CONVOLUTIONS, norms_by_convolution

# Layers that may run in another precision. The others stay in float32: those that
# normalise, and the last ones of the heads, whose rounding would give many regions the
# same score and leave the best of them to chance.
_CONVERTIBLE = (
    *CONVOLUTIONS,
    keras.layers.ZeroPadding2D,
    keras.layers.Conv2DTranspose,
    keras.layers.ReLU,
    keras.layers.MaxPooling2D,
    keras.layers.UpSampling2D,
    keras.layers.Add,
    keras.layers.Multiply,
)
_HARMLESS = (None, keras.activations.linear, keras.activations.relu)


class Folded:
    """A network that computes what `source` does, in less time; not for training.

    source: a functional model. precision: "float32" or "bfloat16", of convolutions.
    `network` is the model to call; it shares with `source` every layer that stays as
    it is.

    BatchNorm with fixed statistics, gamma (w x + b - mean) / sqrt(var + eps) + beta,
    is a convolution with the kernel w s and the bias (b - mean) s + beta, where
    s = gamma / sqrt(var + eps).
    """

    def __init__(self, source, precision="float32"):
        norm = keras.layers.BatchNormalization
        norms = [x for x in leaf_layers(source) if isinstance(x, norm)]
        self._norms = norms_by_convolution(norms)
        folded_away = {norm.name for norm in self._norms.values()}
        self._clones = {}  # {layer of source: its counterpart}

        def clone(layer):
            settings = {}
            if layer.name in self._norms:
                settings["use_bias"] = True
            if precision != "float32" and _is_convertible(layer):
                settings["dtype"] = precision
            if not settings:
                return layer
            config = layer.get_config()
            # Values that are soon replaced need not be drawn at random, for seconds
            zeros = {n: "zeros" for n in config if n.endswith("_initializer")}
            twin = type(layer).from_config({**config, **zeros, **settings})
            self._clones[layer] = twin
            return twin

        def call(layer, *args, **kwargs):
            return args[0] if layer.name in folded_away else layer(*args, **kwargs)

        self.network = keras.models.clone_model(
            source, clone_function=clone, call_function=call, recursive=True
        )
        self._watch = WeightWatch(
            weight
            for layer in [*self._clones, *self._norms.values()]
            for weight in layer.weights
        )

    def follow(self):
        """Take over the weights of the source if they changed since the last call."""
        if not self._watch.have_changed():
            return
        for layer, twin in self._clones.items():
            values = _folded_values(layer, self._norms.get(layer.name))
            for variable in twin.weights:
                variable.assign(values[variable.name])


def _is_convertible(layer):
    activation = getattr(layer, "activation", None)
    return isinstance(layer, _CONVERTIBLE) and activation in _HARMLESS


def _folded_values(layer, norm):
    """{name: array} of a layer's weights, with the BatchNorm after it folded in."""
    values = {weight.name: np.asarray(weight) for weight in layer.weights}
    if norm is None:
        return values
    scale = 1.0 / np.sqrt(np.asarray(norm.moving_variance) + norm.epsilon)
    if norm.scale:
        scale = scale * np.asarray(norm.gamma)
    bias = (values.get("bias", 0.0) - np.asarray(norm.moving_mean)) * scale
    if norm.center:
        bias = bias + np.asarray(norm.beta)
    kernel = values["kernel"]
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        scale = scale.reshape(kernel.shape[-2:])  # [channels, multiplier]
    return {"kernel": kernel * scale, "bias": bias}


class WeightWatch:
    """Tells whether variables changed, whoever changed them, without reading them.

    TensorFlow writes a new value elsewhere while somebody holds the old one. So, as
    long as the last read is kept, the same address means the same value. Where a read
    is a copy, as from a GPU, the answer is "changed": slower, but never wrong.
    """

    def __init__(self, variables):
        variables = list(variables)
        # One call for all: a read each takes four times as long
        self._read_all = tf.function(lambda: [v.value.read_value() for v in variables])
        self._reads = []

    def have_changed(self):
        """Whether any has since the last call; the first call says yes."""
        reads = self._read_all()
        same = [_address(read) for read in reads] == [
            _address(read) for read in self._reads
        ]
        self._reads = reads
        return not same


def _address(tensor):
    return np.asarray(tensor).__array_interface__["data"][0]
