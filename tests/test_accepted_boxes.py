"""Boxes, colours, lists of other lengths: the right answer, or a refusal in one line.

Tables of the functions of visualize, utils and evaluation; images and masks of every
type are in test_accepted_arrays.py.
"""

import re

import numpy as np
import pytest
from pictures import rectangle
from PIL import Image

from mrcnn_skin import utils, visualize
from mrcnn_skin.geometry.inputs import as_boxes, as_color

BOX = [20, 30, 40, 60]
TWO = np.array([BOX, [5, 5, 15, 25]])
RGB = np.full((64, 80, 3), 100, np.uint8)
MASK = rectangle(*BOX)
STACK = np.stack([MASK, rectangle(*TWO[1])], axis=-1)
ONE = STACK[..., :1]
NAMES = ["BG", "benign"]
RED, UNIT_RED = (255, 0, 0), (1.0, 0, 0)
NO_MASKS, NO_BOXES = np.zeros((0, 0, 0), bool), np.zeros((0, 4))
SOFT = np.ones((28, 28, 2))


def display(boxes=TWO, masks=None, class_ids=(1, 1), **options):
    return visualize.display_instances(RGB, boxes, masks, class_ids, NAMES, **options)


def differences(gt, pred):
    return visualize.display_differences(RGB, *gt, *pred, NAMES)


GT = TWO, np.array([1, 1]), STACK
FOUND = TWO, np.array([1, 1]), np.array([0.9, 0.8]), STACK


def replaced(values, place, value):
    return *values[:place], value, *values[place + 1 :]


# {what is wrong: (function, what the message says)}
REFUSED = {
    # colours from 0 to 1, as matplotlib's
    "apply_mask, 0..255": (
        lambda: visualize.apply_mask(RGB, MASK, RED),
        "color must be 3 numbers from 0 to 1, got (255, 0, 0)",
    ),
    "apply_mask, a name": (
        lambda: visualize.apply_mask(RGB, MASK, "red"),
        "color must be 3 numbers from 0 to 1, got 'red'",
    ),
    "apply_mask, alpha": (
        lambda: visualize.apply_mask(RGB, MASK, UNIT_RED, alpha=1.5),
        "alpha must be from 0 to 1, got 1.5",
    ),
    "display_instances, 0..255": (
        lambda: display(colors=[UNIT_RED, RED]),
        "colors[1] must be 3 numbers from 0 to 1, got (255, 0, 0)",
    ),
    # colours from 0 to 255, as pixels
    "overlay, 0..1": (
        lambda: visualize.overlay(RGB, ONE, TWO, color=UNIT_RED),
        "color must be 3 whole numbers from 0 to 255, got (1.0, 0, 0)",
    ),
    "overlay, 0 and 1": (
        lambda: visualize.overlay(RGB, ONE, [], color=(1, 0, 0)),
        "color must be 3 whole numbers from 0 to 255, got (1, 0, 0)",
    ),
    "overlay_truth, 0..1": (
        lambda: visualize.overlay_truth(
            RGB, MASK, {"rois": [], "p_malignant": None}, [("a", (0, 0.5, 0))]
        ),
        "color must be 3 whole numbers from 0 to 255, got (0, 0.5, 0)",
    ),
    "draw_outline, 0..1": (
        lambda: visualize.draw_outline(RGB, MASK, UNIT_RED, 2),
        "color must be 3 whole numbers from 0 to 255",
    ),
    "draw_box, 0..1": (
        lambda: visualize.draw_box(RGB.copy(), BOX, (0.5, 0.2, 0)),
        "color must be 3 whole numbers from 0 to 255",
    ),
    "draw_box, 300": (
        lambda: visualize.draw_box(RGB.copy(), BOX, (300, 0, 0)),
        "color must be 3 whole numbers from 0 to 255",
    ),
    # boxes of another shape
    "display_instances, one box": (
        lambda: display(BOX, class_ids=[1]),
        "boxes must be numbers [N, (y1, x1, y2, x2)], got int64 [4]",
    ),
    "overlay, one box": (
        lambda: visualize.overlay(RGB, ONE, BOX),
        "boxes must be numbers [N, (y1, x1, y2, x2)], got int64 [4]",
    ),
    "draw_box_sets, one box": (
        lambda: visualize.draw_box_sets(RGB, {"anchors": BOX}),
        "boxes must be numbers [N, (y1, x1, y2, x2)], got int64 [4]",
    ),
    "minimize_mask, one box": (
        lambda: utils.minimize_mask(BOX, ONE, (28, 28)),
        "bbox must be numbers [N, (y1, x1, y2, x2)], got int64 [4]",
    ),
    "unmold_mask, a list of boxes": (
        lambda: utils.unmold_mask(SOFT[..., 0], [BOX], (64, 80)),
        "bbox must be numbers [N, (y1, x1, y2, x2)], got int64 [1, 1, 4]",
    ),
    "compute_overlaps, text": (
        lambda: utils.compute_overlaps([["a"] * 4], TWO),
        "boxes1 must be numbers [N, (y1, x1, y2, x2)], got <U1 [1, 4]",
    ),
    "compute_overlaps, None": (
        lambda: utils.compute_overlaps(TWO, None),
        "boxes2 must be numbers [N, (y1, x1, y2, x2)], got None",
    ),
    # boxes that lie between the pixels
    "draw_box, half a pixel": (
        lambda: visualize.draw_box(RGB.copy(), [1.5, 2, 30, 40], RED),
        "box must be whole pixels, got [1.5, 2.0, 30.0, 40.0]: round them first",
    ),
    "minimize_mask, half a pixel": (
        lambda: utils.minimize_mask(TWO + 0.5, STACK, (28, 28)),
        "bbox must be whole pixels, got [20.5, 30.5, 40.5, 60.5]: round them",
    ),
    "expand_mask, NaN": (
        lambda: utils.expand_mask(TWO * np.nan, SOFT, (64, 80)),
        "bbox must be whole pixels, got [nan, nan, nan, nan]",
    ),
    "unmold_mask, half a pixel": (
        lambda: utils.unmold_mask(SOFT[..., 0], TWO[0] + 0.5, (64, 80)),
        "bbox must be whole pixels, got [20.5, 30.5, 40.5, 60.5]: round them",
    ),
    # lists of other lengths
    "display_instances, masks": (
        lambda: display(masks=ONE),
        "masks must have 2 entries, one for each box, got 1",
    ),
    "display_instances, boxes": (
        lambda: display(TWO[:1], STACK, [1]),
        "masks must have 1 entries, one for each box, got 2",
    ),
    "display_instances, class_ids": (
        lambda: display(class_ids=[1]),
        "class_ids must have 2 entries, one for each box, got 1",
    ),
    "display_instances, scores": (
        lambda: display(scores=[0.5]),
        "scores must have 2 entries, one for each box, got 1",
    ),
    "display_instances, captions": (
        lambda: display(captions="ab"),
        "captions must have 2 entries, one for each box, got 'ab'",
    ),
    "display_instances, colors": (
        lambda: display(colors=[UNIT_RED]),
        "colors must have 2 entries, one for each box, got 1",
    ),
    "display_instances, class without a name": (
        lambda: display(class_ids=[1, 7]),
        "class_names must name every class id, got 2 names and the class id 7",
    ),
    "display_differences, scores": (
        lambda: differences(GT, replaced(FOUND, 2, [0.9])),
        "pred_score must have 2 entries, one for each box, got 1",
    ),
    "display_differences, masks": (
        lambda: differences(replaced(GT, 2, ONE), FOUND),
        "gt_mask must have 2 entries, one for each box, got 1",
    ),
    "draw_boxes, masks": (
        lambda: visualize.draw_boxes(RGB, TWO, masks=[MASK]),
        "masks must have 2 entries, one for each box, got 1",
    ),
    "draw_boxes, refined": (
        lambda: visualize.draw_boxes(RGB, TWO, TWO[:1]),
        "refined_boxes must have 2 entries, one for each box, got 1",
    ),
    "draw_rois": (
        lambda: visualize.draw_rois(RGB, TWO, TWO, np.ones((1, 7, 7)), [1, 1], NAMES),
        "mask must have 2 entries, one for each box, got 1",
    ),
    "display_roi_align": (
        lambda: visualize.display_roi_align(RGB, TWO, np.ones((1, 7, 7, 2))),
        "pooled must have 2 entries, one for each box, got 1",
    ),
    "display_top_masks": (
        lambda: visualize.display_top_masks(RGB, ONE, [1, 1], NAMES),
        "mask must have 2 entries, one for each box, got 1",
    ),
    "display_images, titles": (
        lambda: visualize.display_images([RGB, RGB], ["one"]),
        "titles must have 2 entries, one for each image, got 1",
    ),
    "plot_overlaps, scores": (
        lambda: visualize.plot_overlaps([1], [1], [], [[0.5]], NAMES),
        "pred_scores must have 1 entries, one for each row of overlaps, got 0",
    ),
    "plot_overlaps, a row": (
        lambda: visualize.plot_overlaps([1], [1], [0.9], [0.5], NAMES),
        "overlaps must be [m, n], got [1]",
    ),
    "minimize_mask, boxes": (
        lambda: utils.minimize_mask(NO_BOXES, ONE, (28, 28)),
        "mask must have 0 entries, one for each box, got 1",
    ),
    "expand_mask, boxes": (
        lambda: utils.expand_mask(TWO[:1], SOFT, (64, 80)),
        "mini_mask must have 1 entries, one for each box, got 2",
    ),
    "compute_matches, gt_class_ids": (
        lambda: utils.compute_matches(*replaced(GT, 1, [1]), *FOUND),
        "gt_class_ids must have 2 entries, one for each box, got 1",
    ),
    "compute_matches, gt_masks": (
        lambda: utils.compute_matches(*replaced(GT, 2, ONE), *FOUND),
        "gt_masks must have 2 entries, one for each box, got 1",
    ),
    "compute_matches, pred_scores": (
        lambda: utils.compute_matches(*GT, *replaced(FOUND, 2, [])),
        "pred_scores must have 2 entries, one for each box, got 0",
    ),
    "compute_iou, areas": (
        lambda: utils.compute_iou(BOX, TWO, 600, [600]),
        "boxes_area must have 2 entries, one for each box, got 1",
    ),
    # lists of images
    "contact_sheet, nothing": (
        lambda: visualize.contact_sheet([]),
        "pictures must be a list of at least one image, got none",
    ),
    "contact_sheet, one image": (
        lambda: visualize.contact_sheet(RGB),
        "pictures must be a list of images, got one image: pass [image]",
    ),
    "display_images, one image": (
        lambda: visualize.display_images(RGB),
        "images must be a list of images, got one image: pass [image]",
    ),
    "display_images, Pillow's": (
        lambda: visualize.display_images(Image.fromarray(RGB)),
        "images must be a list of images, got one image: pass [image]",
    ),
    # other numbers
    "trim_zeros": (
        lambda: utils.trim_zeros([0, 0, 1]),
        "x must be [rows, columns], got [3]",
    ),
    "resize_image, min_dim": (
        lambda: utils.resize_image(RGB, 64.0, 128),
        "min_dim must be whole pixels or None, got 64.0",
    ),
    "resize_image, max_dim": (
        lambda: utils.resize_image(RGB, 64, "128"),
        "max_dim must be whole pixels or None, got '128'",
    ),
    "resize_image, min_scale": (
        lambda: utils.resize_image(RGB, 64, 128, "2"),
        "min_scale must be a number or None, got '2'",
    ),
}


@pytest.mark.parametrize("wrong", REFUSED)
def test_what_is_wrong_is_refused_in_one_line(wrong):
    function, said = REFUSED[wrong]
    with pytest.raises(ValueError, match=f"^{re.escape(said)}[^\n]*$"):
        function()


def drawn(box):
    return visualize.draw_box(RGB.copy(), box, RED)


def pixels(figure):
    return np.asarray(figure.axes[0].images[0].get_array())


# {what is taken: (function of it, the same of what it stands for)}
TAKEN = {
    "colours and captions in arrays": (
        lambda: pixels(
            display(
                masks=STACK,
                colors=np.array([UNIT_RED, UNIT_RED]),
                captions=np.array(["a", "b"]),
            )
        ),
        lambda: pixels(display(masks=STACK, colors=[(1, 0, 0)] * 2)),
    ),
    "whole pixels as floats": (lambda: drawn([20.0, 30, 40, 60]), lambda: drawn(BOX)),
    "a box that leaves the image": (
        lambda: drawn([-5, -9, 30, 90]),
        lambda: drawn([0, 0, 30, 80]),
    ),
    "masks and boxes as floats": (
        lambda: utils.minimize_mask(TWO * 1.0, STACK, (28, 28)),
        lambda: utils.minimize_mask(TWO, STACK, (28, 28)),
    ),
    "small masks and boxes as floats": (
        lambda: utils.expand_mask(TWO * 1.0, SOFT, (64, 80)),
        lambda: STACK,
    ),
    "boxes of no masks": (lambda: utils.extract_bboxes(NO_MASKS), lambda: NO_BOXES),
    "no boxes": (lambda: utils.compute_overlaps([], TWO), lambda: np.zeros((0, 2))),
    "recall without truth": (
        lambda: np.array(utils.compute_recall(TWO, [], 0.5)[0]),
        lambda: np.array(0.0),
    ),
    "matches without truth": (
        lambda: utils.compute_matches(NO_BOXES, [], NO_MASKS, *FOUND)[1],
        lambda: np.array([-1, -1]),
    ),
    "matches without detections": (
        lambda: utils.compute_matches(*GT, NO_BOXES, [], [], NO_MASKS)[0],
        lambda: np.array([-1, -1]),
    ),
    "AP without truth": (
        lambda: np.array(utils.compute_ap(NO_BOXES, [], NO_MASKS, *FOUND)[0]),
        lambda: np.array(0.0),
    ),
    "rows that are padding": (
        lambda: utils.trim_zeros([[0, 0, 0, 0], [1, 2, 3, 4]]),
        lambda: np.array([[1, 2, 3, 4]]),
    ),
    "a stack of maps": (
        lambda: np.array(len(visualize.display_images(SOFT).axes)),
        lambda: np.array(28),
    ),
    "regions beyond the image": (
        lambda: pixels(
            visualize.display_roi_align(RGB, [[-5, 0, 9, 90]], np.ones((3, 7, 7, 2)))
        ),
        lambda: RGB[:9],
    ),
}


@pytest.mark.parametrize("what", TAKEN)
def test_what_is_taken_stands_for_what_it_says(what):
    given, meant = TAKEN[what]
    result, expected = given(), meant()
    assert result.shape == expected.shape
    np.testing.assert_array_equal(result, expected)


def test_an_instance_without_a_mask_does_not_move_the_others():
    """Only rows of zeros at the end are padding: the detection before them counts."""
    empty_first = np.stack([0 * MASK, MASK], axis=-1).astype(bool)
    boxes = utils.extract_bboxes(empty_first)
    assert boxes.tolist() == [[0, 0, 0, 0], BOX]
    found = boxes, np.array([1, 1]), np.array([0.5, 0.9]), empty_first
    gt_match, pred_match, _ = utils.compute_matches([BOX], [1], ONE, *found)
    assert gt_match.tolist() == [0] and pred_match.tolist() == [0, -1]


@pytest.mark.parametrize("whole", [False, True])
def test_boxes_of_any_numbers(whole):
    for boxes in (TWO.tolist(), TWO.astype(np.uint8), TWO.astype(np.float16), []):
        found = as_boxes(boxes, whole=whole)
        assert found.dtype == (np.int64 if whole else np.float32)
        np.testing.assert_array_equal(found, TWO if len(boxes) else NO_BOXES)


def test_colours():
    assert as_color((1, 0.5, 0), 1) == (1.0, 0.5, 0.0)
    assert as_color(np.array([2, 0, 255], np.uint8), 255) == (2, 0, 255)
    assert as_color([0.0, 0.0, 0.0], 255) == (0, 0, 0)
    for color in (None, (1, 0), (1, 0, 0, 1), (-1, 0, 0), (np.nan, 0, 0), ("a",) * 3):
        with pytest.raises(ValueError, match="^color must be 3 numbers from 0 to 1"):
            as_color(color, 1)
