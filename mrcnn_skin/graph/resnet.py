"""ResNet-50 and ResNet-101 (He et al., 2015), layer names as in Matterport's file."""

from keras import layers

from .common import norm


def resnet(images, config, blocks):
    """Build a ResNet with its stride in the first 1x1 convolution of a stage.

    images: [batch, h, w, channels], means subtracted; h and w multiples of 32.
    blocks: residual blocks in each of the stages 2..5.
    Returns [C2, C3, C4, C5], of strides 4, 8, 16, 32 and 256 ... 2048 channels; with
    BACKBONE_DILATION 2, C5 has the stride 16, and every second of its cells is what it
    would be without.
    """
    x = layers.ZeroPadding2D(3, name="conv1_pad")(images)
    x = layers.Conv2D(64, 7, 2, kernel_initializer="he_normal", name="conv1")(x)
    x = layers.ReLU(name="conv1_relu")(norm(x, "bn_conv1", config))
    x = layers.MaxPooling2D(3, 2, padding="same", name="pool1")(x)
    stages = []
    for stage, (count, width) in enumerate(
        zip(blocks, (64, 128, 256, 512), strict=True), start=2
    ):
        dilation = config.BACKBONE_DILATION if stage == 5 else 1
        for index in range(count):
            stride = 2 // dilation if index == 0 and stage > 2 else 1
            name = f"{stage}{chr(ord('a') + index)}"
            x = _bottleneck(x, name, width, stride, dilation, index == 0, config)
        stages.append(x)
    return stages


def _bottleneck(x, name, width, stride, dilation, project, config):
    """1x1, 3x3, 1x1 convolutions beside a shortcut, projected in a stage's first."""

    def branch(x, suffix, filters, size=1, stride=1, dilation=1):
        x = layers.Conv2D(
            filters,
            size,
            stride,
            padding="same",
            dilation_rate=dilation,
            kernel_initializer="he_normal",
            name=f"res{name}_{suffix}",
        )(x)
        return norm(x, f"bn{name}_{suffix}", config)

    y = branch(x, "branch2a", width, stride=stride)
    y = layers.ReLU(name=f"res{name}_branch2a_relu")(y)
    y = branch(y, "branch2b", width, size=3, dilation=dilation)
    y = layers.ReLU(name=f"res{name}_branch2b_relu")(y)
    y = branch(y, "branch2c", 4 * width)
    if project:
        x = branch(x, "branch1", 4 * width, stride=stride)
    x = layers.Add(name=f"res{name}_add")([y, x])
    return layers.ReLU(name=f"res{name}_out")(x)
