"""EfficientNet-Lite, backbones for machines without a GPU.

EfficientNet (Tan and Le, 2019) without squeeze-and-excitation and with ReLU6, as
Google published it in 2020. Without its classifier, Lite0 has 3 million weights, an
eighth of ResNet-50, and Lite2 has 4 million. Layers are named after ResNet's, so that
"4+" means the same in either.
"""

import math
from typing import NamedTuple

import keras
from keras import layers

from .common import norm

# Of Lite0, {stage: groups of (blocks, channels, kernel, stride of the first block)}
_STAGES = {
    1: ((1, 16, 3, 1),),
    2: ((2, 24, 3, 2),),
    3: ((2, 40, 5, 2),),
    4: ((3, 80, 3, 2), (3, 112, 5, 1)),
    5: ((4, 192, 5, 2), (1, 320, 3, 1)),
}
_EXPANSION = 6  # of the channels within a block, but for stage 1
_PIXEL_SCALE = 1 / 128  # the ImageNet weights are for pixels of (x - 127) / 128
_CONVOLUTION = {"padding": "same", "use_bias": False}  # the norm has the bias


def efficientnet_lite(images, config, width, depth):
    """Build an EfficientNet-Lite up to its last block.

    images: [batch, h, w, channels], means subtracted (127, if they are to be those of
    its ImageNet weights); h and w multiples of 32.
    width, depth: factors on the channels and blocks of Lite0. The stem keeps its 32
    channels whatever the width.
    Returns [C2, C3, C4, C5], of strides 4, 8, 16, 32; 24, 40, 112, 320 channels in
    Lite0 and 24, 48, 120, 352 in Lite2. With BACKBONE_DILATION 2, C5 has the stride
    16, and every second of its cells, from the second on, is what it would be without.
    """
    x = layers.Rescaling(_PIXEL_SCALE, name="pixel_scale")(images)
    x = layers.Conv2D(32, 3, 2, kernel_initializer=_he(), name="conv1", **_CONVOLUTION)(
        x
    )
    x = _relu6(norm(x, "bn_conv1", config), "conv1")
    stages = []
    for stage in _STAGES:
        dilation = config.BACKBONE_DILATION if stage == 5 else 1
        for block in _blocks(stage, width, depth, dilation):
            x = _inverted_residual(x, block, config)
        stages.append(x)
    return stages[1:]


class _Block(NamedTuple):
    """An inverted residual block; kernel, stride and dilation of its depthwise part."""

    name: str
    channels: int
    kernel: int
    stride: int
    dilation: int
    expansion: int


def _blocks(stage, width, depth, dilation):
    """Yield the blocks of a stage: 4a, 4b, ... 4f.

    dilation: 1; or 2, of the blocks behind the stage's stride of 2, which it replaces.
    """
    letters = iter("abcdefgh")
    expansion = 1 if stage == 1 else _EXPANSION
    behind = 1
    for count, channels, kernel, stride in _STAGES[stage]:
        # The network's first and last block stay single whatever the depth
        count = math.ceil(depth * count) if count > 1 else 1
        for _ in range(count):
            yield _Block(
                f"{stage}{next(letters)}",
                _multiple_of_8(width * channels),
                kernel,
                max(stride // dilation, 1),
                behind,
                expansion,
            )
            stride, behind = 1, dilation


def _multiple_of_8(channels):
    """The nearest multiple, or the next one if that loses more than a tenth."""
    nearest = int(channels + 4) // 8 * 8
    return nearest if nearest >= 0.9 * channels else nearest + 8


def _inverted_residual(x, block, config):
    """Widen, filter each channel, narrow; a shortcut joins the narrow ends.

    The shortcut exists where both ends have the same shape; there is no projection.
    """
    y, name = x, block.name
    if block.expansion > 1:
        y = _pointwise(y, block.expansion * x.shape[-1], f"{name}_expand", config)
        y = _relu6(y, f"res{name}_expand")
    y = layers.DepthwiseConv2D(
        block.kernel,
        block.stride,
        dilation_rate=block.dilation,
        depthwise_initializer=_he(),
        name=f"res{name}_depthwise",
        **_CONVOLUTION,
    )(y)
    y = _relu6(norm(y, f"bn{name}_depthwise", config), f"res{name}_depthwise")
    y = _pointwise(y, block.channels, f"{name}_project", config)
    if block.stride > 1 or x.shape[-1] != block.channels:
        return y
    return layers.Add(name=f"res{name}_add")([x, y])


def _pointwise(x, width, name, config):
    x = layers.Conv2D(
        width, 1, kernel_initializer=_he(), name=f"res{name}", **_CONVOLUTION
    )(x)
    return norm(x, f"bn{name}", config)


def _relu6(x, name):
    return layers.ReLU(6.0, name=f"{name}_relu")(x)


def _he():
    """He's initial weights, by the outputs: right for depthwise kernels too."""
    return keras.initializers.VarianceScaling(2.0, "fan_out")
