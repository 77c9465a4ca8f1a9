"""Image and mask files of every kind, written here and read back."""

import struct
import zlib
from contextlib import nullcontext

import numpy as np
import pytest
from PIL import Image

from mrcnn_skin.data import files
from mrcnn_skin.data.file_names import is_image_file

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def save(path, pixels, mode=None, **kwargs):
    Image.fromarray(np.asarray(pixels, np.uint8)).convert(mode).save(path, **kwargs)
    return path


def write_png(path, side, bits, rows):
    """Write an RGB PNG of which Pillow makes none: any size, any bits, any rows."""
    header = struct.pack(">IIBBBBB", side, side, bits, 2, 0, 0, 0)
    parts = [b"\x89PNG\r\n\x1a\n"]
    for kind, data in (
        (b"IHDR", header),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ):
        crc = struct.pack(">I", zlib.crc32(kind + data))
        parts += [struct.pack(">I", len(data)), kind, data, crc]
    path.write_bytes(b"".join(parts))
    return path


@pytest.fixture
def two_rows(tmp_path):
    """2 x 3 pixels: one green pixel at row 0, column 0, the others red."""
    pixels = np.array([[GREEN, RED, RED], [RED, RED, RED]], np.uint8)
    return save(tmp_path / "two_rows.png", pixels), pixels


def test_rgb_is_read_as_it_is(two_rows):
    path, pixels = two_rows
    image = files.read_image(path)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, pixels)
    assert image.flags.writeable


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_exif_orientation_turns_the_image(tmp_path, suffix):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    pixels = np.array([[GREEN, RED, RED], [RED, RED, RED]], np.uint8)
    path = save(tmp_path / f"turned{suffix}", pixels, exif=exif)
    expected = np.array([[RED, GREEN], [RED, RED], [RED, RED]], np.uint8)
    np.testing.assert_array_equal(files.read_image(path), expected)
    assert files.image_size(path) == (3, 2)


def test_exif_orientation_of_a_jpeg(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 8
    path = save(tmp_path / "turned.JPG", np.zeros((8, 24, 3)), exif=exif)
    assert files.image_size(path) == (24, 8)
    assert files.read_image(path).shape == (24, 8, 3)


def test_grey_and_bilevel_become_rgb(tmp_path):
    path = save(tmp_path / "grey.png", [[0, 7], [200, 255]])
    np.testing.assert_array_equal(files.read_image(path)[1, 0], [200, 200, 200])
    path = save(tmp_path / "bilevel.png", [[0, 255]], "1")
    np.testing.assert_array_equal(files.read_image(path)[0], [[0] * 3, [255] * 3])


def test_alpha_is_dropped_not_blended(tmp_path):
    path = save(tmp_path / "alpha.png", [[(10, 20, 30, 0), (40, 50, 60, 255)]])
    expected = [[(10, 20, 30), (40, 50, 60)]]
    np.testing.assert_array_equal(files.read_image(path), expected)


def test_palette(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, *BLUE])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "palette.png")
    np.testing.assert_array_equal(
        files.read_image(tmp_path / "palette.png"), [[RED, BLUE]]
    )


def test_16_bits_are_scaled_to_8(tmp_path):
    deep = np.array([[0, 200, 32896, 65535]], np.uint16)  # 257 * (0, .8, 128, 255)
    for suffix in (".png", ".tiff"):
        path = tmp_path / f"deep{suffix}"
        Image.fromarray(deep).save(path)
        np.testing.assert_array_equal(files.read_image(path)[0, :, 1], [0, 1, 128, 255])


def test_cmyk(tmp_path):
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # no cyan: red
    image.save(tmp_path / "cmyk.jpg", quality=95)
    red, green, blue = files.read_image(tmp_path / "cmyk.jpg")[8, 8]
    assert red > 245 and green < 10 and blue < 10


def test_float_pixels_are_refused(tmp_path):
    path = tmp_path / "float.tif"
    Image.fromarray(np.zeros((2, 2), np.float32)).save(path)
    with pytest.raises(files.UnreadableImage, match="float.tif"):
        files.read_image(path)


def test_zero_bytes(tmp_path):
    path = tmp_path / "nothing.jpg"
    path.touch()
    for read in (files.read_image, files.read_mask, files.image_size):
        with pytest.raises(files.UnreadableImage, match="nothing.jpg.*empty"):
            read(path)


def test_no_image_in_the_file(tmp_path):
    path = tmp_path / "text.png"
    path.write_text("not an image")
    with pytest.raises(files.UnreadableImage, match="text.png"):
        files.image_size(path)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".tif"])
def test_truncated_file_has_a_size_but_no_pixels(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (64, 48, 3))
    path = save(tmp_path / f"cut{suffix}", noise)
    whole = path.read_bytes()
    # A TIFF keeps its directory at the end: there the size is lost as well.
    path.write_bytes(whole[: len(whole) // 2])
    if suffix != ".tif":
        assert files.image_size(path) == (64, 48)
    with pytest.raises(files.UnreadableImage, match=f"cut{suffix}"):
        files.read_image(path)


def test_too_large(two_rows):
    path, _ = two_rows
    assert files.read_image(path, max_pixels=6).shape == (2, 3, 3)
    for read in (files.read_image, files.image_size):
        with pytest.raises(files.UnreadableImage, match="2 x 3.*limit of 5"):
            read(path, max_pixels=5)


def test_missing_file_is_not_called_unreadable(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        files.read_image(tmp_path / "absent.png")


def test_image_size_does_not_decode(two_rows, monkeypatch):
    def decode(*_):
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decode)
    assert files.image_size(two_rows[0]) == (2, 3)


def test_blank_mask_is_empty(tmp_path):
    path = save(tmp_path / "mask.png", np.zeros((3, 4)))
    assert not files.read_mask(path).any()


def test_mask_of_another_size_is_resized(tmp_path):
    path = save(tmp_path / "mask.png", [[0, 255], [255, 0]])
    expected = [[False, False, True, True]] * 2 + [[True, True, False, False]] * 2
    np.testing.assert_array_equal(files.read_mask(path, shape=(4, 4)), expected)


def test_mask_aspect_must_agree_within_one_percent(tmp_path):
    path = save(tmp_path / "mask.png", np.full((100, 100), 255))
    assert files.read_mask(path, shape=(200, 201)).shape == (200, 201)
    with pytest.raises(ValueError, match=r"mask.png.*\(200, 203\).*\(100, 100\)"):
        files.read_mask(path, shape=(200, 203))


def test_the_content_counts_not_the_name(tmp_path):
    path = save(tmp_path / "a.jpg", np.full((4, 6, 3), 90), format="PNG")
    assert files.read_image(path).shape == (4, 6, 3)
    path.write_text("image,label\n")
    with pytest.raises(files.UnreadableImage, match="a.jpg.*not JPEG, PNG, BMP, TIFF"):
        files.read_image(path)


def test_formats_that_run_programs_are_not_opened(tmp_path, monkeypatch):
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", None)
    path = tmp_path / "a.jpg"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EOF\n")
    with pytest.raises(files.UnreadableImage, match="not JPEG"):
        files.read_image(path)


@pytest.mark.parametrize(
    "name", ["a b.png", "Läsion–1.PNG", "皮膚.JPEG", "x'\"&;$(y).tif"]
)
def test_names_with_spaces_and_of_any_script(tmp_path, name):
    path = save(tmp_path / name, np.full((3, 2, 3), 8))
    assert is_image_file(path) and files.image_size(path) == (3, 2)
    assert files.read_image(path).shape == (3, 2, 3)


def test_one_pixel_and_the_largest_known_image(tmp_path):
    path = save(tmp_path / "one.png", [[(9, 8, 7)]])
    np.testing.assert_array_equal(files.read_image(path), [[(9, 8, 7)]])
    Image.new("1", (6780, 6688), 1).save(tmp_path / "large.png")
    mask = files.read_mask(tmp_path / "large.png")
    assert mask.shape == (6688, 6780) and mask.all()


@pytest.mark.parametrize("side", [12_000, 60_000])
def test_a_bomb_is_refused_before_it_is_decoded(tmp_path, monkeypatch, side):
    """A few bytes that claim 144 million, or 3.6 billion pixels."""
    path = write_png(tmp_path / "bomb.png", side, 8, b"")
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", None)
    for read in (files.read_image, files.read_mask, files.image_size):
        with (
            pytest.warns() if side == 12_000 else nullcontext(),
            pytest.raises(files.UnreadableImage, match="bomb.png.*(limit|bomb)"),
        ):
            read(path)


def test_exif_turns_a_mask_like_its_image(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(tmp_path / "mask.png", [[255, 0, 0], [0, 0, 0]], exif=exif)
    np.testing.assert_array_equal(
        files.read_mask(path, (3, 2)), [[False, True], [False, False], [False, False]]
    )


def test_16_bit_colour(tmp_path):
    row = b"\0" + np.array([0, 257 * 100, 65535], ">u2").tobytes()
    path = write_png(tmp_path / "deep.png", 1, 16, row)
    np.testing.assert_array_equal(files.read_image(path), [[(0, 100, 255)]])


@pytest.mark.parametrize(
    "scale, shape",
    [
        (1, (96, 80)),
        (0.41, (96, 80)),
        (0.4, (48, 40)),
        (0.2, (24, 20)),
        (0.1, (12, 10)),
    ],
)
def test_a_jpeg_is_decoded_little_larger_than_asked(tmp_path, scale, shape):
    ramp = np.add.outer(np.arange(96), np.arange(80))
    path = save(tmp_path / "ramp.jpg", np.stack([ramp] * 3, -1), quality=98)
    image = files.read_image(path, scale=scale)
    assert image.shape == (*shape, 3)
    block = 96 // shape[0]
    means = ramp.reshape(shape[0], block, shape[1], block).mean(axis=(1, 3))
    np.testing.assert_allclose(image[..., 0], means, atol=3)
    # Lying on its side; of a size without a half; in a format that knows no such thing
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(tmp_path / "side.jpg", np.stack([ramp] * 3, -1), exif=exif)
    assert files.read_image(path, scale=scale).shape == (shape[1], shape[0], 3)
    path = save(tmp_path / "odd.jpg", np.stack([ramp] * 3, -1)[:95])
    assert files.read_image(path, scale=scale).shape == (95, 80, 3)
    path = save(tmp_path / "ramp.png", np.stack([ramp] * 3, -1))
    assert files.read_image(path, scale=scale).shape == (96, 80, 3)
