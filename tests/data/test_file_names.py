"""Names of files, as people give them, and what they say: photograph or mask."""

import os

import pytest

from mrcnn_skin.data.file_names import (
    annotator,
    is_image_file,
    photographs,
    sort_images,
    split_name,
    walk_files,
)


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_suffixes_in_any_case():
    names = [f"a.{suffix}" for suffix in "jpg JPEG Png bmp TIF tiff dcm".split()]
    assert all(map(is_image_file, names))
    others = "a.csv", "jpg", "a.jpg.txt", "._a.jpg", "b/.a.jpg"
    assert not any(map(is_image_file, others))


MASKS = [
    *(
        f"{folder}/x.png"
        for folder in "mask masks GT gt labels label annotations".split()
    ),
    *(f"{folder}/x.png" for folder in ("Ground Truth", "ground-truth", "groundtruths")),
    *(f"{folder}/x.png" for folder in ("train_masks", "lesion_masks", "masks-binary")),
    *(f"{folder}/x.png" for folder in ("segmentation_masks", "binary_masks", "segs")),
    *(f"{folder}/x.png" for folder in ("SegmentationClass", "SegmentationClassPNG")),
    *(f"{folder}/x.png" for folder in ("mask_images", "GroundTruth/part 2")),
    *(f"ISIC/{folder}/x.jpg" for folder in ("Masks", "segmentation", "Segmentations")),
    *("images/x.png", "images/x.bmp", "images/x_seg.png", "images/x_gt.png"),
    *("images/mask_x.png", "images/x-mask.jpg", "x_Segmentation.png", "x.mask.png"),
    *(
        "images/x_label.png",
        "images/seg_x.png",
        "images/gt_x.png",
        "x_lesion/x_mask.bmp",
    ),
    *("masks/x_segmentation_2.png", "masks/x_mask_expert1.png", "images/x_mask-1.png"),
    "segs/x_A03_T1_S2_54e7.png",
    "segs/x_MV_MV_MV_MV.png",
]


@pytest.mark.parametrize("mask", MASKS)
def test_a_mask_is_found_by_its_name(mask):
    assert sort_images(["images/x.jpg", mask]) == ({"images/x.jpg": [mask]}, [])


@pytest.mark.parametrize(
    "names",
    [
        ["segmentation/images/a.jpg"],
        ["segmentation_images/a.jpg"],
        ["masked_lesions/a.jpg"],
        ["labels of last year/a.jpg"],
        ["Ground/a.jpg", "truthful/b.jpg"],
        ["a_lesion.tif", "label_3.jpg", "gt_4.jpg", "seg_5.png"],
        ["a.jpg", "b.png"],
        ["a.jpg", "sub/a.png"],
        ["a.jpg", "a.dcm"],
        ["image_data/train/gtx.jpg"],
        ["IMD002_Dermoscopic_Image/IMD002.bmp"],
    ],
)
def test_other_names_are_photographs(names):
    assert list(photographs(names)) == names


@pytest.mark.parametrize(
    "name",
    [
        "ISIC_0000000_superpixels.png",
        "ISIC2018_Task2_Training_GroundTruth_v3/ISIC_0000000_attribute_streaks.png",
        "IMD002_roi/IMD002_R1_Label3.bmp",
        "SegmentationClassVisualization/a.jpg",
        "overlays/a.png",
        "._a.jpg",
        "a.csv",
    ],
)
def test_some_pictures_are_neither(name):
    assert sort_images([name]) == ({}, [])


def test_of_equal_ids_the_nearest_folder_counts():
    masks, left = sort_images(
        ["patient1/1.jpg", "patient2/1.jpg"]
        + ["patient1/mask/1.png", "patient2/mask/1.png", "masks/1.png", "masks/2.png"]
    )
    assert masks == {
        "patient1/1.jpg": ["patient1/mask/1.png"],
        "patient2/1.jpg": ["patient2/mask/1.png"],
    }
    assert left == ["masks/1.png", "masks/2.png"]


def test_no_mask_comes_from_another_split():
    masks, left = sort_images(["train/images/1.jpg", "test/masks/1.png"])
    assert masks == {"train/images/1.jpg": []} and left == ["test/masks/1.png"]


@pytest.mark.parametrize(
    ("name", "who"),
    [
        ("x_segmentation_2.png", "2"),
        ("x_mask_expert1.png", "expert1"),
        ("x_A03_T1_S2_54e7.png", "A03"),
        ("x_ST_ST_ST_ST.png", "ST"),
        ("x_segmentation.png", None),
        ("x.png", None),
        ("mask_x.png", None),
    ],
)
def test_who_drew_a_mask(name, who):
    assert annotator(f"masks/{name}") == who


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("ISIC-2017_Test_v2_Data", "test"),
        ("ISIC2018_Task1-2_Validation_Input", "val"),
        ("Training", "train"),
        ("train/more tests", "train"),
        ("data/val/test", "test"),
        ("Valencia", None),
        ("trainee", None),
        ("testimony/validated", None),
        ("", None),
    ],
)
def test_a_split_is_a_whole_word(text, split):
    assert split_name(text) == split


def test_links_to_folders_are_followed_once(tmp_path):
    data, outside = tmp_path / "data", tmp_path / "elsewhere"
    touch(data, "b/1.jpg", ".hidden/2.jpg")
    touch(outside, "3.jpg", "deep/4.jpg")
    os.symlink(outside, data / "a")
    os.symlink(outside / "deep", data / "z")  # is there already, as a/deep
    os.symlink(data, data / "b" / "circle")
    os.symlink(data / "b", data / "again")
    os.symlink(data / ".hidden", data / "c")
    os.symlink(tmp_path / "absent", data / "broken")
    found = sorted(walk_files(data))
    assert found == ["a/3.jpg", "a/deep/4.jpg", "b/1.jpg", "broken", "c/2.jpg"]


def test_results_of_this_package_are_not_listed(tmp_path):
    touch(tmp_path, "images/1.jpg", "predictions.csv", "contact_sheet.png")
    touch(tmp_path, "out/metrics.json", "out/per_image.csv", "out/masks/1.png")
    touch(tmp_path, "p/predictions.csv", "p/masks/1.png", "p/overlays/1.png")
    touch(
        tmp_path, "logs/r/run.json", "logs/r/config.json", "logs/r/evaluation/m/1.png"
    )
    touch(tmp_path, ".ipynb_checkpoints/1-checkpoint.jpg", "__MACOSX/images/._1.jpg")
    assert list(walk_files(tmp_path)) == ["images/1.jpg"]


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        list(walk_files(tmp_path / "absent"))
