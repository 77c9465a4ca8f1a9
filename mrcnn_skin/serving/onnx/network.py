"""Keras layers in ONNX's operators, and a walk through a network of them.

Feature maps are [batch, channels, h, w] in ONNX, so a Map tells them from tensors
whose axes are as in Keras.
"""

import keras
import numpy as np
import onnx_ir
from onnx import TensorProto

from .geometry import (
    Map,
    constant,
    detect,
    distance,
    doubt,
    make_anchors,
    pool_content,
    propose,
    roi_align,
    share_diagnosis,
    to_int,
)

ACTIVATIONS = {
    "linear": lambda op, x: x,
    "relu": lambda op, x: op.Relu(x),
    "relu6": lambda op, x: op.Clip(x, 0.0, 6.0),
    "sigmoid": lambda op, x: op.Sigmoid(x),
    "silu": lambda op, x: x * op.Sigmoid(x),
}
DTYPES = {"float32": TensorProto.FLOAT, "int32": TensorProto.INT32}


def convert(op, network, inputs):
    """Write a network into a graph.

    Args:
        op: onnxscript.OpBuilder of the graph.
        network: functional keras.Model.
        inputs: its inputs, values of the graph; feature maps as Map.

    Returns:
        Its outputs, in the structure that Keras gives them.

    Raises:
        ValueError: for a layer, or an option of one, that is not converted.
    """

    def call(operation, *args, **kwargs):
        if isinstance(operation, keras.Model):
            return convert(op, operation, args[0])
        converter = CONVERTERS.get(type(operation).__name__)
        # A class of that name elsewhere may compute something else
        if not converter or type(operation).__module__.split(".")[0] not in KNOWN:
            raise ValueError(
                f"export to ONNX does not support the layer {type(operation).__name__} "
                f"({operation.name!r}); supported: {', '.join(CONVERTERS)}"
            )
        kwargs = {name: value for name, value in kwargs.items() if value is not None}
        return converter(op, operation, *args, **kwargs)

    return network._run_through_graph(inputs, lambda operation: operation, call)


KNOWN = "keras", __name__.split(".")[0]


def _require(operation, **wanted):
    """Raise ValueError unless the options of a layer have the supported values."""
    for name, value in wanted.items():
        if getattr(operation, name) != value:
            raise ValueError(
                f"export to ONNX needs {name} {value!r} in the layer "
                f"{operation.name!r}, got {getattr(operation, name)!r}"
            )


def as_keras(op, x):
    """Convert a Map to a tensor [batch, h, w, channels]; keep other tensors."""
    return op.Transpose(x.nchw, perm=[0, 2, 3, 1]) if isinstance(x, Map) else x


def as_map(op, x):
    """Convert a tensor [batch, h, w, channels] to a Map."""
    return x if isinstance(x, Map) else Map(op.Transpose(x, perm=[0, 3, 1, 2]))


def _elementwise(function):
    """Make a converter of an elementwise operation."""

    def converter(op, layer, *inputs):
        inputs = inputs[0] if isinstance(inputs[0], list) else inputs
        if any(isinstance(x, Map) for x in inputs):
            inputs = [
                x if isinstance(x, int | float) else as_map(op, x).nchw for x in inputs
            ]
            return Map(function(op, layer, *inputs))
        return function(op, layer, *inputs)

    return converter


def _activate(op, layer, x):
    name = layer.activation.__name__
    if name not in ACTIVATIONS:
        raise ValueError(
            f"export to ONNX supports the activations {', '.join(ACTIVATIONS)}, got "
            f"{name!r} in the layer {layer.name!r}"
        )
    return ACTIVATIONS[name](op, x)


def _weight(op, name, values):
    """Add a named constant to the graph, once for all layers that share it."""
    known = op.builder.graph.initializers
    if name not in known:
        op.initializer(onnx_ir.tensor(np.ascontiguousarray(values)), name)
    return known[name]


def _kernel_and_bias(op, layer, kernel):
    """Add the weights of a layer; kernel in ONNX's layout."""
    weights = [_weight(op, f"{layer.name}/kernel", kernel)]
    if layer.use_bias:
        weights.append(_weight(op, f"{layer.name}/bias", layer.bias))
    return weights


def _convolution(op, layer, x, kernel, groups=1):
    """Convert a convolution; kernel: [filters, channels / groups, h, w]."""
    _require(layer, data_format="channels_last")
    y = op.Conv(
        as_map(op, x).nchw,
        *_kernel_and_bias(op, layer, kernel),
        strides=list(layer.strides),
        dilations=list(layer.dilation_rate),
        group=groups,
        auto_pad=_padding(layer),
    )
    return Map(_activate(op, layer, y))


def _padding(layer):
    return {"same": "SAME_UPPER", "valid": "VALID"}[layer.padding]


def _conv2d(op, layer, x):
    kernel = np.asarray(layer.kernel).transpose(3, 2, 0, 1)
    return _convolution(op, layer, x, kernel, layer.groups)


def _depthwise_conv2d(op, layer, x):
    kernel = np.asarray(layer.kernel)  # [h, w, channels, multiplier]
    kernel = kernel.reshape(*kernel.shape[:2], -1, 1).transpose(2, 3, 0, 1)
    return _convolution(op, layer, x, kernel, layer.kernel.shape[2])


def _conv2d_transpose(op, layer, x):
    _require(layer, padding="valid", output_padding=None, dilation_rate=(1, 1))
    _require(layer, data_format="channels_last", kernel_size=layer.strides)
    kernel = np.asarray(layer.kernel).transpose(3, 2, 0, 1)  # [in, out, h, w]
    weights = _kernel_and_bias(op, layer, kernel)
    y = op.ConvTranspose(x.nchw, *weights, strides=list(layer.strides))
    return Map(_activate(op, layer, y))


def _dense(op, layer, x):
    kernel, *bias = _kernel_and_bias(op, layer, layer.kernel)
    y = op.MatMul(as_keras(op, x), kernel)
    return _activate(op, layer, y + bias[0] if bias else y)


def _norm_weights(op, layer, *names):
    """Add the weights of a normalization by their names in Keras."""
    _require(layer, scale=True, center=True, axis=-1)
    return [_weight(op, f"{layer.name}/{n}", getattr(layer, n)) for n in names]


def _of_channels(function):
    """Make a converter of an operation on channels in axis 1."""

    def converter(op, layer, x):
        if isinstance(x, Map) or len(layer.output.shape) == 4:
            return Map(function(op, layer, as_map(op, x).nchw))
        return op.Squeeze(function(op, layer, op.Unsqueeze(x, [2])), [2])

    return converter


def _batch_norm(op, layer, x):
    names = "gamma", "beta", "moving_mean", "moving_variance"
    weights = _norm_weights(op, layer, *names)
    return op.BatchNormalization(x, *weights, epsilon=layer.epsilon)


def _group_norm(op, layer, x):
    weights = _norm_weights(op, layer, "gamma", "beta")
    return op.GroupNormalization(
        x, *weights, num_groups=layer.groups, epsilon=layer.epsilon
    )


def _max_pooling(op, layer, x):
    y = op.MaxPool(
        x.nchw,
        kernel_shape=list(layer.pool_size),
        strides=list(layer.strides),
        auto_pad=_padding(layer),
    )
    return Map(y)


def _up_sampling(op, layer, x):
    _require(layer, interpolation="nearest")
    y = op.Resize(
        x.nchw,
        None,
        [1.0, 1.0, *map(float, layer.size)],
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    return Map(y)


def _zero_padding(op, layer, x):
    (top, bottom), (left, right) = layer.padding
    return Map(op.Pad(x.nchw, [0, 0, top, left, 0, 0, bottom, right]))


def _rescaling(op, layer, x):
    def per_channel(values):
        return constant(op, np.reshape(values, [-1, 1, 1]))

    return Map(x.nchw * per_channel(layer.scale) + per_channel(layer.offset))


def _relu(op, layer, x):
    _require(layer, negative_slope=0.0, threshold=0.0)
    return op.Relu(x) if layer.max_value is None else op.Clip(x, 0.0, layer.max_value)


def _softmax(op, layer, x):
    _require(layer, axis=-1)
    return op.Softmax(as_keras(op, x), axis=-1)


def _reshape(op, operation, x):
    if isinstance(operation, keras.layers.Layer):
        shape = [0, *operation.target_shape]  # 0: as it is
    else:
        shape = operation.newshape
    return op.Reshape(as_keras(op, x), list(shape))


def _concatenate(op, layer, inputs):
    inputs = [as_keras(op, x) for x in inputs]
    return op.Concat(*inputs, axis=layer.axis)


def _stack(op, operation, inputs):
    return op.Concat(
        *(op.Unsqueeze(x, [operation.axis]) for x in inputs), axis=operation.axis
    )


def _reduction(name):
    def converter(op, operation, x):
        keep = int(operation.keepdims)
        return getattr(op, name)(as_keras(op, x), list(operation.axis), keepdims=keep)

    return converter


def _get_item(op, operation, x, key):
    """x[key] for a key of numbers, None, ..., and slices of steps of 1."""
    key = list(key) if isinstance(key, tuple) else [key]
    if Ellipsis in key:
        place = key.index(Ellipsis)
        missing = len(operation.input.shape) - sum(item is not None for item in key) + 1
        key[place : place + 1] = [slice(None)] * missing
    axis = 0
    for item in key:
        if item is None:
            x = op.Unsqueeze(x, [axis])
        elif isinstance(item, slice):
            stop = np.iinfo(np.int64).max if item.stop is None else item.stop
            x = op.Slice(x, [item.start or 0], [stop], [axis])
        else:
            x = op.Gather(x, item, axis=axis)
            continue
        axis += 1
    return x


def _take_along_last_axis(op, operation, x, indices):
    """The other axes of `indices` may be 1."""
    _require(operation, axis=-1)
    last = op.Shape(indices, start=-1)
    shape = op.Concat(op.Shape(x, end=-1), last, axis=0)
    return op.GatherElements(x, op.Expand(to_int(op, indices), shape), axis=-1)


# By the class of a layer, or of an operation that keras.ops makes
CONVERTERS = {
    "Conv2D": _conv2d,
    "WholeConv2D": _conv2d,
    "DepthwiseConv2D": _depthwise_conv2d,
    "Conv2DTranspose": _conv2d_transpose,
    "Dense": _dense,
    "BatchNorm": _of_channels(_batch_norm),
    "BatchNormalization": _of_channels(_batch_norm),
    "GroupNormalization": _of_channels(_group_norm),
    "MaxPooling2D": _max_pooling,
    "GlobalAveragePooling2D": lambda op, layer, x: op.ReduceMean(
        x.nchw, [2, 3], keepdims=0
    ),
    "GlobalMaxPooling2D": lambda op, layer, x: op.ReduceMax(x.nchw, [2, 3], keepdims=0),
    "ContentPool": pool_content,
    "Unfamiliarity": distance,
    "LesionDoubt": doubt,
    "UpSampling2D": _up_sampling,
    "ZeroPadding2D": _zero_padding,
    "Rescaling": _rescaling,
    "ReLU": _elementwise(_relu),
    "Activation": _elementwise(_activate),
    "Add": _elementwise(lambda op, layer, x, *others: sum(others, x)),
    "Multiply": _elementwise(lambda op, layer, x, y: op.Mul(x, y)),
    "Softmax": _softmax,
    "Concatenate": _concatenate,
    "Reshape": _reshape,
    "Anchors": make_anchors,
    "ProposalLayer": propose,
    "PyramidROIAlign": roi_align,
    "SharedDiagnosis": share_diagnosis,
    "DetectionLayer": detect,
    "Cast": lambda op, operation, x: op.Cast(x, to=DTYPES[operation.dtype]),
    "Stack": _stack,
    "GetItem": _get_item,
    "TakeAlongAxis": _take_along_last_axis,
    "Subtract": lambda op, operation, x, y: op.Sub(x, y),
    "Sigmoid": _elementwise(lambda op, operation, x: op.Sigmoid(x)),
    "Mean": _reduction("ReduceMean"),
    "Max": _reduction("ReduceMax"),
    "Maximum": lambda op, operation, x, y: op.Max(x, y),
    "ZerosLike": lambda op, operation, x: op.Mul(x, 0.0),
}
