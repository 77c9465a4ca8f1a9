"""Broken and hostile files: the readers answer, or refuse with the file's name.

Hypothesis makes the files; MRCNN_SKIN_FUZZ sets how many of each kind (default: 60).
"""

import io
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mrcnn_skin.data import files
from mrcnn_skin.data.diagnoses import LabelOptions
from mrcnn_skin.data.isic_layouts import read_records
from mrcnn_skin.data.isic_tables import read_table
from mrcnn_skin.data.label_columns import read_labels, values_of

fuzzed = settings(
    max_examples=int(os.environ.get("MRCNN_SKIN_FUZZ", 60)),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize="MRCNN_SKIN_FUZZ" not in os.environ,
    database=None,
)
LIMIT = 10_000
pytestmark = pytest.mark.filterwarnings("ignore")  # Pillow's, of odd metadata


def encoded(form, mode, **options):
    """The bytes of a small image with structure."""
    pixels = np.random.default_rng(0).integers(0, 256, (12, 9, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, form, **options)
    return buffer.getvalue()


SEEDS = [
    encoded("JPEG", "RGB"),
    encoded("JPEG", "CMYK"),
    encoded("JPEG", "L", progressive=True),
    encoded("PNG", "RGBA"),
    encoded("PNG", "P"),
    encoded("PNG", "1"),
    encoded("BMP", "RGB"),
    encoded("TIFF", "RGB", compression="tiff_lzw"),
    encoded("TIFF", "L"),
    encoded("TIFF", "I;16"),
    b"\0" * 128 + b"DICM" + bytes(range(200)),
]


@st.composite
def damaged(draw):
    """The bytes of an image with some changed, cut out, repeated or cut off."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data)))
        end = at + draw(st.integers(0, 8))
        data[at:end] = draw(
            st.one_of(
                st.binary(max_size=8),
                st.sampled_from([b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"]),
                st.just(bytes(data[at:end]) * 2),
            )
        )
    return bytes(
        data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data
    )


def written(data, suffix):
    """Write bytes to a file in a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    path = folder / f"file{suffix}"
    path.write_bytes(data)
    return path


def remove(path):
    path.unlink()
    path.parent.rmdir()  # fails if a reader has left something behind


@fuzzed
@given(data=st.one_of(damaged(), st.binary(max_size=300)))
def test_an_image_is_read_or_refused_by_name(data):
    path = written(data, ".jpg")
    for read in (files.image_size, files.read_image, files.read_mask):
        try:
            result = read(path, max_pixels=LIMIT)
        except files.UnreadableImage as error:
            assert str(path) in str(error) and error.reason
        else:
            size = result if read is files.image_size else result.shape[:2]
            assert 0 < size[0] * size[1] <= LIMIT
    remove(path)


CELLS = st.one_of(
    st.sampled_from(
        ["ISIC_0000001", "1", "benign", "malignant", "0.0", "1.0", "image", "label"]
    ),
    st.sampled_from(["=cmd|' /C calc'!A0", '"', "||", "\x1b[2J", "../../etc/passwd"]),
    st.text(max_size=12),
)


@st.composite
def tables(draw):
    """The bytes of a table: rows of unequal length, any separator and encoding."""
    separator = draw(st.sampled_from([",", ";", "\t", "||"]))
    rows = draw(st.lists(st.lists(CELLS, max_size=5), max_size=8))
    newline = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    text = newline.join(separator.join(row) for row in rows)
    if draw(st.booleans()):
        text = f"image{separator}label{newline}{text}"
    encoding = draw(st.sampled_from(["utf-8-sig", "utf-8", "utf-16", "cp1252"]))
    return text.encode(encoding, errors="replace")


@fuzzed
@given(data=st.one_of(tables(), st.binary(max_size=200)))
def test_a_table_is_read_as_text_or_refused_by_name(data):
    path = written(data, ".csv")
    try:
        table = read_table(path)
    except ValueError as error:
        assert str(path) in str(error)
    else:
        assert table.columns.is_unique
        values = values_of([(table, True)])
        for reading in read_labels(table, "labels.csv", LabelOptions(), values):
            assert set(reading.labels.dropna()) <= {"benign", "malignant", "unsure"}
            assert len(reading.labels) == len(table)
        assert all(isinstance(cell, str) for cell in table.to_numpy().ravel())
    remove(path)


@fuzzed
@given(data=tables())
def test_a_table_names_only_images_that_are_there(data):
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    (folder / "ISIC_0000001.jpg").touch()
    (folder / "labels.csv").write_bytes(data)
    records = read_records(folder)
    assert set(records["path"]) == {str(folder / "ISIC_0000001.jpg")}
    assert all("labels.csv" in note for note in records.attrs["notes"])
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
