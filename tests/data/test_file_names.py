"""Names of files, as people give them, and what they say: photograph or mask."""

import os

import pytest

from mrcnn_skin.data.file_names import (
    annotator,
    describe_unread,
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
    *(f"{folder}/x.png" for folder in ("GTs_train", "lbl", "ann", "anno", "targets")),
    *(f"{folder}/x.png" for folder in ("seg_maps", "label_maps", "labelsTr")),
    *(f"{folder}/x.png" for folder in ("masks_resized", "masks/annotator1")),
    *("images/x_lesion_mask.png", "masks/x-lesion-segmentation_2.png"),
    *("masks/x.jpg.png", "images/x.jpg.png", "masks/x.jpg_mask.png"),
]


@pytest.mark.parametrize("mask", MASKS)
def test_a_mask_is_found_by_its_name(mask):
    assert sort_images(["images/x.jpg", mask]) == ({"images/x.jpg": [mask]}, [])


NEITHER = [
    *(f"{folder}/x.png" for folder in ("masks_old", "pred_masks", "predicted masks")),
    *(f"{folder}/x.png" for folder in ("hair_masks", "ROI", "contours", "edge_maps")),
    *(f"{folder}/x.png" for folder in ("predictions/masks", "output/run 1/masks")),
    *("output/x_mask.png", "pred_masks/test/x.png", "masks/hair/x.png"),
    *("images/x_mask_old.png", "images/x_mask (1).png", "images/x_mask - Copy.png"),
    *("images/x_mask_inv.png", "images/x_hair_mask.png", "masks/x_pred.png"),
    *("masks/x_1.png", "masks/X.png", "masks/y_x.png"),
]


@pytest.mark.parametrize("picture", NEITHER)
def test_unclear_pictures_are_neither_mask_nor_image(picture):
    masks, left = sort_images(["images/x.jpg", picture, "masks/x.png"])
    assert masks == {"images/x.jpg": ["masks/x.png"]} and left == [picture]
    [note] = describe_unread([], left)
    folder = picture.rpartition("/")[0]
    assert f": 1 in {folder}, such as {picture}." in note and "x_segmentation" in note


OF_ONE_IMAGE = [
    ("visit1/x.jpg", "visit1_masks/x.png"),
    ("v1/images/x.jpg", "v1/masks/x.png"),
    ("benign/x.jpg", "benign_gt/x.png"),
    ("images/x.jpg", "skin_lesion_masks/x.png"),
    ("images/x.jpg", "masks_512/x.png"),
    ("study 3/images/x.jpg", "study 3/masks_512/x.png"),
    ("images/nevus/x.jpg", "masks/nevus/x.png"),
    ("images/x.jpg", "masks/x/x_mask.png"),
    ("images/x_lesion.jpg", "masks/x_lesion_mask.png"),
    ("images/12.jpg", "masks/12/12_mask.png"),
    ("images/x.jpg", "masks/expert_a/x.png"),
    ("p1/x.jpg", "masks/p1/expert 2/x.png"),
    ("images/x.jpg", "masks/train/x.png"),
    ("JPEGImages/x.jpg", "SegmentationClass/x.png"),
    ("ISIC-2017_Test_Data/ISIC_1.jpg", "ISIC2018_Task1_Test_GroundTruth/ISIC_1.png"),
    ("one/HAM10000_images_part_1/ISIC_1.jpg", "two/HAM10000_segmentations/ISIC_1.png"),
]
OF_ANOTHER = [
    ("A_images/x.jpg", "B_masks/x.png"),
    ("left/x.jpg", "right_gt/x.png"),
    ("benign/x.jpg", "malignant_gt/x.png"),
    ("hospA/images/x.jpg", "hospB/masks/x.png"),
    ("baseline/images/x.jpg", "followup/masks/x.png"),
    ("2017/images/001.jpg", "2018/masks/001.png"),
    ("visit1/x.jpg", "visit2/masks/x.png"),
    ("patient1/2.jpg", "patient2/masks/2.png"),
    ("patient1/2.jpg", "masks/2/2_mask.png"),
    ("train/x.jpg", "masks/test/x.png"),
    ("images/nevus/x.jpg", "masks/melanoma/x.png"),
    ("images/x.jpg", "patient2/masks/x.png"),
    *(
        (f"images/{image}.jpg", f"{folder}/{image}.png")
        for image in ("x", "ISIC_1")
        for folder in "masks/background masks/skin masks/vessels masks/unet".split()
        + "masks/rejected masks/0 masks/v2 annotations/pigment_network".split()
        + "masks/sam/test old/masks rejected/masks backup/train/masks".split()
    ),
    ("images/ISIC_1.jpg", "unet/ISIC_1_segmentation.png"),
    ("images/x.jpg", "unet/x_mask.png"),
    ("old/x.jpg", "old/x_mask.png"),
]


@pytest.mark.parametrize(("image", "mask"), OF_ONE_IMAGE + OF_ANOTHER)
def test_masks_come_from_folders_of_their_image(image, mask):
    masks, left = sort_images([image, mask])
    is_own = (image, mask) in OF_ONE_IMAGE
    assert masks == {image: [mask] * is_own} and left == [mask] * (not is_own)


def test_copies_are_no_photographs():
    copies = ["backup/x.jpg", "old/images/x.jpg", "predictions/x.png"]
    images = ["images/x.jpg", "old/y.jpg"]
    assert sort_images(images + copies) == ({path: [] for path in images}, copies)


def test_a_number_may_be_the_annotators_or_the_images():
    images = ["images/x.jpg", "images/x_1.jpg"]
    masks, left = sort_images([*images, "masks/x_mask_1.png", "masks/x_mask_2.png"])
    assert masks == {images[0]: ["masks/x_mask_2.png"], images[1]: []}
    assert left == ["masks/x_mask_1.png"]


def test_files_of_other_formats_are_counted():
    paths = ["a.webp", "b.WEBP", "masks/a.npy", "a.nii.gz", "a.csv", "a.jpg"]
    [note] = describe_unread(paths, [])
    assert "ignored: 2 .webp, 1 .npy, 1 .nii.gz; supported are .jpg, " in note


@pytest.mark.parametrize(
    "names",
    [
        ["segmentation/images/a.jpg"],
        ["edge_cases/a.jpg"],
        ["segmentation_images/a.jpg"],
        ["masked_lesions/a.jpg"],
        ["segmentation dataset/a.jpg"],
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
        "images/a-checkpoint.jpg",
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


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("patient1/1.jpg", "masks/patient2/1.png"),
        ("p1/images/1.jpg", "p2/images/1_mask.png"),
        ("train/1.jpg", "masks/val/1.png"),
    ],
)
def test_no_mask_comes_from_another_folder_of_images(image, mask):
    others = ["patient2/2.jpg", "p2/images/2.jpg", "val/2.jpg"]
    masks, left = sort_images([image, mask, *others])
    assert masks == {image: [], **{name: [] for name in others}} and left == [mask]


def test_a_name_of_the_archive_finds_the_nearest_of_its_copies():
    images = ["ISIC2017_Train_Data/ISIC_01.jpg", "ISIC2018_Train_Input/ISIC_01.jpg"]
    mask = "ISIC2018_Train_GroundTruth/ISIC_01_segmentation.png"
    assert sort_images([*images, mask]) == ({images[0]: [], images[1]: [mask]}, [])


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
        ("annotator1/x.png", "annotator1"),
        ("by_reader-b/x.png", "reader-b"),
        ("masks_2/x.png", "2"),
        ("masks_512/x.png", None),
        ("GT 1/x_mask_2.png", "2"),
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
    results = []
    assert list(walk_files(tmp_path, results)) == ["images/1.jpg"]
    assert sorted(results) == "contact_sheet.png logs/r out p predictions.csv".split()


def test_files_of_operating_systems_are_not_listed(tmp_path):
    touch(tmp_path, "images/1.jpg", ".ipynb_checkpoints/1.jpg", "__MACOSX/1.jpg")
    touch(tmp_path, "images/@eaDir/1.jpg/thumb.jpg", "$RECYCLE.BIN/1.jpg", "~$t.xlsx")
    results = []
    assert list(walk_files(tmp_path, results)) == ["images/1.jpg"] and not results


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        list(walk_files(tmp_path / "absent"))
