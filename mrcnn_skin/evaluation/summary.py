"""Average the scores of single images.

summarize computes all scores of several images: validation during training,
metrics.json, confidence intervals, subgroups and ablation.
"""

from .metrics import classification_scores, mean_scores

SEGMENTATION = ["JA", "JA65", "DI", "AC", "SE", "SP"]
BOX = ["y1", "x1", "y2", "x2"]
# Columns that describe the result of an image, in every table and on every page
ANSWER = [
    "p_malignant",
    "predicted_class",
    "threshold",
    "score",
    "low_confidence",
    "unfamiliar",
    "unfamiliar_score",
    *BOX,
    "lesion_area",
]
COLUMNS = ["image", "true_class", *ANSWER, "box_iou", *SEGMENTATION]
TASKS = ("segmentation", "detection", "classification")


def summarize(per_image, weights=None, threshold=0.5):
    """Compute the metrics of a table of images.

    Args:
        per_image: DataFrame with COLUMNS, one row per image; nan is not scored.
        weights: [..., n], how often each image counts; None for once.
        threshold: of P(malignant).

    Returns:
        A dict of the counts "images", "low_confidence" and, if measured, "unfamiliar",
        and of the tasks that have images: "segmentation", "detection",
        "classification", each a dict of "images" and the scores of metrics.py, floats,
        or float [...] with weights.
    """
    metrics = {
        "images": len(per_image),
        "low_confidence": int(per_image["low_confidence"].sum()),
    }
    if per_image["unfamiliar"].notna().any():
        metrics["unfamiliar"] = int(per_image["unfamiliar"].sum())
    for task, columns in (("segmentation", SEGMENTATION), ("detection", ["box_iou"])):
        table, drawn = _scored(per_image, columns[:1], weights)
        if len(table):
            scores = mean_scores(table[columns], drawn)
            metrics[task] = {"images": len(table), **scores}
    table, drawn = _scored(per_image, ["true_class", "p_malignant"], weights)
    if len(table):
        scores = classification_scores(
            table["true_class"] == "malignant", table["p_malignant"], threshold, drawn
        )
        metrics["classification"] = {"images": len(table), **scores}
    return metrics


def flatten(metrics):
    """Yield (task, name, value) for each score of summarize, without counts."""
    for task in TASKS:
        for name, value in metrics.get(task, {}).items():
            if name != "images":
                yield task, name, value


def _scored(per_image, columns, weights):
    """Return the rows that have all of the columns, and their weights."""
    has_all = per_image[columns].notna().all(axis="columns").to_numpy()
    return per_image[has_all], None if weights is None else weights[..., has_all]
