"""Which arrays are images and masks, and what is said of the others."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny import tiny_config

from mrcnn_skin.geometry.inputs import (
    as_image,
    as_input,
    as_inputs,
    as_mask,
    as_probabilities,
)

RGB = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
GREY = RGB[:, :, 0]
RGBA = np.concatenate([RGB, RGB[..., :1]], axis=2)

# {what is given: (it, what the message says of it and advises)}
NO_IMAGES = {
    "float in 0..1": (RGB / 255, "float64 [2, 3, 3]: (255 * image).round()"),
    "float in 0..255": (RGB * 1.0, "float64 [2, 3, 3]: image.round().astype(np.uint8)"),
    "float beyond": (RGB - 99.5, "from -99.5 to -82.5, to 0 to 255 first"),
    "NaN": (RGB * np.nan, "from nan to nan, to 0 to 255 first"),
    "uint16": (RGB * np.uint16(999), "uint16 [2, 3, 3]: (image / 257).round()"),
    "uint16 up to 255": (RGB.astype(np.uint16), "image.astype(np.uint8) converts"),
    "int64": (RGB.astype(np.int64), "int64 [2, 3, 3]: image.astype(np.uint8)"),
    "int64 below 0": (RGB.astype(np.int64) - 9, "from -9 to 8, to 0 to 255 first"),
    "bool": (RGB > 4, "bool [2, 3, 3]: 255 * image.astype(np.uint8)"),
    "objects": (np.array([RGB, None], object), "object [2]"),
    "complex": (RGB * 1j, "complex128 [2, 3, 3]"),
    "a batch": (RGB[None], "[1, 2, 3, 3]: pass one image at a time"),
    "a row": (RGB[0, 0], "uint8 [3]"),
    "no pixels": (RGB[:0], "[0, 3, 3]: it has no pixels"),
    "two channels": (RGB[..., :2], "uint8 [2, 3, 2]"),
    "five channels": (np.zeros((4, 6, 5), np.uint8), "uint8 [4, 6, 5]"),
    "channels first": (
        np.zeros((3, 6, 5), np.uint8),
        "np.moveaxis(image, 0, -1) moves",
    ),
    "None": (None, "got None"),
    "a path": (Path("a/b.png"), "the path 'a/b.png': read it with mrcnn_skin.data"),
    "a path's text": ("a.png", "the path 'a.png': read it with mrcnn_skin.data"),
    "bytes": (b"\x89PNG", "got bytes"),
    "a number": (3, "int64 []"),
    "ragged rows": ([[1, 2], [3]], "got list"),
    "Pillow's": (Image.fromarray(RGB), "np.asarray(image.convert('RGB'))"),
}


def raises_saying(message):
    return pytest.raises(ValueError, match=re.escape(message))


@pytest.mark.parametrize("given", NO_IMAGES)
def test_what_is_no_image_is_refused_in_one_line(given):
    value, said = NO_IMAGES[given]
    with raises_saying(said) as caught:
        as_image(value)
    message = str(caught.value)
    assert message.startswith("image must be uint8 [height, width, 3], got ")
    assert "\n" not in message


@pytest.mark.parametrize("value", [GREY, GREY[..., None]])
def test_grey_becomes_rgb(value):
    np.testing.assert_array_equal(as_image(value), np.stack([GREY] * 3, axis=-1))


def test_rgb_stays_and_alpha_is_dropped():
    assert as_image(RGB) is RGB
    np.testing.assert_array_equal(as_image(RGBA), RGB)


@pytest.mark.parametrize(
    "value, channels, shape",
    [
        (GREY, 1, (2, 3, 1)),
        (GREY[..., None], 1, (2, 3, 1)),
        (RGBA, 4, (2, 3, 4)),
        (RGBA, None, (2, 3, 4)),
        (GREY, None, (2, 3)),
        (RGB, 1, None),
        (RGBA, 1, None),
        (RGB, 4, None),
        (GREY, 4, None),
        (RGB * 1.0, None, None),
    ],
)
def test_other_numbers_of_channels(value, channels, shape):
    if shape is None:
        with raises_saying(f"got {value.dtype} {list(value.shape)}"):
            as_image(value, channels)
    else:
        image = as_image(value, channels)
        assert image.shape == shape
        np.testing.assert_array_equal(image.ravel(), value.ravel())


@pytest.mark.parametrize(
    "value, said",
    [
        (RGB, "images must be a list of images, got one image: pass [image]"),
        (GREY, "pass [image]"),
        (Image.fromarray(RGB), "pass [image]"),
        (None, "images must be a list of uint8 arrays, got None"),
        ("a.png", "got the path 'a.png'"),
        (Path("a.png"), "got the path 'a.png'"),
        ({"image": RGB}, "got dict"),
        (7, "got int"),
        ([RGB, RGB / 255], "images[1] must be uint8 [height, width, 3], got float64"),
        (["a.png"], "images[0] must be uint8 [height, width, 3], got the path"),
        (RGB[None] / 255, "images[0] must be uint8"),
    ],
)
def test_what_is_no_list_of_images_is_refused(value, said):
    with raises_saying(said):
        as_inputs(value, tiny_config())


def test_lists_and_batches_of_images():
    for value in ([RGB, RGBA], (RGB, GREY), np.stack([RGB, RGB]), iter([RGB, RGB])):
        images = as_inputs(value, tiny_config())
        assert [image.shape for image in images] == [(2, 3, 3)] * 2
    assert as_inputs([], tiny_config()) == []


def test_sides_that_the_pyramid_cannot_halve():
    config = tiny_config(IMAGE_RESIZE_MODE="none", IMAGES_PER_GPU=1)
    fits = np.zeros((64, 128, 3), np.uint8)
    assert as_input(fits, config) is fits
    for shape in ((64, 100, 3), (32, 64, 3)):
        with raises_saying(
            "both sides must be multiples of 64, or use 'pad64'"
        ) as caught:
            as_input(np.zeros(shape, np.uint8), config)
        assert f"{shape[0]} x {shape[1]} pixels" in str(caught.value)
        as_input(np.zeros(shape, np.uint8), config.replace(IMAGE_RESIZE_MODE="pad64"))


MASK = np.array([[0, 1, 1], [0, 0, 1]], bool)
MASKS = {
    "bool": MASK,
    "0 and 1, int64": MASK.astype(np.int64),
    "0 and 1, uint8": MASK.astype(np.uint8),
    "0 and 255": MASK * np.uint8(255),
    "0 and 255, int32": MASK * np.int32(255),
    "0. and 1.": MASK.astype(np.float32),
    "probabilities": np.where(MASK, 0.51, 0.5),
}


@pytest.mark.parametrize("kind", MASKS)
def test_the_foreground_of_masks(kind):
    foreground = as_mask(MASKS[kind], (2, 3))
    assert foreground.dtype == bool
    np.testing.assert_array_equal(foreground, MASK)
    stack = np.stack([MASKS[kind], 0 * MASKS[kind]], axis=-1).astype(MASKS[kind].dtype)
    expected = np.stack([MASK, 0 * MASK], axis=-1)
    np.testing.assert_array_equal(as_mask(stack, ndim=3), expected)


@pytest.mark.parametrize(
    "value",
    [np.zeros((2, 3)), np.zeros((2, 3), int), np.zeros((2, 3), bool)],
)
def test_an_empty_mask_and_a_full_one(value):
    assert not as_mask(value).any()
    assert as_mask(value == 0).all()
    assert as_mask(np.full((2, 3), 255)).all() and as_mask(np.ones((2, 3))).all()
    assert as_mask(np.zeros((0, 0, 0)), ndim=3).shape == (0, 0, 0)


@pytest.mark.parametrize(
    "value, said",
    [
        (MASK * 2, "got int64 from 0 to 2: compare it with a threshold first"),
        (np.where(MASK, 255, 1), "int64 from 1 to 255"),
        (np.where(MASK, 1, -1), "from -1 to 1"),
        (np.array([[0, 128, 255]] * 2, np.uint8), "uint8 from 0 to 255"),
        (MASK * 255.0, "float64 from 0.0 to 255.0"),
        (MASK * np.nan, "from nan to nan"),
        (np.stack([MASK] * 3, axis=-1), "[height, width], got bool [2, 3, 3]"),
        (MASK.astype(object), "got object [2, 3]"),
        (None, "got None"),
        ("mask.png", "the path 'mask.png'"),
        (MASK[:1], "as large as its image, (2, 3), got (1, 3)"),
    ],
)
def test_what_is_no_mask_is_refused(value, said):
    with raises_saying(said):
        as_mask(value, (2, 3))


def test_probabilities_are_kept():
    soft = np.array([[0.2, 0.7]])
    for value, expected in (
        (soft, soft),
        (soft > 0.5, [[0, 1]]),
        (np.array([[0, 255]], np.uint8), [[0, 1]]),
    ):
        probabilities = as_probabilities(value)
        assert probabilities.dtype == np.float32
        np.testing.assert_allclose(probabilities, expected)
