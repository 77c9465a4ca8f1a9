"""Region proposal network (Ren et al., 2015), one small model over every level."""

import keras
from keras import layers, ops

from ..layers.anchor_patches import AnchorPatches
from ..layers.conv_as_matmul import whole_convolution
from .common import unfold


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
    x = _prediction_layer(2 * anchors_per_location, "rpn_class_raw")(shared)
    logits = layers.Reshape([-1, 2], name="rpn_class_logits")(x)
    probs = layers.Softmax(dtype="float32", name="rpn_class")(logits)
    x = _prediction_layer(4 * anchors_per_location, "rpn_bbox_pred")(shared)
    deltas = layers.Reshape([-1, 4], dtype="float32", name="rpn_bbox")(x)
    return keras.Model(features, [logits, probs, deltas], name="rpn_model")


def _prediction_layer(width, name):
    """A 1x1 convolution that starts near 0, with Faster R-CNN's deviation of 0.01.

    The features of a trained backbone are large: with larger weights, every anchor
    would start certain of something, and far from where it lies.
    """
    start = keras.initializers.RandomNormal(stddev=0.01)
    return layers.Conv2D(width, 1, kernel_initializer=start, name=name)


def rpn(model, pyramid):
    """Run one RPN over all of its levels.

    model: of build_rpn_model. pyramid: the maps of RPN_LEVELS. Returns logits and probs
    [batch, anchors, 2], and deltas [batch, anchors, 4], the levels one after the other,
    as the anchors are.
    """
    outputs = [model(level) for level in pyramid]
    # Named as in Matterport, for those who look at the layers' outputs
    names = ("rpn_class_logits", "rpn_class", "rpn_bbox")
    return tuple(
        layers.Concatenate(axis=1, dtype="float32", name=name)(levels)
        for name, levels in zip(names, zip(*outputs, strict=True), strict=True)
    )


def sampled_rpn(model, pyramid, anchor_index, config):
    """Run the RPN at the sampled anchors alone: what its loss learns from.

    The same numbers as `rpn` at these anchors. Its loss depends on no others, so the
    gradient need not pass through the convolutions of the whole pyramid: that would
    be twice the arithmetic of `rpn` itself, for a few hundred anchors of 250,000.

    model, pyramid: as for `rpn`. anchor_index: int32 [batch, samples], into the
    anchors. Returns logits [batch, samples, 2] and deltas [batch, samples, 4].
    """
    samples, kinds = anchor_index.shape[1], len(config.RPN_ANCHOR_RATIOS)
    patches = AnchorPatches(kinds, config.RPN_ANCHOR_STRIDE, name="rpn_patches")(
        pyramid, anchor_index
    )
    logits, deltas = RPNAtPatches(name="rpn_at_patches")(patches, model=model)
    kind = ops.reshape(anchor_index % kinds, [-1, 1, 1])
    logits, deltas = (ops.take_along_axis(x, kind, 1)[:, 0] for x in (logits, deltas))
    return unfold(logits, samples), unfold(deltas, samples)


class RPNAtPatches(layers.Layer):
    """The RPN at single places, whose surroundings are cut out.

    Its model comes with the call: it stays the owner of its weights.
    """

    def call(self, patches, model):
        """patches: [n, 3, 3, channels]. model: of build_rpn_model.

        Returns logits [n, anchors_per_location, 2] and deltas [n,
        anchors_per_location, 4], float32.
        """
        shared = whole_convolution(model.get_layer("rpn_conv_shared"), patches)
        logits, deltas = (
            ops.cast(whole_convolution(model.get_layer(name), shared), "float32")
            for name in ("rpn_class_raw", "rpn_bbox_pred")
        )
        logits = ops.reshape(logits, [-1, logits.shape[-1] // 2, 2])
        return logits, ops.reshape(deltas, [-1, deltas.shape[-1] // 4, 4])
