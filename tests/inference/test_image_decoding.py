"""Decoding in the graph against Pillow's, through data/files.py, and broken files."""

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from mrcnn_skin.data.files import UnreadableImage, read_image
from mrcnn_skin.inference.image_decoding import (
    UNREADABLE,
    decode_image,
    exif_orientation,
)

MAX_PIXELS = 5000


@pytest.fixture(scope="module")
def decode():
    """decode_image as the export has it: traced once."""

    @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
    def traced(encoded):
        return decode_image(encoded, MAX_PIXELS)

    def decode(encoded):
        image, error = traced(encoded)
        return image.numpy(), error.numpy().decode()

    return decode


def picture(height=40, width=50, mode="RGB", seed=0):
    """A smooth picture with some noise, as photographs are."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [127 + 90 * np.sin(y / a + x / b) for a, b in rng.uniform(3, 9, (3, 2))]
    pixels = np.stack(waves, axis=-1) + rng.normal(0, 5, (height, width, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).convert(mode)


def encoded(image, kind="JPEG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def assert_as_read_image(decode, content, tmp_path, tolerance=0):
    path = tmp_path / "image"
    path.write_bytes(content)
    wanted = read_image(path)
    image, error = decode(content)
    assert error == "" and image.shape == wanted.shape
    difference = np.abs(image.astype(int) - wanted)
    assert difference.max() <= tolerance, difference.max()


@pytest.mark.parametrize(
    "options",
    [
        {"quality": 75},
        {"quality": 95, "subsampling": 0},
        {"progressive": True},
        {"restart_marker_rows": 1},
    ],
)
def test_jpeg(decode, options, tmp_path):
    assert_as_read_image(decode, encoded(picture(), **options), tmp_path)
    assert_as_read_image(decode, encoded(picture(37, 23), **options), tmp_path)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1"])
def test_png_of_every_mode(decode, mode, tmp_path):
    assert_as_read_image(decode, encoded(picture(mode=mode), "PNG"), tmp_path)


def test_grey_and_cmyk_jpeg(decode, tmp_path):
    assert_as_read_image(decode, encoded(picture(mode="L")), tmp_path)
    # Both multiply by black, and round once more or less
    assert_as_read_image(decode, encoded(picture(mode="CMYK")), tmp_path, tolerance=1)


def test_png_of_16_bits_is_cut_where_read_image_rounds(decode, tmp_path):
    values = np.random.default_rng(0).integers(0, 65536, (20, 30)).astype(np.uint16)
    content = encoded(Image.fromarray(values), "PNG")
    assert_as_read_image(decode, content, tmp_path, tolerance=1)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_as_read_image(
    decode, orientation, byte_order, kind, tmp_path
):
    exif = Image.Exif()
    exif.endian = byte_order
    exif[0x010F] = "a camera"  # a tag before and one after it
    exif[0x0112] = orientation
    exif[0x0132] = "2026:01:01 00:00:00"
    content = encoded(picture(), kind, exif=exif)
    assert exif_orientation(tf.constant(content)) == orientation
    assert_as_read_image(decode, content, tmp_path)


@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize("kind, code", [(3, "HH"), (4, "I")])
def test_exif_orientation_of_two_or_four_bytes(
    decode, byte_order, kind, code, tmp_path
):
    """Cameras write a SHORT; Pillow also accepts a LONG."""
    value = struct.pack(byte_order + code, *[6, 0][: len(code)])
    order = b"II" if byte_order == "<" else b"MM"
    tiff = order + struct.pack(byte_order + "HIH", 42, 8, 1)
    tiff += struct.pack(byte_order + "HHI", 0x0112, kind, 1) + value + bytes(4)
    plain = encoded(picture())
    content = plain[:2] + segment(0xE1, b"Exif\0\0" + tiff) + plain[2:]
    assert Image.open(io.BytesIO(content)).getexif()[0x0112] == 6
    assert exif_orientation(content) == 6
    assert_as_read_image(decode, content, tmp_path)


def segment(marker, content):
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def test_exif_behind_other_headers_and_broken_exif(decode):
    plain = encoded(picture())
    tag = struct.pack("<HHII", 0x0112, 3, 1, 6)
    tiff = b"II*\0\x08\0\0\0\x01\0" + tag
    comment, exif = segment(0xFE, b"\xff\xda" * 40), segment(0xE1, b"Exif\0\0" + tiff)
    assert exif_orientation(plain[:2] + comment + exif + plain[2:]) == 6
    for broken in (
        tiff[:4],
        tiff[:12],
        tiff.replace(b"\x06", b"\x63"),
        b"II*\0\xff\xff\xff\xff",
        b"II*\0\x08\0\0\0\xff\xff" + tag[:7],
        b"",
    ):
        content = plain[:2] + segment(0xE1, b"Exif\0\0" + broken) + plain[2:]
        assert decode(content)[0].shape == (40, 50, 3), broken


def chunk(name, content):
    """A chunk of a PNG."""
    checksum = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + checksum


def test_exif_behind_the_pixels_of_a_png_and_broken_exif(decode, tmp_path):
    plain = encoded(picture(), "PNG")
    end = len(plain) - 12
    tiff = b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHHI", 0x0112, 3, 1, 8, 0, 0)
    turned = plain[:end] + chunk(b"eXIf", tiff) + plain[end:]
    assert exif_orientation(turned) == 8
    assert_as_read_image(decode, turned, tmp_path)
    for broken in (tiff[:4], tiff[:12], b"II*\0\xff\xff\xff\xff", b""):
        content = plain[:end] + chunk(b"eXIf", broken) + plain[end:]
        assert decode(content)[0].shape == (40, 50, 3), broken
    for length in (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"):
        assert exif_orientation(plain[:33] + length + plain[37:]) == 1


def test_every_truncation_is_an_error(decode):
    for kind in ("JPEG", "PNG"):
        content = encoded(picture(), kind)
        for length in (*range(0, 64, 3), *range(64, len(content) - 1, 97)):
            image, error = decode(content[:length])
            assert error == UNREADABLE and image.shape == (1, 1, 3), (kind, length)


def test_changed_bytes_never_raise_and_a_png_shows_them(decode, tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "image"
    for kind in ("JPEG", "PNG"):
        good = encoded(picture(), kind)
        for _ in range(60):
            content = bytearray(good)
            for at in rng.integers(0, len(good), 3):
                content[at] = rng.integers(256)
            image, error = decode(bytes(content))
            assert (error == "") != (image.shape == (1, 1, 3))
            path.write_bytes(content)
            try:
                wanted = read_image(path)
            except UnreadableImage:
                continue
            if kind == "PNG" and error == "":
                np.testing.assert_array_equal(image, wanted)


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "WEBP"])
def test_other_formats_are_an_error(decode, kind):
    assert decode(encoded(picture(), kind))[1] == UNREADABLE


def png_that_claims(height, width):
    """A PNG of a few bytes whose header promises any size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (
        chunk(b"IHDR", header),
        chunk(b"IDAT", zlib.compress(b"")),
        chunk(b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_an_image_of_too_many_pixels_is_not_decoded(decode):
    limit = f"too many pixels: {MAX_PIXELS} are allowed"
    assert decode(encoded(picture(50, 100)))[1] == ""
    for content in (
        encoded(picture(51, 100)),
        encoded(picture(51, 100), "PNG"),
        png_that_claims(60_000, 60_000),
        png_that_claims(2**31 - 1, 2**31 - 1),
    ):
        assert decode(content)[1] == limit
    assert decode(png_that_claims(-1 % 2**32, 10))[1] != ""
    assert decode(png_that_claims(0, 0))[1] == UNREADABLE
