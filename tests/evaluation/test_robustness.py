"""What each corruption does to an image, and the table of drops of known detectors."""

import numpy as np
import pytest

from mrcnn_skin.data.dataset import Dataset
from mrcnn_skin.evaluation.corruptions import CORRUPTIONS
from mrcnn_skin.evaluation.robustness import CorruptedDataset, robustness_table
from mrcnn_skin.evaluation.scoring import score_images

GREY = np.full((60, 80, 3), 150, np.uint8)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_seed_repeats_and_the_image_stays(name):
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    original = noise.copy()
    first, again, other = (
        CORRUPTIONS[name](noise, np.random.default_rng(seed)) for seed in (1, 1, 3)
    )
    assert np.array_equal(first, again)
    assert np.array_equal(noise, original)
    assert first.dtype == np.uint8 and not np.array_equal(first, noise)
    if name != "ruler":  # two edges only
        assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    "name, least, most",
    [("hair", 0.03, 0.5), ("ruler", 0.005, 0.15), ("ink", 0.02, 0.3)]
    + [("coloured patch", 0.02, 0.2), ("dark corners", 0.01, 0.3)],
)
def test_overlays_cover_a_part(name, least, most):
    for seed in range(5):
        spoiled = CORRUPTIONS[name](GREY, np.random.default_rng(seed))
        share = (spoiled != GREY).any(axis=-1).mean()
        assert least < share < most
        if name != "hair":
            assert (spoiled[20:40, 30:50] == GREY[20:40, 30:50]).all(), "middle"


def test_hairs_and_ticks_are_darker():
    for name in ("hair", "ruler"):
        assert (CORRUPTIONS[name](GREY, np.random.default_rng(0)) <= GREY).all()


def test_blur_keeps_the_mean_and_loses_the_detail():
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    blurred = CORRUPTIONS["blur"](noise, np.random.default_rng(0))
    assert blurred.mean() == pytest.approx(noise.mean(), abs=1)
    assert blurred.std() < noise.std() / 4


def test_brightness_is_a_factor():
    generators = map(np.random.default_rng, range(8))
    values = {CORRUPTIONS["brightness"](GREY, rng)[0, 0, 0] for rng in generators}
    assert values == {round(150 * 0.67), round(150 * 1.33)}


class TwoLesions(Dataset):
    """A bright square on the left; the malignant one is brighter."""

    def __init__(self):
        super().__init__()
        self.add_class("tiny", 1, "benign")
        self.add_class("tiny", 2, "malignant")
        for i in range(6):
            self.add_image("tiny", str(i), path="", class_id=1 + i % 2)
        self.prepare()

    def load_image(self, image_id):
        image = np.zeros((30, 40, 3), np.uint8)
        image[self._square()] = 180 + 10 * (image_id % 2)
        return image

    def load_mask(self, image_id):
        mask = np.zeros((30, 40, 1), bool)
        mask[self._square()] = True
        return mask, np.array([1 + image_id % 2])

    def _square(self):
        return slice(8, 20), slice(4, 14)


def find_bright(image):
    mask = image.min(axis=-1) > 60
    y, x = np.nonzero(mask)
    return {
        "rois": np.array([[y.min(), x.min(), y.max() + 1, x.max() + 1]]),
        "class_ids": np.array([1]),
        "scores": np.array([0.9]),
        "masks": mask[:, :, None],
        "p_malignant": float(np.median(image[mask]) > 185),
        "low_confidence": False,
    }


def test_rotation_turns_image_and_mask_alike():
    turned = CorruptedDataset(TwoLesions(), "rotation")
    for image_id in range(6):
        image, (masks, _) = turned.load_image(image_id), turned.load_mask(image_id)
        assert masks.sum() == 120
        assert np.array_equal(masks[..., 0], image[..., 0] > 0)


def test_drops_of_a_detector_that_looks_at_brightness():
    dataset = TwoLesions()
    clean, _ = score_images(find_bright, dataset, progress=False)
    assert (clean["JA"] == 1).all()
    table = robustness_table(find_bright, dataset, clean, 50, progress=False)
    table = table.set_index(["corruption", "metric"])
    assert (table["clean"] == 1).all()
    assert (table["drop"] == table["clean"] - table["value"]).all()
    # A quarter turn costs it nothing, neither do darker corners; two thirds of 190
    # are below 185, and four thirds of 180 above.
    assert table.loc["rotation", "drop"].tolist() == [0] * 5
    assert table.loc[("brightness", "JA"), "drop"] == 0
    assert table.loc[("brightness", "SE"), "value"] < 1
    assert set(table["images"]) == {6}
    assert set(table.index.levels[0]) == set(CORRUPTIONS)
