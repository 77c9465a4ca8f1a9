"""Tables of labels, well-formed, tolerable and hostile."""

import pytest

from mrcnn_skin.data import isic_tables
from mrcnn_skin.data.isic_tables import read_table


def write(folder, name, text, **kwargs):
    path = folder / name
    path.write_bytes(text.encode(**kwargs))
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_read_table_is_tolerant(tmp_path, separator, encoding, newline):
    rows = [["image", "label"], ["x", "benign"], ["0012", "malignant"]]
    text = newline.join(separator.join(row) for row in rows) + newline * 2
    table = read_table(write(tmp_path, "t.csv", text, encoding=encoding))
    assert table.to_dict("list") == {
        "image": ["x", "0012"],
        "label": ["benign", "malignant"],
    }
    assert table.attrs == {
        "has_header": True,
        "image_column": "image",
        "remarks": "image label",
    }


def test_diagnosis_names_in_a_header_are_a_header(tmp_path):
    table = read_table(write(tmp_path, "t.csv", "image,MEL,NV\nx,1,0\n"))
    assert list(table.columns) == ["image", "mel", "nv"]


@pytest.mark.parametrize("text", ["", 'image,label\nx,1,2,3\ny,"\n'])
def test_unreadable_table_is_named(tmp_path, text):
    with pytest.raises(ValueError, match="broken.csv"):
        read_table(write(tmp_path, "broken.csv", text))


def test_the_unicode_text_of_excel(tmp_path):
    path = write(tmp_path, "t.csv", "image\tlabel\nLäsion 1\t1\n", encoding="utf-16")
    table = read_table(path)
    assert table.to_dict("list") == {"image": ["Läsion 1"], "label": ["1"]}


def test_a_binary_or_endless_table_is_named(tmp_path, monkeypatch):
    (tmp_path / "t.csv").write_bytes(b"image,label\0\0\n")
    with pytest.raises(ValueError, match="t.csv: it is binary"):
        read_table(tmp_path / "t.csv")
    monkeypatch.setattr(isic_tables, "MAX_TABLE_BYTES", 12)
    with pytest.raises(ValueError, match="t.csv: it is larger than 12 bytes"):
        read_table(tmp_path / "t.csv")


def test_a_huge_field_and_a_formula_are_text(tmp_path):
    formula, huge = "=cmd|' /C calc'!A0", "x" * 300_000
    path = write(tmp_path, "t.csv", f"image,label\na,{formula}\nb,{huge}\n")
    table = read_table(path)
    assert list(table["label"]) == [formula, huge]
