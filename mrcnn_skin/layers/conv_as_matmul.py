"""Convolutions whose kernel covers the whole input, computed as matrix products.

TensorFlow's convolution takes ten times as long for hundreds of inputs of one cell, and
three times as long for hundreds of 3 x 3.
"""

import math

import keras
from keras import ops


class WholeConv2D(keras.layers.Conv2D):
    """A Conv2D, padding "valid", of inputs as large as its kernel.

    Its name, weights and results are those of a Conv2D.
    """

    def call(self, x):
        """x: [n, kernel height, kernel width, channels]. Returns [n, 1, 1, filters]."""
        return whole_convolution(self, x)[:, None, None]


def whole_convolution(convolution, x):
    """The result of a Conv2D where its kernel covers all of `x`.

    x: [n, kernel height, kernel width, channels]; of a 1x1 kernel also [n, channels].
    Returns [n, filters].
    """
    kernel = convolution.kernel
    rows = ops.reshape(x, [-1, math.prod(kernel.shape[:-1])])
    y = ops.matmul(rows, ops.reshape(kernel, [-1, kernel.shape[-1]]))
    if convolution.use_bias:
        y = y + convolution.bias
    return convolution.activation(y)
