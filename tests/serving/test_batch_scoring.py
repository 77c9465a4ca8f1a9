"""Listing, scoring and resuming of archives, with a detector worked by hand."""

import io

import numpy as np
import pytest
from PIL import Image

from mrcnn_skin import IsicConfig
from mrcnn_skin.data.lesion_painter import synthetic_lesion

pytest.importorskip("pyarrow")

import pyarrow.parquet as pq  # noqa: E402

from mrcnn_skin.serving import batch_scoring  # noqa: E402
from mrcnn_skin.serving.batch_scoring import (  # noqa: E402
    Parts,
    list_images,
    root_of,
    score_files,
)

ORIGIN = {"weights": "abc", "config": "{}"}


def write_lesion(path, size=(40, 50)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(synthetic_lesion(0, size)[0]).save(path)


def detector(image):
    """A lesion on rows 10..19, columns 20..24, with a hole and a speck beside it."""
    mask = np.zeros((*image.shape[:2], 1), bool)
    mask[10:20, 20:25] = True
    mask[12, 22] = mask[30, 30] = ~mask[12, 22]
    return {
        "rois": np.array([[10, 20, 20, 25]], np.float32),
        "class_ids": np.array([2], np.int32),
        "scores": np.array([0.75], np.float32),
        "probs": np.array([[0.25, 0.25, 0.5]], np.float32),
        "masks": mask,
        "p_malignant": 0.625,
        "low_confidence": False,
        "unfamiliar": True,
        "unfamiliar_score": 1.5,
    }


def score(root, paths, detector=detector, masks=True):
    table = score_files(detector, root, paths, IsicConfig(), masks)
    assert table.schema == batch_scoring.SCHEMA
    return table.to_pylist()


def test_folders_are_searched_in_order_and_other_files_left_out(tmp_path):
    for name in ("b/2.JPG", "b/1.png", "a/c/3.jpeg", "0.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "b" / "labels.csv").touch()
    assert list(list_images(tmp_path)) == ["0.jpg", "a/c/3.jpeg", "b/1.png", "b/2.JPG"]
    assert root_of(tmp_path) == tmp_path


def test_masks_and_hidden_files_are_no_photographs(tmp_path):
    names = "1.jpg", "1_segmentation.png", "1_superpixels.png", "._1.jpg", "masks/1.png"
    for name in (*names, ".ipynb_checkpoints/1-checkpoint.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "2.jpg").touch()
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "link").symlink_to(tmp_path / "more")
    assert list(list_images(tmp_path)) == ["1.jpg", "more/2.jpg"]
    assert list(list_images(tmp_path / "source")) == ["link/2.jpg"]


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("b/1.png\n\n  /data/ö.jpg \n", ["b/1.png", "/data/ö.jpg"]),
        ("\ufeffb/1.png\r\n'b/2.png'\r\n", ["b/1.png", "b/2.png"]),
        ('"b/1.png"\n"b/with, comma.png"\n', ["b/1.png", "b/with, comma.png"]),
        ("b\\1.png\nhere\\2.png\n", ["b/1.png", "here\\2.png"]),
        ("path\nb/1.png\n", ["b/1.png"]),
        ('id;"file"\n7;"b\\1.png"\n8;b/2.png\n', ["b/1.png", "b/2.png"]),
        ('label,image\n0,"b/1, 2.png"\n', ["b/1, 2.png"]),
        ("without_suffix\nb/1.png\n", ["without_suffix", "b/1.png"]),
        ("missing\nb/1.png\n", ["missing", "b/1.png"]),
        ("# mine\nb/1.png\n", ["b/1.png"]),
        ("b/1.png,benign\nb/2.png,malignant\n", ["b/1.png", "b/2.png"]),
        ("b/1.png|benign\n", ["b/1.png"]),
        ("1,here.png\n2,b/2.png\n", ["here.png", "b/2.png"]),
        ("mask,photo\nb/1_mask.png,b/1.png\n", ["b/1.png"]),
        ("mask,photo\nmasks/1.png,b/1.png\n", ["b/1.png"]),
        ("truth,image\na/1.png,b/1.png\n", ["b/1.png"]),
        ("path,x\n,1\nb/1.png,2\n,3\n", ["b/1.png"]),
        ("", []),
    ],
)
def test_a_list_of_paths(tmp_path, text, paths):
    for name in ("list.txt", "without_suffix", "here\\2.png", "here.png"):
        (tmp_path / name).write_text(text, "utf-8")
    assert list(list_images(tmp_path / "list.txt")) == paths
    assert root_of(tmp_path / "list.txt") == tmp_path


def test_a_list_in_the_unicode_text_of_excel(tmp_path):
    (tmp_path / "list.txt").write_text("path\tx\nö.png\t1\n", "utf-16")
    assert list(list_images(tmp_path / "list.txt")) == ["ö.png"]


def test_a_list_with_two_columns_of_images_is_refused(tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).touch()
    (tmp_path / "list.csv").write_text("left,right\na.png,b.png\n")
    with pytest.raises(ValueError, match="one column of image files, got columns 1, 2"):
        list(list_images(tmp_path / "list.csv"))


@pytest.mark.parametrize("text", ["id,label\n1,2\n", "x,path\n1,b.jpg\n3\n", "id\n"])
def test_a_list_without_paths_is_refused(tmp_path, text):
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(ValueError, match="list.csv must list image files"):
        list(list_images(tmp_path / "list.csv"))


def test_a_row_says_what_the_detector_said(tmp_path):
    write_lesion(tmp_path / "sub" / "ISIC_1.png")
    (row,) = score(tmp_path, ["sub/ISIC_1.png"])
    png = row.pop("mask_png")
    assert row == {
        "image": "sub/ISIC_1.png",
        "p_malignant": 0.625,
        "predicted_class": "malignant",
        "threshold": None,
        "score": 0.75,
        **dict(zip(("y1", "x1", "y2", "x2"), (10, 20, 20, 25), strict=True)),
        "low_confidence": False,
        "unfamiliar": True,
        "unfamiliar_score": 1.5,
        "lesion_area": 50,  # the hole is filled, the speck is gone
        "error": None,
    }
    mask = np.asarray(Image.open(io.BytesIO(png)))
    assert mask.shape == (40, 50) and (mask[10:20, 20:25] == 255).all()
    assert (mask > 0).sum() == 50
    (row,) = score(tmp_path, ["sub/ISIC_1.png"], masks=False)
    assert row["mask_png"] is None and row["lesion_area"] == 50


def test_files_that_cannot_be_read_are_rows_with_the_reason(tmp_path):
    write_lesion(tmp_path / "good.png")
    content = (tmp_path / "good.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(content[:300])
    (tmp_path / "empty.jpg").touch()
    names = ["cut.png", "good.png", "empty.jpg", "gone.jpg", "odd\\xff.jpg"]
    rows = score(tmp_path, names)
    assert [row["image"] for row in rows] == names
    errors = [row["error"] for row in rows]
    assert "truncated" in errors[0] and errors[1] is None and "empty" in errors[2]
    assert errors[3] == errors[4] == "no such file"
    for row, error in zip(rows, errors, strict=True):
        assert (row["score"] is None) == (error is not None)


def test_nothing_found_and_networks_of_one_task(tmp_path):
    write_lesion(tmp_path / "1.png")

    def blind(image):
        nothing = {"rois": np.zeros((0, 4)), "p_malignant": None}
        return nothing | {"low_confidence": True, "masks": np.zeros((40, 50, 0), bool)}

    (row,) = score(tmp_path, ["1.png"], blind)
    assert (
        row["p_malignant"]
        is row["predicted_class"]
        is row["score"]
        is row["y1"]
        is None
    )
    assert row["low_confidence"] and row["lesion_area"] == 0
    assert row["unfamiliar"] is row["unfamiliar_score"] is None  # not measured

    def only_boxes(image):
        result = detector(image) | {"p_malignant": None}
        del result["masks"], result["probs"]
        return result

    (row,) = score(tmp_path, ["1.png"], only_boxes)
    assert row["predicted_class"] is None  # every region of such a network is class 1
    assert row["p_malignant"] is row["lesion_area"] is row["mask_png"] is None
    assert row["y2"] == 20


def test_parts_are_whole_and_what_they_hold_is_passed_over(tmp_path, monkeypatch):
    monkeypatch.setattr(batch_scoring, "PART_ROWS", 3)
    for number in range(6):
        write_lesion(tmp_path / "images" / f"{number}.png")
    root, out = tmp_path / "images", tmp_path / "out"
    with pytest.raises(KeyboardInterrupt), Parts(out, ORIGIN) as parts:
        left = parts.left_of(list_images(root)).to_pylist()
        for pair in (left[:2], left[2:4], left[4:5]):
            parts.add(score_files(detector, root, pair, IsicConfig()))
        raise KeyboardInterrupt
    files = sorted(path.name for path in out.iterdir())
    assert files == ["part-00000.parquet", "part-00001.parquet"]
    assert [pq.read_metadata(out / name).num_rows for name in files] == [4, 1]

    write_lesion(root / "0a.png")  # added meanwhile
    with Parts(out, ORIGIN) as parts:
        assert parts.left_of(list_images(root)).to_pylist() == ["0a.png", "5.png"]
        parts.add(score_files(detector, root, ["0a.png", "5.png"], IsicConfig()))
    assert len(list(out.iterdir())) == 3
    paths = pq.read_table(out)["image"].to_pylist()
    assert sorted(paths) == sorted(list_images(root))
    assert not len(Parts(out, ORIGIN).left_of(["5.png", "5.png"]))
    assert Parts(out, ORIGIN).left_of(["6", "7", "6"]).to_pylist() == ["6", "7"]


def test_a_part_that_is_not_written_to_its_end_leaves_nothing(tmp_path, monkeypatch):
    write_lesion(tmp_path / "1.png")

    def full_disk(table, partial):
        partial.write_bytes(b"PAR1")
        raise OSError("the disk is full")

    monkeypatch.setattr(batch_scoring.pq, "write_table", full_disk)
    with pytest.raises(OSError, match="full"), Parts(tmp_path / "o", ORIGIN) as parts:
        parts.add(score_files(detector, tmp_path, ["1.png"], IsicConfig()))
    assert not list((tmp_path / "o").iterdir())


def test_answers_of_other_weights_and_broken_parts_are_refused(tmp_path):
    write_lesion(tmp_path / "1.png")
    out = tmp_path / "out"
    with Parts(out, ORIGIN) as parts:
        parts.add(score_files(detector, tmp_path, ["1.png"], IsicConfig()))
    with pytest.raises(ValueError, match="part-00000.* made with other weights"):
        Parts(out, ORIGIN | {"weights": "other"})
    (out / "part-00001.parquet").write_bytes(b"PAR1")
    with pytest.raises(ValueError, match="part-00001.parquet is not a file of answers"):
        Parts(out, ORIGIN)
