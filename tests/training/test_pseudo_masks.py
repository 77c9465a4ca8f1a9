"""Pseudo-masks: which outlines are kept, and that they are never ground truth."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mrcnn_skin import IsicDataset
from mrcnn_skin.data.files import UnreadableImage, read_mask
from mrcnn_skin.evaluation.scoring import score_images
from mrcnn_skin.training.pseudo_masks import TABLE, add_pseudo_masks

BOX = (20, 10, 40, 30)  # of the lesion in every picture
MALIGNANT = ("c", "d")


@pytest.fixture
def folder(tmp_path):
    """Five images with a diagnosis; only "a" has a mask."""
    (tmp_path / "masks").mkdir()
    image = np.full((60, 80, 3), 200, np.uint8)
    image[20:40, 10:30] = 60
    for number, name in enumerate("abcde"):
        image[0, 0] = number
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    mask = np.zeros((60, 80), np.uint8)
    mask[20:40, 10:30] = 255
    Image.fromarray(mask).save(tmp_path / "masks" / "a.png")
    labels = [f"{n},{'malignant' if n in MALIGNANT else 'benign'}" for n in "abcde"]
    (tmp_path / "labels.csv").write_text("\n".join(["image,label", *labels]))
    return tmp_path


class Detector:
    """b is sure; c unsure; d of a low score; e another outline in the mirror."""

    def __init__(self):
        self.seen = 0

    def __call__(self, image):
        self.seen += 1
        is_mirrored = image[0, 0, 0] == 200
        name = "abcde"[image[0, -1 if is_mirrored else 0, 0]]
        y1, x1, y2, x2 = BOX
        if is_mirrored:
            x1, x2 = 80 - x2, 80 - x1
        if name == "e" and is_mirrored:
            y2 += 3  # 20 of 23 rows agree: .87
        mask = np.zeros((60, 80, 1), bool)
        mask[y1:y2, x1:x2] = True
        return {
            "rois": np.array([[y1, x1, y2, x2]]),
            "scores": np.array([0.89 if name == "d" else 0.95]),
            "masks": mask,
            "low_confidence": name == "c",
            "p_malignant": 0.5,
        }


def open_folder(folder):
    dataset = IsicDataset()
    dataset.load_isic(folder, None, require_masks=False)
    dataset.prepare()
    return dataset


def test_confident_outlines_are_trained_on_and_others_dropped(folder, tmp_path):
    dataset, detector, out = open_folder(folder), Detector(), tmp_path / "logs"
    table = add_pseudo_masks(dataset, detector, out, progress=False)
    assert detector.seen == 7  # c is not asked again in the mirror
    kept = table.set_index("image_id")["mask"] != ""
    assert kept.to_dict() == {"b": True, "c": False, "d": False, "e": False}
    assert [info["id"] for info in dataset.image_info] == ["a", "b"]
    reasons = dataset.dropped.set_index("image_id")["reason"]
    assert list(reasons.index) == ["c", "d", "e"]
    assert set(reasons) == {"no mask, and no confident pseudo-mask"}
    mask, class_ids = dataset.load_mask(1)
    assert class_ids.tolist() == [1] and mask[20:40, 10:30].all() and mask.sum() == 400

    again = open_folder(folder)
    assert add_pseudo_masks(again, detector, out, progress=False).equals(
        pd.read_csv(out / TABLE).fillna({"mask": ""})
    )
    assert detector.seen == 7, "the masks of the first run serve again"
    assert [info["is_pseudo_mask"] for info in again.image_info] == [False, True]


def test_nothing_is_scored_against_a_pseudo_mask(folder, tmp_path):
    dataset, detector = open_folder(folder), Detector()
    add_pseudo_masks(dataset, detector, tmp_path / "logs", progress=False)
    with pytest.raises(ValueError, match="1 of 2 masks are pseudo-masks"):
        score_images(detector, dataset, progress=False)
    rows, _ = score_images(detector, dataset, progress=False, image_ids=[0])
    assert rows["JA"].tolist() == [1.0]


@pytest.mark.parametrize("check", ["header", "full"])
def test_a_predicted_mask_in_the_data_folder_is_no_truth(folder, check):
    dataset, out = open_folder(folder), folder / "logs"
    table = add_pseudo_masks(dataset, Detector(), out, progress=False)
    predicted = table["mask"].iloc[0]
    with pytest.raises(UnreadableImage, match="predicted by this package"):
        read_mask(predicted)
    for values in (None, (0,)):  # those of the true masks
        mask = read_mask(predicted, values=values, allow_prediction=True)
        assert mask.sum() == 400
    (folder / "masks" / "b.png").write_bytes(open(predicted, "rb").read())
    fresh = IsicDataset()
    fresh.load_isic(folder, None, check=check)
    assert [info["id"] for info in fresh.image_info] == ["a"]
    reason = fresh.dropped.set_index("image_id")["reason"]["b"]
    assert reason.startswith("unreadable mask: it was predicted by this package")
