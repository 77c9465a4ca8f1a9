"""Test-time augmentation: one answer from four views of an image.

The views are the image and its mirror images, which cost no resampling and lose
nothing. A view's answer is its best lesion.
"""

import numpy as np

from ..geometry.boxes import extract_bboxes

VIEWS = ((), (0,), (1,), (0, 1))  # axes that are turned round


class AugmentedDetector:
    """A detector that asks another one four times and takes the mean.

    P(malignant), score and box are averaged over the views that found a lesion, a
    pixel is lesion where at least half of those say so, and the confidence is low
    where most views say so.
    """

    def __init__(self, detector):
        self._detector = detector

    def __call__(self, image):
        """image: uint8 [h, w, 3]. Returns a dict as scoring.score_images describes it.

        It holds one lesion, or none where no view found one.
        """
        views = []
        for axes in VIEWS:
            view = self._detector(np.ascontiguousarray(np.flip(image, axes)))
            views.append(_turned_back(view, axes, image.shape[:2]))
        return _merged(views)


def _turned_back(result, axes, shape):
    """The result of a turned image as one of the image."""
    result = dict(result)
    boxes = np.array(result["rois"], float).reshape(-1, 4)
    for axis in axes:
        ends = boxes[:, [axis, axis + 2]]
        boxes[:, [axis, axis + 2]] = shape[axis] - ends[:, ::-1]
    result["rois"] = boxes
    if "masks" in result:
        result["masks"] = np.flip(result["masks"], axes)
    return result


def _merged(views):
    found = [view for view in views if len(view["rois"])]
    merged = {
        "low_confidence": sum(view["low_confidence"] for view in views) > 2,
        "p_malignant": None,
    }
    distances = [view.get("unfamiliar_score") for view in views]
    if None not in distances:
        merged["unfamiliar_score"] = float(np.mean(distances))
        merged["unfamiliar"] = not merged["unfamiliar_score"] <= 1.0
    diagnoses = [v["p_malignant"] for v in views if v["p_malignant"] is not None]
    if diagnoses:
        merged["p_malignant"] = float(np.mean(diagnoses))
    if not found:
        return views[0] | merged
    merged["rois"] = np.mean([view["rois"][:1] for view in found], axis=0)
    merged["scores"] = np.mean([view["scores"][:1] for view in found], axis=0)
    merged["class_ids"] = _commonest([view["class_ids"][0] for view in found])
    if "masks" in found[0]:
        votes = np.mean([view["masks"][:, :, 0] for view in found], axis=0)
        merged["masks"] = (votes >= 0.5)[:, :, None]
        if merged["masks"].any():
            merged["rois"] = extract_bboxes(merged["masks"]).astype(float)
    return merged


def _commonest(class_ids):
    return np.array([np.bincount(class_ids).argmax()])
