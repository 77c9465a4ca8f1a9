"""Folders of empty images with tables, and the labels that are read from them."""

from mrcnn_skin.data.diagnoses import LabelOptions
from mrcnn_skin.data.isic_layouts import read_records

B, M = "benign", "malignant"
WORDS = "image,label\na,benign\nb,malignant\n"
CODES = "image,label\na,0\nb,1\n"


def read(folder, files, **options):
    if not any(name.endswith(".jpg") for name in files):
        files = files | dict.fromkeys(("a.jpg", "b.jpg", "c.jpg", "d.jpg"), "")
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    records = read_records(folder, LabelOptions.of(**options))
    return records.set_index("image_id")


def labels_of(records):
    return {i: label for i, label in records["label"].items() if label}


def check_labels(folder, files, options, expected, words):
    """Require the labels of a case, and words of a note or of a label_problem."""
    records = read(folder, files, **options)
    assert labels_of(records) == expected
    said = [*records.attrs["notes"], *records["label_problem"].dropna()]
    assert not words or any(words in text for text in said), said
