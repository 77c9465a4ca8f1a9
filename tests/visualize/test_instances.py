"""Matterport's figures: what is drawn where, with which caption and colour."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from pictures import GREY, blank, rectangle

from mrcnn_skin.visualize import (
    apply_mask,
    display_differences,
    display_images,
    display_instances,
    display_top_masks,
    draw_box,
    draw_boxes,
    draw_rois,
    random_colors,
)

NAMES = ["BG", "benign", "malignant"]


def rectangles(ax):
    """{(y1, x1, y2, x2): (line style, colour)} of the boxes in a figure's axes."""
    found = {}
    for patch in ax.patches:
        (x1, y1), width, height = patch.get_xy(), patch.get_width(), patch.get_height()
        box = tuple(int(v) for v in (y1, x1, y1 + height, x1 + width))
        found[box] = patch.get_linestyle(), to_rgb(patch.get_edgecolor())
    return found


def texts(ax):
    return [text.get_text() for text in ax.texts]


def test_random_colors_are_distinct_and_repeatable():
    colors = random_colors(7)
    assert len(set(colors)) == 7
    assert colors == random_colors(7)
    assert all(max(color) == 1.0 for color in colors)
    assert all(max(color) == 0.7 for color in random_colors(7, bright=False))
    assert random_colors(0) == []


def test_apply_mask_blends_under_the_mask_only():
    image, mask = blank(), rectangle(10, 10, 20, 30)
    tinted = apply_mask(image, mask, (1, 0, 0.5), alpha=0.4)
    # .6 * 100 + .4 * (255, 0, 127.5) = (162, 60, 111)
    assert (tinted[mask] == (162, 60, 111)).all()
    assert (tinted[~mask] == GREY).all()
    assert tinted.dtype == np.uint8
    assert (image == GREY).all()  # the argument is left alone


def test_display_instances_draws_boxes_and_captions():
    mask = rectangle(20, 30, 40, 60)
    fig = display_instances(
        blank(),
        np.array([[20, 30, 40, 60]]),
        mask[..., None],
        [2],
        ["BG", "benign", "malignant"],
        scores=[0.5],
        title="one lesion",
        figsize=(2, 2),
    )
    (ax,) = fig.axes
    assert ax.get_title() == "one lesion"
    assert [text.get_text() for text in ax.texts] == ["malignant 0.500"]
    (box,) = ax.patches
    assert box.get_xy() == (30, 20)
    assert (box.get_width(), box.get_height()) == (30, 20)
    shown = ax.images[0].get_array()
    assert (shown[~mask] == GREY).all()
    assert (shown[mask] != GREY).any(axis=-1).all()


def test_a_crowd_is_named_as_one():
    mask = rectangle(20, 30, 40, 60)[..., None]
    boxes = np.array([[20, 30, 40, 60]])
    (ax,) = display_instances(blank(), boxes, mask, [-1], NAMES).axes
    assert texts(ax) == ["crowd of benign"]
    shown = display_top_masks(blank(), mask, [-1], NAMES, limit=1).axes
    assert shown[1].get_title() == "crowd of benign"


def test_display_instances_draws_into_given_axes():
    given = Figure()
    ax = given.subplots()
    mask = rectangle(20, 30, 40, 60)[..., None]
    fig = display_instances(
        blank(),
        np.array([[20, 30, 40, 60]]),
        mask,
        [1],
        ["BG", "spot"],
        ax=ax,
        show_mask=False,
        show_bbox=False,
        captions=["mine"],
    )
    assert fig is given
    assert [text.get_text() for text in ax.texts] == ["mine"]
    assert not ax.patches
    assert (ax.images[0].get_array() == GREY).all()


def test_display_images_shows_every_image_once():
    images = [np.full((4, 4, 3), i, np.uint8) for i in range(5)]
    fig = display_images(images, list("abcde"), cols=3)
    assert len(fig.axes) == 6  # two rows of three, the last one empty
    assert [ax.get_title() for ax in fig.axes] == [*"abcde", ""]
    assert [ax.images[0].get_array()[0, 0, 0] for ax in fig.axes[:5]] == list(range(5))
    assert not fig.axes[5].images


def test_display_images_of_masks_and_of_none():
    fig = display_images([rectangle(0, 0, 4, 4)], cmap="Blues")
    assert fig.axes[0].images[0].get_array().sum() == 16
    assert not display_images([]).axes[0].images


def test_display_differences_says_score_and_overlap():
    """Detections 10 columns off: 200 / 600 with the first lesion; none with any."""
    gt = np.array([[10, 10, 30, 30], [40, 50, 50, 70]])
    found = np.array([[0, 60, 5, 70], [10, 20, 30, 40]])
    masks = [
        np.stack([rectangle(*box) for box in boxes], axis=-1) for boxes in (gt, found)
    ]
    fig = display_differences(
        blank(),
        gt,
        np.array([1, 2]),
        masks[0],
        found,
        np.array([1, 1]),
        np.array([0.6, 0.9]),
        masks[1],
        NAMES,
        iou_threshold=0.3,
        score_threshold=0.0,
    )
    (ax,) = fig.axes
    assert texts(ax) == ["0.90 / 0.33", "0.60 / 0.00"]
    colors = {box: color for box, (_, color) in rectangles(ax).items()}
    assert colors == {tuple(b): (0, 1, 0) for b in gt} | {
        tuple(b): (1, 0, 0) for b in found
    }


def test_draw_boxes_shows_what_each_is_refined_to():
    boxes = [[10, 10, 20, 20], [0, 0, 0, 0], [30, 40, 50, 60]]
    refined = [[12, 14, 22, 24], [30, 30, 40, 40], [0, 0, 0, 0]]
    fig = draw_boxes(
        blank(), boxes, refined, captions=["a", "b", "c"], visibilities=[1, 2, 0]
    )
    (ax,) = fig.axes
    styles = {box: style for box, (style, _) in rectangles(ax).items()}
    assert styles == {
        (10, 10, 20, 20): ":",
        (12, 14, 22, 24): "-",
        (30, 30, 40, 40): "-",
        (30, 40, 50, 60): ":",
    }
    ((line,)) = ax.lines
    np.testing.assert_array_equal(line.get_xydata(), [[10, 10], [14, 12]])
    assert texts(ax) == ["a", "b", "c"]
    places = [(text.get_position()) for text in ax.texts]
    assert places == [(14, 12), (30, 30), (40, 30)]


def test_draw_boxes_alone_masks_alone_and_nothing():
    (ax,) = draw_boxes(blank(), boxes=np.array([[10, 10, 20, 20]])).axes
    assert [style for style, _ in rectangles(ax).values()] == ["-"]
    mask = rectangle(10, 10, 20, 20)
    (ax,) = draw_boxes(blank(), masks=[mask]).axes
    changed = (ax.images[0].get_array() != GREY).any(axis=-1)
    np.testing.assert_array_equal(changed, mask)
    assert not draw_boxes(blank()).axes[0].patches


def test_draw_rois_tells_regions_with_a_lesion_from_background():
    rois = np.array([[10, 10, 20, 20], [40, 40, 60, 60]])
    refined = np.array([[12.4, 14, 22, 24.2], [0, 0, 99, 99]])
    masks = np.stack([np.ones((7, 7)), np.ones((7, 7))])
    fig = draw_rois(blank(), rois, refined, masks, [2, 0], NAMES)
    (ax,) = fig.axes
    assert set(rectangles(ax)) == {(10, 10, 20, 20), (12, 14, 22, 24), (40, 40, 60, 60)}
    changed = (ax.images[0].get_array() != GREY).any(axis=-1)
    np.testing.assert_array_equal(changed, rectangle(12, 14, 22, 24))
    assert texts(ax) == ["malignant"]
    assert ax.get_title() == "1 of 2 regions are foreground; 2 shown"


def test_draw_rois_shows_no_more_than_asked_and_the_same_again():
    rois = np.array([[i, i, i + 9, i + 9] for i in range(20)])
    arguments = blank(), rois, rois, np.zeros((20, 7, 7)), np.zeros(20, int), NAMES
    shown = [set(rectangles(draw_rois(*arguments, limit=5).axes[0])) for _ in range(2)]
    assert len(shown[0]) == 5 and shown[0] == shown[1]


def test_draw_box_is_two_pixels_wide_and_inside():
    image = blank()
    assert draw_box(image, (10, 20, 20, 40), (1, 2, 3)) is image
    wanted = rectangle(10, 20, 20, 40) & ~rectangle(12, 22, 18, 38)
    np.testing.assert_array_equal((image == (1, 2, 3)).all(axis=-1), wanted)


@pytest.mark.parametrize("limit", [1, 3])
def test_display_top_masks_joins_the_instances_of_a_class(limit):
    """Two small benign ones are larger together than the malignant one."""
    boxes = (0, 0, 10, 10), (20, 20, 30, 30), (40, 40, 52, 52)
    mask = np.stack([rectangle(*box) for box in boxes], axis=-1)
    fig = display_top_masks(blank(), mask, np.array([1, 1, 2]), NAMES, limit=limit)
    shown = [ax.get_title() for ax in fig.axes]
    wanted = ["64 x 80", "benign", "malignant", "-"][: limit + 1]
    assert shown == wanted
    union = np.asarray(fig.axes[1].images[0].get_array(), bool)
    np.testing.assert_array_equal(union, mask[..., :2].any(axis=-1))
