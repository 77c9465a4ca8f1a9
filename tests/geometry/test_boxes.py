"""Boxes: numbers worked by hand, and loops over single pixels or pairs."""

import numpy as np
import pytest

from mrcnn_skin.geometry import boxes


def random_boxes(rng, count, size=32):
    corners = np.sort(rng.integers(0, size, (count, 2, 2)), axis=1)
    corners[:, 1] += 1  # no box without an area
    return corners.reshape(count, 4)


def paint(box, height, width):
    mask = np.zeros((height, width), bool)
    y1, x1, y2, x2 = box
    mask[y1:y2, x1:x2] = True
    return mask


def test_extract_bboxes_by_hand():
    masks = np.zeros((6, 8, 4), bool)
    masks[1, 2, 0] = masks[3, 5, 0] = True  # two corners, nothing between
    masks[5, 7, 1] = True  # one pixel, the last
    masks[:, :, 2] = True  # everything; the fourth mask stays empty
    found = boxes.extract_bboxes(masks)
    assert found.dtype == np.int32
    assert found.tolist() == [[1, 2, 4, 6], [5, 7, 6, 8], [0, 0, 6, 8], [0, 0, 0, 0]]


def test_extract_bboxes_of_no_masks():
    assert boxes.extract_bboxes(np.zeros((6, 8, 0), bool)).shape == (0, 4)


def test_extract_bboxes_recovers_painted_boxes():
    painted = random_boxes(np.random.default_rng(0), 20)
    masks = np.stack([paint(box, 33, 34) for box in painted], axis=-1)
    np.testing.assert_array_equal(boxes.extract_bboxes(masks), painted)


def test_compute_overlaps_by_hand():
    one = [[0, 0, 10, 10]]
    others = [
        [0, 0, 10, 10],  # the same
        [0, 5, 10, 15],  # half of it: 50 / (100 + 100 - 50)
        [2, 2, 6, 7],  # inside: 20 / 100
        [10, 0, 20, 10],  # only touches
        [30, 30, 40, 40],  # apart on both axes
        [4, 4, 4, 4],  # no area
    ]
    expected = [[1, 1 / 3, 0.2, 0, 0, 0]]
    np.testing.assert_allclose(boxes.compute_overlaps(one, others), expected, 1e-6)


def test_overlap_of_two_empty_boxes_is_zero():
    assert boxes.compute_overlaps(np.zeros((1, 4)), np.zeros((2, 4))).tolist() == [
        [0, 0]
    ]


def test_overlaps_of_boxes_and_of_their_masks_count_pixels():
    rng = np.random.default_rng(1)
    first, second = random_boxes(rng, 6), random_boxes(rng, 9)
    masks1 = np.stack([paint(box, 33, 33) for box in first], axis=-1)
    masks2 = np.stack([paint(box, 33, 33) for box in second], axis=-1)
    expected = np.empty((6, 9))
    for i in range(6):
        for j in range(9):
            both = np.sum(masks1[..., i] & masks2[..., j])
            expected[i, j] = both / np.sum(masks1[..., i] | masks2[..., j])
    np.testing.assert_allclose(boxes.compute_overlaps(first, second), expected, 1e-5)
    found = boxes.compute_overlaps_masks(masks1, masks2)
    np.testing.assert_allclose(found, expected, 1e-5)


def test_compute_iou_of_one_box_by_hand():
    others = [[0, 0, 2, 2], [1, 1, 3, 3], [2, 2, 3, 3]]
    iou = boxes.compute_iou(np.array([0, 0, 2, 2]), others, 4, [4, 4, 1])
    np.testing.assert_allclose(iou, [1, 1 / 7, 0], rtol=1e-6)
    # The areas are the caller's: 1 / (1 + 6 - 1) of the second box
    assert boxes.compute_iou([0, 0, 2, 2], others[1:2], 1, [6])[0] == np.float32(1 / 6)


def test_compute_overlaps_masks_with_empty_and_none():
    full, empty = np.ones((3, 3, 1)), np.zeros((3, 3, 1))
    assert boxes.compute_overlaps_masks(empty, empty).tolist() == [[0]]
    assert boxes.compute_overlaps_masks(full, empty).tolist() == [[0]]
    assert boxes.compute_overlaps_masks(full, np.zeros((3, 3, 0))).shape == (1, 0)


def test_compute_overlaps_masks_refuses_other_size():
    with pytest.raises(ValueError, match="same height and width"):
        boxes.compute_overlaps_masks(np.ones((3, 3, 1)), np.ones((3, 4, 1)))


def test_non_max_suppression_by_hand():
    candidates = [
        [0, 0, 10, 10],  # IoU with the next: 90 / 110
        [0, 1, 10, 11],
        [0, 5, 10, 15],  # IoU 1/3 with the first, 60 / 140 with the second
        [50, 50, 60, 60],
    ]
    scores = [0.8, 0.9, 0.7, 0.1]
    assert boxes.non_max_suppression(candidates, scores, 0.5).tolist() == [1, 2, 3]
    assert boxes.non_max_suppression(candidates, scores, 0.4).tolist() == [1, 3]
    assert boxes.non_max_suppression(candidates, scores, 0.9).tolist() == [1, 0, 2, 3]


def test_non_max_suppression_keeps_an_overlap_of_exactly_the_threshold():
    pair = [[0, 0, 10, 10], [0, 0, 10, 5]]
    assert boxes.non_max_suppression(pair, [1, 0], 0.5).tolist() == [0, 1]
    assert boxes.non_max_suppression(pair, [1, 0], 0.49).tolist() == [0]


def test_non_max_suppression_of_equal_scores_takes_the_first():
    same = [[0, 0, 5, 5]] * 3
    assert boxes.non_max_suppression(same, [0.5] * 3, 0.3).tolist() == [0]


def test_non_max_suppression_of_scores_without_a_sign():
    candidates = [[0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]]
    scores = np.array([0, 200, 10], np.uint8)
    assert boxes.non_max_suppression(candidates, scores, 0.5).tolist() == [1, 2]


def test_non_max_suppression_of_nothing():
    assert boxes.non_max_suppression(np.zeros((0, 4)), [], 0.5).shape == (0,)


def test_non_max_suppression_refuses_missing_scores():
    with pytest.raises(ValueError, match="scores must have 2 entries"):
        boxes.non_max_suppression(np.zeros((2, 4)), [1.0], 0.5)


def test_apply_box_deltas_by_hand():
    # 10 high, 20 wide, centre (5, 20): moves by (1, -4), height x 2, width x 1/2.
    found = boxes.apply_box_deltas(
        [[0, 10, 10, 30]], [[0.1, -0.2, np.log(2), -np.log(2)]]
    )
    np.testing.assert_allclose(found, [[-4, 11, 16, 21]], atol=1e-5)


def test_box_refinement_by_hand():
    found = boxes.box_refinement([[0, 10, 10, 30]], [[-4, 11, 16, 21]])
    expected = [[0.1, -0.2, 0.693147, -0.693147]]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_refinement_and_deltas_are_inverse():
    rng = np.random.default_rng(2)
    start, goal = random_boxes(rng, 50), random_boxes(rng, 50)
    reached = boxes.apply_box_deltas(start, boxes.box_refinement(start, goal))
    np.testing.assert_allclose(reached, goal, atol=1e-4)


@pytest.mark.parametrize(
    "pair", [([0, 0, 0, 5], [0, 0, 5, 5]), ([0, 0, 5, 5], [3] * 4)]
)
def test_box_refinement_refuses_boxes_without_area(pair):
    with pytest.raises(ValueError, match="above 0, got 0"):
        boxes.box_refinement([pair[0]], [pair[1]])


@pytest.mark.parametrize("function", [boxes.apply_box_deltas, boxes.box_refinement])
def test_different_lengths_are_refused(function):
    with pytest.raises(ValueError, match="1 entries, one for each box, got 3"):
        function(np.ones((1, 4)), np.ones((3, 4)))


def test_flat_array_is_refused():
    with pytest.raises(
        ValueError, match=r"boxes must be numbers \[N, .*got int64 \[4\]"
    ):
        boxes.clip_boxes([0, 0, 5, 5], (0, 0, 9, 9))


def test_clip_boxes_by_hand():
    found = boxes.clip_boxes(
        [[-5, -5, 50, 50], [12, 25, 15, 26], [0, 0, 5, 5]], (10, 20, 30, 40)
    )
    # Cut on all sides; inside, as it was; outside, without area.
    assert found.tolist() == [[10, 20, 30, 40], [12, 25, 15, 26], [10, 20, 10, 20]]


def test_norm_boxes_by_hand():
    # Rows 10 to 50 of 101, columns 0 to 200 of 201.
    found = boxes.norm_boxes([[10, 0, 51, 201]], (101, 201))
    np.testing.assert_allclose(found, [[0.1, 0, 0.5, 1]], atol=1e-6)


def test_denorm_boxes_by_hand():
    # 0.104 * 100 = 10.4 -> 10; 0.996 * 200 + 1 = 200.2 -> 200.
    found = boxes.denorm_boxes([[0.104, 0, 0.5, 0.996]], (101, 201, 3))
    assert found.dtype == np.int32
    assert found.tolist() == [[10, 0, 51, 200]]


def test_denorm_inverts_norm():
    pixels = random_boxes(np.random.default_rng(3), 50, size=600)
    normalised = boxes.norm_boxes(pixels, (640, 1024))
    np.testing.assert_array_equal(boxes.denorm_boxes(normalised, (640, 1024)), pixels)


def test_norm_boxes_refuses_an_image_of_one_row():
    with pytest.raises(ValueError, match="at least 2 x 2, got 1 x 9"):
        boxes.norm_boxes([[0, 0, 1, 9]], (1, 9))
