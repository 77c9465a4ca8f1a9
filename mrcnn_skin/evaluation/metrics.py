"""The official scores of the ISIC challenges, for one image or one set of images.

The definitions are those of the challenge's scorer, isic-challenge-scoring: malignant
is the positive class, and every image counts once.
"""

import numpy as np
import pandas as pd

from ..geometry.boxes import compute_overlaps
from ..geometry.inputs import as_mask
from . import curves

JACCARD_THRESHOLD = 0.65


def segmentation_scores(truth, prediction):
    """Score one predicted mask against the true one, bool [h, w] (ISIC 2018, task 1).

    Returns:
        A dict of floats: accuracy AC, sensitivity SE, specificity SP, Jaccard JA, JA65
        (JA, but 0 below .65) and Dice DI. They are 1 where the denominator is 0.

    Raises:
        ValueError: if the shapes differ.
    """
    truth = as_mask(truth, name="truth")
    prediction = as_mask(prediction, name="prediction")
    if truth.shape != prediction.shape:
        raise ValueError(
            "truth and prediction must have one shape, "
            f"got {truth.shape} and {prediction.shape}"
        )
    tp, fp, fn, tn = _confusion(truth, prediction)
    jaccard = _ratio(tp, tp + fp + fn)
    return {
        "AC": _ratio(tp + tn, tp + fp + fn + tn),
        "SE": _ratio(tp, tp + fn),
        "SP": _ratio(tn, tn + fp),
        "JA": jaccard,
        "JA65": jaccard if jaccard >= JACCARD_THRESHOLD else 0.0,
        "DI": _ratio(2 * tp, 2 * tp + fp + fn),
    }


def mean_scores(scores, weights=None):
    """Average the scores of single images.

    Args:
        scores: DataFrame, or what makes one, with one row per image.
        weights: [..., n]; None for equal weights.

    Returns:
        {column: float}, or float [...] with weights, nan where all weights are 0.

    Raises:
        ValueError: without an image.
    """
    table = pd.DataFrame(scores)
    if table.empty:
        raise ValueError("scores of at least one image are needed, got 0")
    weights = np.ones(len(table)) if weights is None else np.asarray(weights, float)
    total = weights.sum(axis=-1)
    sums = weights @ table.to_numpy(float)  # [..., scores]
    with np.errstate(invalid="ignore"):
        means = np.moveaxis(sums, -1, 0) / total
    return {name: _plain(mean) for name, mean in zip(table, means, strict=True)}


def classification_scores(labels, p_malignant, threshold=0.5, weights=None):
    """Score the diagnoses of a set of images (ISIC 2016-2018, classification).

    Args:
        labels: int or bool [n], 1 = malignant.
        p_malignant: float [n], probabilities.
        threshold: images with a higher probability are classified as malignant.
        weights: [..., n], how often each image counts; None for once.

    Returns:
        A dict of floats, or of float [...] with weights: AC, SE, SP, DI, PPV and NPV at
        the threshold, 1 where the denominator is 0; BMA, the mean recall of the classes
        present, where a probability equal to the threshold is always wrong; and without
        a threshold AUC, AUC_SENS80 (see curves.area_above_sensitivity) and AP, the
        average precision, nan for labels of one class only.

    Raises:
        ValueError: for different lengths, no image, labels other than 0 and 1, or
            probabilities outside [0, 1].
    """
    labels, p_malignant = _checked_diagnoses(labels, p_malignant)
    weights = np.ones(len(labels)) if weights is None else np.asarray(weights, float)
    tp, fp, fn, tn = _confusion(labels, p_malignant > threshold, weights)
    curve = curves.rank(labels, p_malignant, weights)
    scores = {
        "AC": _ratio(tp + tn, tp + fp + fn + tn),
        "SE": _ratio(tp, tp + fn),
        "SP": _ratio(tn, tn + fp),
        "DI": _ratio(2 * tp, 2 * tp + fp + fn),
        "PPV": _ratio(tp, tp + fp),
        "NPV": _ratio(tn, tn + fn),
        "AUC": curves.area_under_roc(curve),
        "AUC_SENS80": curves.area_above_sensitivity(curve),
        "AP": curves.average_precision(curve),
        "BMA": _balanced_accuracy(labels, p_malignant, threshold, weights),
    }
    return {name: _plain(value) for name, value in scores.items()}


def detection_scores(truth_box, predicted_box):
    """Return {"box_iou": float} of two boxes, 1 without either box.

    Boxes are (y1, x1, y2, x2) in pixels, y2 and x2 exclusive; zeros for none.
    """
    if not np.any(truth_box) and not np.any(predicted_box):
        return {"box_iou": 1.0}
    return {"box_iou": float(compute_overlaps([truth_box], [predicted_box])[0, 0])}


def _confusion(truth, prediction, weights=None):
    """Count tp, fp, fn, tn of bool arrays; weights: [..., n] for a shape of [n]."""
    if weights is None:
        tp = np.count_nonzero(truth & prediction)
        fp = np.count_nonzero(prediction) - tp
        fn = np.count_nonzero(truth) - tp
        return tp, fp, fn, truth.size - tp - fp - fn
    cells = (truth & prediction, ~truth & prediction)
    cells += (truth & ~prediction, ~truth & ~prediction)
    return np.moveaxis(weights @ np.stack(cells, axis=-1), -1, 0)


def _ratio(numerator, denominator):
    """Divide elementwise; the result is 1 where the denominator is 0."""
    is_empty = np.equal(denominator, 0)
    return _plain(
        np.where(is_empty, 1.0, numerator / np.where(is_empty, 1, denominator))
    )


def _plain(value):
    """A float for a single number, an array as it is."""
    return value if np.ndim(value) else float(value)


def _balanced_accuracy(labels, p_malignant, threshold, weights):
    right = weights @ np.stack(
        [labels & (p_malignant > threshold), ~labels & (p_malignant < threshold)], -1
    )
    of_class = weights @ np.stack([labels, ~labels], axis=-1)  # [..., 2]
    is_present = of_class > 0
    recalls = np.where(is_present, right / np.where(is_present, of_class, 1), 0)
    return _ratio(recalls.sum(axis=-1), is_present.sum(axis=-1))


def _checked_diagnoses(labels, p_malignant):
    labels, p_malignant = np.asarray(labels), np.asarray(p_malignant, float)
    if labels.ndim != 1 or labels.shape != p_malignant.shape or not labels.size:
        raise ValueError(
            "labels and p_malignant must both be [n] with n > 0, "
            f"got {labels.shape} and {p_malignant.shape}"
        )
    labels = curves.as_labels(labels)
    is_probability = (p_malignant >= 0) & (p_malignant <= 1)
    if not is_probability.all():
        wrong = p_malignant[~is_probability]
        raise ValueError(
            f"p_malignant must lie in [0, 1], got {wrong[0]} "
            f"({wrong.size} of {labels.size} images)"
        )
    return labels, p_malignant
