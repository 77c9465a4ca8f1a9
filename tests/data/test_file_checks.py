"""What is found wrong with image and mask files, and how deep one has to look."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mrcnn_skin.data.file_checks import check_files, inspect_image, inspect_mask
from mrcnn_skin.data.files import UnreadableImage

LIMIT = 10**6


@pytest.mark.parametrize("compress_level", [0, 6])
def test_the_header_depth_finds_blank_masks(tmp_path, compress_level):
    path = str(tmp_path / "blank.png")
    Image.new("L", (1022, 767)).save(path, compress_level=compress_level)
    assert inspect_mask(path, "header", LIMIT) == [767, 1022, 1, False, None]


def noise_png(path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path.read_bytes()


def test_only_the_full_depth_finds_a_cut_off_image(tmp_path):
    path = tmp_path / "cut.png"
    path.write_bytes(noise_png(path)[:3000])
    assert inspect_image(path, "header", LIMIT) == [40, 60, 1]
    with pytest.raises(UnreadableImage, match="cut.png"):
        inspect_image(path, "full", LIMIT)


def test_the_full_depth_compares_the_checksums_of_a_png(tmp_path):
    """Stored, not compressed: a changed byte still decodes, to another pixel."""
    path = tmp_path / "flipped.png"
    Image.new("L", (40, 40), 7).save(path, compress_level=0)
    data = bytearray(path.read_bytes())
    data[500] ^= 1
    path.write_bytes(data)
    with pytest.raises(UnreadableImage, match="flipped.png"):
        inspect_image(path, "full", LIMIT)


@pytest.mark.parametrize("depth", ["header", "full"])
def test_the_limit_holds_for_images_and_masks(tmp_path, depth):
    path = tmp_path / "large.png"
    Image.new("L", (100, 90)).save(path)
    for inspect in (inspect_image, inspect_mask):
        with pytest.raises(UnreadableImage, match="90 x 100.*limit of 8999"):
            inspect(path, depth, 8999)


def test_dropped_records_are_not_checked(tmp_path):
    path = str(tmp_path / "good.png")
    Image.new("RGB", (20, 10)).save(path)
    records = pd.DataFrame(
        {
            "path": [path, "absent.png"],
            "mask_paths": [(), ("absent too.png",)],
            "reason": [None, "no label"],
            "file": ["", ""],
        }
    )
    checked = check_files(records, False, "full", LIMIT)
    assert checked["height"].tolist() == [10, None]
    assert checked["reason"].tolist() == [None, "no label"]


def turned(path, orientation, size):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", size).save(path, exif=exif)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
@pytest.mark.parametrize(
    ("orientation", "size", "mask_size", "own", "words"),
    [
        (6, (30, 20), (20, 30), 1, None),  # drawn on the turned image
        (6, (30, 20), (30, 20), 1, "mask size mismatch: mask (20, 30), image (30, 20)"),
        (6, (30, 30), (30, 30), 1, "unclear orientation: the image is turned by EXIF"),
        (3, (30, 20), (30, 20), 1, "unclear orientation: the image is turned by EXIF"),
        (2, (30, 20), (60, 40), 1, "unclear orientation: the image is turned by EXIF"),
        (3, (30, 20), (30, 20), 3, None),  # turned like the image
        (8, (30, 20), (30, 20), 8, None),
        (1, (30, 30), (30, 30), 1, None),
    ],
)
def test_masks_of_images_turned_by_exif(
    tmp_path, suffix, orientation, size, mask_size, own, words
):
    image, mask = tmp_path / f"image.{suffix}", tmp_path / "mask.png"
    turned(image, orientation, size)
    exif = Image.Exif()
    exif[0x0112] = own
    Image.new("L", mask_size, 255).save(mask, **{"exif": exif} if own > 1 else {})
    columns = {"path": [str(image)], "mask_paths": [(str(mask),)]}
    records = pd.DataFrame({**columns, "reason": [None], "file": [""]})
    [reason] = check_files(records, True, "header", LIMIT)["reason"]
    assert reason is None if words is None else reason.startswith(words)
