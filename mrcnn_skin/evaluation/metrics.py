"""The official scores of the ISIC challenges, for one image or one set of images.

The definitions are those of the challenge's own scorer, isic-challenge-scoring.
Nothing here runs a model or touches a file, and nothing adopts the reporting style
of the paper: malignant is the positive class, every image counts once.
"""

import numpy as np
import pandas as pd
from sklearn.metrics import auc, average_precision_score, roc_auc_score, roc_curve

from mrcnn_skin.geometry.boxes import compute_overlaps

JACCARD_THRESHOLD = 0.65
MIN_SENSITIVITY = 0.8


def segmentation_scores(truth, prediction):
    """Score one predicted mask (ISIC 2018, task 1).

    truth, prediction: bool [height, width].
    Returns a dict of floats: accuracy AC, sensitivity SE, specificity SP, Jaccard JA,
    JA65 (JA, but 0 below .65) and Dice DI. An empty denominator counts as 1: two
    empty masks agree.
    Raises ValueError when the shapes differ.
    """
    truth, prediction = np.asarray(truth, bool), np.asarray(prediction, bool)
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


def mean_segmentation_scores(scores):
    """Average the scores of single images; every image weighs the same.

    scores: a list of dicts from segmentation_scores, or a DataFrame of them with one
        row per image.
    Returns a dict of the same keys. Raises ValueError when there is no image.
    """
    table = pd.DataFrame(scores)
    if table.empty:
        raise ValueError("segmentation scores of at least one image are needed, got 0")
    return {name: float(mean) for name, mean in table.mean().items()}


def classification_scores(labels, p_malignant, threshold=0.5):
    """Score the diagnoses of a set of images (ISIC 2016-2018, classification).

    labels: int or bool [n], 1 = malignant.
    p_malignant: float [n], probabilities.
    threshold: an image is called malignant when its probability is above it.

    Returns a dict of floats: AC, SE, SP, DI, PPV and NPV at the threshold, where an
    empty denominator counts as 1; BMA, the recall averaged over the classes present,
    to which a probability equal to the threshold is undecided and so always wrong;
    and, free of any threshold, AUC, AUC_SENS80 (see auc_above_sensitivity) and AP,
    the average precision. These three are nan when the labels hold one class only.
    Raises ValueError for lengths that differ, no image at all, labels other than
    0 and 1, or probabilities outside [0, 1].
    """
    labels, p_malignant = _checked_diagnoses(labels, p_malignant)
    tp, fp, fn, tn = _confusion(labels, p_malignant > threshold)
    both_classes = labels.any() and not labels.all()
    nan = float("nan")
    return {
        "AC": _ratio(tp + tn, tp + fp + fn + tn),
        "SE": _ratio(tp, tp + fn),
        "SP": _ratio(tn, tn + fp),
        "DI": _ratio(2 * tp, 2 * tp + fp + fn),
        "PPV": _ratio(tp, tp + fp),
        "NPV": _ratio(tn, tn + fn),
        "AUC": float(roc_auc_score(labels, p_malignant)) if both_classes else nan,
        "AUC_SENS80": (
            auc_above_sensitivity(labels, p_malignant) if both_classes else nan
        ),
        "AP": (
            float(average_precision_score(labels, p_malignant)) if both_classes else nan
        ),
        "BMA": _balanced_accuracy(labels, p_malignant, threshold),
    }


def auc_above_sensitivity(labels, p_malignant, min_sensitivity=MIN_SENSITIVITY):
    """Area under the part of the ROC curve with sensitivity of at least the minimum.

    The area reaches down to the axis and is not normalised: it runs from the false
    positive rate at which the curve, interpolated linearly, first attains the minimum,
    up to 1. A perfect ranking scores 1, a random one (1 - min_sensitivity^2) / 2.

    labels: bool [n] with both classes, True = malignant.  p_malignant: float [n].
    Returns a float.
    """
    fpr, tpr, _ = roc_curve(labels, p_malignant, drop_intermediate=False)
    # The curve starts at (0, 0), so there is always a point before the crossing.
    crossing = np.searchsorted(tpr, min_sensitivity)
    before = slice(crossing - 1, crossing + 1)
    start = np.interp(min_sensitivity, tpr[before], fpr[before])
    return float(
        auc(np.r_[start, fpr[crossing:]], np.r_[min_sensitivity, tpr[crossing:]])
    )


def detection_scores(truth_box, predicted_box):
    """Score one predicted box by its overlap with the true one.

    truth_box, predicted_box: [y1, x1, y2, x2] in pixels, y2 and x2 exclusive;
        a box of zeros stands for none.
    Returns {"box_iou": float}: intersection over union, 1 when there is neither,
    as for masks.
    """
    if not np.any(truth_box) and not np.any(predicted_box):
        return {"box_iou": 1.0}
    return {"box_iou": float(compute_overlaps([truth_box], [predicted_box])[0, 0])}


def _confusion(truth, prediction):
    """Count true positives, false positives, false negatives and true negatives."""
    tp = np.count_nonzero(truth & prediction)
    fp = np.count_nonzero(prediction) - tp
    fn = np.count_nonzero(truth) - tp
    return tp, fp, fn, truth.size - tp - fp - fn


def _ratio(numerator, denominator):
    return float(numerator / denominator) if denominator else 1.0


def _balanced_accuracy(labels, p_malignant, threshold):
    recalls = [
        np.mean(is_right)
        for is_right in (
            p_malignant[labels] > threshold,
            p_malignant[~labels] < threshold,
        )
        if is_right.size
    ]
    return float(np.mean(recalls))


def _checked_diagnoses(labels, p_malignant):
    labels, p_malignant = np.asarray(labels), np.asarray(p_malignant, float)
    if labels.ndim != 1 or labels.shape != p_malignant.shape or not labels.size:
        raise ValueError(
            "labels and p_malignant must both be [n] with n > 0, "
            f"got {labels.shape} and {p_malignant.shape}"
        )
    if not np.isin(labels, (0, 1)).all():
        raise ValueError(f"labels must be 0 or 1, got {np.unique(labels)}")
    is_probability = (p_malignant >= 0) & (p_malignant <= 1)
    if not is_probability.all():
        wrong = p_malignant[~is_probability]
        raise ValueError(
            f"p_malignant must lie in [0, 1], got {wrong[0]} "
            f"({wrong.size} of {labels.size} images)"
        )
    return labels.astype(bool), p_malignant
