"""BatchNorm folded into convolutions: the network as it is fastest to run and train.

gamma (w x + b - mean) / sqrt(var + eps) + beta, with fixed statistics, is a convolution
with the kernel w s and the bias b s + t, where s = gamma / sqrt(var + eps) and
t = beta - mean s. `Folded` folds once, for detection, and may compute in bfloat16;
`FoldedModel` folds in every step, for weights that learn.
"""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from ..layers.normalization import BatchNorm
from .common import Network, leaf_layers

CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)

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
    it is. The others keep their names.
    """

    def __init__(self, source, precision="float32"):
        norm = keras.layers.BatchNormalization
        norms = [x for x in leaf_layers(source) if isinstance(x, norm)]
        self._norms = norms_by_convolution(norms)
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
            # The values are replaced soon; drawing them at random would take seconds
            zeros = {n: "zeros" for n in config if n.endswith("_initializer")}
            twin = type(layer).from_config({**config, **zeros, **settings})
            self._clones[layer] = twin
            return twin

        self.network = _clone_without(self._norms, source, clone, recursive=True)
        self._watch = WeightWatch(
            weight
            for layer in [*self._clones, *self._norms.values()]
            for weight in layer.weights
        )

    def follow(self):
        """Copy the weights of the source if they changed since the last call."""
        if not self._watch.have_changed():
            return
        for layer, twin in self._clones.items():
            values = {weight.name: weight for weight in layer.weights}
            if layer.name in self._norms:
                kernel, bias = _fold(layer, self._norms[layer.name])
                values = {"kernel": kernel, "bias": bias}
            for variable in twin.weights:
                variable.assign(values[variable.name])


def _is_convertible(layer):
    activation = getattr(layer, "activation", None)
    return isinstance(layer, _CONVERTIBLE) and activation in _HARMLESS


class WeightWatch:
    """Detects changes of variables without comparing their values.

    TensorFlow writes a new value to a new address while the old one is referenced.
    While the last read is kept, the same address therefore means the same value. Where
    a read is a copy, as from a GPU, the answer is "changed": slower, but never wrong.
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


class FoldedModel(Network):
    """A functional model that runs without its frozen BatchNorms.

    It has the layers and weights of keras.Model(inputs, outputs) and computes the
    same, but the normalised feature maps are never made: this saves a fifth of their
    memory and, where convolutions run in bfloat16, much of the time.
    """

    def __init__(self, inputs, outputs, **kwargs):
        super().__init__(inputs, outputs, **kwargs)
        self._folded = fold_norms(keras.Model(inputs, outputs))

    def call(self, inputs, training=None, mask=None):
        return self._folded(inputs, training=training)


class FoldedConvolution(keras.layers.Layer):
    """A convolution and the BatchNorm after it, as one convolution.

    Both layers keep their weights, which receive the same gradients as before.
    """

    def __init__(self, convolution, norm):
        super().__init__(name=f"{norm.name}_folded", dtype=convolution.dtype_policy)
        self.convolution, self.norm = convolution, norm

    def call(self, x):
        """x: what the convolution takes. Returns what the BatchNorm gave."""
        convolution = self.convolution
        kernel, bias = _fold(convolution, self.norm)
        weights = [(convolution.kernel, kernel)]
        if convolution.use_bias:
            weights.append((convolution.bias, bias))
        with keras.StatelessScope(state_mapping=weights):
            y = convolution(x)
        return y if convolution.use_bias else y + ops.cast(bias, y.dtype)


def fold_norms(model):
    """A functional model that shares all layers of `model` and runs folded."""
    frozen = [x for x in model.layers if isinstance(x, BatchNorm) and not x.train_bn]
    # Of one cell, as behind the box head's first layer, the map is smaller than the
    # kernel that would be scaled
    frozen = [x for x in frozen if tuple(_input(x).shape[1:3]) != (1, 1)]
    norms = norms_by_convolution(frozen)
    if not norms:
        return model

    def fold(layer):
        norm = norms.get(layer.name)
        return FoldedConvolution(layer, norm) if norm else layer

    return _clone_without(norms, model, fold)


def _clone_without(norms, model, clone_function, **kwargs):
    """Clone a functional model, without the BatchNorms {convolution: norm}."""
    folded_away = {norm.name for norm in norms.values()}

    def call(layer, *args, **kwargs):
        return args[0] if layer.name in folded_away else layer(*args, **kwargs)

    return keras.models.clone_model(
        model, clone_function=clone_function, call_function=call, **kwargs
    )


def _fold(convolution, norm):
    """Kernel and bias of a convolution with the BatchNorm after it folded in."""
    scale = ops.rsqrt(norm.moving_variance + norm.epsilon)
    if norm.scale:
        scale = norm.gamma * scale
    bias = -norm.moving_mean * scale
    if norm.center:
        bias = norm.beta + bias
    if convolution.use_bias:
        bias = convolution.bias * scale + bias
    is_depthwise = isinstance(convolution, keras.layers.DepthwiseConv2D)
    shape = convolution.kernel.shape[-2:] if is_depthwise else [-1]
    return convolution.kernel * ops.reshape(scale, shape), bias


def norms_by_convolution(norms):
    """{name of a linear convolution: the one of `norms` that alone takes its output}.

    norms: BatchNorms of a functional model; those that follow anything else are left.
    """
    found = {}
    for norm in norms:
        before = _input(norm)._keras_history.operation
        takers = {node.operation.name for node in before._outbound_nodes}
        is_linear = getattr(before, "activation", None) is keras.activations.linear
        if isinstance(before, CONVOLUTIONS) and is_linear and takers == {norm.name}:
            found[before.name] = norm
    return found


def _input(layer):
    """What a layer takes where it was first called."""
    return layer._inbound_nodes[0].input_tensors[0]
