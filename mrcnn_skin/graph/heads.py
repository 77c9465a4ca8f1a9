"""The three subnets of the paper: Classify, Detect and Segment.

The RoI axis is folded into the batch: a head sees [rois, h, w, channels].
"""

from keras import layers, ops

from ..layers.content_pool import ContentPool
from ..layers.conv_as_matmul import WholeConv2D
from ..layers.familiarity import LesionDoubt, Unfamiliarity
from .common import norm


def fpn_classifier_graph(pooled, config):
    """Two "fully connected" layers, then the outputs of the tasks.

    pooled: [rois, POOL_SIZE, POOL_SIZE, channels].
    Returns logits [rois, classes], or None without the task "classify"; and deltas
    [rois, classes, 4], or None without the task "detect".
    """
    width, classes = config.FPN_CLASSIF_FC_LAYERS_SIZE, config.HEAD_CLASSES
    x = pooled
    for index, size in ((1, config.POOL_SIZE), (2, 1)):
        x = WholeConv2D(width, size, name=f"mrcnn_class_conv{index}")(x)
        x = norm(x, f"mrcnn_class_bn{index}", config, config.HEAD_NORM)
        x = layers.ReLU(name=f"mrcnn_class_relu{index}")(x)
    shared = layers.Reshape([width], name="pool_squeeze")(x)
    logits = deltas = None
    if "classify" in config.TASKS:
        logits = layers.Dense(classes, dtype="float32", name="mrcnn_class_logits")(
            shared
        )
    if "detect" in config.TASKS:
        x = layers.Dense(4 * classes, dtype="float32", name="mrcnn_bbox_fc")(shared)
        deltas = layers.Reshape([classes, 4], dtype="float32", name="mrcnn_bbox")(x)
    return logits, deltas


def context_logits(features, image, config):
    """Logits of the whole image, which are added to those of each of its RoIs.

    features: C5, [batch, h, w, channels]; image: [batch, h, w, channels], 0..255.
    Returns [batch, 1, classes]. To add the logits of two layers is to join their
    inputs in one, but leaves mrcnn_class_logits its shape. They start at 0: a network
    that was trained without context answers as before.
    """
    stride = config.BACKBONE_STRIDES[3] // config.BACKBONE_DILATION
    x = ContentPool(stride, name="mrcnn_context_pool")(features, image)
    x = layers.Dense(config.CLASSIFY_CONTEXT, name="mrcnn_context_fc")(x)
    x = norm(x, "mrcnn_context_bn", config, config.HEAD_NORM)
    x = layers.ReLU(name="mrcnn_context_relu")(x)
    x = layers.Dense(
        config.HEAD_CLASSES,
        use_bias=False,
        kernel_initializer="zeros",
        dtype="float32",
        name="mrcnn_context_logits",
    )(x)
    return x[:, None]


def unfamiliar_score(stages, image, probs, rois, config):
    """How unlike the training images an image is, [batch]; above 1 it is unfamiliar.

    stages: [C2, C3, C4, C5]; image: [batch, h, w, channels], 0..255; probs: [batch,
    rois, classes] of the regions, rois. The means of C4 and C5 tell other pictures
    apart; earlier stages hardly tell skin without a lesion.
    """
    strides = (
        config.BACKBONE_STRIDES[2],
        config.BACKBONE_STRIDES[3] // config.BACKBONE_DILATION,
    )
    means = [
        ContentPool(stride, name=f"unfamiliar_pool_c{level}")(features, image)
        for level, stride, features in zip((4, 5), strides, stages[2:], strict=True)
    ]
    features = layers.Concatenate(dtype="float32", name="unfamiliar_features")(means)
    distance = Unfamiliarity(config.UNFAMILIAR_COMPONENTS, name="unfamiliar_score")(
        features
    )
    return ops.maximum(distance, LesionDoubt(name="unfamiliar_doubt")(probs, rois))


def build_fpn_mask_graph(pooled, config, activation="sigmoid"):
    """Four convolutions, up-sampling, and one sigmoid a class.

    pooled: [rois, MASK_POOL_SIZE, MASK_POOL_SIZE, channels]. activation: of the last
    layer; None for logits, which the loss takes.
    Returns [rois, *MASK_SHAPE, classes]. A MASK_SHAPE of 56 has a second up-sampling
    layer, mrcnn_mask_deconv2, which Matterport's files do not hold.
    """
    x, width = pooled, config.MASK_HEAD_WIDTH
    for index in range(1, 5):
        x = layers.Conv2D(width, 3, padding="same", name=f"mrcnn_mask_conv{index}")(x)
        x = norm(x, f"mrcnn_mask_bn{index}", config, config.HEAD_NORM)
        x = layers.ReLU(name=f"mrcnn_mask_relu{index}")(x)
    x = _upsample(x, width, "mrcnn_mask_deconv")
    if config.MASK_SHAPE[0] == 4 * config.MASK_POOL_SIZE:
        x = _upsample(x, width, "mrcnn_mask_deconv2")
    return layers.Conv2D(
        config.HEAD_CLASSES,
        1,
        activation=activation,
        dtype="float32",
        name="mrcnn_mask",
    )(x)


def _upsample(x, width, name):
    return layers.Conv2DTranspose(width, 2, 2, activation="relu", name=name)(x)
