"""Scores on tables small enough to work by hand, and against the official scorer."""

import math

import numpy as np
import pandas as pd
import pytest

from mrcnn_skin.evaluation.metrics import (
    classification_scores,
    detection_scores,
    mean_scores,
    segmentation_scores,
)

# Twelve images with ties and one probability on the threshold.
LABELS = [1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0]
P_MALIGNANT = [0.9, 0.8, 0.7, 0.4, 0.2, 0.85, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05]
# What isic-challenge-scoring 5.6.0 prints for them, and its name for each score.
OFFICIAL = {
    "AC": ("accuracy", 0.75),
    "SE": ("sensitivity", 0.6),
    "SP": ("specificity", 0.8571428571428571),
    "DI": ("dice", 0.6666666666666666),
    "PPV": ("ppv", 0.75),
    "NPV": ("npv", 0.75),
    "AUC": ("auc", 0.7428571428571429),
    "AUC_SENS80": ("auc_sens_80", 0.5285714285714286),
    "AP": ("ap", 0.6976190476190476),
    "BMA": ("balanced_accuracy", 0.6571428571428571),
}


def row(pixels):
    """A mask of one row from a string of 0 and 1."""
    return np.array([[pixel == "1" for pixel in pixels]])


# ---------------------------------------------------------------- segmentation


def test_segmentation_scores_by_hand():
    # truth      1 1 1 1 0 0 0 0 0 0
    # prediction 0 1 1 1 1 0 0 0 0 0  -> tp 3, fn 1, fp 1, tn 5
    scores = segmentation_scores(row("1111000000"), row("0111100000"))
    assert scores == pytest.approx(
        {
            "AC": 8 / 10,
            "SE": 3 / 4,
            "SP": 5 / 6,
            "JA": 3 / 5,
            "JA65": 0.0,  # .6 is below .65
            "DI": 6 / 8,
        }
    )


@pytest.mark.parametrize(
    "tp, fn, jaccard65",
    [(13, 7, 0.65), (12, 8, 0.0), (129, 71, 0.0), (131, 69, 0.655)],
)
def test_threshold_jaccard_keeps_the_edge(tp, fn, jaccard65):
    # Nothing is predicted outside the lesion, so JA = tp / (tp + fn).
    truth, prediction = row("1" * (tp + fn)), row("1" * tp + "0" * fn)
    assert segmentation_scores(truth, prediction)["JA65"] == jaccard65


def test_two_empty_masks_agree():
    empty = np.zeros((2, 3), bool)
    assert set(segmentation_scores(empty, empty).values()) == {1.0}


def test_missed_lesion():
    # tp 0, fn 2, fp 0, tn 2
    scores = segmentation_scores(row("1100"), row("0000"))
    assert scores == {"AC": 0.5, "SE": 0, "SP": 1, "JA": 0, "JA65": 0, "DI": 0}


def test_invented_lesion():
    # tp 0, fn 0, fp 1, tn 3: the sensitivity has nothing to find
    scores = segmentation_scores(row("0000"), row("1000"))
    assert scores == {"AC": 0.75, "SE": 1, "SP": 0.75, "JA": 0, "JA65": 0, "DI": 0}


def test_full_frame_lesion_leaves_specificity_one():
    full = np.ones((2, 2), bool)
    assert segmentation_scores(full, full)["SP"] == 1.0


def test_masks_of_two_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(3, 2\)"):
        segmentation_scores(np.ones((2, 3), bool), np.ones((3, 2), bool))


@pytest.mark.parametrize("container", [list, pd.DataFrame])
def test_mean_weighs_images_not_pixels(container):
    small = segmentation_scores(row("11"), row("11"))  # JA 1
    large = segmentation_scores(row("1" * 100), row("1" * 50 + "0" * 50))  # JA .5
    mean = mean_scores(container([small, large]))
    assert list(mean) == ["AC", "SE", "SP", "JA", "JA65", "DI"]
    assert mean["JA"] == 0.75
    assert mean["JA65"] == 0.5  # (1 + 0) / 2
    assert mean["DI"] == pytest.approx((1 + 2 / 3) / 2)


def test_mean_of_no_image_is_refused():
    with pytest.raises(ValueError, match="at least one image"):
        mean_scores([])


# -------------------------------------------------------------- classification


def test_classification_scores_by_hand():
    # above .5:  .9 .8 (malignant), .6 (benign) -> tp 2, fp 1, fn 1, tn 2
    scores = classification_scores([1, 1, 1, 0, 0, 0], [0.9, 0.8, 0.3, 0.6, 0.2, 0.1])
    assert scores["AC"] == pytest.approx(4 / 6)
    assert scores["SE"] == pytest.approx(2 / 3)
    assert scores["SP"] == pytest.approx(2 / 3)
    assert scores["DI"] == pytest.approx(4 / 6)
    assert scores["PPV"] == pytest.approx(2 / 3)
    assert scores["NPV"] == pytest.approx(2 / 3)
    assert scores["BMA"] == pytest.approx(2 / 3)
    # .9 and .8 beat all three benign images, .3 beats two of three
    assert scores["AUC"] == pytest.approx(8 / 9)
    # precision where recall rises: 1/1, 2/2 and, at .3, 3/4
    assert scores["AP"] == pytest.approx((1 + 1 + 3 / 4) / 3)


def test_probability_on_the_threshold_is_not_malignant():
    labels, probabilities = [1, 0, 0], [0.5, 0.5, 0.1]
    scores = classification_scores(labels, probabilities)
    assert (scores["SE"], scores["SP"]) == (0, 1)
    assert scores["PPV"] == 1.0  # nobody was called malignant
    assert scores["BMA"] == 0.25  # undecided is wrong: (0/1 + 1/2) / 2
    assert classification_scores(labels, probabilities, 0.49)["SE"] == 1


def test_auc_counts_ties_half():
    # pairs (malignant, benign): (.5, .5) is half a win, (.5, .2) a win
    assert classification_scores([1, 0, 0], [0.5, 0.5, 0.2])["AUC"] == 0.75


def test_auc_is_the_mann_whitney_count():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 60)
    probabilities = rng.integers(0, 11, 60) / 10  # eleven values: many ties
    wins = pairs = 0
    for label, p in zip(labels, probabilities, strict=True):
        for other_label, other_p in zip(labels, probabilities, strict=True):
            if label == 1 and other_label == 0:
                pairs += 1
                wins += 1 if p > other_p else 0.5 if p == other_p else 0
    assert classification_scores(labels, probabilities)["AUC"] == pytest.approx(
        wins / pairs
    )


@pytest.mark.parametrize(
    "labels, probabilities, area",
    [
        # perfect ranking: sensitivity .8 is met at a false positive rate of 0
        ([1, 1, 0, 0], [0.9, 0.8, 0.2, 0.1], 1.0),
        # one value for all: the diagonal, (1 - .8^2) / 2
        ([1, 1, 0, 0], [0.5, 0.5, 0.5, 0.5], 0.18),
        # every benign image first: .8 is met only at a false positive rate of 1
        ([1, 1, 0, 0], [0.1, 0.2, 0.8, 0.9], 0.0),
        # M B M: up to .5, along to 1 benign, up to 1: nothing to the right of it
        ([1, 0, 1], [0.9, 0.5, 0.1], 0.0),
        # M B M B: up to .5, along to fpr .5, up to 1, along to fpr 1
        ([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.6], 0.5),
        # a point exactly at sensitivity .8, reached at a false positive rate of 0:
        # .8 * .5 along the first benign image, then 1 * .5
        ([1, 1, 1, 1, 0, 1, 0], [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3], 0.9),
    ],
)
def test_auc_above_sensitivity_by_hand(labels, probabilities, area):
    scores = classification_scores(labels, probabilities)
    assert scores["AUC_SENS80"] == pytest.approx(area)


@pytest.mark.parametrize(
    "label, expected",
    [
        # p = .9 and .2: one above the threshold, one below
        (1, {"AC": 0.5, "SE": 0.5, "SP": 1, "PPV": 1, "NPV": 0, "BMA": 0.5}),
        (0, {"AC": 0.5, "SE": 1, "SP": 0.5, "PPV": 0, "NPV": 1, "BMA": 0.5}),
    ],
)
def test_one_class_only(label, expected):
    scores = classification_scores([label, label], [0.9, 0.2])
    assert {name: scores[name] for name in expected} == expected
    assert all(math.isnan(scores[name]) for name in ("AUC", "AUC_SENS80", "AP"))


@pytest.mark.parametrize(
    "labels, probabilities, message",
    [
        ([1, 0], [0.5], r"\(2,\) and \(1,\)"),
        ([], [], "n > 0"),
        ([1, 2], [0.5, 0.5], "labels must be 0 or 1"),
        ([1, 0], [0.5, 1.5], "got 1.5"),
        ([1, 0], [0.5, float("nan")], r"got nan \(1 of 2 images\)"),
    ],
)
def test_unusable_diagnoses_are_refused(labels, probabilities, message):
    with pytest.raises(ValueError, match=message):
        classification_scores(labels, probabilities)


def test_stored_numbers_of_the_official_scorer():
    expected = {name: value for name, (_, value) in OFFICIAL.items()}
    assert classification_scores(LABELS, P_MALIGNANT) == pytest.approx(expected)


def test_official_scorer_where_installed():
    official = pytest.importorskip(
        "isic_challenge_scoring.classification",
        reason="isic-challenge-scoring is not installed",
    )
    malignant = np.array(LABELS, float)
    truth = pd.DataFrame({"malignant": malignant, "benign": 1 - malignant})
    prediction = pd.DataFrame({"malignant": P_MALIGNANT})
    prediction["benign"] = 1 - prediction["malignant"]
    weights = pd.DataFrame({"score_weight": 1.0, "validation_weight": 1.0}, truth.index)
    score = official.ClassificationScore(
        truth, prediction, weights, official.ClassificationMetric.BALANCED_ACCURACY
    )
    theirs = {**score.per_category.loc["malignant"], **score.aggregate}
    ours = classification_scores(LABELS, P_MALIGNANT)
    for name, (official_name, _) in OFFICIAL.items():
        assert ours[name] == pytest.approx(theirs[official_name]), name


# ------------------------------------------------------------------- detection


@pytest.mark.parametrize(
    "truth, predicted, overlap",
    [
        # 4x4 and 4x4, shifted by (2, 1): 2x3 shared of 16 + 16 - 6
        ([0, 0, 4, 4], [2, 1, 6, 5], 6 / 26),
        ([0, 0, 4, 4], [0, 0, 4, 4], 1.0),
        ([0, 0, 4, 4], [4, 0, 8, 4], 0.0),  # they touch and share nothing
        ([0, 0, 4, 4], [5, 5, 8, 8], 0.0),  # apart on both axes
        ([0, 0, 4, 4], [0, 0, 0, 0], 0.0),
        ([0, 0, 0, 0], [0, 0, 0, 0], 1.0),
    ],
)
def test_detection_scores(truth, predicted, overlap):
    assert detection_scores(truth, predicted)["box_iou"] == pytest.approx(overlap)
