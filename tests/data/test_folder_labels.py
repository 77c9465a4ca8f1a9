"""Folders that name a class: benign/, nevus/ and the like."""

import pytest

from mrcnn_skin.data.isic_layouts import read_records

B, M = "benign", "malignant"


def labels_of(records):
    return {i: label for i, label in records["label"].items() if label}


def test_a_folder_per_class(tmp_path):
    for name in (
        *("train/nevus/1.jpg", "train/melanoma/1.jpg", "train/actinic keratosis/1.jpg"),
        *("test/nevus/1.jpg", "test/basal cell carcinoma/2.jpg"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    records = read_records(tmp_path).set_index("image_id")
    assert labels_of(records) == {
        "train/nevus/1": B,
        "train/melanoma/1": M,
        "test/nevus/1": B,
        "2": M,
    }
    lost = records.loc["train/actinic keratosis/1", "label_problem"]
    assert lost == "no label: the folder is actinic keratosis/"
    assert list(records["split"]) == ["test", "test", "train", "train", "train"]


@pytest.mark.parametrize(
    "folders, labels",
    [
        (["benign", "malignant"], [B, M]),
        (["mel", "nv"], [M, B]),
        (["df"], [None]),  # perhaps somebody's initials
        (["Naevi", "Basal_Cell_Carcinoma"], [B, M]),
        (["Valencia", "Testudo"], [None, None]),
        (["benign/nevus", "malignant/melanoma"], [B, M]),
        (["benign/melanoma", "benign/nevus"], [None, B]),
    ],
)
def test_folders_that_name_a_class(tmp_path, folders, labels):
    for i, name in enumerate(folders):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / f"{i}.jpg").touch()
    records = read_records(tmp_path).sort_values("image_id")
    assert list(records["label"]) == labels
    assert set(records["split"]) == {None}


def test_a_code_that_folders_contradict_is_no_label(tmp_path):
    """1 was benign in this table; c is in neither folder."""
    for name in ("benign/a.jpg", "malignant/b.jpg", "c.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "labels.csv").write_text("image,label\na,1\nb,0\nc,0\n")
    assert labels_of(read_records(tmp_path)) == {}


def test_a_folder_and_a_table_may_contradict_each_other(tmp_path):
    (tmp_path / "benign").mkdir()
    (tmp_path / "benign" / "a.jpg").touch()
    (tmp_path / "labels.csv").write_text("image,label\na,malignant\n")
    [problem] = read_records(tmp_path)["label_problem"]
    assert problem == (
        "contradictory labels: the folder is benign/; labels.csv says label=malignant"
    )
