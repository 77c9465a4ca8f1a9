"""Which image a cell means: by its name, its folder, and the folder of its table."""

import json

import pytest

from mrcnn_skin.data.image_names import ImageNames
from mrcnn_skin.data.isic_layouts import read_records

B, M = "benign", "malignant"


def labels_of(records):
    return {i: label for i, label in records["label"].items() if label}


@pytest.mark.parametrize(
    "images, cells, expected",
    [
        (["0001.jpg", "0002.jpg"], ["1", "2.0"], ["0001", "0002"]),
        (["1.jpg", "0001.jpg"], ["1", "0001"], ["1", "0001"]),
        (
            ["ISIC_0000123.jpg"],
            ["123", "isic_123", "ISIC_0000123.JPG"],
            ["ISIC_0000123"] * 3,
        ),
        (["7.jpg", "ISIC_0000007.jpg"], ["7"], ["7"]),
        (
            ["patient1/x.jpg", "patient2/x.jpg"],
            ["patient1/x.jpg", "data/patient2/x", "x"],
            ["patient1/x", "patient2/x", None],
        ),
        (["p1/x.jpg"], ["p1/x.jpg", "p2/x.jpg"], ["p1/x", None]),
        (["images/a.b.jpg"], ["a.b", "a.b.jpg", "a"], ["a.b", "a.b", None]),
    ],
)
def test_cells_name_images(tmp_path, images, cells, expected):
    for name in images:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    kinds = [B, M, B][: len(cells)]
    rows = "".join(f"{c},{k}\n" for c, k in zip(cells, kinds, strict=True))
    if len(set(expected)) < len(expected):
        rows = "".join(f"{c},benign\n" for c in cells)
        kinds = [B] * len(cells)
    (tmp_path / "t.csv").write_text("image,label\n" + rows)
    records = read_records(tmp_path).set_index("image_id")
    wanted = {i: k for i, k in zip(expected, kinds, strict=True) if i}
    wanted = {
        i.rpartition("/")[2] if len(images) == 1 else i: k for i, k in wanted.items()
    }
    assert labels_of(records) == wanted


def test_row_numbers_are_no_names_where_a_column_has_names(tmp_path):
    for i in (1, 2):
        (tmp_path / f"ISIC_000000{i}.jpg").touch()
    rows = "1,ISIC_0000002,benign\n2,ISIC_0000001,malignant\n"
    (tmp_path / "t.csv").write_text("id,foto,label\n" + rows)
    records = read_records(tmp_path)
    assert list(records["label"]) == [None, None]
    [note] = records.attrs["notes"]
    assert "columns 'id' and 'foto' name different images" in note


# The images; the table; its cells; and the ids that they mean
PLACES = {
    "another patient's": (
        ["patient1/1.jpg", "patient1/2.jpg", "patient2/3.jpg"],
        "labels.csv",
        {"patient1/1.jpg": "1", "patient2/2.jpg": None, "x/patient2/3.jpg": "3"},
    ),
    "a patient that is not here": (
        ["patient1/images/1.jpg"],
        "labels.csv",
        {"patient2/images/1.jpg": None, "patient1/1": "1"},
    ),
    "another root": (["a.jpg", "b.jpg"], "t.csv", {"D:\\x\\images\\a.jpg": "a"}),
    "other folder names": (["images/a.jpg"], "t.csv", {"data/photos/a.jpg": "a"}),
    "another split": (["train/1.jpg"], "t.csv", {"test/1.jpg": None}),
    "names in several folders": (
        ["p/a.jpg", "p/b.jpg"],
        "t.csv",
        {"p/a.jpg": "a", "q/a.jpg": None, "q/b.jpg": "b"},
    ),
    "the table's folder": (
        ["p1/a.jpg", "p2/a.jpg", "p2/b.jpg"],
        "p1/labels.csv",
        {"a": "p1/a", "b": None},
    ),
    "the folder above the table's": (
        ["p1/images/a.jpg", "p2/images/a.jpg"],
        "p2/tables/labels.csv",
        {"a": "p2/a"},
    ),
    "the table's split": (
        ["train/1.jpg", "test/1.jpg", "test/2.jpg"],
        "train/labels.csv",
        {"1": "train/1", "2": None},
    ),
    "the split of the table's name": (
        ["train/1.jpg", "test/1.jpg", "test/2.jpg"],
        "test_labels.csv",
        {"1": "test/1", "2": "2"},
    ),
    "two splits": (["val/1.jpg"], "train_val.csv", {"1": "1"}),
    "names that are unique": (
        ["train/ISIC_0000001.jpg", "imgs_part_2/PAT_1_2_3.png"],
        "imgs_part_1/test.csv",
        {"ISIC_0000001": "ISIC_0000001", "PAT_1_2_3.png": "PAT_1_2_3"},
    ),
}


@pytest.mark.parametrize("case", PLACES)
def test_folders_in_cells_and_of_tables(case):
    images, table, cells = PLACES[case]
    assert ImageNames(images).find(list(cells), table) == list(cells.values())


@pytest.mark.parametrize(
    "images, labels",
    [
        (["p1/1.jpg", "p2/1.jpg"], {"p1/1": B, "p2/1": M}),
        (["p1/1.jpg", "p1/2.jpg"], {"1": B}),  # the row 2 is that of another patient
        (["x/1.jpg", "x/2.jpg"], {"1": None, "2": M}),
    ],
)
def test_folders_of_patients(tmp_path, images, labels):
    for name in images:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    rows = "p1,1,benign\np2,1,malignant\np2,2,malignant\n"
    (tmp_path / "t.csv").write_text("patient,image,label\n" + rows)
    records = read_records(tmp_path).set_index("image_id")
    assert labels_of(records) == {i: label for i, label in labels.items() if label}


def annotations(*names):
    corners = [2, 2, 20, 2, 20, 20, 2, 20]
    return {
        "images": [{"id": i, "file_name": name} for i, name in enumerate(names)],
        "categories": [{"id": 1, "name": "lesion"}],
        "annotations": [
            {"image_id": i, "category_id": 1, "segmentation": [corners]}
            for i in range(len(names))
        ],
    }


@pytest.mark.parametrize(
    "images, path, names, outlined",
    [
        (["train/x.jpg"], "annotations/instances_val.json", ["x.jpg"], []),
        (["train/x.jpg"], "instances_train.json", ["x.jpg"], ["train/x.jpg"]),
        (["train/x.jpg"], "val/lesions.json", ["x.jpg"], []),
        (["train/x.jpg", "val/x.jpg"], "val.json", ["x.jpg"], ["val/x.jpg"]),
        (["p1/x.jpg"], "c.json", ["p2/x.jpg"], []),
        (["p1/x.jpg", "p2/y.jpg"], "c.json", ["p2/x.jpg", "p2/y.jpg"], ["p2/y.jpg"]),
        (["p1/x.jpg", "p2/x.jpg"], "p2/c.json", ["x.jpg"], ["p2/x.jpg"]),
    ],
)
def test_outlines_belong_to_images_of_their_folder(
    tmp_path, images, path, names, outlined
):
    for name in (*images, path):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / path).write_text(json.dumps(annotations(*names)))
    records = read_records(tmp_path)
    found = records.loc[records["outlines"].notna(), "path"]
    assert [str(tmp_path / name) for name in outlined] == list(found)
