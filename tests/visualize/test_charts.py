"""Charts and tables: the numbers they show."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from mrcnn_skin.visualize import (
    display_table,
    plot_diagnoses,
    plot_losses,
    plot_overlaps,
    plot_precision_recall,
    save_figure,
)


def training_log():
    return pd.DataFrame(
        {
            "epoch": [1, 2, 3, 4],
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
    # the second stage begins between the 2nd and the 3rd
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


def test_plot_precision_recall():
    (ax,) = plot_precision_recall(5 / 6, [1, 1, 2 / 3, 0], [0, 0.5, 1, 1]).axes
    assert "0.833" in ax.get_title()
    np.testing.assert_allclose(
        ax.lines[0].get_xydata(), [[0, 1], [0.5, 1], [1, 2 / 3], [1, 0]]
    )


def test_plot_overlaps_marks_matches_and_wrong_classes():
    overlaps = np.array([[0.8, 0.1], [0.2, 0.6]])
    (ax,) = plot_overlaps(
        [1, 2, 0], [1, 1], [0.9, 0.7], overlaps, ["BG", "benign", "malignant"]
    ).axes
    cells = [text.get_text() for text in ax.texts]
    assert cells == ["0.800\nmatch", "0.100", "0.200", "0.600\nwrong"]
    assert [t.get_text() for t in ax.get_yticklabels()] == [
        "benign (0.90)",
        "benign (0.70)",
    ]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["benign", "malignant"]


@pytest.mark.parametrize("found, there", [(0, 0), (2, 0), (0, 2)])
def test_plot_overlaps_of_nothing(found, there, tmp_path):
    fig = plot_overlaps(
        [1] * there, [1] * found, [0.5] * found, np.zeros((found, there)), ["BG", "a"]
    )
    save_figure(fig, tmp_path / "overlaps.png")
    (ax,) = fig.axes
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a (0.50)"] * found
    assert [t.get_text() for t in ax.get_xticklabels()] == ["a"] * there
    assert not ax.texts and not ax.images


def test_display_table_takes_the_first_row_for_the_titles():
    table = display_table([["name", "value"], ["a", 1], ["b", 2]])
    assert table.columns.tolist() == ["name", "value"]
    assert table["value"].tolist() == [1, 2]


def test_plot_diagnoses_marks_the_operating_point_and_counts():
    """Above .5: two malignant of three, one benign of two."""
    truth = [True, True, True, False, False]
    curve, matrix = plot_diagnoses(truth, [0.9, 0.8, 0.3, 0.6, 0.1]).axes
    (point,) = [line for line in curve.lines if "operating" in line.get_label()]
    np.testing.assert_allclose(point.get_xydata(), [[2 / 3, 2 / 3]])
    assert [text.get_text() for text in matrix.texts] == ["1", "1", "1", "2"]
    assert matrix.get_xlabel() == "predicted" and matrix.get_ylabel() == "true"


def test_plot_diagnoses_of_a_model_that_calls_nothing_malignant():
    curve, matrix = plot_diagnoses([True, False], [0.2, 0.1]).axes
    assert not [line for line in curve.lines if "operating" in line.get_label()]
    assert [text.get_text() for text in matrix.texts] == ["1", "0", "1", "0"]
