"""Pictures: which pixels change, how large the result is, and that figures save."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from mrcnn_skin import visualize
from mrcnn_skin.visualize import (
    PREDICTION_COLOR,
    TRUTH_COLOR,
    apply_mask,
    contact_sheet,
    display_instances,
    overlay,
    overlay_truth,
    plot_losses,
    random_colors,
    save_figure,
)

GREY = 100


def blank(height=64, width=80):
    return np.full((height, width, 3), GREY, np.uint8)


def rectangle(y1, x1, y2, x2, shape=(64, 80)):
    mask = np.zeros(shape, bool)
    mask[y1:y2, x1:x2] = True
    return mask


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
        visualize,
        "_with_captions",
        lambda image, captions: written.extend(captions) or image,
    )
    overlay_truth(blank(), rectangle(10, 10, 30, 30), result(predicted, p_malignant))
    assert [text for text, _ in written] == ["truth", expected]


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


def test_contact_sheet_shows_every_image_once():
    images = [np.full((4, 4, 3), i, np.uint8) for i in range(5)]
    fig = contact_sheet(images, list("abcde"), columns=3)
    assert len(fig.axes) == 6  # two rows of three, the last one empty
    assert [ax.get_title() for ax in fig.axes] == [*"abcde", ""]
    assert [ax.images[0].get_array()[0, 0, 0] for ax in fig.axes[:5]] == list(range(5))
    assert not fig.axes[5].images


def training_log():
    return pd.DataFrame(
        {
            "epoch": [0, 1, 2, 3],
            "stage": [0, 0, 1, 1],
            "loss": [4.0, 3.0, 2.0, 1.0],
            "val_loss": [4.5, 3.5, 2.5, 2.0],
            "rpn_class_loss": [2.0, 1.5, 1.0, 0.5],
            "val_rpn_class_loss": [2.2, 1.7, 1.2, 0.9],
            "val_JA": [0.5, 0.6, 0.7, 0.75],
            "learning_rate": [1e-3] * 4,
        }
    )


def curves(ax):
    return {
        line.get_label(): list(line.get_ydata())
        for line in ax.lines
        if not line.get_label().startswith("_")
    }


def test_plot_losses_draws_each_column_and_the_stages():
    total, terms, scores = plot_losses(training_log()).axes
    assert curves(total) == {
        "loss": [4.0, 3.0, 2.0, 1.0],
        "val_loss": [4.5, 3.5, 2.5, 2.0],
    }
    assert curves(terms) == {"rpn_class_loss": [2.0, 1.5, 1.0, 0.5]}
    assert [2.2, 1.7, 1.2, 0.9] in [list(line.get_ydata()) for line in terms.lines]
    assert curves(scores) == {"JA": [0.5, 0.6, 0.7, 0.75]}
    # epochs are shown from 1: the second stage begins between the 2nd and the 3rd
    assert [2.5, 2.5] in [list(line.get_xdata()) for line in total.lines]


def test_plot_losses_reads_a_csv_file(tmp_path):
    training_log().to_csv(tmp_path / "log.csv", index=False)
    total = plot_losses(tmp_path / "log.csv").axes[0]
    assert curves(total)["loss"] == [4.0, 3.0, 2.0, 1.0]


def test_plot_losses_does_without_validation_and_stages():
    total, terms, scores = plot_losses(training_log()[["epoch", "loss"]]).axes
    assert list(curves(total)) == ["loss"]
    assert not terms.lines and not scores.lines


def test_save_figure_writes_a_png(tmp_path):
    save_figure(plot_losses(training_log()), tmp_path / "losses.png", dpi=40)
    assert [path.name for path in tmp_path.iterdir()] == ["losses.png"]
    with Image.open(tmp_path / "losses.png") as image:
        assert image.format == "PNG"
        assert np.asarray(image.convert("L")).std() > 0  # something is drawn


def test_save_figure_keeps_the_old_file_when_drawing_fails(tmp_path, monkeypatch):
    path = tmp_path / "losses.png"
    path.write_bytes(b"old")
    fig = Figure()

    def disk_full(target, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(fig, "savefig", disk_full)
    with pytest.raises(OSError, match="disk full"):
        save_figure(fig, path)
    assert path.read_bytes() == b"old"


def test_a_caption_wider_than_a_small_image_breaks_at_its_double_spaces():
    """128 px have no room for the parts side by side; each line adds to the strip."""
    masks = np.zeros((128, 128, 0), bool)
    parts = ["prediction", "Jaccard 0.94", "P(malignant) 0.87"]
    one = overlay(blank(128, 128), masks, [], parts[:1]).shape[0] - 128
    all_parts = overlay(blank(128, 128), masks, [], ["  ".join(parts)]).shape[0] - 128
    assert all_parts == 3 * one
