"""Masks: stretching worked by hand and against a loop over pixels, round trips."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from mrcnn_skin.geometry import masks


def bilinear_by_loop(values, shape, antialias=False):
    """Corner-aligned bilinear resize, one pixel at a time."""
    height, width = values.shape
    step_y, step_x = (
        (size - 1) / max(count - 1, 1)
        for size, count in zip(values.shape, shape, strict=True)
    )
    reach_y, reach_x = (max(1, step) if antialias else 1 for step in (step_y, step_x))
    out = np.empty(shape)
    for i in range(shape[0]):
        for j in range(shape[1]):
            y = i * step_y if shape[0] > 1 else (height - 1) / 2
            x = j * step_x if shape[1] > 1 else (width - 1) / 2
            weights = [
                [
                    max(0, 1 - abs(y - r) / reach_y) * max(0, 1 - abs(x - c) / reach_x)
                    for c in range(width)
                ]
                for r in range(height)
            ]
            out[i, j] = np.average(values, weights=weights)
    return out


def disc(height, width, center, radius):
    y, x = np.mgrid[:height, :width]
    return (y - center[0]) ** 2 + (x - center[1]) ** 2 <= radius**2


def iou(first, second):
    return np.sum(first & second) / np.sum(first | second)


def test_minimize_mask_by_hand():
    # The box's row is 1 1 0 0 0. Samples at 0, 4/3, 8/3 and 4 reach 4/3 to each side:
    # 1, .6 (weights 0 .6 .4 0 0), 0, 0.
    mask = np.zeros((4, 9, 1), bool)
    mask[1:3, 2:4] = True
    found = masks.minimize_mask([[1, 2, 3, 7]], mask, (2, 4))
    assert found.dtype == bool
    assert found[:, :, 0].tolist() == [[True, True, False, False]] * 2


def test_minimize_mask_agrees_with_a_loop():
    rng = np.random.default_rng(0)
    mask = rng.random((20, 24, 3)) > 0.4
    boxes = np.array([[0, 0, 20, 24], [3, 5, 11, 22], [19, 2, 20, 9]])
    found = masks.minimize_mask(boxes, mask, (6, 5))
    for i, (y1, x1, y2, x2) in enumerate(boxes):
        expected = bilinear_by_loop(mask[y1:y2, x1:x2, i], (6, 5), antialias=True)
        decided = abs(expected - 0.5) > 1e-4  # a tie may fall to either side
        np.testing.assert_array_equal(found[decided, i], expected[decided] >= 0.5)


@pytest.mark.parametrize("size", [(1, 1), (1, 6), (6, 1), (2, 2)])
@pytest.mark.parametrize("mini_shape", [(8, 8), (1, 1)])
def test_full_boxes_of_any_size_survive_the_round_trip(size, mini_shape):
    box = np.array([[2, 3, 2 + size[0], 3 + size[1]]])
    mask = np.zeros((10, 12, 1), bool)
    mask[2 : 2 + size[0], 3 : 3 + size[1]] = True
    mini = masks.minimize_mask(box, mask, mini_shape)
    assert mini.all()
    np.testing.assert_array_equal(masks.expand_mask(box, mini, mask.shape), mask)


def test_box_without_area_gives_an_empty_mask():
    mask = np.ones((5, 5, 1), bool)
    for box in ([0, 0, 0, 0], [2, 2, 2, 4], [5, 5, 5, 5]):
        assert not masks.minimize_mask([box], mask, (4, 4)).any()
        assert not masks.unmold_mask(np.ones((4, 4)), box, (5, 5)).any()


def test_no_masks():
    nothing = masks.minimize_mask(np.zeros((0, 4), int), np.zeros((5, 5, 0)), (4, 4))
    assert nothing.shape == (4, 4, 0)
    expanded = masks.expand_mask(np.zeros((0, 4), int), nothing, (5, 5, 3))
    assert expanded.shape == (5, 5, 0)


def test_same_size_changes_nothing():
    mask = np.random.default_rng(1).random((7, 9, 1)) > 0.5
    box = np.array([[0, 0, 7, 9]])
    mini = masks.minimize_mask(box, mask, (7, 9))
    np.testing.assert_array_equal(mini, mask)
    np.testing.assert_array_equal(masks.expand_mask(box, mini, (7, 9)), mask)


def test_shrinking_and_expanding_keeps_discs_and_their_boxes():
    mask = np.stack(
        [disc(200, 240, (90, 120), 70), disc(200, 240, (40, 60), 25)], axis=-1
    )
    box = np.array([[20, 50, 161, 191], [15, 35, 66, 86]])
    back = masks.expand_mask(box, masks.minimize_mask(box, mask, (56, 56)), mask.shape)
    for i in range(2):
        assert iou(back[:, :, i], mask[:, :, i]) > 0.97


def test_unmold_mask_by_hand():
    # 0 to 1 over five columns: 0, .25, .5, .75, 1; at least .5 counts.
    ramp = np.array([[0.0, 1.0], [0.0, 1.0]])
    found = masks.unmold_mask(ramp, (1, 2, 3, 7), (4, 9, 3))
    expected = np.zeros((4, 9), bool)
    expected[1:3, 4:7] = True
    np.testing.assert_array_equal(found, expected)


def test_unmold_mask_agrees_with_a_loop():
    mask = np.random.default_rng(2).random((4, 6))
    found = masks.unmold_mask(mask, (2, 1, 13, 18), (15, 20))
    expected = bilinear_by_loop(mask, (11, 17))
    decided = abs(expected - 0.5) > 1e-4
    np.testing.assert_array_equal(
        found[2:13, 1:18][decided], (expected >= 0.5)[decided]
    )
    found[2:13, 1:18] = False
    assert not found.any()


def test_single_pixel_box_takes_the_middle_of_the_mask():
    mask = np.zeros((3, 3))
    mask[1, 1] = 1
    assert masks.unmold_mask(mask, (2, 2, 3, 3), (5, 5))[2, 2]


@pytest.mark.parametrize("box", [(-1, 0, 3, 3), (0, 0, 3, 6), (3, 0, 2, 2)])
def test_box_outside_the_image_is_refused(box):
    with pytest.raises(ValueError, match="box must lie in the image of 5 x 5"):
        masks.unmold_mask(np.ones((2, 2)), box, (5, 5))
    with pytest.raises(ValueError, match="box must lie in the image of 5 x 5"):
        masks.minimize_mask([box], np.ones((5, 5, 1), bool), (2, 2))


def test_trim_zeros():
    rows = np.array([[0, 0, 5, 5], [0, 0, 0, 0], [-1, 1, 0, 0], [0, 0, 0, 0]])
    assert masks.trim_zeros(rows).tolist() == [[0, 0, 5, 5], [-1, 1, 0, 0]]


def test_shrunken_masks_keep_their_coverage():
    # Samples at 0, 1.5 and 3 reach 1.5 to each side: weights 3 1 0 0 of 4, 0 1 1 0
    # of 2, 0 0 1 3 of 4
    row = np.array([[True, True, True, False]])[:, :, None]
    found = masks.shrink_masks([[0, 0, 1, 4]], row, (1, 3))
    assert found.dtype == np.uint8 and found[:, :, 0].tolist() == [[255, 255, 64]]


@pytest.mark.parametrize("mini", [55, 56, 109])
def test_targets_from_a_mini_mask_of_any_size_are_those_of_the_mask(mini):
    """Sampled at half the size or less, as the mask head's targets are."""
    areas = {"mini": [], "full": []}
    for radius in range(20, 60, 3):
        mask, side = disc(130, 130, (64, 64), radius), 2 * radius + 1
        box = [64 - radius, 64 - radius, 65 + radius, 65 + radius]
        shrunk = masks.shrink_masks([box], mask[:, :, None], (mini, mini))[:, :, 0]
        full = 255 * disc(side, side, (radius, radius), radius)
        for name, source in (("mini", shrunk), ("full", full)):
            grid = np.mgrid[:28, :28] * (len(source) - 1) / 27
            target = map_coordinates(source / 255, grid, order=1) >= 0.5
            pasted = masks.unmold_mask(target, box, mask.shape)
            areas[name].append(pasted.sum() / mask.sum())
            assert iou(pasted, mask) > 0.955
    assert np.mean(areas["mini"]) == pytest.approx(np.mean(areas["full"]), abs=0.005)
