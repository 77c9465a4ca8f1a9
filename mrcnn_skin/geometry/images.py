"""Resizing, padding and cropping of images, and of masks together with them.

Sizes are pixels. Subtracting the mean and batching are not done here, and stretching
a mask over its box is in masks.py.
"""

import numbers

import numpy as np
from PIL import Image

from .inputs import as_image, as_mask

MODES = ("none", "square", "pad64", "crop")
NO_PADDING = [(0, 0), (0, 0), (0, 0)]


def resize_image(
    image,
    min_dim=None,
    max_dim=None,
    min_scale=None,
    mode="square",
    rng=None,
    whole_shape=None,
):
    """Resize an image to the network's size, keeping its aspect ratio.

    The modes are Matterport's:
    none:   as it is.
    square: scaled up until the shorter side is min_dim, but the longer side never
            exceeds max_dim; padded with zeros to max_dim x max_dim.
    pad64:  scaled up until the shorter side is min_dim; padded with zeros to
            multiples of 64. max_dim is not used.
    crop:   scaled as in pad64; a random min_dim x min_dim part is cut out.

    image: uint8 [height, width, channels].
    min_scale: scale at least by this, even where min_dim does not ask for it.
    rng: np.random.Generator that chooses the place of the crop.
    whole_shape: (height, width, ...) that the image stands for, pixels, if its file
        was decoded at a fraction of its size (data.files.read_image).
    Returns
    image: uint8 [new height, new width, channels].
    window: (y1, x1, y2, x2), pixels, the part of the new image that is not padding.
    scale: the factor of the (whole) image's height and width.
    padding: [(top, bottom), (left, right), (0, 0)], pixels, as np.pad takes it.
    crop: (y, x, height, width) in the scaled image, or None.
    Raises ValueError if the mode is unknown or lacks what it needs, or as
    inputs.as_image does.
    """
    _check_arguments(min_dim, max_dim, min_scale, mode, rng)
    image = as_image(image, channels=None)
    shape = whole_shape or image.shape
    scale = choose_scale(shape, min_dim, max_dim, min_scale, mode)
    image = resize_to(image, *_scaled_size(shape, scale))
    height, width = image.shape[:2]
    if mode == "crop":
        y = int(rng.integers(height - min_dim, endpoint=True))
        x = int(rng.integers(width - min_dim, endpoint=True))
        image = image[y : y + min_dim, x : x + min_dim]
        crop = (y, x, min_dim, min_dim)
        return image, (0, 0, min_dim, min_dim), scale, list(NO_PADDING), crop
    padding = _choose_padding(height, width, max_dim, mode)
    (top, _), (left, _), _ = padding
    window = (top, left, top + height, left + width)
    return np.pad(image, padding[: image.ndim]), window, scale, padding, None


def resize_mask(mask, scale, padding, crop=None):
    """Resize masks as resize_image did their image, so that both stay together.

    mask: [height, width, N], as of inputs.as_mask; resized like the image, then cut at
        one half, since the nearest pixel's value would shift it by half a pixel at half
        the size.
    scale, padding, crop: as resize_image returned them.
    Returns bool [new height, new width, N]. Raises ValueError as as_mask does.
    """
    mask = as_mask(mask, ndim=3)
    size = _scaled_size(mask.shape, scale)
    if size != mask.shape[:2]:
        resized = [_resize_one_mask(one, *size) for one in np.moveaxis(mask, -1, 0)]
        mask = np.reshape(resized, [-1, *size]).transpose(1, 2, 0).astype(bool)
    if crop is not None:
        y, x, height, width = crop
        return mask[y : y + height, x : x + width]
    return np.pad(mask, padding)


def resize_to(image, height, width):
    """Resize to an exact size, bilinear, averaging over all pixels when it shrinks.

    The same as tf.image.resize(image, size, "bilinear", antialias=True), rounded.

    image: uint8 [old height, old width, channels], or without channels.
    Returns uint8 [height, width, channels]; image itself where nothing changes.
    Raises ValueError as inputs.as_image does.
    """
    image = as_image(image, channels=None)
    if image.shape[:2] == (height, width):
        return image
    if image.shape[2:] in ((), (3,)):
        return _resize_with_pillow(image, height, width)
    # Pillow knows no images of 2 or 5 channels and takes the fourth for transparency
    channels = np.moveaxis(image, -1, 0)
    channels = [_resize_with_pillow(channel, height, width) for channel in channels]
    return np.stack(channels, axis=-1)


def _resize_one_mask(mask, height, width):
    levels = mask.view(np.uint8) * np.uint8(255)
    return _resize_with_pillow(levels, height, width) >= 128


def _resize_with_pillow(image, height, width):
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
    return np.array(resized)


def _check_arguments(min_dim, max_dim, min_scale, mode, rng):
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, got {mode!r}")
    for name, value in (("min_dim", min_dim), ("max_dim", max_dim)):
        if value is not None and not isinstance(value, numbers.Integral):
            raise ValueError(f"{name} must be whole pixels or None, got {value!r}")
    if min_scale is not None and not isinstance(min_scale, numbers.Real):
        raise ValueError(f"min_scale must be a number or None, got {min_scale!r}")
    if mode == "square":
        if not max_dim or max_dim < 1:
            raise ValueError(f"mode 'square' needs a positive max_dim, got {max_dim}")
        if min_dim and min_dim > max_dim:
            raise ValueError(
                f"min_dim must not exceed max_dim, got {min_dim} and {max_dim}"
            )
    if mode == "pad64" and (not min_dim or min_dim < 1 or min_dim % 64):
        raise ValueError(f"mode 'pad64' needs a min_dim divisible by 64, got {min_dim}")
    if mode == "crop":
        if not min_dim or min_dim < 1:
            raise ValueError(f"mode 'crop' needs a positive min_dim, got {min_dim}")
        if rng is None:
            raise ValueError("mode 'crop' needs rng, a np.random.Generator, got None")


def choose_scale(shape, min_dim, max_dim, min_scale, mode):
    """The factor by which resize_image resizes an image of this shape."""
    if mode == "none":
        return 1.0
    height, width = shape[:2]
    scale = max(1.0, (min_dim or 0) / min(height, width), min_scale or 0)
    longest = max(height, width)
    if mode == "square" and round(longest * scale) > max_dim:
        scale = max_dim / longest
    return scale


def _scaled_size(shape, scale):
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def _choose_padding(height, width, max_dim, mode):
    """Zeros around a scaled image, half of them on each side."""
    if mode == "none":
        return list(NO_PADDING)
    if mode == "square":
        missing = max_dim - height, max_dim - width
    else:
        missing = -height % 64, -width % 64
    return [(total // 2, total - total // 2) for total in missing] + [(0, 0)]
