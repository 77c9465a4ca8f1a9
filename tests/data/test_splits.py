"""How images are drawn into train, val and test, and which stay together."""

import re
from collections import Counter

import pandas as pd
import pytest

from mrcnn_skin.data.diagnoses import LabelOptions
from mrcnn_skin.data.groups import add_groups, find_groups
from mrcnn_skin.data.isic_layouts import read_records
from mrcnn_skin.data.splits import (
    assign_fold,
    assign_splits,
    parse_fold,
    split_notes,
    take_stratified,
)


def records(**columns):
    frame = pd.DataFrame(columns, dtype=object)
    missing = dict.fromkeys(["split", "label", "lesion_id", "patient_id"])
    frame = frame.assign(**{k: v for k, v in missing.items() if k not in frame})
    return add_groups(frame, frame, frame["image_id"])


@pytest.mark.parametrize("column", ["lesion_id", "patient_id"])
def test_groups_stay_together(column):
    groups = [f"g{i // 3}" for i in range(60)]
    frame = records(
        image_id=[str(i) for i in range(60)],
        label=["benign"] * 30 + ["malignant"] * 30,
        **{column: groups},
    )
    splits = assign_splits(frame, val_fraction=0.2, seed=3)
    assert splits.groupby(groups).nunique().max() == 1
    assert Counter(splits) == {"train": 36, "val": 12, "test": 12}


def test_patient_goes_before_lesion():
    frame = records(
        image_id=[str(i) for i in range(40)],
        label=["benign"] * 40,
        lesion_id=[f"l{i}" for i in range(40)],
        patient_id=[f"p{i // 4}" for i in range(40)],
    )
    splits = assign_splits(frame, val_fraction=0.2, seed=0)
    assert splits.groupby(frame["patient_id"]).nunique().max() == 1


def test_official_splits_are_kept_and_a_missing_val_taken_from_train():
    frame = records(
        image_id=[str(i) for i in range(30)],
        label=["benign", "malignant"] * 15,
        split=["train"] * 20 + ["test"] * 10,
    )
    splits = assign_splits(frame, val_fraction=0.2, seed=0)
    assert Counter(splits) == {"train": 16, "val": 4, "test": 10}
    assert set(splits[20:]) == {"test"}
    frame.loc[0, "split"] = "val"
    pd.testing.assert_series_equal(assign_splits(frame, 0.2, 0), frame["split"])


def test_folds_divide_train_and_val_and_keep_groups_and_labels():
    frame = records(
        image_id=[str(i) for i in range(120)],
        label=["benign"] * 80 + ["malignant"] * 40,
        patient_id=[f"p{i // 2}" for i in range(120)],
        split=["train"] * 50 + ["val"] * 50 + ["test"] * 20,
    )
    folds = pd.DataFrame({k: assign_fold(frame, f"{k}/5") for k in range(1, 6)})
    assert set(folds[100:].to_numpy().ravel()) == {"test"}
    is_val = folds[:100] == "val"
    assert is_val.sum(axis=1).eq(1).all()  # each image is val once
    assert set(folds[:100].to_numpy().ravel()) == {"train", "val"}
    assert is_val.groupby(frame["patient_id"]).nunique().max().max() == 1
    for label, count in (("benign", 16), ("malignant", 4)):
        assert is_val[frame["label"][:100] == label].sum().tolist() == [count] * 5


def test_folds_do_not_depend_on_the_images_of_the_test_split():
    frame = records(
        image_id=[str(i) for i in range(40)],
        label=["benign", "malignant"] * 20,
        split=["train"] * 30 + ["test"] * 10,
    )
    first = assign_fold(frame, "2/3")
    pd.testing.assert_series_equal(first[:30], assign_fold(frame[:30], "2/3"))
    assert set(assign_fold(frame[30:], "1/2")) == {"test"}


@pytest.mark.parametrize(
    "fold", ["", "1", "0/4", "5/4", "1/1", "-1/4", "1/4/2", "01/4", "٣/٤", (1, 4)]
)
def test_a_fold_is_one_of_several(fold):
    with pytest.raises(ValueError, match="fold must be K/N, .* such as 1/4, got"):
        parse_fold(fold)
    assert parse_fold("4/4") == (4, 4)


@pytest.mark.parametrize(
    "splits, notes",
    [
        (["train"] * 8 + ["val"] * 2, ["val is fold 1/2 of the images of train and"]),
        (["train"] * 8 + ["test"] * 2, ["val is fold 1/2 of the images of train and"]),
        ([None] * 10, ["10 of 10 images have no .* 10% of them were drawn for test",
                       "val is fold 1/2"]),
    ],
)  # fmt: skip
def test_folds_are_noted(splits, notes):
    frame = records(
        image_id=[str(i) for i in range(10)], label=["benign"] * 10, split=splits
    )
    frame["path"] = frame["image_id"] + ".jpg"
    found = split_notes(frame, "val", 0.1, 0, "1/2")
    assert len(found) == len(notes)
    for note, text in zip(notes, found, strict=True):
        assert re.search(note, text), text


def test_images_follow_their_group_into_its_official_split():
    frame = records(
        image_id=list("abcdefgh"),
        patient_id=["p", "p", "q", "q", "r", "r", None, None],
        lesion_id=[None, None, None, None, None, "l", "l", "m"],
        split=["test", None, "train", None, "val", None, None, "train"],
    )
    found = assign_splits(frame, val_fraction=0.4, seed=0)
    assert list(found) == [*("test", "test", "train", "train"), *["val"] * 3, "train"]


def test_limit_follows_the_proportions():
    frame = records(
        image_id=[str(i) for i in range(50)],
        label=["benign"] * 40 + ["malignant"] * 10,
    )
    chosen = take_stratified(frame, limit=10, seed=0)
    assert Counter(chosen["label"]) == {"benign": 8, "malignant": 2}


@pytest.mark.parametrize(
    "patients, lesions, groups",
    [
        ("ppqq", ".l..", "ppqq"),
        ("p.q.", "llmm", "ppqq"),  # only some of a lesion's rows name the patient
        ("p..q", "lll.", "pppq"),
        ("pq..", "ll.l", "pp.p"),  # a lesion of two patients
        ("....", "....", "...."),
    ],
)
def test_a_group_is_what_shares_a_patient_or_a_lesion(patients, lesions, groups):
    def column(letters):
        return [None if letter == "." else letter for letter in letters]

    frame = records(
        image_id=list("abcd"), patient_id=column(patients), lesion_id=column(lesions)
    )
    found = find_groups(frame)
    wanted = [i if g == "." else g for i, g in zip("abcd", groups, strict=True)]
    for i in range(4):
        same = [wanted[i] == other for other in wanted]
        assert list(found == found[i]) == same


def read(folder, images, tables, **options):
    for name in images:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    for name, text in tables.items():
        (folder / name).write_text(text)
    return read_records(folder, LabelOptions.of(**options)).set_index("image_id")


@pytest.mark.parametrize(
    "column", ["unknown", "Unknown", "NA", "none", "NaN", "n/a", "-", "?", "-1", ""]
)
def test_an_unknown_patient_is_no_group(tmp_path, column):
    """They once were one patient, all in one split."""
    text = f"image,patient_id,lesion\na,{column},{column}\nb,{column},7\nc,IP_1,7\n"
    found = read(tmp_path, ["a.jpg", "b.jpg", "c.jpg"], {"t.csv": text})
    assert list(found["patient_id"]) == [None, None, "IP_1"]
    assert list(found["lesion_id"]) == [None, "7", "7"]


SPLITS = {
    "words": ("image,split\na,TRAINING SET\nb,Test-set\n", ["train", "test"]),
    "empty": ("image,split\na,val\nb,NA\n", ["val", None]),
    "short": ("image,split\na,trn\nb,tst\n", ["train", "test"]),
    "folds": ("image,split\na,0\nb,1.0\n", [None, None]),
}


@pytest.mark.parametrize("case", SPLITS)
def test_a_column_of_splits(tmp_path, case):
    text, wanted = SPLITS[case]
    found = read(tmp_path, ["a.jpg", "b.jpg"], {"t.csv": text})
    assert list(found["split"]) == wanted


UNCLEAR_SPLITS = {
    "other words": (
        {"t.csv": "image,split\na,train\nb,hold-out\n"},
        "t.csv, column split must say train, val, test or nothing, got 'hold-out'",
    ),
    "two words": ({"t.csv": "image,split\na,train or val\n"}, "got 'train or val'"),
    "two tables": (
        {"t.csv": "image,split\na,train\n", "u.csv": "image,split\na,test\n"},
        r"'a' has two splits: train \(t.csv, column split\) and test \(u.csv",
    ),
    "two rows": ({"t.csv": "image,split\na,val\na,test\n"}, "two splits: val .*test"),
    "a folder": (
        {"t.csv": "image,split\nc,train\n"},
        "t.csv, column split says that 'c' is in train, its folder says test",
    ),
}


@pytest.mark.parametrize("case", UNCLEAR_SPLITS)
def test_ambiguous_splits_are_refused(tmp_path, case):
    tables, words = UNCLEAR_SPLITS[case]
    with pytest.raises(ValueError, match=words):
        read(tmp_path, ["a.jpg", "b.jpg", "test/c.jpg"], tables)


def test_the_split_column_that_the_user_names_overrules_folders(tmp_path):
    table = {"t.csv": "image,part,split\na,val,0\nb,,1\n"}
    images = ["test/a.jpg", "test/b.jpg"]
    found = read(tmp_path, images, table, split_column="part")
    assert list(found["split"]) == ["val", "test"]
    with pytest.raises(ValueError, match="column split must say"):
        read(tmp_path, images, table, split_column="split")


def test_columns_that_look_like_groups_or_splits_are_noted(tmp_path):
    text = "image,Subject No,partition,dx,case\na,7,train,nv,1\nb,7,test,nv,2\n"
    notes = read(tmp_path, ["a.jpg", "b.jpg"], {"t.csv": text}).attrs["notes"]
    assert notes == [
        "t.csv: column 'partition' is ignored: split_column would take its splits",
        "t.csv: column 'subject_no' is ignored: group_column would keep its images "
        "in one split",
    ]
    told = {"group_column": "Subject No", "split_column": "partition"}
    found = read(tmp_path, ["a.jpg", "b.jpg"], {"t.csv": text}, **told)
    assert not found.attrs["notes"] and list(found["split"]) == ["train", "test"]


LABELS = "image,label\n{},benign\n{},malignant\n"
NAMED_SPLITS = {
    "tables": (
        {"train.csv": LABELS.format("a", "b"), "test.csv": LABELS.format("c", "d")},
        dict(a="train", b="train", c="test", d="test"),
        None,
    ),
    "one table": (
        {"train.csv": LABELS.format("a", "b")},
        dict.fromkeys("abcd"),
        "4 images are assigned to splits at random, though .* such as train.csv:",
    ),
    "tables that overlap": (
        {"train.csv": LABELS.format("a", "b"), "test.csv": LABELS.format("b", "c")},
        dict.fromkeys("abcd"),
        "such as test.csv, train.csv",
    ),
    "lists": (
        {"train.txt": "a\nb", "test.txt": "c\nd"},
        dict.fromkeys("abcd"),
        "such as test.txt, train.txt",
    ),
    "a column": (
        {"t.csv": "image,label,is_test\na,0,1\nb,1,0\nc,0,1\n"},
        dict.fromkeys("abcd"),
        "t.csv: column 'is_test' is ignored: split_column reads",
    ),
    "folds": (
        {"t.csv": "image,split\na,0\nb,1\nc,0\n"},
        dict.fromkeys("abcd"),
        "t.csv: column 'split' is ignored: split_column reads",
    ),
}


@pytest.mark.parametrize("case", NAMED_SPLITS)
def test_splits_in_names(tmp_path, case):
    tables, wanted, note = NAMED_SPLITS[case]
    found = read(tmp_path, [f"{name}.jpg" for name in "abcd"], tables)
    assert found["split"].to_dict() == wanted
    notes = found.attrs["notes"]
    assert not notes if note is None else re.search(note, " ".join(notes)), notes


@pytest.mark.parametrize(
    "image, split, note",
    [
        ("imagesTr/a.jpg", "train", None),
        ("imagesTs/a.jpg", "test", None),
        ("train_test_split/a.jpg", None, "such as train_test_split:"),
        ("train_test_split/train/a.jpg", "train", None),
        ("holdout/a.jpg", None, "such as holdout:"),
        ("images/test_12.jpg", None, "such as test_#.jpg"),
        ("devices/a.jpg", None, None),
    ],
)
def test_splits_in_the_names_of_folders_and_images(tmp_path, image, split, note):
    found = read(tmp_path, [image], {})
    assert list(found["split"]) == [split]
    notes = found.attrs["notes"]
    assert not notes if note is None else note in notes[0]


@pytest.mark.parametrize(
    "cells, split",
    [
        (("train", "TRAINset", "TrainSet", "training set"), "train"),
        (("val", "VALset", "VALIDATION", "dev"), "val"),
        (("test", "TESTset", "testing", "tst"), "test"),
    ],
)
def test_splits_may_be_written_in_several_ways(tmp_path, cells, split):
    rows = "".join(f"{name},{cell}\n" for name, cell in zip("abcd", cells, strict=True))
    table = {"t.csv": f"image,split\n{rows}"}
    found = read(tmp_path, [f"{name}.jpg" for name in "abcd"], table)
    assert set(found["split"]) == {split}


def groups_in(folder, images, tables):
    return find_groups(read(folder, images, tables).reset_index())


@pytest.mark.parametrize(
    "first, second, other",
    [("1.0", "1", "2"), ("p3", "P03", "P30"), ("007", "7", "70")],
)
def test_a_patient_may_be_written_in_several_ways(tmp_path, first, second, other):
    text = f"image,patient_id\na,{first}\nb,{second}\nc,{other}\n"
    found = groups_in(tmp_path, ["a.jpg", "b.jpg", "c.jpg"], {"t.csv": text})
    assert found[0] == found[1] != found[2]


def test_tables_that_name_different_patients_link_them(tmp_path):
    tables = {
        "t.csv": "image,patient_id\na,P1\nb,P2\n",
        "u.csv": "image,patient_id\na,X\nb,X\nc,Y\n",
    }
    found = groups_in(tmp_path, ["a.jpg", "b.jpg", "c.jpg"], tables)
    assert found[0] == found[1] != found[2]


def test_folders_of_patients_are_groups(tmp_path):
    images = ["patient1/a.jpg", "patient_1 left/b.jpg", "patient 2/x/c.jpg", "d.jpg"]
    found = read(tmp_path, images, {})
    assert found["patient_id"].to_dict() == dict(
        a="patient1", b="patient1", c="patient2", d=None
    )
    assert find_groups(found.reset_index()).nunique() == 3


def test_a_group_column_adds_to_the_patients(tmp_path):
    """It once replaced them, and one patient was in several splits."""
    text = "image,PatientID,tumour\na,7,x\nb,7,y\nc,8,y\nd,9,z\n"
    images = ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    found = read(tmp_path, images, {"t.csv": text}, group_column="tumour")
    assert list(found["patient_id"]) == ["7", "7", "8", "9"]
    group = find_groups(found.reset_index())
    assert group[0] == group[1] == group[2] != group[3]


@pytest.mark.parametrize(
    "folders, text, noted",
    [
        (("0012", "0013"), "", "folders 0012/, 0013/ ... are not taken for patients"),
        (("P1", "P2"), "", "folders P1/, P2/"),
        (("P1", "P2"), "image,patient\na,1\nb,1\nc,2\nd,2\n", None),
        (("left", "right"), "", None),
        (("P1",), "", None),
    ],
)
def test_numbered_folders_are_noted(tmp_path, folders, text, noted):
    images = [
        f"{folders[i % len(folders)]}/{name}.jpg" for i, name in enumerate("abcd")
    ]
    found = read(tmp_path, images, {"t.csv": text} if text else {})
    notes = [
        n for n in split_notes(found.reset_index(), "train", 0.1, 0) if "fold" in n
    ]
    assert noted in notes[0] if noted else not notes


def test_words_in_a_column_of_lesions_are_no_groups(tmp_path):
    """They once put all nevi into one split."""
    text = "image,lesion,dx\na,nevus,nv\nb,nevus,nv\nc,melanoma,mel\n"
    found = read(tmp_path, ["a.jpg", "b.jpg", "c.jpg"], {"t.csv": text})
    assert find_groups(found.reset_index()).nunique() == 3
    assert list(found["lesion"]) == ["nevus", "nevus", "melanoma"]
    assert "column 'lesion' is ignored: group_column" in found.attrs["notes"][0]


def test_a_group_of_most_images_is_noted():
    """Lesions that are numbered for each patient link all patients."""
    frame = records(
        image_id=list("abcdef"), patient_id=list("ppqqrr"), lesion_id=list("121212")
    )
    frame["path"] = frame["image_id"] + ".jpg"
    assert "6 of 6 images are linked" in split_notes(frame, "train", 0.1, 0)[0]
    assert len(split_notes(frame.assign(groups=[()] * 6), "train", 0.1, 0)) == 1
