"""Which rows of a table are those of the images: its header, image column and folder.

A case is as in test_unclear_labels.
"""

import pandas as pd
import pytest
from label_folders import WORDS, B, M, check_labels, labels_of, read

from mrcnn_skin.data.isic_layouts import read_records

CASES = {
    "numbers beside names of other images": (
        {"001.jpg": "", "t.csv": "id,filename,label\n1,x.jpg,malignant\n"},
        {},
        {},
        "column 'filename' names no image",
    ),
    "row numbers beside ISIC's ids": (
        {"ISIC_0000001.jpg": "", "t.csv": "id,isic_id,dx\n1,ISIC_7777777,mel\n"},
        {},
        {},
        "column 'isic_id' names no image",
    ),
    "numbers of what": (
        {"001.jpg": "", "patients.csv": "id,diagnosis\n1,melanoma\n"},
        {},
        {},
        "column 'id' has plain numbers, which may not be those of images",
    ),
    "no header, but a named column": (
        {"t.csv": "a,benign\nb,malignant\n"},
        {"label_column": "column_2"},
        {"a": B, "b": M},
        "",
    ),
    "numbers of images": (
        {"001.jpg": "", "patients.csv": "id,diagnosis\n1,melanoma\n"},
        {"image_column": "id"},
        {"001": M},
        "",
    ),
    "row numbers or images": (
        {"0001.jpg": "", "t.csv": "Image No,dx\n1,mel\n"},
        {},
        {},
        "no image column of this folder; image_column may name image_no, dx",
    ),
    # Tables of other folders
    "another hospital": (
        {"hospA/img/001.jpg": "", "hospB/labels.csv": "image,label\n001,benign\n"},
        {},
        {},
        "hospB/labels.csv: its images are in another folder",
    ),
    "another visit": (
        {"baseline/001.jpg": "", "followup/labels.csv": "image,dx\n001,mel\n"},
        {},
        {},
        "followup/labels.csv: its images are in another folder",
    ),
    "a table named like a folder": (
        {
            "siteA/003.jpg": "",
            "siteB/001.jpg": "",
            "siteB.csv": "image,label\n001,benign\n003,malignant\n",
        },
        {},
        {"001": B},
        "",
    ),
    "a name like a folder's": (
        {
            "hospA/001.jpg": "",
            "hospB/002.jpg": "",
            "hospB_labels.csv": "image,label\n001,benign\n002,malignant\n",
        },
        {},
        {"002": M},
        "",
    ),
    "a folder of tables": (
        {"images/a.jpg": "", "images/b.jpg": "", "labels/t.csv": WORDS},
        {},
        {"a": B, "b": M},
        "",
    ),
    "a folder above": (
        {"site A/t.csv": WORDS, "site A/photos/a.jpg": "", "site B/photos/b.jpg": ""},
        {},
        {"a": B},
        "",
    ),
    "# in the header": (
        {"t.csv": "#,image,predicted\n1,a,benign\n2,b,malignant\n"},
        {},
        {},
        "",
    ),
    "a comment like a header": (
        {"t.csv": "# id, from the clinic\nimage,label\na,benign\nb,malignant\n"},
        {},
        {"a": B, "b": M},
        "",
    ),
    "a file like a heading": (
        {"image.jpg": "", "b.jpg": "", "t.csv": "image,dx\nimage,nv\nb,mel\n"},
        {},
        {"image": B, "b": M},
        "",
    ),
    "no header, a comment": (
        {"t.csv": "# ours\na,nv\nb,mel\n"},
        {},
        {"a": B, "b": M},
        "",
    ),
    "no header, other images first": (
        {"ISIC_0000002.jpg": "", "t.csv": "ISIC_0000001,nv\nISIC_0000002,mel\n"},
        {},
        {"ISIC_0000002": M},
        "",
    ),
    "#image": (
        {"t.csv": "#image,referral\na,nevus\nb,melanoma\n"},
        {},
        {},
        "t.csv: no known column of labels; label_column may name one of image, ref",
    ),
    "a heading in a cell": (
        {"t.csv": "photo,label,type\na,benign,image\nb,malignant,image\n"},
        {},
        {"a": B, "b": M},
        "",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_rows_of_images(tmp_path, case):
    check_labels(tmp_path, *CASES[case])


ACCEPTED = {
    "age and age_approx": "image,age,age_approx,dx\na,51,50,nv\nb,49,50,mel\n",
    "site and localization": "image,site,localization,dx\na,X,arm,nv\nb,X,leg,mel\n",
    "R": '"image" "label"\n"1" "a" "benign"\n"2" "b" "malignant"\n',
    "R, commas": '"image","label"\n"1","a","benign"\n"2","b","malignant"\n',
    "repeated header": "image,label\na,benign\nimage,label\nb,malignant\n",
    "repeated header, codes": "image,label\na,0\n,\nimage,label\nb,1\n",
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_tables_of_other_programs_are_read(tmp_path, case):
    assert labels_of(read(tmp_path, {"t.csv": ACCEPTED[case]})) == {"a": B, "b": M}


def test_row_numbers_are_not_guessed(tmp_path):
    records = read(tmp_path, {"t.csv": "image,label\na,benign,malignant\n"})
    assert not labels_of(records)
    assert "more cells than the header" in records.attrs["notes"][0]


def test_a_table_of_several_sheets_is_refused(tmp_path):
    pytest.importorskip("openpyxl")
    (tmp_path / "a.jpg").touch()
    sheet, empty = pd.DataFrame({"image": ["a"], "label": ["benign"]}), pd.DataFrame()
    for names, wanted in ((["one"], {"a": B}), (["one", "two"], {})):
        with pd.ExcelWriter(tmp_path / "t.xlsx") as writer:
            empty.to_excel(writer, sheet_name="blank", index=False, header=False)
            for name in names:
                sheet.to_excel(writer, sheet_name=name, index=False)
        records = read_records(tmp_path).set_index("image_id")
        assert labels_of(records) == wanted
    assert "it has several sheets, one, two: save one" in records.attrs["notes"][0]
