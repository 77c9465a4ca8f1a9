"""RoI targets: proportions, repeatability, and masks against geometry/masks.py."""

import numpy as np
import pytest
import tensorflow as tf

from mrcnn_skin.geometry import boxes as boxes_np
from mrcnn_skin.geometry import masks as masks_np
from mrcnn_skin.layers.detection_targets import DetectionTargetLayer, MaskRois

STD = (0.1, 0.1, 0.2, 0.2)
BOX = [0.1, 0.1, 0.5, 0.5]


def roi_targets(proposals, class_ids, gt_boxes, gt_masks, **options):
    settings = {
        "rois_per_image": 12,
        "positive_ratio": 0.25,
        "mask_shape": (4, 4),
        "mini_masks": True,
        "seed": (1, 2),
        **options,
    }
    seed = tf.constant([settings.pop("seed")])
    outputs = DetectionTargetLayer(std_dev=STD, **settings)(
        tf.constant([proposals], tf.float32),
        tf.constant([class_ids], tf.int32),
        tf.constant([gt_boxes], tf.float32),
        tf.constant(np.uint8(masks_np.FULL_COVERAGE * np.asarray(gt_masks))[None]),
        seed,
    )
    return [output.numpy()[0] for output in outputs]


def far_boxes(count):
    """Boxes that overlap BOX nowhere."""
    x = np.linspace(0.6, 0.8, count)
    return np.stack([0 * x + 0.6, x, 0 * x + 0.9, x + 0.1], axis=1).tolist()


def test_at_most_the_ratio_is_positive_and_the_rest_negative():
    proposals = [BOX] * 20 + far_boxes(30)
    rois, match, class_ids, *_ = roi_targets(proposals, [2], [BOX], np.ones((1, 5, 5)))
    assert match.tolist() == [1] * 3 + [-1] * 9
    assert class_ids.tolist() == [2] * 3 + [0] * 9
    np.testing.assert_allclose(rois[:3], [BOX] * 3)
    assert (rois[3:, 0] == np.float32(0.6)).all()


def test_few_positives_take_few_negatives_along():
    # The true box alone is positive; at 1 to 3 it takes three negatives along
    _, match, *_ = roi_targets(far_boxes(30), [1], [BOX], np.ones((1, 5, 5)))
    assert match.tolist() == [1, 0, 0] + [-1] * 3 + [0] * 6


def test_all_may_be_positive():
    _, match, *_ = roi_targets(
        [BOX] * 20, [1], [BOX], np.ones((1, 5, 5)), positive_ratio=1.0
    )
    assert match.tolist() == [1] * 12


def test_each_roi_learns_the_instance_that_it_overlaps_most():
    other = [0.1, 0.3, 0.5, 0.7]  # IoU with BOX: .2 / .6
    near_other = [0.1, 0.3, 0.5, 0.68]
    masks = np.stack([np.zeros((5, 5)), np.ones((5, 5))])
    rois, match, class_ids, deltas, target = roi_targets(
        [near_other], [1, 2], [BOX, other], masks
    )
    for row in np.flatnonzero(match == 1):
        is_other = not np.allclose(rois[row], BOX)
        assert class_ids[row] == 1 + is_other
        assert (target[row] == is_other).all()
        own = np.array([other if is_other else BOX])
        expected = boxes_np.box_refinement(rois[row, None], own)[0] / STD
        np.testing.assert_allclose(deltas[row], expected, atol=1e-5)
    assert (match == 1).sum() == 3


def test_the_mask_of_the_true_box_reaches_its_edges():
    *_, masks = roi_targets(
        [[0] * 4], [1], [BOX], np.ones((1, 56, 56)), mask_shape=(28, 28)
    )
    np.testing.assert_array_equal(masks[0], np.ones((28, 28)))


def test_padding_rows_of_instances_do_not_count():
    # Row 0 is padding whose box is the proposal itself; row 1 is the instance
    masks = np.stack([np.ones((5, 5)), np.zeros((5, 5))])
    far = far_boxes(1)[0]
    _, match, class_ids, _, target = roi_targets([far], [0, 2], [far, BOX], masks)
    assert match[0] == 1 and class_ids[0] == 2 and not target[0].any()
    assert (match == 1).sum() == 1


def test_a_seed_repeats_and_another_differs():
    arguments = far_boxes(50), [1], [BOX], np.ones((1, 5, 5))
    first, again, other = (
        roi_targets(*arguments, seed=seed)[0] for seed in ((1, 2), (1, 2), (1, 3))
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_mini_masks_and_full_masks_agree_and_paste_back():
    side, pixels = 65, np.array([[8, 8, 57, 57]])
    y, x = np.mgrid[:side, :side]
    lesion = ((y - 32) ** 2 + (x - 32) ** 2 <= 24**2)[..., None]
    assert boxes_np.extract_bboxes(lesion).tolist() == pixels.tolist()
    box = boxes_np.norm_boxes(pixels, (side, side))
    roi_pixels = np.array([[14, 8, 57, 50]])
    roi = boxes_np.norm_boxes(roi_pixels, (side, side))
    mini = masks_np.minimize_mask(pixels, lesion, (49, 49))
    found = {}
    for name, mask in (("mini", mini), ("full", lesion)):
        rois, _, _, _, masks = roi_targets(
            roi,
            [1],
            box,
            mask.transpose(2, 0, 1),
            mask_shape=(28, 28),
            mini_masks=name == "mini",
        )
        row = np.flatnonzero(np.isclose(rois, roi[0], atol=1e-6).all(axis=1))[0]
        found[name] = masks[row]
    assert (found["mini"] != found["full"]).mean() < 0.01
    pasted = masks_np.unmold_mask(found["full"], roi_pixels[0], (side, side))
    inside = np.zeros((side, side), bool)
    inside[14:57, 8:50] = True
    truth = lesion[..., 0] & inside
    assert (pasted & truth).sum() / (pasted | truth).sum() > 0.95


def test_nothing_in_the_image_and_no_proposal():
    outputs = roi_targets([[0] * 4], [0], [[0] * 4], np.zeros((1, 5, 5)))
    assert not any(output.any() for output in outputs)


def test_targets_have_no_gradient():
    proposals = tf.constant([[BOX]])
    with tf.GradientTape() as tape:
        tape.watch(proposals)
        rois, _, _, deltas, _ = DetectionTargetLayer(4, 0.5, STD, (4, 4), True)(
            proposals,
            tf.constant([[1]]),
            tf.constant([[BOX]]),
            tf.ones([1, 1, 5, 5], tf.uint8),
            tf.constant([[1, 2]]),
        )
        total = tf.reduce_sum(rois) + tf.reduce_sum(deltas)
    assert tape.gradient(total, proposals) is None


def test_positives_first_with_deltas_and_masks():
    mini = np.zeros((2, 5, 5))
    mini[0, :, :3] = 1  # the left half of the box, its middle column included
    rois, match, class_ids, deltas, masks = roi_targets(
        [[0, 0, 0.4, 0.4], [0.0, 0.0, 0.2, 0.4], [0.7, 0.7, 0.9, 0.9], [0] * 4],
        [2, 0],
        [[0, 0, 0.4, 0.4], [0] * 4],
        mini,
        rois_per_image=6,
        positive_ratio=0.5,
    )
    # The true box, the same again as a proposal, and its upper half (IoU .5)
    assert match.tolist()[:3] == [1, 1, 1] and (match == 1).sum() == 3
    assert class_ids.tolist() == [2, 2, 2, 0, 0, 0]
    half = np.flatnonzero(np.isclose(rois[:3, 2], 0.2))[0]
    np.testing.assert_allclose(
        deltas[half], [0.5 / 0.1, 0, np.log(2) / 0.2, 0], atol=1e-5
    )
    # Samples at columns 0, 4/3, 8/3, 4 of the mini mask: 1, 1, 1/3 -> 0, 0
    np.testing.assert_array_equal(masks[half], [[1, 1, 0, 0]] * 4)
    (negative,) = np.flatnonzero(match == -1)
    np.testing.assert_allclose(rois[negative], [0.7, 0.7, 0.9, 0.9])
    assert not rois[match == 0].any() and not masks[match != 1].any()


def test_a_mask_target_cut_from_a_full_mask():
    full = np.zeros((1, 101, 101))
    full[0, :20, :] = 1
    _, match, _, _, masks = roi_targets(
        [[0] * 4], [1], [[0, 0, 0.3, 1.0]], full, mini_masks=False
    )
    # Rows 0, 10, 20, 30 of the image
    expected = np.repeat([[1], [1], [0], [0]], 4, axis=1)
    np.testing.assert_array_equal(masks[match == 1][0], expected)


def test_an_image_without_a_lesion_gives_negative_rois():
    _, match, class_ids, deltas, masks = roi_targets(
        [[0, 0, 0.4, 0.4], [0.7, 0.7, 0.9, 0.9]], [0], [[0] * 4], np.zeros((1, 5, 5))
    )
    assert (match == -1).sum() == 2 and not (match == 1).any()
    assert not class_ids.any() and not deltas.any() and not masks.any()


# IoU with BOX: .05 x .05 of .16 + .1225 - .0025, so .009; and 0
NEAR, FAR = [0.45, 0.45, 0.8, 0.8], [0.6, 0.6, 0.9, 0.9]


@pytest.mark.parametrize(
    "class_ids, positive, negative",
    [
        # BOX is a crowd: a proposal just there and one that touches it are left out,
        # and it does not join the proposals itself
        ([-2], 0, [FAR]),
        ([2], 2, [NEAR, FAR]),
        ([0], 0, [BOX, NEAR, FAR]),
    ],
)
def test_proposals_on_a_crowd_are_neither_positive_nor_negative(
    class_ids, positive, negative
):
    rois, match, *_ = roi_targets(
        [BOX, NEAR, FAR], class_ids, [BOX], np.ones((1, 5, 5)), positive_ratio=0.5
    )
    assert (match == 1).sum() == positive
    found = sorted(rois[match == -1].tolist())
    np.testing.assert_allclose(found, negative, atol=1e-6)


def test_mask_rois_are_the_positive_ones_and_never_none():
    match = tf.constant([[0, 1, -1], [1, 0, 0]])
    keep = MaskRois()(match)
    np.testing.assert_array_equal(keep, [[1, 1, 0], [1, 0, 0]])
    np.testing.assert_array_equal(MaskRois()(tf.constant([[-1, 0]])), [[1, 0]])
