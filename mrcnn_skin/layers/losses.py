"""The loss terms as layers: each selects rows of its inputs and calls one function.

A layer returns its term as a scalar, unweighted. The training graph gives the terms
by name, and the loop weights, adds and logs them: no state hides in a layer, so the
same graph serves one device and many.
"""

import keras
from keras import ops

from .. import losses


class LossLayer(keras.layers.Layer):
    """Base of the loss layers: float32 always, whatever the network computes in."""

    def __init__(self, **kwargs):
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)

    def compute_output_spec(self, *args, **kwargs):
        """A scalar; Keras would trace call() to find that out, which takes long."""
        return keras.KerasTensor([])


def _known(loss, table, field):
    """The name of a loss; raises ValueError naming Config's field if it has none."""
    if loss not in table:
        raise ValueError(f"{field} must be one of {', '.join(table)}, got {loss!r}")
    return loss


class FocalLoss(LossLayer):
    """The RPN's class loss over the sampled anchors (paper, L_cls).

    loss: a name in losses.RPN_CLASS_LOSSES, such as "cross_entropy" for the ablation.
    """

    def __init__(self, loss="focal", alpha=0.25, beta=2.0, **kwargs):
        super().__init__(**kwargs)
        self.loss = _known(loss, losses.RPN_CLASS_LOSSES, "RPN_CLASS_LOSS")
        self.alpha, self.beta = alpha, beta

    def call(self, rpn_logits, match):
        """rpn_logits: [batch, samples, 2]; match: [batch, samples]."""
        logit = rpn_logits[..., 1] - rpn_logits[..., 0]
        return losses.rpn_class_loss(
            logit, match, self.loss, alpha=self.alpha, beta=self.beta
        )


class RPNBoxLoss(LossLayer):
    """The RPN's box loss over the positive anchors: rho / N_reg * sum L_reg.

    weight: rho. over_deltas: a name in losses.BOX_LOSSES.
    """

    def __init__(self, weight=10.0, over_deltas="sum", **kwargs):
        super().__init__(**kwargs)
        self.weight = weight
        self.over_deltas = _known(over_deltas, losses.BOX_LOSSES, "BOX_LOSS")

    def call(self, rpn_deltas, match, target_deltas):
        """rpn_deltas, target_deltas: [batch, samples, 4]; match: [batch, samples]."""
        return self.weight * losses.box_loss(
            rpn_deltas, target_deltas, match > 0, self.over_deltas
        )


class ClassLoss(LossLayer):
    """L_classify over the sampled RoIs, among the classes that the source labels.

    loss: a name in losses.CLASS_LOSSES.
    """

    def __init__(self, loss="cross_entropy", alpha=0.25, beta=2.0, **kwargs):
        super().__init__(**kwargs)
        self.loss = _known(loss, losses.CLASS_LOSSES, "CLASS_LOSS")
        self.alpha, self.beta = alpha, beta

    def call(self, logits, target_class_ids, match, active_class_ids):
        """logits: [batch, rois, classes]; active_class_ids: [batch, classes], 0/1."""
        logits = losses.active_logits(logits, active_class_ids[:, None, :])
        each = losses.CLASS_LOSSES[self.loss](
            logits, target_class_ids, alpha=self.alpha, beta=self.beta
        )
        return losses.mean_where(each, ops.not_equal(match, 0))


class BoxLoss(LossLayer):
    """L_detect over the positive RoIs, on the deltas of their own class.

    over_deltas: a name in losses.BOX_LOSSES.
    """

    def __init__(self, over_deltas="sum", **kwargs):
        super().__init__(**kwargs)
        self.over_deltas = _known(over_deltas, losses.BOX_LOSSES, "BOX_LOSS")

    def call(self, deltas, target_class_ids, target_deltas, match):
        """deltas: [batch, rois, classes, 4]; target_deltas: [batch, rois, 4]."""
        index = ops.cast(target_class_ids, "int32")[..., None, None]
        own = ops.squeeze(ops.take_along_axis(deltas, index, axis=2), axis=2)
        return losses.box_loss(own, target_deltas, match > 0, self.over_deltas)


class MaskLoss(LossLayer):
    """L_seg over the positive RoIs, on the mask of their own class.

    loss: a name in losses.MASK_LOSSES.
    """

    def __init__(
        self, loss="bce+jaccard", delta=100.0, scale=1.0, weight=1.0, **kwargs
    ):
        super().__init__(**kwargs)
        self.loss = _known(loss, losses.MASK_LOSSES, "MASK_LOSS")
        self.delta, self.scale, self.weight = delta, scale, weight

    def call(self, logits, target_class_ids, target_masks, match, keep):
        """Compare the masks of the RoIs that were computed with their targets.

        logits: [kept, h, w, classes], of the RoIs that `keep` names, in their order.
        target_class_ids, match, keep: [batch, rois], target_masks: [batch, rois, h,
        w]. Only RoIs with match > 0 count.
        """
        rows = ops.where(ops.reshape(keep, [-1]))[0]
        targets = ops.reshape(target_masks, [-1, *target_masks.shape[2:]])
        targets = ops.take(targets, rows, axis=0)
        class_ids = ops.take(ops.reshape(target_class_ids, [-1]), rows)
        own = ops.take_along_axis(logits, class_ids[:, None, None, None], axis=-1)
        return losses.mask_loss(
            targets,
            own[..., 0],
            ops.take(ops.reshape(match, [-1]), rows) > 0,
            self.loss,
            delta=self.delta,
            scale=self.scale,
            weight=self.weight,
        )
