"""Generated lesions: reproducible, plausible, learnable but not trivial."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import ndimage
from skimage import measure
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mrcnn_skin.data import synthetic
from mrcnn_skin.data.isic_layouts import read_records
from mrcnn_skin.data.synthetic import (
    SyntheticDataset,
    synthetic_lesion,
    write_synthetic_isic,
)

BENIGN, MALIGNANT = 1, 2


@pytest.fixture(scope="module")
def lesions():
    """300 lesions, (image, mask, malignant), every other one malignant."""
    return [synthetic_lesion(i, (96, 96), i % 2 == 1) for i in range(300)]


def test_the_lesion_depends_on_the_seed():
    first = synthetic_lesion(7, (48, 64))
    again = synthetic_lesion(7, (48, 64))
    other = synthetic_lesion(8, (48, 64))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert first[2] == again[2]
    assert (first[0] != other[0]).mean() > 0.5


def test_shapes_and_types():
    image, mask, malignant = synthetic_lesion(0, (40, 56))
    assert image.shape == (40, 56, 3) and image.dtype == np.uint8
    assert mask.shape == (40, 56) and mask.dtype == bool
    assert isinstance(malignant, bool)
    assert image.flags["C_CONTIGUOUS"]


def test_a_class_is_given_or_drawn():
    assert synthetic_lesion(3, (32, 32), malignant=True)[2] is True
    assert synthetic_lesion(3, (32, 32), malignant=False)[2] is False
    drawn = [synthetic_lesion(seed, (32, 32))[2] for seed in range(60)]
    assert 18 <= sum(drawn) <= 42  # within 3 deviations of 30


def test_the_scene_is_the_same_at_every_size():
    for seed in range(8):
        small, small_mask, _ = synthetic_lesion(seed, (96, 128), True)
        large, large_mask, _ = synthetic_lesion(seed, (288, 384), True)
        middle = large_mask[1::3, 1::3]  # the pixels with the same centres
        assert (middle & small_mask).sum() / (middle | small_mask).sum() > 0.95
        blurred = [
            ndimage.gaussian_filter(image.astype(float), (sigma, sigma, 0))
            for image, sigma in ((small, 2), (large, 6))
        ]
        assert np.abs(blurred[0] - blurred[1][1::3, 1::3]).mean() < 3


def test_the_lesion_is_one_region_of_3_to_50_percent(lesions):
    areas = [mask.mean() for _, mask, _ in lesions]
    assert min(areas) >= 0.03 and max(areas) <= 0.5
    assert min(areas) < 0.06 and max(areas) > 0.35  # the range is used
    # A notch of less than a pixel may part a speck from the rest, seldom.
    regions = [measure.label(mask, connectivity=2).max() for _, mask, _ in lesions]
    assert np.mean(np.array(regions) == 1) > 0.97


def test_some_lesions_are_cut_off_by_the_edge_and_most_are_not(lesions):
    edge = np.ones((96, 96), bool)
    edge[1:-1, 1:-1] = False
    share = np.mean([(mask & edge).any() for _, mask, _ in lesions])
    assert 0.05 < share < 0.4


def test_lesions_are_darker_than_the_skin_around_them(lesions):
    differences = []
    for image, mask, _ in lesions:
        near = ndimage.binary_dilation(mask, iterations=3)
        ring = ndimage.binary_dilation(mask, iterations=8) & ~near
        green = image[:, :, 1].astype(float)
        differences.append(np.median(green[ring]) - np.median(green[mask]))
    assert np.mean(np.array(differences) > 10) > 0.95
    assert np.median(differences) > 25


def test_skin_runs_from_light_to_dark(lesions):
    skin = [np.median(image[~mask], axis=0) for image, mask, _ in lesions]
    red, green, blue = np.array(skin).T
    assert red.min() < 120 and red.max() > 210
    assert (red > green).all() and (red > blue).all()


def test_dark_corners_are_no_sign_of_a_class(lesions):
    corners = [image[:3, :3].mean() < 10 for image, _, _ in lesions]
    shares = np.mean(corners[0::2]), np.mean(corners[1::2])
    assert all(0.1 < share < 0.45 for share in shares)
    assert abs(shares[0] - shares[1]) < 0.2  # 4 deviations for 150 of each


def measured_abc(image, mask):
    """Asymmetry, border and colours, measured as a dermatologist's ruler would."""
    region = measure.regionprops(mask.astype(int))[0]
    points = np.argwhere(mask)
    turned = np.round(2 * points.mean(axis=0) - points).astype(int)
    kept = ((turned >= 0) & (turned < mask.shape)).all(axis=1)
    asymmetry = 1 - mask[tuple(turned[kept].T)].sum() / len(points)
    border = region.perimeter**2 / (4 * np.pi * region.area)  # 1 for a disk
    return asymmetry, border, *image[mask].std(axis=0)


@pytest.fixture(scope="module")
def measured(lesions):
    features = np.array([measured_abc(image, mask) for image, mask, _ in lesions])
    return features, np.array([malignant for _, _, malignant in lesions])


@pytest.mark.parametrize("feature", ["asymmetry", "border", "red", "green", "blue"])
def test_no_measured_sign_is_enough(measured, feature):
    features, malignant = measured
    column = ["asymmetry", "border", "red", "green", "blue"].index(feature)
    assert 0.75 < roc_auc_score(malignant, features[:, column]) < 0.99


def test_the_classes_can_be_learnt_but_overlap(measured):
    features, malignant = measured
    model = make_pipeline(StandardScaler(), LogisticRegression())
    scores = cross_val_predict(
        model, features, malignant, cv=5, method="predict_proba"
    )[:, 1]
    assert 0.9 < roc_auc_score(malignant, scores) < 0.995


def test_a_too_small_size_is_refused():
    with pytest.raises(ValueError, match=r"size must be 32 or more .* \(31, 64\)"):
        synthetic_lesion(0, (31, 64))


def test_dataset_has_the_interface_of_isic():
    dataset = SyntheticDataset(6, size=(40, 48), seed=3)
    assert dataset.class_names == ["BG", "benign", "malignant"]
    assert dataset.num_images == 6
    for i in dataset.image_ids:
        image = dataset.load_image(i)
        masks, class_ids = dataset.load_mask(i)
        assert image.shape == (40, 48, 3) and image.dtype == np.uint8
        assert masks.shape == (40, 48, 1) and masks.dtype == bool
        assert class_ids.dtype == np.int32
        assert class_ids.tolist() == [dataset.image_info[i]["class_id"]]
    assert sorted(dataset.labels()) == [BENIGN] * 3 + [MALIGNANT] * 3
    assert "seed 3, image 2" in dataset.image_reference(2)


def test_image_and_mask_are_of_one_lesion():
    """The mask that comes with the image is darker inside than out, for each."""
    dataset = SyntheticDataset(12, size=(64, 64), seed=1)
    for i in dataset.image_ids:
        green = dataset.load_image(i)[:, :, 1].astype(float)
        mask = dataset.load_mask(i)[0][:, :, 0]
        ring = ndimage.binary_dilation(mask, iterations=6) & ~mask
        assert np.median(green[mask]) < np.median(green[ring])


def test_an_image_depends_on_seed_and_index_alone():
    short, long = SyntheticDataset(4, (32, 32)), SyntheticDataset(9, (32, 32))
    for i in short.image_ids:
        np.testing.assert_array_equal(short.load_image(i), long.load_image(i))
    validation = SyntheticDataset(9, (32, 32), seed=1)
    pictures = {
        dataset.load_image(i).tobytes()
        for dataset in (long, validation)
        for i in dataset.image_ids
    }
    assert len(pictures) == 18


def test_a_large_seed_does_not_meet_a_small_one():
    """2**32 and 0 share a 32-bit word: (2**32, 0) must not be (0, 1)."""
    large, small = (SyntheticDataset(2, (32, 32), seed, 0) for seed in (2**32, 0))
    assert (large.load_image(0) != small.load_image(1)).any()


def test_each_image_is_painted_once(monkeypatch):
    calls = []

    def counting(*args):
        calls.append(args)
        return synthetic_lesion(*args)

    monkeypatch.setattr(synthetic, "synthetic_lesion", counting)
    dataset = SyntheticDataset(3, size=(32, 32), seed=987654)
    for i in dataset.image_ids:
        dataset.load_image(i)
        dataset.load_mask(i)
    assert len(calls) == 3


def test_what_is_loaded_may_be_changed():
    dataset = SyntheticDataset(1, size=(32, 32), seed=5)
    image, (masks, _) = dataset.load_image(0), dataset.load_mask(0)
    kept_image, kept_masks = image.copy(), masks.copy()
    image[:], masks[:] = 0, False
    np.testing.assert_array_equal(dataset.load_image(0), kept_image)
    np.testing.assert_array_equal(dataset.load_mask(0)[0], kept_masks)


def test_threads_see_the_same_images():
    dataset = SyntheticDataset(20, size=(32, 32), seed=11)
    ids = [*dataset.image_ids] * 3
    with ThreadPoolExecutor(8) as pool:
        images = list(pool.map(dataset.load_image, ids))
    for i, image in zip(ids, images, strict=True):
        np.testing.assert_array_equal(image, dataset.load_image(i))


@pytest.mark.parametrize(
    ("count", "fraction", "malignant"),
    [
        (10, 0.5, 5),
        (10, 0.2, 2),
        (5, 0.0, 0),
        (5, 1.0, 5),
        (100, 0.29, 29),
        (1, 0.9, 1),
    ],
)
def test_the_fraction_is_met(count, fraction, malignant):
    dataset = SyntheticDataset(count, (32, 32), malignant_fraction=fraction)
    assert (dataset.labels() == MALIGNANT).sum() == malignant


def test_summary_says_that_nothing_was_photographed():
    text = SyntheticDataset(10, (32, 48), seed=4, malignant_fraction=0.3).summary()
    assert "10 generated images of 32 x 48 pixels" in text
    assert "no photographs" in text and "7 benign, 3 malignant" in text


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="count must be 1 or more, got 0"):
        SyntheticDataset(0)
    with pytest.raises(ValueError, match="malignant_fraction .* got 1.5"):
        SyntheticDataset(4, malignant_fraction=1.5)


def test_the_official_layout_is_written(tmp_path):
    folder = write_synthetic_isic(
        tmp_path / "isic", 4, (40, 56), seed=2, validation=2, test=1
    )
    names = {path.name for path in folder.iterdir()}
    parts = {"Training": 4, "Validation": 2, "Test_v2": 1}
    endings = ("_Data", "_Part1_GroundTruth", "_Part3_GroundTruth.csv")
    assert names == {f"ISIC-2017_{part}{end}" for part in parts for end in endings}
    assert [path.name for path in tmp_path.iterdir()] == ["isic"]  # no scratch left
    for part, count in parts.items():
        table = pd.read_csv(folder / f"ISIC-2017_{part}_Part3_GroundTruth.csv")
        assert list(table) == ["image_id", "melanoma", "seborrheic_keratosis"]
        assert len(table) == count
        assert not (table.melanoma * table.seborrheic_keratosis).any()
        for image_id in table.image_id:
            image = Image.open(folder / f"ISIC-2017_{part}_Data/{image_id}.jpg")
            assert image.size == (56, 40) and image.mode == "RGB"
            assert b"generated" in image.info["comment"]


def test_written_images_match_the_painted_ones(tmp_path):
    folder = write_synthetic_isic(tmp_path / "isic", 4, (40, 56), seed=2)
    dataset = SyntheticDataset(4, (40, 56), seed=2)
    table = pd.read_csv(folder / "ISIC-2017_Training_Part3_GroundTruth.csv")
    assert table.image_id.tolist() == [f"ISIC_000000{i}" for i in range(4)]
    np.testing.assert_array_equal(table.melanoma == 1, dataset.labels() == MALIGNANT)
    for i, image_id in enumerate(table.image_id):
        image = Image.open(folder / f"ISIC-2017_Training_Data/{image_id}.jpg")
        masks = folder / "ISIC-2017_Training_Part1_GroundTruth"
        mask = Image.open(masks / f"{image_id}_segmentation.png")
        loss = np.asarray(image, float) - dataset.load_image(i)
        assert np.abs(loss).mean() < 6  # JPEG
        assert mask.mode == "L"
        expected = 255 * dataset.load_mask(i)[0][:, :, 0].astype(int)
        np.testing.assert_array_equal(np.asarray(mask), expected)


def test_the_layout_is_read_like_the_real_one(tmp_path):
    folder = write_synthetic_isic(
        tmp_path / "isic", 6, (32, 32), validation=2, malignant_fraction=0.25
    )
    records = read_records(folder)
    assert records.split.tolist() == ["train"] * 6 + ["val"] * 2
    assert records.label.tolist().count("malignant") == 2
    assert records.label.tolist().count("benign") == 6
    assert records.mask_paths.str.len().tolist() == [1] * 8


def test_a_folder_in_use_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(FileExistsError, match="folder must be new or empty"):
        write_synthetic_isic(tmp_path, 1, (32, 32))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_nothing_is_left_of_a_failed_writing(tmp_path):
    with pytest.raises(ValueError, match="size must be"):
        write_synthetic_isic(tmp_path / "isic", 2, (16, 16))
    assert list(tmp_path.iterdir()) == []
