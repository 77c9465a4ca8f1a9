"""Masks and images of every type: the right pixels, or a refusal in one line.

A table of the functions of visualize, utils and evaluation; each gives an array, or a
figure whose pictures, lines and boxes are compared.
"""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from pictures import rectangle
from PIL import Image
from tiny import tiny_config

from mrcnn_skin import Dataset, utils, visualize
from mrcnn_skin.evaluation.metrics import segmentation_scores
from mrcnn_skin.evaluation.robustness import CorruptedDataset
from mrcnn_skin.evaluation.skin_tone import typology_angle
from mrcnn_skin.evaluation.submission import mask_png, official_mask
from mrcnn_skin.inference.explanation import share_inside

BOX = [20, 30, 40, 60]
SHIFTED = [20, 40, 40, 70]
BOXES = np.array([BOX])
MASK, OTHER = rectangle(*BOX), rectangle(*SHIFTED)
SOFT = np.where(MASK, 0.8, 0.3)
NAMES = ["BG", "benign"]
GREY = np.random.default_rng(0).integers(256, size=(64, 80, 1), dtype=np.uint8)
RGB = np.repeat(GREY, 3, axis=-1)


def contents(result):
    """A function's result as a flat list of arrays and texts to compare."""
    if isinstance(result, Figure):
        parts = []
        for ax in result.axes:
            parts += [np.asarray(image.get_array()) for image in ax.images]
            parts += [line.get_xydata() for line in ax.lines]
            parts += [np.array(patch.get_bbox().extents) for patch in ax.patches]
            parts += [text.get_text() for text in (*ax.texts, ax.title)]
        return parts
    if isinstance(result, dict):
        return list(result.values())
    return list(result) if isinstance(result, tuple | list) else [result]


def assert_same(result, expected):
    for got, wanted in zip(contents(result), contents(expected), strict=True):
        np.testing.assert_array_equal(got, wanted)


def differences(image, mask):
    stack = mask[..., None]
    truth = BOXES, np.array([1]), OTHER[..., None]
    return visualize.display_differences(
        image, *truth, BOXES, np.array([1]), np.array([0.9]), stack, NAMES
    )


def saved(pixels):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "one.png")
        visualize.save_image(pixels, path)
        return np.asarray(Image.open(path).convert("RGB"))


class OneImage(Dataset):
    def __init__(self, image, mask):
        super().__init__()
        self.add_class("a", 1, "benign")
        self.add_image("a", "one", None)
        self.image, self.mask = image, mask
        self.prepare()

    def load_image(self, image_id):
        return self.image

    def load_mask(self, image_id):
        return self.mask[..., None], np.array([1], np.int32)


def nothing(image):
    return {"rois": [], "p_malignant": None}


GT = BOXES, np.array([1]), OTHER[..., None]
FOUND = BOXES, np.array([1]), np.array([0.9])
# {name: function of one mask [h, w]}
OF_MASKS = {
    "apply_mask": lambda m: visualize.apply_mask(RGB, m, (1, 0, 0)),
    "display_instances": lambda m: visualize.display_instances(
        RGB, BOXES, m[..., None], [1], NAMES
    ),
    "display_differences": lambda m: differences(RGB, m),
    "display_top_masks": lambda m: visualize.display_top_masks(
        RGB, m[..., None], [1], NAMES
    ),
    "draw_boxes": lambda m: visualize.draw_boxes(RGB, BOXES, masks=[m]),
    "overlay": lambda m: visualize.overlay(RGB, m[..., None], BOXES),
    "overlay_truth": lambda m: visualize.overlay_truth(RGB, m, nothing(RGB)),
    "overlay_truth, masks found": lambda m: visualize.overlay_truth(
        RGB, OTHER, {"rois": BOXES, "masks": m[..., None], "p_malignant": 0.5}
    ),
    "draw_outline": lambda m: visualize.draw_outline(RGB, m, (1, 2, 3), 2),
    "draw_prediction": lambda m: visualize.draw_prediction(
        OneImage(RGB, m), 0, nothing
    ),
    "box_statistics": lambda m: visualize.box_statistics(
        OneImage(RGB, m), tiny_config()
    ).to_dict(),
    "extract_bboxes": lambda m: utils.extract_bboxes(m[..., None]),
    "compute_overlaps_masks": lambda m: utils.compute_overlaps_masks(
        m[..., None], OTHER[..., None]
    ),
    "compute_overlaps_masks, 2": lambda m: utils.compute_overlaps_masks(
        OTHER[..., None], m[..., None]
    ),
    "compute_matches": lambda m: utils.compute_matches(*GT, *FOUND, m[..., None]),
    "compute_ap": lambda m: utils.compute_ap(*GT, *FOUND, m[..., None]),
    "resize_mask": lambda m: utils.resize_mask(
        m[..., None], 0.7, [(1, 2), (0, 0), (0, 0)]
    ),
    "resize_mask, same size": lambda m: utils.resize_mask(
        m[..., None], 1, [(0, 0), (0, 0), (0, 0)]
    ),
    "minimize_mask": lambda m: utils.minimize_mask(
        [[10, 20, 50, 70]], m[..., None], (28, 28)
    ),
    "expand_mask": lambda m: utils.expand_mask(
        [[0, 0, 64, 80]], m[..., None], (64, 80)
    ),
    "unmold_mask": lambda m: utils.unmold_mask(m, [0, 0, 64, 80], (64, 80)),
    "segmentation_scores": lambda m: segmentation_scores(OTHER, m),
    "official_mask": official_mask,
    "mask_png": mask_png,
    "typology_angle": lambda m: typology_angle(RGB // 2 + 90, m),
    "share_inside": lambda m: share_inside(GREY[..., 0].astype(float), m),
}
MASK_KINDS = {
    "0 and 1": MASK.astype(np.int64),
    "0 and 1, uint8": MASK.astype(np.uint8),
    "0 and 255": MASK * np.uint8(255),
    "0. and 1.": MASK.astype(np.float32),
    "probabilities": SOFT,
}
# Of probabilities it is the half between the pixels that counts, not at them
SMOOTH = {"expand_mask", "unmold_mask"}


@pytest.mark.parametrize("name", OF_MASKS)
def test_masks_of_every_type(name):
    function, wanted = OF_MASKS[name], OF_MASKS[name](MASK)
    for kind, mask in MASK_KINDS.items():
        if kind == "probabilities" and name in SMOOTH:
            continue
        assert_same(function(mask), wanted)


@pytest.mark.parametrize("name", OF_MASKS)
@pytest.mark.parametrize(
    "mask, given",
    [
        (3 * MASK.astype(int), "int64 from 0 to 3"),
        (MASK * 255.0, "float64 from 0.0 to 255.0"),
        (np.where(MASK, 255, 7), "int64 from 7 to 255"),
    ],
)
def test_other_masks_are_refused(name, mask, given):
    with pytest.raises(ValueError, match=f"^[^\n]*must be bool, 0 and 1, .* {given}"):
        OF_MASKS[name](mask)


# {name: function of an image}
OF_IMAGES = {
    "apply_mask": lambda i: visualize.apply_mask(i, MASK, (1, 0, 0)),
    "display_images": lambda i: visualize.display_images([i]),
    "display_instances": lambda i: visualize.display_instances(
        i, BOXES, MASK[..., None], [1], NAMES
    ),
    "display_differences": lambda i: differences(i, MASK),
    "display_top_masks": lambda i: visualize.display_top_masks(
        i, MASK[..., None], [1], NAMES
    ),
    "draw_boxes": lambda i: visualize.draw_boxes(i, BOXES),
    "draw_rois": lambda i: visualize.draw_rois(
        i, BOXES, BOXES, np.ones((1, 7, 7)), [1], NAMES
    ),
    "draw_box_sets": lambda i: visualize.draw_box_sets(i, {"one": BOXES}),
    "draw_anchor_levels": lambda i: visualize.draw_anchor_levels(i, tiny_config()),
    "display_roi_align": lambda i: visualize.display_roi_align(
        i, BOXES, np.ones((1, 7, 7, 2))
    ),
    "overlay": lambda i: visualize.overlay(i, MASK[..., None], BOXES),
    "overlay_truth": lambda i: visualize.overlay_truth(i, MASK, nothing(i)),
    "draw_outline": lambda i: visualize.draw_outline(i, MASK, (1, 2, 3), 2),
    "draw_prediction": lambda i: visualize.draw_prediction(
        OneImage(i, MASK), 0, nothing
    ),
    "contact_sheet": lambda i: visualize.contact_sheet([i]),
    "save_image": saved,
    "typology_angle": lambda i: typology_angle(i, MASK),
    "corruptions": lambda i: CorruptedDataset(OneImage(i, MASK), "hair").load_image(0),
}
ANY_NUMBERS = {"display_images", "draw_box_sets"}  # as imshow: [h, w] has a colour map


@pytest.mark.parametrize("name", OF_IMAGES)
def test_grey_and_rgba_images(name):
    function = OF_IMAGES[name]
    wanted = function(RGB)
    assert_same(function(GREY), wanted)
    assert_same(function(np.concatenate([RGB, 255 - GREY], axis=-1)), wanted)
    if name not in ANY_NUMBERS:
        assert_same(function(GREY[..., 0]), wanted)


@pytest.mark.parametrize("name", OF_IMAGES)
@pytest.mark.parametrize(
    "image, given",
    [
        (RGB * 1.0, "float64"),
        (RGB.astype(np.uint32), "uint32"),
        (RGB > 99, "bool"),
        (RGB[..., :2], r"uint8 \[64, 80, 2\]"),
        ("photo.jpg", "the path 'photo.jpg'"),
        (None, "None"),
    ],
)
def test_other_images_are_refused(name, image, given):
    with pytest.raises(ValueError, match=f"^image must be uint8 [^\n]*, got {given}"):
        OF_IMAGES[name](image)


@pytest.mark.parametrize("name", set(OF_IMAGES) - ANY_NUMBERS)
def test_floats_in_0_to_1_are_refused(name):
    with pytest.raises(ValueError, match=r"float64 .*: \(255 \* image\)\.round"):
        OF_IMAGES[name](RGB / 255)


def test_display_images_shows_floats_in_0_to_1_and_maps_of_numbers():
    for values in (RGB / 255, GREY[..., 0] * 7.5, GREY[..., 0] - 9.0, MASK):
        ax = visualize.display_images([values]).axes[0]
        np.testing.assert_array_equal(ax.images[0].get_array(), values)


@pytest.mark.parametrize("image", [GREY[..., 0], np.dstack([RGB, GREY]), RGB[..., :1]])
def test_a_box_is_drawn_in_as_many_channels_as_its_color_has(image):
    with pytest.raises(ValueError, match=r"image must be \[h, w, 3\], as many"):
        visualize.draw_box(image.copy(), BOX, (1, 2, 3))
    image = np.atleast_3d(image).copy()
    color = (7,) * image.shape[2]
    drawn = visualize.draw_box(image, BOX, color)
    assert (drawn[20, 30:60] == 7).all()


@pytest.mark.parametrize("image", [GREY[..., 0], RGB, np.dstack([RGB, GREY])])
def test_resize_image_of_any_channels(image):
    resized, window, *_ = utils.resize_image(image, 128, 128)
    assert resized.shape == (128, 128, *image.shape[2:])
    top, left, bottom, right = window
    part = resized[top:bottom, left:right]
    assert part.shape[:2] == (102, 128) and not resized[:top].any()
    channel = np.asarray(Image.fromarray(GREY[..., 0]).resize((128, 102), 2))
    np.testing.assert_array_equal(np.atleast_3d(part)[..., 0], channel)


@pytest.mark.parametrize("image", [RGB / 255, RGB.astype(int), MASK, None])
def test_resize_image_refuses_what_is_no_image(image):
    with pytest.raises(ValueError, match="^image must be uint8"):
        utils.resize_image(image, 64, 128)


def test_resize_keeps_the_values_of_whole_numbers_or_says_what_to_do():
    ones = np.ones((4, 4), int)
    with pytest.raises(ValueError, match="int64: convert it, or keep its values"):
        utils.resize(ones, (2, 2))
    with pytest.raises(ValueError, match="bool"):
        utils.resize(ones > 0, (2, 2))
    np.testing.assert_allclose(utils.resize(ones, (2, 2), preserve_range=True), 1)


def test_thirty_percent_is_no_foreground():
    """Matterport counts above .5: 20 x 30 pixels, of which OTHER has 20 x 20."""
    overlaps = utils.compute_overlaps_masks(SOFT[..., None], OTHER[..., None])
    np.testing.assert_allclose(overlaps, [[400 / (600 + 600 - 400)]])
    assert not utils.compute_overlaps_masks(
        np.full((64, 80, 1), 0.3), OTHER[..., None]
    ).any()
