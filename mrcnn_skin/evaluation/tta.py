"""Test-time augmentation: average the results for an image and its mirror images.

Mirroring needs no resampling. The result of a view is its best lesion.
"""

import numpy as np

from ..geometry.boxes import extract_bboxes

VIEWS = ((), (0,), (1,), (0, 1))  # axes that are flipped


class AugmentedDetector:
    """A detector that averages another one's results over VIEWS.

    P(malignant), score and box are averaged over the views with a lesion; a pixel is
    lesion in at least half of them. The confidence is low if it is in most views.
    """

    def __init__(self, detector):
        self._detector = detector

    def __call__(self, image):
        """Return the result for an image uint8 [h, w, 3], with at most one lesion."""
        views = []
        for axes in VIEWS:
            view = self._detector(np.ascontiguousarray(np.flip(image, axes)))
            views.append(_flip_back(view, axes, image.shape[:2]))
        return _merged(views)


def _flip_back(result, axes, shape):
    """Return the result for a flipped image as one for the image."""
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
    class_ids = [view["class_ids"][0] for view in found]
    merged["class_ids"] = np.array([np.bincount(class_ids).argmax()])
    if "probs" in found[0]:
        merged["probs"] = np.mean([view["probs"][:1] for view in found], axis=0)
        merged |= _decision(found, merged["p_malignant"])
    if "masks" in found[0]:
        votes = np.mean([view["masks"][:, :, 0] for view in found], axis=0)
        merged["masks"] = (votes >= 0.5)[:, :, None]
        if merged["masks"].any():
            merged["rois"] = extract_bboxes(merged["masks"]).astype(float)
    return merged


def _decision(views, p_malignant):
    """Return the threshold, and the commonest class of the views on its side."""
    threshold = views[0]["threshold"]
    if threshold is not None:
        side = p_malignant >= threshold
        views = [view for view in views if (view["p_malignant"] >= threshold) == side]
    class_ids = [view["predicted_class_id"] for view in views]
    return {
        "threshold": threshold,
        "predicted_class_id": int(np.bincount(class_ids).argmax()),
    }
