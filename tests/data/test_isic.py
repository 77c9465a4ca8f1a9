"""IsicDataset on tiny generated folders, and its counts on real ones."""

import re
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mrcnn_skin.data import isic
from mrcnn_skin.data.drawings import split_components
from mrcnn_skin.data.file_names import MASK_HINT
from mrcnn_skin.data.files import UnreadableImage
from mrcnn_skin.data.isic import IsicDataset

SHAPE = (24, 32)


def write_image(path, shape=SHAPE):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", shape[::-1], (200, 150, 120)).save(path)


def write_mask(path, *boxes, shape=SHAPE):
    """Write a mask with the boxes (y1, x1, y2, x2) as foreground."""
    mask = np.zeros(shape, np.uint8)
    for y1, x1, y2, x2 in boxes:
        mask[y1:y2, x1:x2] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)


@pytest.fixture
def plain(tmp_path):
    """10 benign (b0..b9) and 10 malignant (m0..m9) images with masks."""
    ids = [f"{kind}{i}" for kind in "bm" for i in range(10)]
    for image_id in ids:
        write_image(tmp_path / "images" / f"{image_id}.jpg")
        write_mask(tmp_path / "masks" / f"{image_id}.png", (4, 4, 20, 20))
    write_labels(tmp_path, ids)
    return tmp_path


def write_labels(folder, ids, extra=""):
    words = {"b": "benign", "m": "malignant"}
    rows = "".join(f"{image_id},{words[image_id[0]]}\n" for image_id in ids)
    (folder / "labels.csv").write_text("image,label\n" + rows + extra)


def load(folder, **kwargs):
    dataset = IsicDataset()
    dataset.load_isic(folder, **kwargs)
    dataset.prepare()
    return dataset


def ids_of(dataset):
    return [info["id"] for info in dataset.image_info]


def reasons_of(dataset):
    return dict(
        zip(dataset.dropped["image_id"], dataset.dropped["reason"], strict=True)
    )


def test_classes_and_image_info(plain):
    dataset = load(plain)
    assert dataset.class_names == ["BG", "benign", "malignant"]
    assert dataset.map_source_class_id("isic.2") == 2
    info = dataset.image_info[ids_of(dataset).index("m3")]
    assert info["path"] == str(plain / "images" / "m3.jpg")
    assert info["mask_paths"] == (str(plain / "masks" / "m3.png"),)
    assert (info["label"], info["class_id"]) == ("malignant", 2)
    assert (info["height"], info["width"]) == SHAPE
    np.testing.assert_array_equal(dataset.labels(), [1] * 10 + [2] * 10)
    assert dataset.image_reference(0) == "b0"


def test_metadata_is_kept_where_present(plain):
    table = "image,label,age,height,source\nb0,benign,61,9 mm,clinic\nb1,benign,,,\n"
    (plain / "labels.csv").write_text(table)
    first, second = load(plain).image_info
    assert first["metadata"]["age"] == 61 and first["metadata"]["source"] == "clinic"
    assert "age" not in second["metadata"]
    assert first["height"] == SHAPE[0] and first["source"] == "isic"


@pytest.mark.parametrize("fraction, held_out", [(0.2, 2), (0.4, 4)])
def test_seeded_split_is_stratified_and_complete(plain, fraction, held_out):
    subsets = {
        name: load(plain, subset=name, val_fraction=fraction) for name in isic.SPLITS
    }
    counts = {
        name: Counter(info["label"] for info in dataset.image_info)
        for name, dataset in subsets.items()
    }
    # Of 10 images of each class.
    assert counts["val"] == counts["test"] == dict.fromkeys(isic.CLASS_IDS, held_out)
    assert counts["train"] == dict.fromkeys(isic.CLASS_IDS, 10 - 2 * held_out)
    ids = [image_id for dataset in subsets.values() for image_id in ids_of(dataset)]
    assert len(ids) == len(set(ids)) == 20


def test_split_depends_on_the_seed_only(plain):
    first, again, other = (
        ids_of(load(plain, subset="val", val_fraction=0.4, seed=seed))
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_limit_is_stratified_and_seeded(plain):
    dataset = load(plain, limit=6)
    labels = Counter(info["label"] for info in dataset.image_info)
    assert labels == {"benign": 3, "malignant": 3}
    assert ids_of(dataset) == ids_of(load(plain, limit=6))
    assert set(ids_of(dataset)) < set(ids_of(load(plain, limit=8)))
    assert len(load(plain, limit=1000).image_info) == 20


def test_dropped_files_have_a_reason(plain):
    images, masks = plain / "images", plain / "masks"
    (masks / "b0.png").unlink()
    (images / "b1.jpg").write_bytes(b"")
    (images / "b2.jpg").write_bytes(b"no image")
    write_mask(masks / "b3.png")
    write_mask(masks / "b4.png", (0, 0, 9, 9), shape=(24, 24))
    (masks / "b5.png").write_bytes(b"no mask")
    write_image(images / "unlabelled.jpg")
    write_mask(masks / "unlabelled.png", (4, 4, 20, 20))
    ids = [f"{kind}{i}" for kind in "bm" for i in range(10)]
    write_labels(plain, ids, extra="m0,benign\n")
    dataset = load(plain)
    reasons = reasons_of(dataset)
    kinds = {image_id: reason.partition(":")[0] for image_id, reason in reasons.items()}
    assert kinds == {
        "b0": "no mask",
        "b1": "unreadable image",
        "b2": "unreadable image",
        "b3": "empty mask",
        "b4": "mask size mismatch",
        "b5": "unreadable mask",
        "unlabelled": "no label",
        "m0": "contradictory labels",
    }
    assert "(24, 24)" in reasons["b4"] and "(24, 32)" in reasons["b4"]
    assert reasons["b1"] == "unreadable image: the file is empty (0 bytes)"
    files = dict(zip(dataset.dropped["image_id"], dataset.dropped["file"], strict=True))
    assert files["b5"] == str(masks / "b5.png")
    assert files["b0"] == str(images / "b0.jpg")
    kept = ["b6", "b7", "b8", "b9", *(f"m{i}" for i in range(1, 10))]
    assert ids_of(dataset) == kept


def test_summary_counts(plain):
    (plain / "masks" / "b0.png").unlink()
    (plain / "masks" / "b1.png").unlink()
    summary = load(plain).summary()
    for name, count in {
        "images": 18,
        "benign": 8,
        "malignant": 10,
        "no mask": 2,
    }.items():
        assert re.search(rf"^ *{name} +{count}$", summary, re.M), (name, summary)


@pytest.mark.parametrize("is_relative", [False, True])
def test_summary_says_where_labels_and_masks_came_from(plain, monkeypatch, is_relative):
    write_labels(plain, ["b0", "b1", "b2", "m0", "m1"])
    monkeypatch.chdir(plain.parent)
    folder = plain.name if is_relative else plain
    summary = load(folder, subset="train", val_fraction=0.0).summary()
    meaning = "(malignant = malignant; benign = benign)"
    assert f"labels from labels.csv, column label {meaning}: 5\n" in summary
    assert "masks from masks: 5\n" in summary
    assert "note: 20 of 20 images have no official split: 0% of them each" in summary


def test_full_check_finds_truncated_files(plain):
    noise = np.random.default_rng(0).integers(0, 256, (*SHAPE, 3), np.uint8)
    path = plain / "images" / "b0.png"
    (plain / "images" / "b0.jpg").unlink()
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:1000])
    assert len(load(plain).image_info) == 20
    dataset = load(plain, check="full")
    assert reasons_of(dataset)["b0"].startswith("unreadable image")
    assert len(dataset.image_info) == 19


def test_images_without_masks_for_prediction(plain):
    (plain / "masks" / "b0.png").unlink()
    write_mask(plain / "masks" / "b1.png")
    dataset = load(plain, require_masks=False)
    assert len(dataset.image_info) == 20
    assert reasons_of(dataset) == {"b1": "empty mask"}
    for image_id in (0, 1):
        masks, class_ids = dataset.load_mask(image_id)
        assert masks.shape == (*SHAPE, 0) and masks.dtype == bool
        assert class_ids.shape == (0,)
    np.testing.assert_array_equal(dataset.labels()[:2], [1, 1])


def test_images_without_labels(plain):
    (plain / "labels.csv").unlink()
    with pytest.raises(ValueError, match="'no label': 20"):
        load(plain)
    dataset = load(plain, require_labels=False)
    assert {info["label"] for info in dataset.image_info} == {None}
    masks, class_ids = dataset.load_mask(0)
    assert masks.sum() == 16 * 16
    np.testing.assert_array_equal(class_ids, [0])
    np.testing.assert_array_equal(dataset.labels(), np.zeros(20))


def test_union_is_one_instance(plain):
    write_mask(plain / "masks" / "m0_segmentation_2.png", (0, 28, 4, 32))
    dataset = load(plain)
    masks, class_ids = dataset.load_mask(10)
    assert masks.shape == (*SHAPE, 1) and masks.dtype == bool
    assert masks.sum() == 16 * 16 + 4 * 4
    assert class_ids.dtype == np.int32
    np.testing.assert_array_equal(class_ids, [2])


# Rows of pixels 0, 1 and 2 of a mask: by annotator 1, 2, 3, and the consensus
ANNOTATORS = {"A00": [0, 1], "A01": [1, 2], "A02": [1], "MV": [5]}


@pytest.mark.parametrize(
    ("annotators", "rows", "words"),
    [
        ("union", [0, 1, 2], "their union is taken"),
        ("majority", [1], "a pixel is lesion if more than half"),
        ("A01", [1, 2], "those by A01 are taken"),
        ("a02", [1], "those by a02 are taken"),
        ("MV", [5], "those by MV are taken"),
    ],
)
def test_masks_by_several_annotators(plain, annotators, rows, words):
    (plain / "masks" / "m0.png").unlink()
    for name, own_rows in ANNOTATORS.items():
        tool, skill = ("MV", "MV") if name == "MV" else ("T1", "S2")
        boxes = [(row, 0, row + 1, 32) for row in own_rows]
        write_mask(plain / "masks" / f"m0_{name}_{tool}_{skill}_5a.png", *boxes)
    dataset = load(plain, annotators=annotators)
    masks, _ = dataset.load_mask(10)
    assert np.flatnonzero(masks[:, 0, 0]).tolist() == rows
    assert f"note: 1 images have several masks: {words}" in dataset.summary()
    assert len(dataset.image_info) == 20  # the others have one mask, by nobody


def test_an_unknown_annotator_is_refused_and_the_known_are_named(plain):
    for number in (1, 2):
        write_mask(plain / "masks" / f"m0_segmentation_{number}.png", (0, 0, 9, 9))
    (plain / "masks" / "m0.png").unlink()
    with pytest.raises(ValueError, match="one of union, majority, 1, 2, got 'A7'"):
        load(plain, annotators="A7")


def test_an_image_without_a_mask_by_the_annotator_is_dropped(plain):
    for name in ("m0_segmentation_1", "m0_segmentation_2", "m1_segmentation_2"):
        write_mask(plain / "masks" / f"{name}.png", (0, 0, 9, 9))
    (plain / "masks" / "m1.png").unlink()
    assert reasons_of(load(plain, annotators="1")) == {"m1": f"no mask: no {MASK_HINT}"}


def test_mask_values_may_be_given(plain):
    grey = np.zeros(SHAPE, np.uint8)
    grey[:4], grey[4:6] = 1, 2
    Image.fromarray(grey).save(plain / "masks" / "m0.png")
    reason = reasons_of(load(plain, check="full"))["m0"]
    assert "grey 0 (75.0 %), 1 (16.7 %), 2 (8.3 %)" in reason
    masks, _ = load(plain, check="full", mask_values=[1, 255]).load_mask(10)
    assert masks.sum() == 4 * 32


def test_the_masks_of_all_splits_show_the_lesion_by_one_value(tmp_path):
    """Else one split might show the hair, and another the lesions."""
    pixels = np.zeros(SHAPE, np.uint8)
    pixels[4:20, 4:20] = 1
    for split, value in (("train", 1), ("val", 2)):
        write_image(tmp_path / split / "images" / f"{split}.jpg")
        (tmp_path / split / "masks").mkdir()
        Image.fromarray(value * pixels).save(tmp_path / split / f"masks/{split}.png")
    with pytest.raises(ValueError, match="1 in train.png; 2 in val.png; set mask_valu"):
        load(tmp_path, subset="train", require_labels=False)


def test_one_instance_per_component(plain):
    # Areas 16, 100 and 1 pixel of 768; the speck is below 1 %.
    boxes = (0, 0, 4, 4), (10, 10, 20, 20), (23, 31, 24, 32)
    write_mask(plain / "masks" / "m0.png", *boxes)
    dataset = load(plain, instances="component", min_component_area=0.01)
    masks, class_ids = dataset.load_mask(10)
    assert masks.shape == (*SHAPE, 2)
    np.testing.assert_array_equal(masks.sum((0, 1)), [100, 16])
    assert masks[10:20, 10:20, 0].all() and masks[:4, :4, 1].all()
    np.testing.assert_array_equal(class_ids, [2, 2])


def test_components_touch_at_corners_and_the_largest_stays():
    mask = np.zeros((10, 10), bool)
    mask[0, 0] = mask[1, 1] = mask[9, 9] = True
    components = split_components(mask, min_area=0.5)
    assert components.shape == (10, 10, 1)
    np.testing.assert_array_equal(np.argwhere(components[:, :, 0]), [[0, 0], [1, 1]])
    assert split_components(mask, min_area=0).shape == (10, 10, 2)
    assert split_components(np.zeros((3, 4), bool), 0).shape == (3, 4, 0)


def test_mask_is_resized_to_its_image(plain):
    write_mask(plain / "masks" / "b0.png", (0, 0, 6, 16), shape=(12, 16))
    masks, _ = load(plain).load_mask(0)
    expected = np.zeros(SHAPE, bool)
    expected[:12] = True
    np.testing.assert_array_equal(masks[:, :, 0], expected)


def test_an_image_replaced_by_another_size_is_refused(plain):
    """The mask does not match the new image, so another image is used instead."""
    dataset = load(plain)
    write_image(plain / "images" / "b0.jpg", shape=(12, 16))
    for read in (dataset.load_image, lambda i: dataset.load_reduced_image(i, max)):
        with pytest.raises(UnreadableImage, match=r"b0.jpg: it had .* now \(12, 16\)"):
            read(0)


def test_test_images_are_not_trained_on(tmp_path):
    """An id in two splits stays in test."""
    ids = [f"ISIC_000000{i}" for i in range(4)]
    for split, image_id in [("test", ids[0]), *(("train", i) for i in ids)]:
        write_image(tmp_path / f"{split}/images/{image_id}.jpg")
        write_mask(tmp_path / f"{split}/masks/{image_id}.png", (4, 4, 20, 20))
    (tmp_path / "labels.csv").write_text("image,label\n0,0\n1,0\n2,1\n3,1\n")
    train = load(tmp_path, subset="train", val_fraction=0)
    assert ids_of(train) == ids[1:]
    assert reasons_of(train) == {ids[0]: "image id occurs twice"}
    assert ids_of(load(tmp_path, subset="test")) == ids[:1]


def test_either_of_two_files_of_a_name_may_be_the_mask(plain):
    """A TIFF, and a PNG that may be its mask or the same photograph."""
    for name in ("images/b0.jpg", "masks/b0.png"):
        (plain / name).unlink()
    write_image(plain / "images/b0.tif")
    write_mask(plain / "images/b0.png", (4, 4, 20, 20))
    dataset = load(plain, require_masks=False)
    assert "b0" not in ids_of(dataset) and len(dataset.image_info) == 19
    words = "image id occurs twice in a folder: one file may be the mask of the other"
    assert dataset.dropped["reason"].tolist() == 2 * [words]


def test_of_equal_archive_ids_the_jpeg_is_the_photograph(tmp_path):
    names = [f"ISIC_000000{i}" for i in range(4)]
    for name in names:
        write_image(tmp_path / "images" / f"{name}.jpg")
        write_mask(tmp_path / "hair" / f"{name}.png", (4, 4, 20, 20))
    dataset = load(tmp_path, require_masks=False, require_labels=False)
    assert [info["path"] for info in dataset.image_info] == [
        str(tmp_path / "images" / f"{name}.jpg") for name in names
    ]


def test_a_second_folder_adds_to_the_first(plain, tmp_path):
    other = tmp_path / "images"  # the same images once more
    dataset = IsicDataset()
    dataset.load_isic(plain)
    with pytest.raises(ValueError, match="image id occurs twice"):
        dataset.load_isic(other, require_masks=False, require_labels=False)
    assert len(dataset.image_info) == 20


def test_an_empty_result_is_explained(plain, tmp_path_factory):
    with pytest.raises(ValueError, match="no usable image .*Found 0 images"):
        load(tmp_path_factory.mktemp("empty"))
    with pytest.raises(ValueError, match="subset 'test'.*Found 20.*'train': 20"):
        load(plain, subset="test", val_fraction=0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"subset": "valid"},
        {"instances": "lesion"},
        {"check": "all"},
        {"val_fraction": 0.5},
        {"min_component_area": 100},
        {"limit": 0},
        {"limit": "3"},
        {"limit": 2.5},
        {"val_fraction": "0.1"},
        {"min_component_area": None},
        {"annotators": ("1",)},
        {"mask_values": 255},
        {"mask_values": "255"},
    ],
)
def test_wrong_arguments_are_named(plain, wrong):
    [(name, value)] = wrong.items()
    with pytest.raises(ValueError, match=rf"{name} must .*{re.escape(repr(value))}"):
        load(plain, **wrong)


def test_no_folder_at_all():
    with pytest.raises(ValueError, match="dataset_dir must be a folder, got None"):
        IsicDataset().load_isic(None)


def counts(dataset):
    labels = np.bincount(dataset.labels(), minlength=3)
    return int(labels.sum()), int(labels[2])


def test_real_isic_2017(real_data):
    train = load(real_data / "isic2017_512", subset="train")
    assert counts(train) == (1508, 293)
    assert counts(load(real_data / "isic2017_512", subset="val")) == (121, 30)
    assert train.dropped.empty
    masks, class_ids = train.load_mask(0)
    assert masks.shape[:2] == train.load_image(0).shape[:2] == (512, 512)
    assert masks.any() and len(class_ids) == 1


def test_real_ham10000_is_split_by_lesion(real_data):
    dataset = load(real_data / "ham10000_256")
    assert counts(dataset) == (5926, 1726)
    lesions = pd.DataFrame(
        [(info["metadata"]["lesion_id"], info["split"]) for info in dataset.image_info],
        columns=["lesion", "split"],
    )
    assert lesions.groupby("lesion")["split"].nunique().max() == 1
    shares = lesions["split"].value_counts(normalize=True)
    assert abs(shares["val"] - 0.1) < 0.01 and abs(shares["test"] - 0.1) < 0.01


def test_real_full_frames(real_data):
    dataset = load(real_data / "isic_fullframe", limit=40)
    assert counts(dataset) == (40, 14)
    for image_id in dataset.image_ids[:3]:
        masks, _ = dataset.load_mask(image_id)
        assert masks.shape[:2] == dataset.load_image(image_id).shape[:2]
