"""The mathematics of every loss: pure functions of tensors.

Which anchors and RoIs count is decided by the target layers; how the terms are
weighted, by Config. The layers around these functions are in layers/losses.py.
With several devices each gives its share: the shares add up to the global batch's loss.
"""

from keras import ops

from .devices import sum_over_devices

EPSILON = 1e-7  # keeps log() finite; the smallest probability told from 0


def mean_where(values, mask):
    """Mean of `values` where `mask` is true; 0 where it is nowhere true.

    values, mask: any shape, the same for both. The count is that of all devices, so a
    device with many positives weighs as much as its positives do.
    """
    mask = ops.cast(mask, values.dtype)
    total = ops.sum(ops.where(mask > 0, values, ops.zeros_like(values)))
    return total / ops.maximum(sum_over_devices(ops.sum(mask)), 1.0)


def cross_entropy(p, is_positive, **_):
    """-log of what is said of the truth, not reduced; arguments as focal_loss."""
    p_true = ops.where(ops.cast(is_positive, "bool"), p, 1.0 - p)
    return -ops.log(ops.clip(p_true, EPSILON, 1.0))


def focal_loss(p, is_positive, alpha=0.25, beta=2.0):
    """Focal loss of a probability, not reduced (paper, L_cls of the RPN).

    p: probability of the positive class, any shape.
    is_positive: p* of the paper, bool or 0/1, the same shape.
    Returns -alpha (1-p)^beta p* log p - (1-alpha) p^beta (1-p*) log(1-p).
    """
    p = ops.clip(p, EPSILON, 1.0 - EPSILON)
    positive = -alpha * ops.power(1.0 - p, beta) * ops.log(p)
    negative = -(1.0 - alpha) * ops.power(p, beta) * ops.log(1.0 - p)
    return ops.where(ops.cast(is_positive, "bool"), positive, negative)


def categorical_focal_loss(probs, class_ids, alpha=0.25, beta=2.0):
    """Focal loss of a softmax, not reduced: the Classify subnet's focal option.

    probs: [..., classes]; class_ids: int [...], the true class.
    Class 0, the background, has the factor 1 - alpha; the others have alpha, so for
    two classes this is `focal_loss` of the foreground probability.
    """
    p_true = _true_class_probability(probs, class_ids)
    factor = ops.where(class_ids > 0, alpha, 1.0 - alpha)
    return -factor * ops.power(1.0 - p_true, beta) * ops.log(p_true)


def categorical_cross_entropy(probs, class_ids, **_):
    """-log of the true class's probability, not reduced.

    probs: [..., classes]; class_ids: int [...].
    """
    return -ops.log(_true_class_probability(probs, class_ids))


def _true_class_probability(probs, class_ids):
    one_hot = ops.one_hot(class_ids, probs.shape[-1], dtype=probs.dtype)
    return ops.clip(ops.sum(probs * one_hot, axis=-1), EPSILON, 1.0 - EPSILON)


def active_softmax(logits, active):
    """Softmax over the classes that an image's source labels.

    logits: [rois, classes]; active: [rois, classes], 1 where the class is labelled.
    Inactive classes get probability 0, and no gradient.
    """
    return ops.softmax(ops.where(active > 0, logits, -1e9 * ops.ones_like(logits)))


def smooth_l1(x):
    """L_reg of the paper, element by element: 0.5 x^2 if |x| < 1, else |x| - 0.5."""
    size = ops.abs(x)
    return ops.where(size < 1.0, 0.5 * ops.square(x), size - 0.5)


def rpn_class_loss(p, match, loss="focal", **settings):
    """Objectness loss: the sum over the sampled anchors, divided by N_cls.

    p: [batch, anchors], foreground probability.
    match: int [batch, anchors], 1 positive, -1 negative, 0 not sampled.
    loss: a name in RPN_CLASS_LOSSES; settings: of that function.
    Returns a scalar; N_cls is the number of sampled anchors of the batch.
    """
    each = RPN_CLASS_LOSSES[loss](p, match > 0, **settings)
    return mean_where(each, ops.not_equal(match, 0))


def box_loss(deltas, target_deltas, is_positive):
    """Smooth L1 summed over the four deltas, divided by the number of positives.

    deltas, target_deltas: [..., (dy, dx, log(dh), log(dw))], in standard deviations.
    is_positive: [...]. Returns a scalar; N_reg is the number of positives.
    """
    each = ops.sum(smooth_l1(target_deltas - deltas), axis=-1)
    return mean_where(each, is_positive)


def binary_cross_entropy(target, mask, **_):
    """Mean over a mask's pixels; target, mask: [masks, h, w]. Returns [masks]."""
    mask = ops.clip(mask, EPSILON, 1.0 - EPSILON)
    each = -target * ops.log(mask) - (1.0 - target) * ops.log(1.0 - mask)
    return ops.mean(each, axis=(1, 2))


def jaccard_distance(target, mask, delta=100.0, scale=1.0):
    """L_jaccard of the paper: 1 - (I + delta) / (U + delta), times `scale`.

    target, mask: [masks, h, w]. Returns [masks]. I = sum |y yhat| and
    U = sum(|y| + |yhat|) - I, over all the pixels of one mask.
    """
    intersection = ops.sum(ops.abs(target * mask), axis=(1, 2))
    union = ops.sum(ops.abs(target) + ops.abs(mask), axis=(1, 2)) - intersection
    return scale * (1.0 - (intersection + delta) / (union + delta))


def bce_and_jaccard(target, mask, delta=100.0, scale=1.0, weight=1.0):
    """L_seg of the paper: cross-entropy, plus `weight` times the Jaccard distance.

    target, mask: [masks, h, w]. delta, scale: of jaccard_distance. Returns [masks].
    """
    jaccard = jaccard_distance(target, mask, delta, scale)
    return binary_cross_entropy(target, mask) + weight * jaccard


def mask_loss(target, mask, is_positive, loss="bce+jaccard", **settings):
    """Mean loss of the masks that count.

    target, mask: [masks, h, w], 0/1 and probability of the RoI's own class.
    is_positive: [masks], which of them count. loss: a name in MASK_LOSSES; settings:
    of that function. Returns a scalar.
    """
    return mean_where(MASK_LOSSES[loss](target, mask, **settings), is_positive)


# What Config's fields of these names may say. To add a loss, write a function and enter
# it here; it gets the settings by keyword, and passes over with **_ those without use.
# (p, is_positive, alpha, beta) -> the loss of each anchor
RPN_CLASS_LOSSES = {"focal": focal_loss, "cross_entropy": cross_entropy}
# (probs, class_ids, alpha, beta) -> the loss of each RoI
CLASS_LOSSES = {
    "focal": categorical_focal_loss,
    "cross_entropy": categorical_cross_entropy,
}
# (target, mask, delta, scale, weight) -> the loss of each mask
MASK_LOSSES = {"bce+jaccard": bce_and_jaccard, "bce": binary_cross_entropy}
