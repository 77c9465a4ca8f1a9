"""Region proposal network (Ren et al., 2015), one small model over every level."""

import keras
from keras import layers


def build_rpn_model(anchor_stride, anchors_per_location, depth, width=512):
    """Build the RPN of one pyramid level (Matterport's function of this name).

    depth: channels of the level's features [batch, h, w, depth]. width: channels of
    the shared convolution.
    Returns a Model "rpn_model" that gives, for the level's anchors in row-major
    order: logits [batch, anchors, (background, foreground)], their softmax, and
    deltas [batch, anchors, 4].
    """
    features = keras.Input([None, None, depth], name="input_rpn_feature_map")
    shared = layers.Conv2D(
        width,
        3,
        anchor_stride,
        padding="same",
        activation="relu",
        name="rpn_conv_shared",
    )(features)
    x = _unsure(2 * anchors_per_location, "rpn_class_raw")(shared)
    logits = layers.Reshape([-1, 2], name="rpn_class_logits")(x)
    probs = layers.Softmax(dtype="float32", name="rpn_class")(logits)
    x = _unsure(4 * anchors_per_location, "rpn_bbox_pred")(shared)
    deltas = layers.Reshape([-1, 4], dtype="float32", name="rpn_bbox")(x)
    return keras.Model(features, [logits, probs, deltas], name="rpn_model")


def _unsure(width, name):
    """A last layer that starts near 0, with Faster R-CNN's deviation of 0.01.

    The features of a trained backbone are large: with larger weights, every anchor
    would start certain of something, and far from where it lies.
    """
    start = keras.initializers.RandomNormal(stddev=0.01)
    return layers.Conv2D(width, 1, kernel_initializer=start, name=name)


def rpn(pyramid, config):
    """Run one RPN over all of its levels.

    pyramid: the maps of RPN_LEVELS. Returns probs [batch, anchors, 2] and deltas
    [batch, anchors, 4], the levels one after the other, as the anchors are.
    """
    model = build_rpn_model(
        config.RPN_ANCHOR_STRIDE,
        len(config.RPN_ANCHOR_RATIOS),
        config.TOP_DOWN_PYRAMID_SIZE,
        config.RPN_WIDTH,
    )
    outputs = [model(level) for level in pyramid]
    # Named as in Matterport, for those who look at the layers' outputs
    probs, deltas = (
        layers.Concatenate(axis=1, dtype="float32", name=name)(levels)
        for name, levels in (
            ("rpn_class", [probs for _, probs, _ in outputs]),
            ("rpn_bbox", [deltas for _, _, deltas in outputs]),
        )
    )
    return probs, deltas
