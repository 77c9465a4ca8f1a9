"""The training graph without what saves arithmetic: what the fast one is held against.

The RPN learns through the convolutions over all anchors, the Segment subnet computes
every sampled RoI, and BatchNorm is a layer of its own, as in Matterport's graph. Losses
and gradients are the same.
"""

from unittest import mock

import keras
from keras import ops

from mrcnn_skin.graph import heads, mask_rcnn, rpn


class AllRois(keras.layers.Layer):
    """In place of MaskRois: keep every RoI, background and padding too."""

    def call(self, match):
        return ops.ones_like(match, dtype="bool")


def build_plain_training_model(config):
    """The same inputs, outputs and weights as graph.mask_rcnn.build_training_model."""
    outputs = []

    def rpn_once(model, pyramid):
        if not outputs:
            outputs.extend(rpn.rpn(model, pyramid))
        return outputs

    def sampled_from_all(model, pyramid, anchor_index, config):
        index = anchor_index[..., None]
        logits, _, deltas = rpn_once(model, pyramid)
        return [ops.take_along_axis(x, index, axis=1) for x in (logits, deltas)]

    with (
        mock.patch.multiple(
            mask_rcnn,
            rpn=rpn_once,
            sampled_rpn=sampled_from_all,
            MaskRois=AllRois,
            FoldedModel=keras.Model,
        ),
        mock.patch.object(heads, "WholeConv2D", keras.layers.Conv2D),
    ):
        return mask_rcnn.build_training_model(config)
