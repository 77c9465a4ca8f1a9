"""Matching and average precision, worked by hand on masks of a few columns."""

import numpy as np
import pytest

from mrcnn_skin.evaluation.detection_metrics import (
    compute_ap,
    compute_ap_range,
    compute_matches,
    compute_recall,
)


def instances(*columns):
    """Boxes and masks, in an image of 10 x 40, of instances that span columns."""
    boxes = np.array([[0, first, 10, last] for first, last in columns]).reshape(-1, 4)
    masks = np.zeros((10, 40, len(columns)), bool)
    for i, (first, last) in enumerate(columns):
        masks[:, first:last, i] = True
    return boxes, masks


def scene(truth, found, scores, truth_ids=None, found_ids=None):
    """The seven arguments of compute_matches; all of class 1 unless said otherwise."""
    gt_boxes, gt_masks = instances(*truth)
    boxes, masks = instances(*found)
    gt_ids = np.array(truth_ids or [1] * len(truth), np.int32)
    ids = np.array(found_ids or [1] * len(found), np.int32)
    return gt_boxes, gt_ids, gt_masks, boxes, ids, np.array(scores), masks


# Two lesions, three detections: IoU 1 with the second; 5 / 15 with the first; .8 with
# the first. In the order of scores: .9, .8, .7
TWO_LESIONS = scene([(0, 10), (20, 30)], [(5, 15), (20, 30), (0, 8)], [0.8, 0.9, 0.7])


def test_matches_in_the_order_of_scores():
    gt_match, pred_match, overlaps = compute_matches(*TWO_LESIONS)
    assert gt_match.tolist() == [2, 0]
    assert pred_match.tolist() == [1, -1, 0]
    np.testing.assert_allclose(overlaps, [[0, 1], [1 / 3, 0], [0.8, 0]], rtol=1e-6)


def test_an_instance_is_found_once_by_the_better_score():
    double = scene([(0, 10)], [(0, 10), (0, 9)], [0.5, 0.6])
    gt_match, pred_match, _ = compute_matches(*double)
    assert gt_match.tolist() == [0] and pred_match.tolist() == [0, -1]


def test_a_detection_whose_best_instance_is_taken_takes_the_next():
    # The second overlaps the instance of 0..10 by .9 and that of 1..11 by 8 / 11
    close = scene([(0, 10), (1, 11)], [(0, 10), (0, 9)], [0.9, 0.8])
    assert compute_matches(*close)[1].tolist() == [0, 1]
    assert compute_matches(*close, iou_threshold=0.75)[1].tolist() == [0, -1]


def test_only_the_right_class_matches():
    wrong = scene([(0, 10)], [(0, 10)], [0.9], truth_ids=[2], found_ids=[1])
    assert compute_matches(*wrong)[1].tolist() == [-1]
    assert compute_ap(*wrong)[0] == 0.0


def test_the_threshold_itself_is_enough():
    half = scene([(0, 10)], [(0, 5)], [0.9])
    assert compute_matches(*half)[1].tolist() == [0]
    assert compute_matches(*half, iou_threshold=0.51)[1].tolist() == [-1]
    assert compute_matches(*half, score_threshold=0.6)[1].tolist() == [-1]


def test_padding_is_cut_off():
    gt_boxes, gt_ids, gt_masks, boxes, ids, scores, masks = TWO_LESIONS
    padded = (
        np.pad(gt_boxes, [(0, 2), (0, 0)]),
        np.pad(gt_ids, (0, 2)),
        np.pad(gt_masks, [(0, 0), (0, 0), (0, 2)]),
        np.pad(boxes, [(0, 1), (0, 0)]),
        np.pad(ids, (0, 1)),
        np.pad(scores, (0, 1)),
        np.pad(masks, [(0, 0), (0, 0), (0, 1)]),
    )
    for plain, same in zip(
        compute_matches(*TWO_LESIONS), compute_matches(*padded), strict=True
    ):
        np.testing.assert_array_equal(plain, same)


def test_average_precision_by_hand():
    """Hit, miss, hit of two lesions: recalls 1/2, 1/2, 1 at precisions 1, 1/2, 2/3."""
    ap, precisions, recalls, overlaps = compute_ap(*TWO_LESIONS)
    np.testing.assert_allclose(recalls, [0, 0.5, 0.5, 1, 1])
    np.testing.assert_allclose(precisions, [1, 1, 2 / 3, 2 / 3, 0])
    assert ap == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert overlaps.shape == (3, 2)


def test_lesions_that_are_missed_cost_recall():
    ap, precisions, recalls, _ = compute_ap(
        *scene([(0, 10), (20, 30)], [(0, 10)], [0.9])
    )
    assert ap == pytest.approx(0.5)
    assert recalls.tolist() == [0, 0.5, 1] and precisions.tolist() == [1, 1, 0]


@pytest.mark.parametrize(
    "truth, found", [([], []), ([(0, 10)], []), ([], [(0, 10)])], ids=str
)
def test_nothing_there_or_nothing_found_is_a_number(truth, found):
    ap, precisions, recalls, overlaps = compute_ap(
        *scene(truth, found, [0.9][: len(found)])
    )
    assert ap == 0.0
    assert np.isfinite(precisions).all() and np.isfinite(recalls).all()
    assert overlaps.shape == (len(found), len(truth))


def test_average_precision_over_thresholds(capsys):
    """IoU .8 passes .50 to .80, seven of the ten thresholds."""
    one = scene([(0, 10)], [(0, 8)], [0.9])
    assert compute_ap_range(*one) == pytest.approx(0.7)
    assert len(capsys.readouterr().out.splitlines()) == 11
    assert compute_ap_range(*one, iou_thresholds=[0.5, 0.9], verbose=0) == 0.5
    assert not capsys.readouterr().out


def test_recall_of_boxes_by_hand():
    gt_boxes, _ = instances((0, 10), (20, 30), (32, 36))
    boxes, _ = instances((0, 10), (1, 10), (20, 24), (38, 40))
    recall, positive = compute_recall(boxes, gt_boxes, 0.5)
    assert recall == pytest.approx(1 / 3) and positive.tolist() == [0, 1]
    recall, positive = compute_recall(boxes, gt_boxes, 0.4)
    assert recall == pytest.approx(2 / 3) and positive.tolist() == [0, 1, 2]
    for nothing in ((boxes[:0], gt_boxes), (boxes, gt_boxes[:0])):
        recall, positive = compute_recall(*nothing, 0.5)
        assert recall == 0.0 and len(positive) == 0
