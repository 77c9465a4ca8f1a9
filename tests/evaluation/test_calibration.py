"""Thresholds, temperatures and curves on numbers that can be worked by hand."""

import numpy as np
import pytest

from mrcnn_skin.evaluation.calibration import (
    apply_temperature,
    area_under_risk,
    calibration_error,
    calibration_scores,
    choose_threshold,
    fit_temperature,
    operating_points,
    reliability,
    risk_coverage,
)

LABELS = np.array([1, 1, 1, 1, 1, 0, 0, 0, 0, 0], bool)
P = np.array([0.9, 0.8, 0.7, 0.6, 0.3, 0.75, 0.5, 0.4, 0.2, 0.1])


@pytest.mark.parametrize(
    "sensitivity, threshold",
    [
        (0.8, 0.55),  # four of five: .6 must be above it, .5 need not be
        (0.81, 0.25),  # five of five: between .3 and .2
        (1.0, 0.25),
        (0.2, 0.85),
    ],
)
def test_threshold_by_hand(sensitivity, threshold):
    assert choose_threshold(LABELS, P, sensitivity) == pytest.approx(threshold)


def test_threshold_below_the_lowest_probability():
    assert choose_threshold([1, 0], [0.2, 0.4], 0.9) == pytest.approx(0.1)


def test_threshold_keeps_ties_together():
    # .5 is shared by two malignant images and a benign one: all are called malignant
    assert choose_threshold([1, 1, 0, 0], [0.5, 0.5, 0.5, 0.1], 0.5) == pytest.approx(
        0.3
    )


def test_threshold_needs_a_malignant_image():
    with pytest.raises(ValueError, match="malignant"):
        choose_threshold([0, 0], [0.1, 0.2], 0.9)


def test_the_test_images_choose_nothing():
    # Threshold .55 from the calibration images: sensitivity 1/2 and specificity 1/2.
    test = np.array([1, 1, 0, 0]), np.array([0.6, 0.5, 0.56, 0.1])
    point, *_ = operating_points((LABELS, P), test)
    assert point["target"] == 0.8 and point["threshold"] == pytest.approx(0.55)
    assert (point["calibration_SE"], point["SE"], point["SP"]) == (0.8, 0.5, 0.5)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_temperature_is_recovered(temperature):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, 20000)
    labels = rng.random(20000) < 1 / (1 + np.exp(-logits))
    too_sure = 1 / (1 + np.exp(-logits * temperature))
    found = fit_temperature(labels, too_sure)
    assert found == pytest.approx(temperature, rel=0.05)
    assert apply_temperature(too_sure, temperature) == pytest.approx(
        1 / (1 + np.exp(-logits)),
        abs=0.01,  # the surest are clipped
    )
    assert calibration_error(labels, apply_temperature(too_sure, found)) < 0.01


def test_temperature_keeps_the_ranking_and_one_half():
    assert apply_temperature([0.5], 7)[0] == 0.5
    assert (np.diff(apply_temperature([0, 0.1, 0.5, 0.9, 1], 2)) > 0).all()
    # logit .9 = ln 9; half of it is ln 3
    assert apply_temperature([0.9], 2)[0] == pytest.approx(0.75)


def test_temperature_needs_both_classes():
    with pytest.raises(ValueError, match="both classes"):
        fit_temperature([1, 1], [0.5, 0.6])


def test_reliability_by_hand():
    labels, p = [0, 1, 1, 1], [0.05, 0.15, 0.12, 1.0]
    rows = reliability(labels, p)
    assert rows["low"].tolist() == pytest.approx([0, 0.1, 0.9])
    assert rows["images"].tolist() == [1, 2, 1]
    assert rows["p_malignant"].tolist() == pytest.approx([0.05, 0.135, 1.0])
    assert rows["malignant"].tolist() == [0, 1, 1]
    assert calibration_error(labels, p) == pytest.approx((0.05 + 2 * 0.865 + 0) / 4)


def test_calibration_scores_by_hand():
    scores = calibration_scores([1, 0], [0.8, 0.4])
    assert scores["brier"] == pytest.approx((0.04 + 0.16) / 2)
    assert scores["NLL"] == pytest.approx(-(np.log(0.8) + np.log(0.6)) / 2)
    assert scores["ECE"] == pytest.approx((0.2 + 0.4) / 2)


def test_risk_coverage_by_hand():
    # Surest first: .95 right, .1 wrong; .7 and .3 equally sure, one of them wrong.
    curve = risk_coverage([1, 1, 0, 0], [0.95, 0.1, 0.7, 0.3])
    assert curve["coverage"].tolist() == [0.25, 0.5, 1.0]
    assert curve["risk"].tolist() == [0, 0.5, 0.5]
    assert area_under_risk(curve) == pytest.approx(0.25 * 0.5 + 0.5 * 0.5)
