"""Curves against scikit-learn, and weights against images that are really repeated."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from mrcnn_skin.evaluation import curves
from mrcnn_skin.evaluation.metrics import classification_scores, mean_scores


@pytest.fixture
def diagnoses():
    """Sixty images, eleven values of probability: many ties."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 2, 60).astype(bool), rng.integers(0, 11, 60) / 10


def test_areas_are_those_of_scikit_learn(diagnoses):
    labels, p = diagnoses
    curve = curves.rank(labels, p, np.ones(60))
    assert curves.area_under_roc(curve) == pytest.approx(roc_auc_score(labels, p))
    assert curves.average_precision(curve) == pytest.approx(
        average_precision_score(labels, p)
    )
    fpr, tpr, thresholds = roc_curve(labels, p, drop_intermediate=False)
    assert curve.false_positive_rate == pytest.approx(fpr)
    assert curve.sensitivity == pytest.approx(tpr)
    assert curve.thresholds.tolist() == thresholds[1:].tolist()


def test_a_weight_is_a_number_of_copies(diagnoses):
    labels, p = diagnoses
    weights = np.random.default_rng(1).multinomial(60, [1 / 60] * 60, size=(2, 3))
    together = classification_scores(labels, p, 0.4, weights)
    for index in np.ndindex(2, 3):
        copies = np.repeat(np.arange(60), weights[index])
        alone = classification_scores(labels[copies], p[copies], 0.4)
        assert {n: s[index] for n, s in together.items()} == pytest.approx(alone)


def test_a_resample_of_one_class_has_no_area():
    weights = [[1, 1, 0], [0, 0, 2], [1, 0, 1]]
    scores = classification_scores([1, 1, 0], [0.9, 0.2, 0.5], weights=weights)
    for name in ("AUC", "AUC_SENS80", "AP"):
        assert np.isnan(scores[name]).tolist() == [True, True, False]
    # Drawn are: both malignant; the benign one twice; the first and the last.
    assert scores["SE"].tolist() == [0.5, 1, 1]
    assert scores["BMA"].tolist() == [0.5, 0, 0.5]  # .5 is undecided, so wrong


def test_weighted_mean_of_single_scores():
    table = [{"JA": 1.0, "DI": 1.0}, {"JA": 0.0, "DI": 0.5}]
    means = mean_scores(table, [[3, 1], [0, 2], [0, 0]])
    assert means["JA"][:2].tolist() == [0.75, 0] and np.isnan(means["JA"][2])
    assert means["DI"][:2].tolist() == [0.875, 0.5]


@pytest.mark.parametrize("kind", [bool, int, float, np.uint8])
def test_labels_may_be_of_any_type_but_are_0_or_1(kind):
    # Two of the three malignant images lie above the benign one
    p = [0.9, 0.8, 0.6, 0.2]
    curve = curves.rank(np.array([1, 1, 0, 1]).astype(kind), p, np.ones(4))
    assert curves.area_under_roc(curve) == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="labels must be 0 or 1, got .*2"):
        curves.rank([0, 1, 2, 1], p, np.ones(4))
