"""The curves of an evaluation as matplotlib Figures.

The functions take labels, bool [n], True = malignant, and p_malignant, float [n].
"""

import numpy as np
from matplotlib.figure import Figure

from . import calibration as cal
from . import curves

SIZE = (4.6, 4.2)  # inches


def plot_roc(labels, p_malignant, operating_points=()):
    """Plot the ROC curve with the operating points of statistics.analyse."""
    curve = _rank(labels, p_malignant)
    figure, ax = _axes("1 - specificity", "sensitivity", "ROC")
    area = float(curves.area_under_roc(curve))
    ax.plot(
        curve.false_positive_rate, curve.sensitivity, label=f"model, AUC {area:.3f}"
    )
    ax.plot([0, 1], [0, 1], color="grey", ls=":", label="chance")
    for point in operating_points:
        label = f"chosen for {point['target']:.0%}: {point['threshold']:.3f}"
        ax.plot(1 - point["SP"], point["SE"], "o", label=label)
    legend_below(ax)
    return figure


def plot_precision_recall(labels, p_malignant):
    """Plot precision against recall; the dotted line is the share of malignant."""
    figure = Figure(figsize=SIZE, layout="constrained")
    ax = figure.subplots()
    draw_precision_recall(ax, labels, p_malignant)
    legend_below(ax)
    return figure


def draw_precision_recall(ax, labels, p_malignant):
    """Draw plot_precision_recall into axes, without a legend."""
    curve = _rank(labels, p_malignant)
    _prepare(ax, "sensitivity (recall)", "PPV (precision)", "Precision and recall")
    precision = np.r_[curve.precision[:1], curve.precision]
    area = float(curves.average_precision(curve))
    ax.step(curve.sensitivity, precision, where="pre", label=f"model, AP {area:.3f}")
    share = np.mean(labels)
    ax.axhline(share, color="grey", ls=":", label=f"malignant: {share:.1%}")


def legend_below(ax):
    """Put the legend below the axes, where it covers no point."""
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15), fontsize=8, ncols=2)


def plot_reliability(labels, p_malignant, temperature=None):
    """Plot the share of malignant images against P(malignant), by bins."""
    figure, ax = _axes("mean P(malignant)", "share malignant", "Reliability")
    ax.plot([0, 1], [0, 1], color="grey", ls=":", label="perfect")
    series = {"uncalibrated": p_malignant}
    if temperature is not None:
        scaled = cal.apply_temperature(p_malignant, temperature)
        series[f"temperature {temperature:.2f}"] = scaled
    for name, p in series.items():
        rows = cal.reliability(labels, p)
        error = cal.calibration_error(labels, p)
        ax.plot(
            rows["p_malignant"], rows["malignant"], label=f"{name}, ECE {error:.3f}"
        )
        sizes = 120 * rows["images"] / rows["images"].sum() + 6
        ax.scatter(rows["p_malignant"], rows["malignant"], s=sizes)
    legend_below(ax)
    return figure


def plot_risk_coverage(labels, p_malignant):
    """Plot the error rate of the most certain images against their share."""
    rows = cal.risk_coverage(labels, p_malignant)
    area = cal.area_under_risk(rows)
    figure, ax = _axes("coverage (share of images)", "error rate", "Risk and coverage")
    ax.step(rows["coverage"], rows["risk"], where="pre", label=f"AURC {area:.3f}")
    ax.set_ylim(0, max(0.05, 1.1 * rows["risk"].max()))
    legend_below(ax)
    return figure


def plot_jaccard(jaccard):
    """Plot a histogram of Jaccard indices, float [n], with ISIC 2018's threshold."""
    figure, ax = _axes("Jaccard index", "images", "Outlines")
    ax.hist(jaccard, bins=np.linspace(0, 1, 21), color="#4477aa", edgecolor="white")
    ax.axvline(0.65, color="grey", ls=":", label="ISIC 2018's threshold")
    ax.axvline(np.mean(jaccard), color="#aa3377", label=f"mean {np.mean(jaccard):.3f}")
    ax.autoscale(axis="y")
    legend_below(ax)
    return figure


def _rank(labels, p_malignant):
    return curves.rank(labels, p_malignant, np.ones(len(labels)))


def _axes(x_label, y_label, title):
    figure = Figure(figsize=SIZE, layout="constrained")
    ax = figure.subplots()
    _prepare(ax, x_label, y_label, title)
    return figure, ax


def _prepare(ax, x_label, y_label, title):
    ax.set(xlabel=x_label, ylabel=y_label, title=title, xlim=(0, 1), ylim=(0, 1.02))
    ax.grid(alpha=0.3)
