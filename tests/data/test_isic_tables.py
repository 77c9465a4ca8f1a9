"""Tables of labels, well-formed, tolerable and hostile."""

import pandas as pd
import pytest

from mrcnn_skin.data.isic_tables import read_table, row_labels

B, M = "benign", "malignant"


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
        "image_id": ["x", "0012"],
        "label": ["benign", "malignant"],
    }


def test_diagnosis_names_in_a_header_are_a_header(tmp_path):
    table = read_table(write(tmp_path, "t.csv", "image,MEL,NV\nx,1,0\n"))
    assert list(table.columns) == ["image_id", "mel", "nv"]


@pytest.mark.parametrize("text", ["", 'image,label\nx,1,2,3\ny,"\n'])
def test_unreadable_table_is_named(tmp_path, text):
    with pytest.raises(ValueError, match="broken.csv"):
        read_table(write(tmp_path, "broken.csv", text))


def test_probabilities_are_no_labels():
    table = pd.DataFrame({"image_id": ["a", "b"], "melanoma": ["0.3", "1"]})
    assert list(row_labels(table)) == [None, M]


def test_one_hot_without_a_malignant_column_is_no_label():
    assert list(row_labels(pd.DataFrame({"nv": ["0"]}))) == [None]
