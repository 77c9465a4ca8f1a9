"""COCO's average precision on boxes whose overlaps are known."""

import functools

import numpy as np
import pictures
import pytest

from mrcnn_skin.evaluation.coco import CocoScorer
from mrcnn_skin.evaluation.scoring import Case

pytest.importorskip("pycocotools", reason="the extra coco is not installed")

SHAPE = (20, 20)
SEVEN_OF_TEN = {"AP": 0.7, "AP50": 1, "AP75": 1}
rectangle = functools.partial(pictures.rectangle, shape=SHAPE)


def case(truth, found, class_ids=(1,), scores=None, true_class=1):
    """One true box; boxes found, each filled by its mask."""
    masks = [rectangle(*box) for box in found]
    result = {
        "rois": np.array(found, float).reshape(-1, 4),
        "class_ids": np.array(class_ids[: len(found)]),
        "scores": np.array(scores or np.linspace(0.9, 0.8, len(found))),
        "masks": np.stack(masks, -1) if masks else np.zeros((*SHAPE, 0), bool),
        "p_malignant": 0.5 if found else None,
        "low_confidence": False,
    }
    image = np.zeros((*SHAPE, 3), np.uint8)
    return Case({}, image, rectangle(*truth)[..., None], np.array([true_class]), result)


def scores(*cases, classifies=True):
    scorer = CocoScorer(classifies)
    for one in cases:
        assert scorer(one) == {}
    return scorer.scores()


def test_precision_over_ten_thresholds():
    # 10x10 found as 8x10: IoU .8 meets .50, .55 ... .80, seven of ten thresholds
    result = scores(case((0, 0, 10, 10), [(0, 0, 8, 10)]))
    assert result["box"] == pytest.approx(SEVEN_OF_TEN)
    assert result["mask"] == pytest.approx(SEVEN_OF_TEN)


def test_the_class_must_be_right():
    wrong = case((0, 0, 10, 10), [(0, 0, 10, 10)], class_ids=(2,))
    assert scores(wrong)["box"]["AP50"] == 0
    # ... but for a model without diagnoses, which calls everything a lesion
    other = case((0, 0, 10, 10), [(0, 0, 10, 10)], class_ids=(1,), true_class=2)
    assert scores(other, classifies=False)["box"]["AP50"] == pytest.approx(1)


def test_a_surer_false_find_halves_the_precision():
    both = case((0, 0, 10, 10), [(10, 10, 20, 20), (0, 0, 10, 10)], (1, 1))
    assert scores(both)["box"]["AP50"] == pytest.approx(0.5)


def test_a_missed_lesion_halves_the_recall():
    found = case((0, 0, 10, 10), [(0, 0, 10, 10)], (2,), true_class=2)
    missed = case((0, 0, 9, 9), [], true_class=2)
    # recall .5 is reached: 51 of the 101 points of recall have precision 1
    assert scores(found, missed)["mask"]["AP50"] == pytest.approx(51 / 101)


def test_what_overlaps_a_crowd_is_no_false_find():
    crowd = case((10, 10, 20, 20), [(10, 10, 20, 20)], true_class=-1)
    found = case((0, 0, 10, 10), [(0, 0, 10, 10)], scores=[0.5])
    assert scores(crowd, found)["box"]["AP50"] == pytest.approx(1)


def test_nothing_found_and_nothing_to_find():
    assert scores(case((0, 0, 9, 9), []))["box"] == {"AP": 0, "AP50": 0, "AP75": 0}
    assert np.isnan(CocoScorer(True).scores()["box"]["AP"])


def test_images_without_diagnosis_are_left_out():
    unknown = case((0, 0, 10, 10), [], true_class=0)
    known = case((0, 0, 5, 5), [(0, 0, 5, 5)])
    assert scores(unknown, known)["box"]["AP50"] == pytest.approx(1)


def test_a_model_without_masks():
    one = case((0, 0, 10, 10), [(0, 0, 8, 10)])
    del one.result["masks"]
    result = scores(one)
    assert list(result) == ["box"]
    assert result["box"] == pytest.approx(SEVEN_OF_TEN)
