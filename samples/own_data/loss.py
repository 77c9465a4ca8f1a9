"""A loss of your own: write a function and register its name; here Dice for the masks.

config = IsicConfig(MASK_LOSS="bce+dice")
"""

from keras import ops

from mrcnn_skin.losses import MASK_LOSSES, binary_cross_entropy


def bce_and_dice(target, logits, **_):
    """Cross-entropy plus 1 - Dice; target, logits: [masks, h, w]. Returns [masks]."""
    mask = ops.sigmoid(logits)
    common = ops.sum(target * mask, axis=(1, 2))
    total = ops.sum(target, axis=(1, 2)) + ops.sum(mask, axis=(1, 2))
    dice = (2 * common + 1) / (total + 1)
    return binary_cross_entropy(target, logits) + 1 - dice


MASK_LOSSES["bce+dice"] = bce_and_dice
