"""Charts and tables: training logs, precision and recall, diagnoses, overlaps.

Charts are matplotlib Figures, tables pandas DataFrames.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from ..atomic import written_whole
from ..evaluation.curves import as_labels
from ..evaluation.figures import draw_precision_recall, legend_below
from ..geometry.inputs import require_count
from .instances import class_label


def plot_losses(log: str | Path | pd.DataFrame) -> Figure:
    """Draw the curves of a training log: total loss, its terms, validation scores.

    Dotted lines mark where a stage begins.

    Args:
        log: path of a log.csv, or its DataFrame.
    """
    log = log if isinstance(log, pd.DataFrame) else pd.read_csv(log)
    terms = [n for n in log if n.endswith("_loss") and not n.startswith("val_")]
    scores = [n for n in ("val_JA", "val_DI", "val_AUC", "val_AC") if n in log]
    figure = Figure(figsize=(15, 4.2), layout="constrained")
    total, parts, quality = figure.subplots(1, 3)
    for name in ("loss", "val_loss"):
        if name in log:
            total.plot(log["epoch"], log[name], marker=".", label=name)
    for index, name in enumerate(terms):
        parts.plot(log["epoch"], log[name], ".-", color=f"C{index}", label=name)
        if f"val_{name}" in log:
            values = log[f"val_{name}"]
            parts.plot(log["epoch"], values, color=f"C{index}", ls="--")
    for name in scores:
        quality.plot(log["epoch"], log[name], marker=".", label=name[4:])
    total.set(title="loss", yscale="log")
    parts.set(title="terms (dashed: validation)", yscale="log")
    quality.set(title="validation", ylim=(0, 1))
    starts = log["epoch"][log["stage"].diff() > 0] if "stage" in log else []
    for ax in (total, parts, quality):
        ax.set_xlabel("epoch")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        ax.grid(alpha=0.3)
        for start in starts:
            ax.axvline(start - 0.5, color="grey", ls=":")
        if ax.get_legend_handles_labels()[0]:
            ax.legend(fontsize=8)
    return figure


def plot_precision_recall(
    AP: float, precisions: ArrayLike, recalls: ArrayLike
) -> Figure:
    """Draw the curve of evaluation.detection_metrics.compute_ap.

    Args:
        AP: average precision at IoU 0.5, for the title.
        precisions: [n], 0 to 1.
        recalls: [n], 0 to 1.
    """
    figure = Figure(layout="constrained")
    ax = figure.subplots()
    ax.plot(recalls, precisions, marker=".")
    ax.set(title=f"precision and recall, AP@50 = {AP:.3f}")
    ax.set(xlabel="recall", ylabel="precision", xlim=(0, 1.05), ylim=(0, 1.1))
    ax.grid(alpha=0.3)
    return figure


def plot_overlaps(
    gt_class_ids: ArrayLike,
    pred_class_ids: ArrayLike,
    pred_scores: ArrayLike,
    overlaps: ArrayLike,
    class_names: Sequence[str],
    threshold: float = 0.5,
) -> Figure:
    """Plot the IoU of detections (rows) and true instances (columns) as a table.

    Args:
        gt_class_ids: int [n].
        pred_class_ids: int [m], best score first.
        pred_scores: [m], in the same order.
        overlaps: [m, n], IoU, as of compute_matches.
        class_names: by class id.
        threshold: overlaps above it are marked: "match", or "wrong" where the classes
            differ.

    Raises:
        ValueError: if shapes or lengths do not fit together.
    """
    overlaps = np.asarray(overlaps, float)
    if overlaps.ndim != 2:
        raise ValueError(f"overlaps must be [m, n], got {list(overlaps.shape)}")
    found = {"pred_class_ids": pred_class_ids, "pred_scores": pred_scores}
    require_count(len(overlaps), of="row of overlaps", **found)
    gt_class_ids = np.asarray(gt_class_ids)[: overlaps.shape[1]]  # less padding
    figure = Figure(
        figsize=(3 + 1.2 * len(gt_class_ids), 2 + 0.7 * len(pred_class_ids)),
        layout="constrained",
    )
    ax = figure.subplots()
    if overlaps.size:
        ax.imshow(overlaps, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), iou in np.ndenumerate(overlaps):
        text = f"{iou:.3f}"
        if iou > threshold:
            same = pred_class_ids[row] == gt_class_ids[column]
            text += "\nmatch" if same else "\nwrong"
        _write_cell(ax, row, column, text, dark=iou > 0.5)
    rows = [
        f"{class_label(class_names, class_id)} ({score:.2f})"
        for class_id, score in zip(pred_class_ids, pred_scores, strict=True)
    ]
    ax.set_yticks(range(len(rows)), rows)
    columns = [class_label(class_names, class_id) for class_id in gt_class_ids]
    ax.set_xticks(range(len(columns)), columns)
    ax.set(xlabel="truth", ylabel="detections")
    return figure


def _write_cell(ax, row, column, text, dark):
    """Write into a cell of an image, white where the cell is dark."""
    color = "white" if dark else "black"
    ax.text(column, row, text, ha="center", va="center", size=9, color=color)


def display_table(table: Sequence[Sequence]) -> pd.DataFrame:
    """Turn a list of rows, the first of them the titles, into a DataFrame."""
    return pd.DataFrame(table[1:], columns=table[0])


def plot_diagnoses(
    is_malignant: ArrayLike, p_malignant: ArrayLike, threshold: float = 0.5
) -> Figure:
    """Draw precision and recall of the diagnoses, and their confusion matrix.

    Args:
        is_malignant: bool or 0/1 [n].
        p_malignant: [n], 0 to 1.
        threshold: the operating point; an image is called malignant above it.
    """
    is_malignant, p_malignant = as_labels(is_malignant), np.asarray(p_malignant, float)
    figure = Figure(figsize=(9, 4), layout="constrained")
    curve, matrix = figure.subplots(1, 2)
    draw_precision_recall(curve, is_malignant, p_malignant)
    called = p_malignant > threshold
    hits = np.count_nonzero(called & is_malignant)
    if called.any():
        recall = hits / max(np.count_nonzero(is_malignant), 1)
        label = f"operating point {threshold:g}"
        curve.plot(recall, hits / np.count_nonzero(called), "o", label=label)
    legend_below(curve)
    counts = np.zeros((2, 2), int)
    np.add.at(counts, (is_malignant.astype(int), called.astype(int)), 1)
    matrix.imshow(counts, cmap="Blues", vmin=0)
    for (row, column), count in np.ndenumerate(counts):
        _write_cell(matrix, row, column, count, dark=count > counts.max() / 2)
    for axis in (matrix.xaxis, matrix.yaxis):
        axis.set_ticks((0, 1), ["benign", "malignant"])
    matrix.set(
        title=f"P(malignant) above {threshold:g}", xlabel="predicted", ylabel="true"
    )
    return figure


def save_figure(figure: Figure, path: str | Path, dpi: int = 110) -> None:
    """Write a Figure as PNG, whole or not at all."""
    with written_whole(path) as partial:
        figure.savefig(partial, dpi=dpi, format="png")
