"""Four views of an image with a scripted detector, put together by hand."""

import numpy as np
import pytest

from mrcnn_skin.evaluation.scoring import describe_answer
from mrcnn_skin.evaluation.tta import AugmentedDetector


def result(box, shape, p_malignant=0.5, score=0.9, low=False):
    mask = np.zeros(shape, bool)
    y1, x1, y2, x2 = box
    mask[y1:y2, x1:x2] = True
    return {
        "rois": np.array([box]),
        "class_ids": np.array([2]),
        "scores": np.array([score]),
        "masks": mask[:, :, None],
        "p_malignant": p_malignant,
        "low_confidence": low,
    }


def find_white(image):
    """Finds the white rectangle, wherever the view puts it."""
    rows, columns = np.nonzero(image[..., 0])
    box = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
    return result(box, image.shape[:2])


def test_a_detector_that_is_right_stays_right():
    image = np.zeros((8, 12, 3), np.uint8)
    image[1:4, 2:9] = 255
    merged = AugmentedDetector(find_white)(image)
    assert merged["rois"].tolist() == [[1, 2, 4, 9]]
    assert np.array_equal(merged["masks"][..., 0], image[..., 0] > 0)
    assert merged["class_ids"].tolist() == [2]


def scripted(*answers):
    answers = iter(answers)
    return AugmentedDetector(lambda image: next(answers))(np.zeros((4, 6, 3), np.uint8))


def test_views_are_averaged():
    # the second view is upside down, the third mirrored, the fourth both
    merged = scripted(
        result((0, 0, 2, 2), (4, 6), 0.1, 0.6),
        result((2, 0, 4, 2), (4, 6), 0.2, 0.7),
        result((0, 2, 2, 6), (4, 6), 0.3, 0.8, low=True),
        result((2, 2, 4, 6), (4, 6), 0.8, 0.9, low=True),
    )
    assert merged["p_malignant"] == pytest.approx(0.35)
    assert merged["scores"] == pytest.approx([0.75])
    assert merged["low_confidence"] is False  # two of four are not most
    # columns 0-1 in all four views, 2-3 in two of four
    assert merged["rois"].tolist() == [[0, 0, 2, 4]]


@pytest.mark.parametrize(
    "threshold, expected",
    [
        # the mean, .35, exceeds .3, unlike three of the views
        (0.3, "malignant"),
        (0.4, "benign"),
        (None, "benign"),
    ],
)
def test_the_mean_probability_decides_on_the_class(threshold, expected):
    def view(p_malignant):
        answer = result((0, 0, 2, 2), (4, 6), p_malignant)
        cut = 0.5 if threshold is None else threshold
        return answer | {
            "probs": np.array([[0.0, 1 - p_malignant, p_malignant]]),
            "threshold": threshold,
            "predicted_class_id": 2 if p_malignant >= cut else 1,
        }

    merged = scripted(view(0.2), view(0.2), view(0.2), view(0.8))
    row, _ = describe_answer(merged, (4, 6), ["BG", "benign", "malignant"])
    assert row["predicted_class"] == expected and row["threshold"] == threshold
    assert merged["probs"] == pytest.approx(np.array([[0, 0.65, 0.35]]))


def test_a_view_without_lesion_has_no_vote_on_the_mask():
    nothing = {
        "rois": np.zeros((0, 4)),
        "class_ids": np.zeros(0, int),
        "scores": np.zeros(0),
        "masks": np.zeros((4, 6, 0), bool),
        "p_malignant": None,
        "low_confidence": True,
    }
    merged = scripted(result((1, 1, 3, 3), (4, 6), 0.5), nothing, nothing, nothing)
    assert merged["rois"].tolist() == [[1, 1, 3, 3]]
    assert merged["p_malignant"] == pytest.approx(0.5)
    assert merged["low_confidence"] is True
    assert "unfamiliar" not in merged  # no view measures it
    merged = scripted(nothing, nothing, nothing, nothing)
    assert merged["rois"].shape == (0, 4) and merged["p_malignant"] is None


def test_boxes_of_a_model_without_masks_are_averaged():
    answers = [result((0, 0, 4, x), (4, 6), None) for x in (2, 4)]
    answers += [result((0, 6 - x, 4, 6), (4, 6), None) for x in (3, 5)]
    for answer in answers:
        del answer["masks"]
    merged = scripted(*answers)
    assert merged["rois"].tolist() == [[0, 0, 4, 3.5]]
    assert merged["p_malignant"] is None and "masks" not in merged


@pytest.mark.parametrize(
    "scores, mean, unfamiliar",
    [((0.5, 1.5, 0.5, 0.5), 0.75, False), ((0.5, 1.5, 1.5, 1.5), 1.25, True)],
)
def test_distances_from_the_training_images_are_averaged(scores, mean, unfamiliar):
    view = result((0, 0, 2, 2), (4, 6))
    merged = scripted(*({**view, "unfamiliar_score": score} for score in scores))
    assert merged["unfamiliar_score"] == pytest.approx(mean)
    assert merged["unfamiliar"] is unfamiliar
