"""Fold frozen BatchNorms into the convolutions before them, while the network learns.

The layers keep their names, weights and gradients: kernels are scaled anew in every
step. Folding once and for all, for a network that only detects, is not done here.
"""

import keras
from keras import ops

from ..layers.normalization import BatchNorm
from .common import Network

CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)


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

    gamma (w x + b - mean) / sqrt(var + epsilon) + beta has the kernel w s and the bias
    (b - mean) s + beta, with s = gamma / sqrt(var + epsilon). Both layers stay the
    owners of their weights, which get the gradients that they had.
    """

    def __init__(self, convolution, norm):
        super().__init__(name=f"{norm.name}_folded", dtype=convolution.dtype_policy)
        self.convolution, self.norm = convolution, norm

    def call(self, x):
        """x: what the convolution takes. Returns what the BatchNorm gave."""
        convolution, norm = self.convolution, self.norm
        scale = norm.gamma * ops.rsqrt(norm.moving_variance + norm.epsilon)
        shift = norm.beta - norm.moving_mean * scale
        kernel = convolution.kernel
        is_depthwise = isinstance(convolution, keras.layers.DepthwiseConv2D)
        shape = kernel.shape[-2:] if is_depthwise else [-1]
        weights = [(kernel, kernel * ops.reshape(scale, shape))]
        if convolution.use_bias:
            weights.append((convolution.bias, convolution.bias * scale + shift))
        with keras.StatelessScope(state_mapping=weights):
            y = convolution(x)
        return y if convolution.use_bias else y + ops.cast(shift, y.dtype)


def fold_norms(model):
    """A functional model that shares all layers of `model` and runs folded."""
    frozen = [x for x in model.layers if isinstance(x, BatchNorm) and not x.train_bn]
    # Of one cell, as behind the box head's first layer, the map is smaller than the
    # kernel that would be scaled
    frozen = [x for x in frozen if tuple(_input(x).shape[1:3]) != (1, 1)]
    norms = norms_by_convolution(frozen)
    if not norms:
        return model
    folded_away = {norm.name for norm in norms.values()}

    def fold(layer):
        norm = norms.get(layer.name)
        return FoldedConvolution(layer, norm) if norm else layer

    def call(layer, *args, **kwargs):
        return args[0] if layer.name in folded_away else layer(*args, **kwargs)

    return keras.models.clone_model(model, clone_function=fold, call_function=call)


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
