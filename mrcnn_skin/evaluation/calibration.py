"""Calibration and operating points of P(malignant).

Temperature and thresholds are chosen on one set of images and applied to another. The
functions take labels, bool [n], True = malignant, and p_malignant, float [n].
"""

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar

from . import curves
from .metrics import classification_scores, mean_scores

SENSITIVITIES = (0.80, 0.90, 0.95)
BINS = 10
TEMPERATURES = (0.05, 20.0)
SMALLEST = 1e-6  # keeps logits and logarithms of 0 and 1 finite


def choose_threshold(labels, p_malignant, sensitivity):
    """Return the highest threshold with at least this sensitivity, 0 to 1.

    It lies midway between the lowest probability above it and the next lower one.

    Raises:
        ValueError: without a malignant image.
    """
    labels, p_malignant = np.asarray(labels, bool), np.asarray(p_malignant, float)
    if not labels.any():
        raise ValueError("a threshold needs malignant calibration images, got none")
    curve = curves.rank(labels, p_malignant, np.ones(len(labels)))
    # Without a rounding error, .8 of 5 images are 4
    needed = sensitivity * labels.sum() - 1e-9
    last = int(np.searchsorted(curve.tp, needed))
    below = np.append(curve.thresholds, 0.0)[last + 1]
    return float((curve.thresholds[last] + below) / 2)


def operating_points(calibration, test):
    """Choose thresholds on calibration images and apply them to test images.

    calibration, test: (labels, p_malignant).

    Returns:
        A list of dicts: target, threshold, calibration_SE (sensitivity on the
        calibration images), and SE, SP, PPV, NPV, AC of the test images.
    """
    points = []
    for target in SENSITIVITIES:
        threshold = choose_threshold(*calibration, target)
        chosen = classification_scores(*calibration, threshold)
        scores = classification_scores(*test, threshold)
        point = {"target": target, "threshold": threshold}
        point["calibration_SE"] = chosen["SE"]
        points.append(point | {n: scores[n] for n in ("SE", "SP", "PPV", "NPV", "AC")})
    return points


def fit_temperature(labels, p_malignant):
    """Fit the temperature that maximises the likelihood (Guo et al., 2017).

    It lies within TEMPERATURES, and is above 1 for an overconfident model.

    Raises:
        ValueError: for labels of one class only.
    """
    labels = np.asarray(labels, bool)
    if labels.all() or not labels.any():
        raise ValueError(
            "a temperature needs calibration images of both classes, got "
            f"{labels.sum()} malignant of {labels.size}"
        )

    def loss(log_temperature):
        scaled = apply_temperature(p_malignant, np.exp(log_temperature))
        return negative_log_likelihood(labels, scaled)

    found = minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded")
    return float(np.exp(found.x))


def apply_temperature(p_malignant, temperature):
    """Divide the logit of each probability, [n], by the temperature."""
    p = np.clip(np.asarray(p_malignant, float), SMALLEST, 1 - SMALLEST)
    return 1 / (1 + np.exp(-np.log(p / (1 - p)) / temperature))


def negative_log_likelihood(labels, p_malignant):
    """Return the mean of -log of the true class's probability."""
    p = np.clip(np.asarray(p_malignant, float), SMALLEST, 1 - SMALLEST)
    return float(-np.mean(np.log(np.where(labels, p, 1 - p))))


def reliability(labels, p_malignant):
    """Compare predicted probabilities with observed frequencies.

    Returns:
        DataFrame, one row per bin of [0, 1] with images: low, high, images,
        p_malignant (mean), malignant (share).
    """
    edges = np.linspace(0, 1, BINS + 1)
    number = np.clip(np.digitize(p_malignant, edges) - 1, 0, BINS - 1)
    table = pd.DataFrame({"p_malignant": p_malignant, "malignant": labels})
    groups = table.astype(float).groupby(number)
    rows = groups.mean()
    rows.insert(0, "images", groups.size())
    rows.insert(0, "high", edges[rows.index + 1])
    rows.insert(0, "low", edges[rows.index])
    return rows.reset_index(drop=True)


def calibration_error(labels, p_malignant):
    """Return the expected calibration error: the mean gap of `reliability`."""
    rows = reliability(labels, p_malignant)
    gap = (rows["p_malignant"] - rows["malignant"]).abs()
    return float(np.average(gap, weights=rows["images"]))


def calibration_scores(labels, p_malignant):
    """Return {"ECE", "brier", "NLL"}, best at 0."""
    labels = np.asarray(labels, bool)
    squares = (np.asarray(p_malignant, float) - labels) ** 2
    return {
        "ECE": calibration_error(labels, p_malignant),
        "brier": mean_scores({"brier": squares})["brier"],
        "NLL": negative_log_likelihood(labels, p_malignant),
    }


def risk_coverage(labels, p_malignant):
    """Compute the error rate of the most certain images (El-Yaniv & Wiener, 2010).

    The certainty is the distance of the logit from 0, that of the threshold 0.5. Images
    of equal certainty are taken together.

    Returns:
        DataFrame: coverage (share of images, rising to 1), risk (their error rate).
    """
    labels, p = np.asarray(labels, bool), np.asarray(p_malignant, float)
    wrong = (p > 0.5) != labels
    clipped = np.clip(p, SMALLEST, 1 - SMALLEST)
    doubt = -np.round(np.abs(np.log(clipped / (1 - clipped))), 9)
    by_doubt = pd.DataFrame({"wrong": wrong}).groupby(doubt)["wrong"]
    answered = by_doubt.size().cumsum()
    rows = {"coverage": answered / len(p), "risk": by_doubt.sum().cumsum() / answered}
    return pd.DataFrame(rows).reset_index(drop=True)


def area_under_risk(curve):
    """Return the mean risk over all coverages (AURC) of a risk_coverage DataFrame."""
    steps = np.diff(curve["coverage"], prepend=0)
    return float(np.sum(steps * curve["risk"]))
