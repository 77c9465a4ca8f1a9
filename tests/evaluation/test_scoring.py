"""evaluate() with a scripted detector on five tiny images; every file is read back."""

import functools
import json
import math

import numpy as np
import pandas as pd
import pictures
import pytest
from PIL import Image

from mrcnn_skin.data.dataset import Dataset
from mrcnn_skin.data.files import UnreadableImage
from mrcnn_skin.evaluation import scoring
from mrcnn_skin.evaluation.scoring import describe_answer, evaluate, format_metrics
from mrcnn_skin.evaluation.subgroups import describe
from mrcnn_skin.evaluation.submission import official_mask

SHAPE = (8, 10)
rectangle = functools.partial(pictures.rectangle, shape=SHAPE)


class FiveLesions(Dataset):
    """Images that hold nothing but their own number, so that a detector knows them."""

    truth = [
        ("exact", 2, [rectangle(2, 2, 6, 6)]),
        ("shifted", 1, [rectangle(0, 0, 4, 4)]),
        ("two_parts", 2, [rectangle(0, 0, 2, 4), rectangle(2, 0, 4, 4)]),
        ("missed", 1, [rectangle(4, 4, 6, 6)]),
        ("no_truth", 0, []),
    ]

    def __init__(self):
        super().__init__()
        self.add_class("tiny", 1, "benign")
        self.add_class("tiny", 2, "malignant")
        for name, class_id, _ in self.truth:
            self.add_image("tiny", name, path="", class_id=class_id)
        self.prepare()

    def load_image(self, image_id):
        return np.full((*SHAPE, 3), image_id, np.uint8)

    def load_mask(self, image_id):
        _, class_id, masks = self.truth[image_id]
        stack = np.stack(masks, -1) if masks else np.zeros((*SHAPE, 0), bool)
        return stack, np.full(len(masks), class_id, np.int32)


class WithCrowds(FiveLesions):
    """A crowd beside the first lesion, and nothing but a crowd in the second."""

    def load_mask(self, image_id):
        masks, class_ids = super().load_mask(image_id)
        if image_id > 1:
            return masks, class_ids
        crowd = rectangle(0, 6, 8, 10)[..., None]
        if image_id == 1:
            return crowd, np.array([-1], np.int32)
        return np.concatenate([masks, crowd], -1), np.append(class_ids, -2)


def test_the_true_mask_has_no_crowds():
    answers = [found((2, 2, 6, 6), 0.5), found((0, 0, 4, 4), 0.5)]
    scores, _ = scoring.score_images(
        lambda image: answers[image.flat[0]],
        WithCrowds(),
        image_ids=[0, 1],
        progress=False,
        details=[describe],
    )
    plain, _ = scoring.score_images(
        lambda image: answers[image.flat[0]],
        FiveLesions(),
        image_ids=[0],
        progress=False,
    )
    assert scores["JA"][0] == plain["JA"][0] and scores["box_iou"][0] == 1
    assert scores["true_area_share"][0] == pytest.approx(16 / 80)
    assert np.isnan(scores["JA"][1]) and np.isnan(scores["true_area_share"][1])


def found(box, p_malignant, low_confidence=False, other=None):
    """A result with one lesion filling its box, or two of which the first is best."""
    boxes = [box] if other is None else [box, other]
    return {
        "rois": np.array(boxes),
        "class_ids": np.full(len(boxes), 2),
        "scores": np.linspace(0.9, 0.8, len(boxes)),
        "masks": np.stack([rectangle(*b) for b in boxes], -1),
        "p_malignant": p_malignant,
        "low_confidence": low_confidence,
    }


NOTHING = {
    "rois": np.zeros((0, 4)),
    "class_ids": np.zeros(0, int),
    "scores": np.zeros(0),
    "masks": np.zeros((*SHAPE, 0), bool),
    "p_malignant": 0.5,
    "low_confidence": True,
}
RESULTS = [
    found((2, 2, 6, 6), 1.0),
    found((0, 1, 4, 5), 0.25),  # 12 of 16 pixels each: JA = 12/20, DI = 24/32
    found((0, 0, 4, 4), 0.125, other=(5, 5, 8, 8)),
    NOTHING,
    found((0, 0, 2, 2), 0.75, low_confidence=True),
]


def detector(image):
    assert image.shape == (*SHAPE, 3) and image.dtype == np.uint8
    return RESULTS[image[0, 0, 0]]


def without(key):
    """The same detector, of a model that lacks one head."""

    def detect(image):
        result = dict(detector(image))
        if key == "masks":
            del result["masks"]
        else:
            result["p_malignant"] = None
        return result

    return detect


@pytest.fixture
def metrics():
    return evaluate(detector, FiveLesions(), progress=False)


def test_segmentation_and_boxes_skip_the_image_without_truth(metrics):
    # JA per image: 1, 12/20 = .6, 1, 0
    segmentation = metrics["segmentation"]
    assert segmentation["images"] == 4
    assert segmentation["JA"] == pytest.approx(2.6 / 4)
    assert segmentation["JA65"] == pytest.approx(2 / 4)
    assert segmentation["DI"] == pytest.approx((1 + 0.75 + 1 + 0) / 4)
    # missed: 4 pixels of 80 wrong; shifted: 8 of 80
    assert segmentation["AC"] == pytest.approx((1 + 72 / 80 + 1 + 76 / 80) / 4)
    # the boxes are as the masks
    assert metrics["detection"] == {"images": 4, "box_iou": pytest.approx(2.6 / 4)}


def test_classification_skips_the_image_without_label(metrics):
    # malignant 1.0 and .125, benign .25 and .5: pairs won 2 + 0 of 4
    classification = metrics["classification"]
    assert classification["images"] == 4
    assert classification["AUC"] == 0.5
    assert classification["SE"] == 0.5
    assert classification["SP"] == 1.0
    assert classification["BMA"] == 0.5  # .5 is undecided: (1/2 + 1/2) / 2


def test_counts(metrics):
    assert (metrics["images"], metrics["low_confidence"]) == (5, 2)
    assert "unfamiliar" not in metrics  # this detector does not measure it
    assert "unfamiliar" not in format_metrics(metrics)


def test_unfamiliar_images_are_counted_and_listed(tmp_path):
    scores = iter([0.5, 1.5, 0.25, 3.0, 0.75])

    def measuring(image):
        score = next(scores)
        return detector(image) | {"unfamiliar": score > 1, "unfamiliar_score": score}

    metrics = evaluate(measuring, FiveLesions(), tmp_path, progress=False)
    assert metrics["unfamiliar"] == 2
    assert "5 images, 2 low confidence, 2 unfamiliar" in format_metrics(metrics)
    table = pd.read_csv(tmp_path / "per_image.csv")
    assert table["unfamiliar"].to_list() == [False, True, False, True, False]
    assert table["unfamiliar_score"].to_list() == [0.5, 1.5, 0.25, 3.0, 0.75]


class Damaged(FiveLesions):
    """Some images have become unreadable since they were checked."""

    bad = (0, 3)

    def load_image(self, image_id):
        if image_id in self.bad:
            raise UnreadableImage(f"{image_id}.jpg", "image file is truncated")
        return super().load_image(image_id)


def test_an_unreadable_image_is_named_and_counted_and_the_others_are_scored(tmp_path):
    with pytest.warns(UserWarning, match="[03].jpg.*truncated; not scored") as warned:
        metrics = evaluate(detector, Damaged(), tmp_path, progress=False)
    assert len(warned) == 2
    assert metrics["images"] == 3 and metrics["unreadable"] == 2
    assert metrics["segmentation"]["JA"] == pytest.approx((12 / 20 + 1) / 2)
    assert "2 more could not be read" in format_metrics(metrics)
    assert json.loads((tmp_path / "metrics.json").read_text())["unreadable"] == 2


def test_no_readable_image_is_an_error():
    damaged = Damaged()
    damaged.bad = range(5)
    with (
        pytest.warns(UserWarning, match="not scored"),
        pytest.raises(ValueError, match="none of the 5 images"),
    ):
        evaluate(detector, damaged, progress=False)


def test_nothing_is_written_without_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    evaluate(detector, FiveLesions(), progress=False)
    assert list(tmp_path.iterdir()) == []


def test_files_read_back(tmp_path):
    metrics = evaluate(detector, FiveLesions(), tmp_path / "out", progress=False)
    out = tmp_path / "out"
    assert sorted(p.name for p in out.iterdir()) == [
        "classification.csv",
        "masks",
        "metrics.json",
        "per_image.csv",
    ]
    assert json.loads((out / "metrics.json").read_text()) == metrics

    table = pd.read_csv(out / "per_image.csv", index_col="image")
    assert list(table.index) == [name for name, _, _ in FiveLesions.truth]
    assert table["true_class"].fillna("").to_list() == [
        "malignant",
        "benign",
        "malignant",
        "benign",
        "",
    ]
    assert table.loc["shifted", ["y1", "x1", "y2", "x2"]].to_list() == [0, 1, 4, 5]
    assert table.loc["shifted", "JA"] == pytest.approx(0.6)
    assert table.loc["missed", ["y1", "score"]].isna().all()
    assert table.loc["no_truth", ["box_iou", "JA", "AC"]].isna().all()
    assert table["low_confidence"].to_list() == [False, False, False, True, True]


def test_mask_files_have_the_official_form(tmp_path):
    evaluate(detector, FiveLesions(), tmp_path, progress=False)
    expected = {
        "exact": rectangle(2, 2, 6, 6),
        "shifted": rectangle(0, 1, 4, 5),
        "two_parts": rectangle(0, 0, 4, 4),  # the best lesion, not the second
        "missed": np.zeros(SHAPE, bool),
        "no_truth": rectangle(0, 0, 2, 2),
    }
    assert len(list((tmp_path / "masks").iterdir())) == len(expected)
    for name, mask in expected.items():
        with Image.open(tmp_path / "masks" / f"{name}_segmentation.png") as image:
            assert (image.format, image.mode) == ("PNG", "L")
            assert np.array_equal(np.asarray(image), mask * 255)


def test_classification_file_has_the_official_form(tmp_path):
    evaluate(detector, FiveLesions(), tmp_path, progress=False)
    header, *rows = (tmp_path / "classification.csv").read_text().splitlines()
    assert header == "image,malignant"
    values = dict(row.split(",") for row in rows)
    assert {name: float(value) for name, value in values.items()} == {
        "exact": 1.0,
        "shifted": 0.25,
        "two_parts": 0.125,
        "missed": 0.5,
        "no_truth": 0.75,
    }
    assert all("." in value for value in values.values())


def test_undefined_scores_become_null(tmp_path):
    dataset = FiveLesions()
    dataset.image_info = dataset.image_info[:1]  # one malignant image: no AUC
    dataset.prepare()
    metrics = evaluate(detector, dataset, tmp_path, progress=False)
    assert math.isnan(metrics["classification"]["AUC"])

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    text = (tmp_path / "metrics.json").read_text()
    written = json.loads(text, parse_constant=refuse)
    assert written["classification"]["AUC"] is None
    assert written["classification"]["SE"] == 1.0


def test_model_without_mask_head(tmp_path):
    metrics = evaluate(without("masks"), FiveLesions(), tmp_path, progress=False)
    assert "segmentation" not in metrics
    assert metrics["detection"]["box_iou"] == pytest.approx(0.65)
    assert metrics["classification"]["AUC"] == 0.5
    assert not (tmp_path / "masks").exists()


def test_model_without_class_head(tmp_path):
    metrics = evaluate(without("p_malignant"), FiveLesions(), tmp_path, progress=False)
    assert "classification" not in metrics
    assert metrics["segmentation"]["JA"] == pytest.approx(0.65)
    assert not (tmp_path / "classification.csv").exists()


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    evaluate(detector, FiveLesions(), tmp_path, progress=False)
    before = (tmp_path / "metrics.json").read_bytes()

    def disk_full(path, text, **kwargs):
        with open(path, "w") as file:
            file.write(text[:5])
        raise OSError("disk full")

    monkeypatch.setattr(scoring.Path, "write_text", disk_full)
    with pytest.raises(OSError, match="disk full"):
        evaluate(detector, FiveLesions(), tmp_path, progress=False)
    assert (tmp_path / "metrics.json").read_bytes() == before
    assert not list(tmp_path.glob(".*"))


def test_official_mask_fills_holes_and_drops_specks():
    drawing = [
        "111110000011",
        "100010000011",
        "101010000000",  # an island inside the ring's hole
        "100010000000",
        "111110000001",
    ]
    mask = np.array([[pixel == "1" for pixel in line] for line in drawing])
    expected = np.zeros((5, 12), bool)
    expected[:, :5] = True  # the ring and all that it surrounds
    original = mask.copy()
    assert np.array_equal(official_mask(mask), expected)
    assert np.array_equal(mask, original)


def test_official_mask_of_an_empty_mask():
    assert not official_mask(np.zeros((3, 4), bool)).any()


def test_format_metrics_aligns_names_and_values(metrics):
    lines = format_metrics(metrics).splitlines()
    assert lines[0] == "5 images, 2 low confidence"
    start = next(i for i, line in enumerate(lines) if line.startswith("segmentation"))
    names, values = lines[start], lines[start + 1]
    assert len(names) == len(values)
    end = names.index("JA65") + len("JA65")
    assert values[:end].split()[-1] == "0.500"


def test_format_metrics_of_a_model_without_class_head():
    metrics = evaluate(without("p_malignant"), FiveLesions(), progress=False)
    assert "classification" not in format_metrics(metrics)


def test_an_answer_has_the_fewest_digits_and_no_class_that_was_not_asked_for():
    result = found((2, 2, 6, 6), float(np.float32(0.7)))
    result["rois"] = np.array([[2.25, 46.4, 6, 46.44]], np.float32)
    result["scores"] = np.array([0.9], np.float32)
    probs = np.array([[0.1, 0.2, 0.7]])
    names = ["BG", "benign", "malignant"]
    row, mask = describe_answer(result | {"probs": probs}, SHAPE, names)
    assert row == {
        "p_malignant": 0.7,
        "predicted_class": "malignant",
        "threshold": None,
        "score": 0.9,
        "low_confidence": False,
        "unfamiliar": None,
        "unfamiliar_score": None,
        **{"y1": 2.2, "x1": 46.4, "y2": 6.0, "x2": 46.4},
        "lesion_area": 16,
    }
    assert np.array_equal(mask, rectangle(2, 2, 6, 6))
    decided = {"probs": probs, "predicted_class_id": 1, "threshold": 0.8}
    row, mask = describe_answer(result | decided, SHAPE, names)
    assert (row["predicted_class"], row["threshold"]) == ("benign", 0.8)
    row, mask = describe_answer(without_masks(result), SHAPE, names)
    assert row["predicted_class"] is row["lesion_area"] is mask is None
    row, mask = describe_answer(NOTHING, SHAPE, names)
    assert row["score"] is row["y1"] is row["predicted_class"] is None
    assert row["lesion_area"] == 0 and not mask.any()


def without_masks(result):
    return {name: value for name, value in result.items() if name != "masks"}
