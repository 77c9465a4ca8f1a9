"""The curves of an evaluation: their points, and legends that cover none."""

import numpy as np
import pytest

from mrcnn_skin.evaluation import figures

LABELS = np.array([True, True, False, False])
P = np.array([0.9, 0.4, 0.6, 0.1])
POINT = {"target": 0.9, "threshold": 0.3, "SE": 1.0, "SP": 0.5}


@pytest.mark.parametrize(
    "figure",
    [
        figures.plot_roc(LABELS, P, [POINT] * 3),
        figures.plot_precision_recall(LABELS, P),
        figures.plot_reliability(LABELS, P, 2.0),
        figures.plot_risk_coverage(LABELS, P),
        figures.plot_jaccard([0.2, 0.9]),
    ],
    ids=lambda figure: figure.axes[0].get_title(),
)
def test_the_legend_lies_outside_of_the_axes_and_inside_of_the_figure(figure):
    figure.draw_without_rendering()
    (ax,) = figure.axes
    legend = ax.get_legend().get_window_extent()
    assert not legend.overlaps(ax.get_window_extent())
    assert figure.bbox.y0 <= legend.y0 and legend.x1 <= figure.bbox.x1


def test_points_of_the_roc_curve():
    (ax,) = figures.plot_roc(LABELS, P, [POINT]).axes
    curve, _, point = ax.lines
    wanted = [[0, 0], [0, 0.5], [0.5, 0.5], [0.5, 1], [1, 1]]
    np.testing.assert_allclose(curve.get_xydata(), wanted)
    np.testing.assert_allclose(point.get_xydata(), [[0.5, 1]])
    assert curve.get_label() == "model, AUC 0.750"
