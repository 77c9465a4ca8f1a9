"""The loss layers pick the right rows; the layers' settings survive a copy."""

import math

import numpy as np
import pytest
import tensorflow as tf

from mrcnn_skin.layers.anchor_patches import AnchorPatches
from mrcnn_skin.layers.anchors import Anchors, NormBoxes
from mrcnn_skin.layers.content_pool import ContentPool
from mrcnn_skin.layers.detection import DetectionLayer
from mrcnn_skin.layers.detection_targets import DetectionTargetLayer, MaskRois
from mrcnn_skin.layers.familiarity import LesionDoubt, Unfamiliarity
from mrcnn_skin.layers.losses import BoxLoss, ClassLoss, FocalLoss, MaskLoss, RPNBoxLoss
from mrcnn_skin.layers.normalization import BatchNorm
from mrcnn_skin.layers.proposal import ProposalLayer
from mrcnn_skin.layers.roi_align import PyramidROIAlign
from mrcnn_skin.layers.rpn_targets import RPNTargets

LN2 = math.log(2)
STD = (0.1, 0.1, 0.2, 0.2)


def test_focal_loss_layer_reads_the_foreground_of_the_sampled_anchors():
    logits = tf.math.log(tf.constant([[[0.75, 0.25], [0.5, 0.5], [1e-9, 1.0]]]))
    match = tf.constant([[1, -1, 0]])
    loss = FocalLoss()(logits, match)
    # .25 .75^2 ln 4 of the positive, .75 .5^2 ln 2 of the negative
    expected = (0.25 * 0.75**2 * 2 + 0.75 * 0.25) * LN2 / 2
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    plain = FocalLoss("cross_entropy")(logits, match)
    np.testing.assert_allclose(plain, 1.5 * LN2, rtol=1e-6)


@pytest.mark.parametrize(
    "layer, field",
    [
        (FocalLoss, "RPN_CLASS_LOSS"),
        (ClassLoss, "CLASS_LOSS"),
        (BoxLoss, "BOX_LOSS"),
        (MaskLoss, "MASK_LOSS"),
    ],
)
def test_a_loss_that_is_not_there_is_refused_by_its_name(layer, field):
    with pytest.raises(ValueError, match=f"^{field} must be one of .*, got 'hinge'"):
        layer("hinge")


def test_rpn_box_loss_layer_has_the_factor_rho():
    deltas = tf.constant([[[0.5, 0, 0, 0], [9.0] * 4, [9.0] * 4]])
    arguments = deltas, tf.constant([[1, -1, 0]]), tf.zeros([1, 3, 4])
    np.testing.assert_allclose(RPNBoxLoss(3.0)(*arguments), 3 * 0.125)
    np.testing.assert_allclose(RPNBoxLoss()(*arguments), 10 * 0.125)  # the paper's


def test_class_loss_masks_classes_image_by_image():
    logits = tf.zeros([2, 2, 3])
    class_ids, match = tf.constant([[2, 0], [1, 0]]), tf.constant([[1, 0], [1, -1]])
    active = tf.constant([[1, 1, 1], [1, 1, 0]])
    loss = ClassLoss()(logits, class_ids, match, active)
    # ln 3 in the first image; ln 2 twice in the second, which has two classes
    np.testing.assert_allclose(loss, (math.log(3) + 2 * LN2) / 3, rtol=1e-5)


def test_box_loss_uses_the_deltas_of_the_true_class():
    deltas = np.full((1, 3, 3, 4), 7.0, np.float32)
    deltas[0, 0, 2] = [1.0, 2.0, 0, 0]
    loss = BoxLoss()(
        tf.constant(deltas),
        tf.constant([[2, 0, 0]]),
        tf.zeros([1, 3, 4]),
        tf.constant([[1, -1, 0]]),
    )
    np.testing.assert_allclose(loss, 0.5 + 1.5)


def test_mask_loss_finds_the_kept_rows_and_their_class():
    logits = np.full((2, 1, 1, 3), 2.0, np.float32)  # of RoIs 0 and 2
    logits[0, 0, 0, 1], logits[1, 0, 0, 2] = 0.0, -math.log(3)  # .5 and .25
    targets = tf.constant([[[[1.0]], [[0.0]], [[0.0]]]])
    layer = MaskLoss("bce")
    keep = tf.constant([[True, False, True]])
    arguments = tf.constant(logits), tf.constant([[1, 0, 2]]), targets
    loss = layer(*arguments, tf.constant([[1, -1, 1]]), keep)
    np.testing.assert_allclose(loss, (LN2 - math.log(0.75)) / 2, rtol=1e-5)
    only_second = layer(*arguments, tf.constant([[-1, -1, 1]]), keep)
    np.testing.assert_allclose(only_second, -math.log(0.75), rtol=1e-5)


def test_mask_loss_takes_every_pixel_and_both_terms():
    own = np.zeros((2, 2), np.float32)  # probabilities of .5
    logits = np.stack([own + 9, own], axis=-1)[None]  # class 1 is the RoI's
    target = np.array([[1, 1], [0, 0]], np.float32)
    loss = MaskLoss(delta=1.0, scale=3.0, weight=2.0)(
        tf.constant(logits),
        tf.constant([[0, 1]]),
        tf.constant(np.stack([np.zeros_like(target), target])[None]),
        tf.constant([[-1, 1]]),
        tf.constant([[False, True]]),
    )
    # BCE ln 2; I = 1, U = 3: 2 * 3 * (1 - 2 / 4)
    np.testing.assert_allclose(loss, LN2 + 3, rtol=1e-5)


def test_class_loss_with_focus():
    logits = tf.math.log(tf.constant([[[0.5, 0.25, 0.25], [0.2, 0.6, 0.2]]]))
    arguments = tf.constant([[0, 1]]), tf.constant([[-1, 1]]), tf.ones([1, 3])
    loss = ClassLoss("focal", alpha=0.25, beta=2.0)(logits, *arguments)
    # Background .75 .5^2 ln 2; class 1 .25 .4^2 -ln .6
    expected = (0.1875 * LN2 - 0.04 * math.log(0.6)) / 2
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_loss_layers_stay_in_float32_whatever_the_policy():
    for layer in (FocalLoss, RPNBoxLoss, ClassLoss, BoxLoss, MaskLoss):
        assert layer(dtype="mixed_bfloat16").compute_dtype == "float32"


@pytest.mark.parametrize(
    "layer",
    [
        Anchors((8, 16), (0.5, 1), (4, 8), 2),
        NormBoxes(name="boxes"),
        AnchorPatches(3, 2),
        RPNTargets(64, STD),
        ProposalLayer(10, 0.6, 50, STD),
        PyramidROIAlign((3, 5), 8),
        DetectionTargetLayer(10, 0.25, STD, (14, 14), False),
        MaskRois(),
        DetectionLayer(5, 0.6, 0.2, STD, "lesion", True),
        FocalLoss("cross_entropy", 0.3, 1.5),
        RPNBoxLoss(3.0, "mean"),
        ClassLoss("focal", 0.3, 1.5),
        BoxLoss("mean"),
        MaskLoss("bce", 1.0, 2.0, 3.0),
        BatchNorm(train_bn=True),
        ContentPool(16),
        Unfamiliarity(3),
        LesionDoubt(),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_settings_survive_a_copy(layer):
    """Keras takes them from the constructor's arguments, where they are plain."""
    copy = type(layer).from_config(layer.get_config())
    for name, value in settings_of(layer).items():
        assert getattr(copy, name) == value, name
    assert copy.compute_dtype == "float32"


def settings_of(layer):
    plain = (str, int, float, bool, tuple)
    found = {n: v for n, v in vars(layer).items() if isinstance(v, plain)}
    return {n: v for n, v in found.items() if not n.startswith("_") and n != "built"}
