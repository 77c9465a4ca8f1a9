"""Values and options that the user names, but no table has."""

import pytest
from PIL import Image

from mrcnn_skin import IsicDataset
from mrcnn_skin.data.diagnoses import LabelOptions
from mrcnn_skin.data.isic_layouts import read_records


@pytest.fixture
def folder(tmp_path):
    for name in "abc":
        Image.new("RGB", (8, 8)).save(tmp_path / f"{name}.jpg")
    (tmp_path / "labels.csv").write_text("image,dx\na,mel\nb,bcc\nc,nv\n")
    return tmp_path


def labels(folder, **options):
    records = read_records(folder, LabelOptions.of(**options))
    return dict(zip(records["image_id"], records["label"], strict=True)), records.attrs


@pytest.mark.parametrize("malignant", [("xyz",), ("mel;bcc",), "mel;bcc"])
def test_values_that_no_table_has_are_refused(folder, malignant):
    """They once made every image benign."""
    with pytest.raises(ValueError, match="no label of the images is .*they have .*bcc"):
        labels(folder, malignant=malignant)


def test_a_single_text_is_one_value(folder):
    found, attrs = labels(folder, malignant="mel")
    # A malignant diagnosis that malignant does not name is not clear
    assert found == {"a": "malignant", "b": None, "c": "benign"}
    assert not attrs["notes"]


def test_a_misspelt_value_among_others_is_noted(folder):
    found, attrs = labels(folder, malignant=("mel", "bbc"))
    assert found["a"] == "malignant"
    assert attrs["notes"][0] == "no label is 'bbc', named as malignant"


def test_names_of_columns_and_folders_are_values(tmp_path):
    for name in ("sick", "well"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / name / f"{name[0]}.jpg")
    found, attrs = labels(tmp_path, malignant=("sick",), benign=("well",))
    assert found == {"s": "malignant", "w": "benign"} and not attrs["notes"]
    (tmp_path / "marks.csv").write_text("image,P,Q\ns,1,0\nw,0,1\n")
    options = {"label_column": ("P", "Q"), "malignant": ("P",), "benign": ("Q",)}
    found, attrs = labels(tmp_path, **options)
    assert found == {"s": "malignant", "w": "benign"} and not attrs["notes"]
    with pytest.raises(ValueError, match="none of the columns p, q is a known"):
        labels(tmp_path, label_column=("P", "Q"), malignant=("X",))


@pytest.mark.parametrize(
    "options, words",
    [
        ({"label_colum": "dx"}, "unknown option 'label_colum'; .* label_table"),
        ({"label_column": 5}, "label_column must be text or a list of texts, got 5"),
        ({"malignant": (1,)}, r"malignant must be .* got \(1,\)"),
        ({"image_column": ("a", "b")}, "image_column must be text, got"),
        ({"malignant": "mel", "benign": ("MEL",)}, "both name mel"),
        ({"label_column": ("dx", "DX")}, "label_column names a column twice: dx, DX"),
    ],
)
def test_options_of_another_form(folder, options, words):
    with pytest.raises(ValueError, match=words):
        IsicDataset().load_isic(folder, None, require_masks=False, **options)


@pytest.mark.parametrize(
    "text, options, words",
    [
        (
            "image,healthy\na,1\nb,0\n",
            {"label_column": "healthy"},
            "labels.csv: column 'healthy': 0, 1 are not explained, malignant must",
        ),
        (
            "image,melanoma\na,1\nb,0\n",
            {"label_column": "melanoma", "malignant": "melanoma"},
            "none of the values melanoma; malignant .* must name .* which are 0, 1",
        ),
        ("image,biopsy\na,no\nb,yes\n", {"label_column": "biopsy"}, "no, yes are not"),
        ("image,label\na,no\nb,yes\n", {"label_column": "label"}, "no, yes are not"),
        (
            "image,label\na,1\nb,0\n",
            {"malignant": "0"},
            "column 'label' has 0, 1, which malignant or .*; label_column must name",
        ),
        ("image,benign\na,1\nb,0\n", {"benign": "0"}, "label_column must name"),
        (
            "image,P,Q\na,1,0\nb,0,1\n",
            {"label_column": ("P", "Q")},
            "none of the columns p, q is a known diagnosis: malignant must",
        ),
        (
            "image,code\na,x\n",
            {"label_table": "labels.csv", "label_column": "dx"},
            "the label table labels.csv has no column dx; it has image, code",
        ),
        ("image\nz\n", {"label_table": "labels.csv"}, "label_table: .*no image"),
        ("image,x\na,1,2\n", {"label_table": "labels.csv"}, "1 rows have more cells"),
    ],
)
def test_ambiguous_options_are_refused(folder, text, options, words):
    (folder / "labels.csv").write_text(text)
    (folder / "other.csv").write_text("image,dx\na,mel\n")
    with pytest.raises(ValueError, match=words):
        labels(folder, **options)


def test_a_label_table_needs_its_folder_where_several_have_its_name(folder):
    for name, label in (("p", "benign"), ("q", "malignant")):
        (folder / name).mkdir()
        (folder / name / "t.csv").write_text(f"image,label\na,{label}\n")
    with pytest.raises(ValueError, match="several label tables .* t.csv: p/t.csv, q"):
        labels(folder, label_table="t.csv")
    assert labels(folder, label_table="q/t.csv")[0]["a"] == "malignant"


def test_an_image_column_is_meant_for_the_tables_that_have_it(folder):
    (folder / "labels.csv").write_text("id,foto,dx\nb,a,mel\n")
    (folder / "more.csv").write_text("image,age\na,50\n")
    records = read_records(folder, LabelOptions.of(image_column="foto"))
    record = records.set_index("image_id").loc["a"]
    assert (record["label"], record["age"]) == ("malignant", 50)
    assert not records.attrs["notes"]
