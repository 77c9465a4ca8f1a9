"""Read image and mask files with Pillow into NumPy arrays.

It settles what a file may look like (orientation, colour mode, bit depth, mask
values). It does not resize images, nor know which files belong together.
"""

import os
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")

# The largest dermoscopy image known is 6688 x 6780, 45 million pixels.
MAX_PIXELS = 80_000_000

# Foreground is brighter than this: the rule of the ISIC challenge's scorer.
MASK_THRESHOLD = 128

ASPECT_TOLERANCE = 0.01

_QUARTER_TURNS = (5, 6, 7, 8)  # EXIF orientations that swap height and width


class UnreadableImage(ValueError):
    """A file that is no usable image: corrupt, empty, too large, unknown mode."""

    def __init__(self, path, reason):
        super().__init__(f"cannot read image {path}: {reason}")
        self.path = str(path)
        self.reason = str(reason)


def is_image_file(path):
    """Whether the name ends in one of IMAGE_SUFFIXES, in upper or lower case."""
    return Path(path).suffix.lower() in IMAGE_SUFFIXES


def read_image(path, max_pixels=MAX_PIXELS):
    """Read an image as it is meant to be seen.

    The EXIF orientation is applied; grey, palette and CMYK become RGB, alpha is
    dropped, 16 bits are scaled to 8.

    max_pixels: height * width above which the file is refused before decoding.
        Pillow's own limit (twice Image.MAX_IMAGE_PIXELS) holds besides.
    Returns uint8 [height, width, 3], RGB.
    Raises UnreadableImage, or FileNotFoundError if there is no such file.
    """
    image = _load(path, max_pixels)
    if _is_deep(image):
        grey = _to_8_bit(np.asarray(image), path)
        return np.repeat(grey[:, :, None], 3, axis=2)
    return np.array(image.convert("RGB"))


def read_mask(path, shape=None):
    """Read a segmentation mask.

    Foreground is > 128 on the grey scale of 8 bits. A mask whose largest value is
    1, or of Pillow's mode "1", is taken as 0/1. 16-bit values are scaled to 8 bits
    when one of them is above 255.

    shape: (height, width) of the image. A mask of another size is resized to it
        (nearest neighbour) when its aspect ratio agrees within 1 %.
    Returns bool [height, width].
    Raises UnreadableImage (a ValueError), ValueError when the mask does not fit
    shape, or FileNotFoundError if there is no such file.
    """
    image = _load(path, MAX_PIXELS)
    grey = np.asarray(image if _is_deep(image) else image.convert("L"))
    if grey.max() <= 1:
        mask = grey > 0
    else:
        if grey.max() > 255:
            grey = _to_8_bit(grey, path)
        mask = grey > MASK_THRESHOLD
    if shape is None or mask.shape == tuple(shape):
        return mask
    if not same_aspect(mask.shape, shape):
        raise ValueError(
            f"mask {path} must have the shape of its image, {tuple(shape)}, "
            f"or its aspect ratio, got {mask.shape}"
        )
    height, width = shape
    resized = Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST)
    return np.array(resized)


def image_size(path, max_pixels=MAX_PIXELS):
    """Read (height, width) from the header, without decoding the pixels.

    The EXIF orientation is respected: the result is read_image's shape.

    Raises as read_image does, as far as the header shows it.
    """
    with _opened(path, max_pixels) as image:
        width, height = image.size
        # Pillow's TIFF reader already gives the oriented size. The method of the
        # base class is called because that of the PNG reader decodes the pixels.
        if image.format != "TIFF":
            exif = Image.Image.getexif(image)
            if exif.get(ExifTags.Base.Orientation) in _QUARTER_TURNS:
                width, height = height, width
    return height, width


def same_aspect(shape, other):
    """Whether two (height, width) have the same aspect ratio, within 1 %."""
    (height, width), (other_height, other_width) = shape, other
    ratio = (width * other_height) / (height * other_width)
    return abs(ratio - 1) <= ASPECT_TOLERANCE


@contextmanager
def _opened(path, max_pixels):
    """Open a file with Pillow, turning whatever it raises into UnreadableImage."""
    try:
        if os.path.getsize(path) == 0:
            raise UnreadableImage(path, "the file is empty (0 bytes)")
        with Image.open(path) as image:
            if image.width * image.height > max_pixels:
                raise UnreadableImage(
                    path,
                    f"{image.height} x {image.width} pixels are more than "
                    f"the limit of {max_pixels}",
                )
            yield image
    except (UnreadableImage, FileNotFoundError):
        raise
    # Broken bytes make Pillow's decoders raise nearly anything: OSError,
    # SyntaxError, struct.error, zlib.error, TypeError, DecompressionBombError.
    except Exception as error:
        raise UnreadableImage(path, error or type(error).__name__) from error


def _load(path, max_pixels):
    """Return the decoded, upright Pillow image."""
    with _opened(path, max_pixels) as image:
        image.load()
        return ImageOps.exif_transpose(image)


def _is_deep(image):
    """Whether the pixels have more than 8 bits (Pillow scales 16-bit RGB itself)."""
    return image.mode == "F" or image.mode.startswith("I")


def _to_8_bit(grey, path):
    """Scale 16-bit values [h, w] to uint8, so that 65535 becomes 255."""
    if not np.issubdtype(grey.dtype, np.integer):
        raise UnreadableImage(path, "floating-point pixels are not supported")
    grey = grey.astype(np.int64)
    if grey.min() < 0 or grey.max() > 65535:
        raise UnreadableImage(
            path,
            f"pixels must lie in 0..65535, got {grey.min()}..{grey.max()}",
        )
    return ((grey + 128) // 257).astype(np.uint8)
