"""The mathematics of every loss: pure functions of tensors.

Classes and masks come as logits: of a probability that has been rounded to 0 or 1 the
logarithm is no longer exact, and a confident mistake would have no gradient. Which
anchors and RoIs count is decided by the target layers; how the terms are weighted, by
Config. The layers around these functions are in layers/losses.py. With several devices
each gives its share: the shares add up to the global batch's loss.
"""

import functools

import tensorflow as tf
from keras import ops

INACTIVE = -1e9  # the logit of a class that cannot be


def in_float32(function):
    """Compute a function in float32 where it is given tensors of half precision.

    float16 would overflow, in a sum over pixels or at INACTIVE, and in bfloat16 a
    probability near 1 is 1.
    """

    def widen(value):
        is_half = getattr(value, "dtype", None) in ("float16", "bfloat16")
        return ops.cast(value, "float32") if is_half else value

    @functools.wraps(function)
    def compute(*args, **kwargs):
        named = {name: widen(value) for name, value in kwargs.items()}
        return function(*map(widen, args), **named)

    return compute


@in_float32
def mean_where(values, mask):
    """Mean of `values` where `mask` is true; 0 where it is nowhere true.

    values, mask: any shape, the same for both. The count is that of all devices, so a
    device with many positives weighs as much as its positives do.
    """
    mask = ops.cast(mask, values.dtype)
    total = ops.sum(ops.where(mask > 0, values, ops.zeros_like(values)))
    return total / ops.maximum(sum_over_devices(ops.sum(mask)), 1.0)


@in_float32
def cross_entropy(logit, is_positive, **_):
    """Cross-entropy of a yes-or-no question, not reduced; arguments as focal_loss."""
    return ops.softplus(ops.where(ops.cast(is_positive, "bool"), -logit, logit))


@in_float32
def focal_loss(logit, is_positive, alpha=0.25, beta=2.0):
    """Focal loss of a yes-or-no question, not reduced (paper, L_cls of the RPN).

    logit: of the positive class, log(p / (1 - p)), any shape.
    is_positive: p* of the paper, bool or 0/1, the same shape.
    Returns -alpha (1-p)^beta p* log p - (1-alpha) p^beta (1-p*) log(1-p), where
    log p = -softplus(-logit) and log(1-p) = -softplus(logit).
    """
    positive = ops.cast(is_positive, "bool")
    wrong = ops.where(positive, -logit, logit)  # the logit of the other answer
    factor = ops.where(positive, alpha, 1.0 - alpha)
    focus = ops.exp(-beta * ops.softplus(-wrong))  # P(other answer)^beta
    return factor * focus * ops.softplus(wrong)


@in_float32
def categorical_focal_loss(logits, class_ids, alpha=0.25, beta=2.0):
    """Focal loss of a softmax, not reduced: the Classify subnet's focal option.

    logits: [..., classes]; class_ids: int [...], the true class.
    Class 0, the background, has the factor 1 - alpha; the others have alpha, so for
    two classes this is `focal_loss` of the foreground's logit minus the background's.
    """
    is_true = ops.one_hot(class_ids, logits.shape[-1], dtype="bool")
    others = ops.logsumexp(ops.where(is_true, INACTIVE, logits), axis=-1)
    factor = ops.where(class_ids > 0, alpha, 1.0 - alpha)
    focus = ops.exp(beta * (others - ops.logsumexp(logits, axis=-1)))
    return factor * focus * categorical_cross_entropy(logits, class_ids)


@in_float32
def categorical_cross_entropy(logits, class_ids, **_):
    """-log of the true class's probability, not reduced.

    logits: [..., classes]; class_ids: int [...].
    """
    log_probs = ops.log_softmax(logits, axis=-1)
    index = ops.cast(class_ids, "int32")[..., None]
    return -ops.take_along_axis(log_probs, index, axis=-1)[..., 0]


@in_float32
def active_logits(logits, active):
    """Logits whose softmax leaves out classes that an image's source does not label.

    logits: [rois, classes]; active: [rois, classes], 1 where the class is labelled.
    Inactive classes get probability 0, and no gradient.
    """
    return ops.where(active > 0, logits, INACTIVE)


@in_float32
def smooth_l1(x):
    """L_reg of the paper, element by element: 0.5 x^2 if |x| < 1, else |x| - 0.5."""
    size = ops.abs(x)
    return ops.where(size < 1.0, 0.5 * ops.square(x), size - 0.5)


@in_float32
def rpn_class_loss(logit, match, loss="focal", **settings):
    """Objectness loss: the sum over the sampled anchors, divided by N_cls.

    logit: [batch, anchors], of the foreground: its logit minus the background's.
    match: int [batch, anchors], 1 positive, -1 negative, 0 not sampled.
    loss: a name in RPN_CLASS_LOSSES; settings: of that function.
    Returns a scalar; N_cls is the number of sampled anchors of the batch.
    """
    each = RPN_CLASS_LOSSES[loss](logit, match > 0, **settings)
    return mean_where(each, ops.not_equal(match, 0))


@in_float32
def box_loss(deltas, target_deltas, is_positive, over_deltas="sum"):
    """Smooth L1 of the positives, divided by their number, N_reg.

    Args:
        deltas, target_deltas: [..., (dy, dx, log(dh), log(dw))], in standard
            deviations.
        is_positive: [...].
        over_deltas: a name in BOX_LOSSES, "sum" or "mean" of the four deltas.

    Returns:
        A scalar.
    """
    each = BOX_LOSSES[over_deltas](smooth_l1(target_deltas - deltas), axis=-1)
    return mean_where(each, is_positive)


@in_float32
def binary_cross_entropy(target, logits, **_):
    """Mean over a mask's pixels; target, logits: [masks, h, w]. Returns [masks]."""
    inside, outside = ops.softplus(-logits), ops.softplus(logits)
    return ops.mean(target * inside + (1.0 - target) * outside, axis=(1, 2))


@in_float32
def jaccard_distance(target, mask, delta=100.0, scale=1.0):
    """L_jaccard of the paper: 1 - (I + delta) / (U + delta), times `scale`.

    target, mask: [masks, h, w], 0..1. Returns [masks]. I = sum |y yhat| and
    U = sum(|y| + |yhat|) - I, over all the pixels of one mask.
    """
    intersection = ops.sum(ops.abs(target * mask), axis=(1, 2))
    union = ops.sum(ops.abs(target) + ops.abs(mask), axis=(1, 2)) - intersection
    return scale * (1.0 - (intersection + delta) / (union + delta))


@in_float32
def bce_and_jaccard(target, logits, delta=100.0, scale=1.0, weight=1.0):
    """L_seg of the paper: cross-entropy, plus `weight` times the Jaccard distance.

    target, logits: [masks, h, w]. delta, scale: of jaccard_distance. Returns [masks].
    """
    jaccard = jaccard_distance(target, ops.sigmoid(logits), delta, scale)
    return binary_cross_entropy(target, logits) + weight * jaccard


@in_float32
def mask_loss(target, logits, is_positive, loss="bce+jaccard", **settings):
    """Mean loss of the masks that count.

    target, logits: [masks, h, w], 0/1 and logits of the RoI's own class.
    is_positive: [masks], which of them count. loss: a name in MASK_LOSSES; settings:
    of that function. Returns a scalar.
    """
    return mean_where(MASK_LOSSES[loss](target, logits, **settings), is_positive)


# What Config's fields of these names may say. To add a loss, write a function and enter
# it here; it gets the settings by keyword, and ignores with **_ those without use.
# (logit, is_positive, alpha, beta) -> the loss of each anchor
RPN_CLASS_LOSSES = {"focal": focal_loss, "cross_entropy": cross_entropy}
# (logits, class_ids, alpha, beta) -> the loss of each RoI
CLASS_LOSSES = {
    "focal": categorical_focal_loss,
    "cross_entropy": categorical_cross_entropy,
}
# (smooth L1 of each delta, axis) -> the loss of each box
BOX_LOSSES = {"sum": ops.sum, "mean": ops.mean}
# (target, logits, delta, scale, weight) -> the loss of each mask
MASK_LOSSES = {"bce+jaccard": bce_and_jaccard, "bce": binary_cross_entropy}


def sum_over_devices(tensors):
    """Sum a tensor, or each of a structure, over the step's devices; itself for one.

    Outside of a strategy's run, as when a graph is built or validated, there is one.
    """
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return tensors
    return context.all_reduce(tf.distribute.ReduceOp.SUM, tensors)
