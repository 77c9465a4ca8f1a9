"""Pictures in pixels: which of them change, and how large the result is."""

import numpy as np
import pytest
from pictures import GREY, blank, rectangle

from mrcnn_skin.visualize import (
    PREDICTION_COLOR,
    TRUTH_COLOR,
    contact_sheet,
    overlay,
    overlay_truth,
)
from mrcnn_skin.visualize import overlays as overlays_module


def pixels_of(image, color):
    return (image == color).all(axis=-1)


def result(mask, p_malignant=0.25):
    masks = mask[..., None] if mask.any() else np.zeros((*mask.shape, 0), bool)
    n = masks.shape[-1]
    return {
        "rois": np.array([[20, 30, 40, 60]])[:n],
        "class_ids": np.ones(n, int),
        "scores": np.ones(n),
        "masks": masks,
        "p_malignant": p_malignant,
        "low_confidence": False,
    }


def test_overlay_draws_around_the_mask():
    image, mask = blank(), rectangle(20, 30, 40, 60)
    drawn = overlay(image, mask[..., None], np.zeros((0, 4)))
    assert drawn.shape == image.shape and drawn.dtype == np.uint8
    line = pixels_of(drawn, PREDICTION_COLOR)
    # one pixel wide, outside of the rectangle: two sides of 20 and two of 30
    assert line.sum() == 100
    assert not (line & mask).any()
    assert (drawn[~line] == GREY).all()
    assert (image == GREY).all()


def test_overlay_draws_boxes_on_their_last_pixels():
    drawn = overlay(blank(), np.zeros((64, 80, 0), bool), np.array([[10, 20, 30, 50]]))
    rows, columns = np.nonzero(pixels_of(drawn, PREDICTION_COLOR))
    assert (rows.min(), columns.min()) == (10, 20)
    assert (rows.max(), columns.max()) == (29, 49)  # y2 and x2 are outside


def test_a_box_in_an_image_of_one_pixel():
    mask = np.ones((1, 1, 1), bool)
    drawn = overlay(blank(1, 1), mask, np.array([[0.1, 0.2, 0.8, 0.9]]), ["benign"])
    assert drawn.shape[1:] == (1, 3) and (drawn[-1, 0] == PREDICTION_COLOR).all()


@pytest.mark.parametrize("size", [256, 1500])
def test_captions_stand_on_a_strip_and_leave_the_image_alone(size):
    image = blank(size, size)
    drawn = overlay(image, np.zeros((size, size, 0), bool), [], ["malignant 0.87"])
    strip, below = drawn[:-size], drawn[-size:]
    assert (below == GREY).all()
    assert 0.02 * size < len(strip) < 0.2 * size  # letters grow with the image
    assert pixels_of(strip, PREDICTION_COLOR).any()


def test_a_long_caption_is_not_cut_off():
    caption = "malignant  P(malignant) 0.87  (low confidence)"
    drawn = overlay(blank(256, 256), np.zeros((256, 256, 0), bool), [], [caption])
    strip = drawn[:-256]
    assert (strip[:, -1] == strip[0, -1]).all()  # no letter touches the right edge
    assert pixels_of(strip, PREDICTION_COLOR)[:, 128:].any()


def test_overlay_truth_has_both_contours():
    truth, predicted = rectangle(10, 10, 30, 30), rectangle(20, 40, 40, 60)
    drawn = overlay_truth(blank(), truth, result(predicted))[-64:]
    green = pixels_of(drawn, TRUTH_COLOR)
    orange = pixels_of(drawn, PREDICTION_COLOR)
    assert green[:, :35].any() and not green[:, 35:].any()
    assert orange[:, 35:].any() and not orange[:, :35].any()


@pytest.mark.parametrize(
    "predicted, p_malignant, expected",
    [
        # 10 of the 20 columns agree: 200 / (400 + 400 - 200)
        (
            rectangle(10, 20, 30, 40),
            0.25,
            "prediction  Jaccard 0.33  P(malignant) 0.25",
        ),
        (rectangle(10, 10, 30, 30), None, "prediction  Jaccard 1.00"),
        (rectangle(0, 0, 0, 0), 0.5, "no lesion found  P(malignant) 0.50"),
    ],
)
def test_overlay_truth_says_how_well_it_fits(
    monkeypatch, predicted, p_malignant, expected
):
    written = []
    monkeypatch.setattr(
        overlays_module,
        "_with_captions",
        lambda image, captions: written.extend(captions) or image,
    )
    overlay_truth(blank(), rectangle(10, 10, 30, 30), result(predicted, p_malignant))
    assert [text for text, _ in written] == ["ground truth", expected]


def test_a_caption_wider_than_a_small_image_breaks_at_its_double_spaces():
    """128 px have no room for the parts side by side; each line adds to the strip."""
    masks = np.zeros((128, 128, 0), bool)
    parts = ["prediction", "Jaccard 0.94", "P(malignant) 0.87"]
    one = overlay(blank(128, 128), masks, [], parts[:1]).shape[0] - 128
    all_parts = overlay(blank(128, 128), masks, [], ["  ".join(parts)]).shape[0] - 128
    assert all_parts == 3 * one


def test_a_contact_sheet_holds_every_picture_in_its_place():
    pictures = [np.full((20, 40, 3), 10, np.uint8), np.full((80, 40, 3), 20, np.uint8)]
    pictures.append(np.full((10, 10, 3), 30, np.uint8))
    sheet = contact_sheet(pictures, columns=2, width=20)
    # Rows of 40 and of 20 pixels, columns of 20, with 6 between and around
    assert sheet.shape == (6 + 40 + 6 + 20 + 6, 6 + 20 + 6 + 20 + 6, 3)
    assert (sheet[6:16, 6:26] == 10).all() and (sheet[16:46, 6:26] == 255).all()
    assert (sheet[6:46, 32:52] == 20).all()
    assert (sheet[52:72, 6:26] == 30).all() and (sheet[52:, 26:] == 255).all()
    assert contact_sheet(pictures[:1], width=20).shape == (22, 32, 3)
