"""ROC and precision-recall curves, with weights of the images.

One pass with weights computes thousands of bootstrap resamples.
"""

from typing import NamedTuple

import numpy as np

MIN_SENSITIVITY = 0.8


class Curve(NamedTuple):
    """A ranking of images by probability, highest first; ties share a point.

    Attributes:
        thresholds: float [points], the distinct probabilities, falling.
        tp: float [..., points], weight of the malignant images whose probability is at
            least the threshold.
        fp: the same of the benign images.
    """

    thresholds: np.ndarray
    tp: np.ndarray
    fp: np.ndarray

    @property
    def sensitivity(self):
        """float [..., 1 + points], from 0; nan without a malignant image."""
        return _from_zero(_divide(self.tp, self.tp[..., -1:], np.nan))

    @property
    def false_positive_rate(self):
        """float [..., 1 + points], from 0; nan without a benign image."""
        return _from_zero(_divide(self.fp, self.fp[..., -1:], np.nan))

    @property
    def precision(self):
        """float [..., points]; 1 where no image is at or above the threshold."""
        return _divide(self.tp, self.tp + self.fp, 1.0)


def as_labels(labels):
    """Return labels, bool or 0/1, as a bool array; raise ValueError for others."""
    labels = np.asarray(labels)
    if not np.isin(labels, (0, 1)).all():
        raise ValueError(f"labels must be 0 or 1, got {np.unique(labels)}")
    return labels.astype(bool)


def rank(labels, p_malignant, weights):
    """Rank images by probability; the Curve has the leading axes of weights.

    Args:
        labels: bool or 0/1 [n], 1 = malignant.
        p_malignant: float [n].
        weights: [..., n].

    Raises:
        ValueError: for other labels.
    """
    labels, p_malignant = as_labels(labels), np.asarray(p_malignant, float)
    order = np.argsort(-p_malignant, kind="stable")
    ranked = p_malignant[order]
    last_of_tie = np.r_[np.flatnonzero(np.diff(ranked)), len(ranked) - 1]
    is_malignant, drawn = labels[order], weights[..., order].astype(float)
    tp = np.cumsum(drawn * is_malignant, axis=-1)[..., last_of_tie]
    fp = np.cumsum(drawn * ~is_malignant, axis=-1)[..., last_of_tie]
    return Curve(ranked[last_of_tie], tp, fp)


def area_under_roc(curve):
    """Area under the ROC curve by trapezoids, [...]; nan with one class only."""
    return area_above_sensitivity(curve, 0.0)


def area_above_sensitivity(curve, min_sensitivity=MIN_SENSITIVITY):
    """Area under the ROC curve where the sensitivity is at least the minimum, [...].

    The area reaches down to the axis and is not normalised: it runs from the false
    positive rate at which the curve, interpolated linearly, first attains the minimum,
    up to 1. A perfect ranking scores 1, a random one (1 - min_sensitivity^2) / 2; nan
    with one class only.
    """
    tpr = curve.sensitivity
    low, high = tpr[..., :-1], tpr[..., 1:]
    run = np.diff(curve.false_positive_rate, axis=-1)
    # The share of each segment that lies to the left of the crossing.
    skipped = np.clip(_divide(min_sensitivity - low, high - low, 0.0), 0, 1)
    skipped = np.where(high < min_sensitivity, 1.0, skipped)
    start = low + skipped * (high - low)
    return np.sum(run * (1 - skipped) * (start + high) / 2, axis=-1)


def average_precision(curve):
    """Return the precision averaged over steps of recall, [...]; nan with one class.

    As in scikit-learn, without interpolation.
    """
    total = np.sum(np.diff(curve.sensitivity, axis=-1) * curve.precision, axis=-1)
    return np.where(curve.fp[..., -1] > 0, total, np.nan)


def _from_zero(values):
    return np.concatenate([np.zeros_like(values[..., :1]), values], axis=-1)


def _divide(numerator, denominator, otherwise):
    """numerator / denominator, `otherwise` where that is 0; shapes broadcast."""
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    empty = np.full(numerator.shape, otherwise, float)
    return np.divide(numerator, denominator, out=empty, where=denominator != 0)
