"""Read image and mask files with Pillow into NumPy arrays; DICOM by dicom.py.

Orientation, colour mode and bit depth are normalised here; the meaning of a mask's
values is in mask_values.py.
"""

import os
from contextlib import contextmanager

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from ..config import Config
from . import dicom
from .mask_values import find_foreground, is_deep

# By content, not by name. Pillow supports more formats, of which EPS runs a program
FORMATS = ("JPEG", "PNG", "BMP", "TIFF")

MAX_PIXELS = Config.MAX_IMAGE_PIXELS

ASPECT_TOLERANCE = 0.01

# Value of the PNG keyword "Software" in masks that this package predicts
PREDICTION_MARK = "mrcnn_skin prediction"

# A JPEG is decoded at least this much larger than its final size: the decoder's filter
# is sharper than that of the resize
_MARGIN = 1.25

_QUARTER_TURNS = (5, 6, 7, 8)  # EXIF orientations that swap height and width


class UnreadableImage(ValueError):
    """An unusable image file: corrupt, empty, too large, or of an unsupported mode."""

    def __init__(self, path, reason):
        super().__init__(f"cannot read image {path}: {reason}")
        self.path = str(path)
        self.reason = str(reason)


class PredictedMask(UnreadableImage):
    """A mask that this package predicted, where ground truth is expected."""

    def __init__(self, path):
        super().__init__(path, "it was predicted by this package: no ground truth")


def read_image(path, max_pixels=MAX_PIXELS, scale=1.0):
    """Read an image file of FORMATS or DICOM, whatever its name.

    The EXIF orientation is applied; grey, palette and CMYK become RGB, alpha is
    dropped, 16 bits are scaled to 8.

    Args:
        path: of the file.
        max_pixels: maximum height * width, checked before decoding.
        scale: factor by which the image will be resized. A JPEG is decoded at 1/2, 1/4
            or 1/8 of its size if that divides both sides and is at least 1.25 times
            the final size. This halves the time, and changes the resized pixels by
            less than 1 of 255 on average.

    Returns:
        uint8 [height, width, 3], RGB.

    Raises:
        UnreadableImage: if the file is unusable.
        FileNotFoundError: if it does not exist.
    """
    if _is_dicom(path):
        with _naming(path):
            return dicom.read_dicom(path, max_pixels)
    with _opened(path, max_pixels) as image:
        _decode(image, scale)
    if is_deep(image):
        grey = _to_8_bit(np.asarray(image), path)
        return np.repeat(grey[:, :, None], 3, axis=2)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def read_mask(
    path, shape=None, max_pixels=MAX_PIXELS, values=None, allow_prediction=False
):
    """Read a segmentation mask; its EXIF orientation is applied.

    Args:
        path: of the file.
        shape: (height, width) of the image. A mask of another size is resized to it
            (nearest neighbour) if the aspect ratios agree within 1 %.
        max_pixels: maximum height * width, checked before decoding.
        values: foreground values, instead of the rules of mask_values.find_foreground;
            those of a predicted mask are known.
        allow_prediction: accept a mask that this package predicted.

    Returns:
        bool [height, width].

    Raises:
        UnreadableImage: if the file is unusable, has several pages or ambiguous
            values, or does not match shape.
        FileNotFoundError: if it does not exist.
    """
    mask, _ = read_named_mask(path, max_pixels, values, allow_prediction)
    if shape is None or mask.shape == tuple(shape):
        return mask
    if not same_aspect(mask.shape, shape):
        raise UnreadableImage(
            path,
            f"a mask must have the shape of its image, {tuple(shape)}, or its "
            f"aspect ratio, got {mask.shape}",
        )
    height, width = shape
    resized = Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST)
    return np.array(resized)


def read_named_mask(path, max_pixels=MAX_PIXELS, values=None, allow_prediction=False):
    """Read a mask and the name of its value; see read_mask and find_foreground."""
    with _opened(path, max_pixels) as image:
        _require_mask(path, image, allow_prediction)
        _decode(image)
        return find_foreground(image, (255,) if _is_prediction(image) else values)


def image_size(path, max_pixels=MAX_PIXELS):
    """Read (height, width) from the header, without decoding the pixels.

    The EXIF orientation is respected: the result is read_image's shape.

    Raises as read_image does, as far as the header shows it.
    """
    height, width, _ = image_header(path, max_pixels)
    return height, width


def image_header(path, max_pixels=MAX_PIXELS):
    """Read (height, width, EXIF orientation 1..8); see image_size."""
    if _is_dicom(path):
        with _naming(path):
            return *dicom.dicom_size(path), 1
    with _opened(path, max_pixels) as image:
        width, height = image.size
        # That of the PNG reader would decode the pixels
        exif = Image.Image.getexif(image)
        orientation = exif.get(ExifTags.Base.Orientation)
        # Pillow's TIFF reader already gives the oriented size
        if image.format != "TIFF" and orientation in _QUARTER_TURNS:
            width, height = height, width
    return height, width, orientation if orientation in range(1, 9) else 1


def orientation_problem(size, shape, orientation):
    """Return why a mask may have been drawn before its image's EXIF turn, or None.

    A mask without an orientation of its own is taken as drawn on the turned image, if
    its size (height, width), None if unknown, shows that; shape is the turned image's.
    """
    stored = shape[::-1] if orientation in _QUARTER_TURNS else shape
    if orientation == 1 or not (size is None or same_aspect(size, stored)):
        return None
    return (
        "unclear orientation: the image is turned by EXIF, the mask is not, and may "
        "have been drawn before or after the turn; save the image upright"
    )


def check_mask_header(path, max_pixels=MAX_PIXELS):
    """Raise PredictedMask, or UnreadableImage for a file of several pages."""
    with _opened(path, max_pixels) as image:
        _require_mask(path, image)


def _require_mask(path, image, allow_prediction=False):
    pages = getattr(image, "n_frames", 1)
    if pages > 1:
        raise UnreadableImage(path, f"it has {pages} pages, and a mask has one")
    if _is_prediction(image) and not allow_prediction:
        raise PredictedMask(path)


def _is_prediction(image):
    return image.info.get("Software") == PREDICTION_MARK


def verify_image(path, max_pixels=MAX_PIXELS):
    """Decode an image to check it, with the checksums of a PNG; raises as read_image.

    A JPEG has no checksum: changed bytes may decode to other pixels unnoticed.
    """
    if _is_dicom(path):
        read_image(path, max_pixels)
        return
    verify_checksums(path, max_pixels)
    with _opened(path, max_pixels) as image:
        image.load()


def verify_checksums(path, max_pixels=MAX_PIXELS):
    """Compare the checksums of a PNG, without decoding it; raises as read_image."""
    with _opened(path, max_pixels) as image:
        if image.format == "PNG":
            image.verify()


def same_aspect(shape, other):
    """Whether two (height, width) have the same aspect ratio, within 1 %."""
    (height, width), (other_height, other_width) = shape, other
    ratio = (width * other_height) / (height * other_width)
    return abs(ratio - 1) <= ASPECT_TOLERANCE


@contextmanager
def _naming(path):
    """Turn any exception of reading a file into UnreadableImage."""
    try:
        yield
    except (UnreadableImage, FileNotFoundError):
        raise
    except UnidentifiedImageError as error:
        kinds = f"{', '.join(FORMATS)} or DICOM"
        raise UnreadableImage(path, f"its content is not {kinds}") from error
    # For broken bytes Pillow's decoders raise OSError, SyntaxError, struct.error,
    # zlib.error, TypeError, DecompressionBombError, ...
    except Exception as error:
        raise UnreadableImage(path, error or type(error).__name__) from error


@contextmanager
def _opened(path, max_pixels):
    """Open a file with Pillow; refuse empty files and those with too many pixels."""
    with _naming(path):
        if os.path.getsize(path) == 0:
            raise UnreadableImage(path, "the file is empty (0 bytes)")
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > max_pixels:
                raise UnreadableImage(
                    path,
                    f"{image.height} x {image.width} pixels are more than "
                    f"the limit of {max_pixels}",
                )
            yield image


def _is_dicom(path):
    with _naming(path):
        return dicom.is_dicom(path)


def _decode(image, scale=1.0):
    """Decode an opened image and apply its orientation; scale is as in read_image."""
    factor = _reduction(image.size, scale)
    if factor > 1:
        image.draft(None, [side // factor for side in image.size])
    image.load()
    ImageOps.exif_transpose(image, in_place=True)


def _reduction(size, scale):
    """Return the factor, 1, 2, 4 or 8, by which a JPEG may be decoded smaller.

    It divides both sides: otherwise the last row and column would be stretched.
    """
    fits = (f for f in (8, 4, 2) if f * scale * _MARGIN <= 1)
    return next((f for f in fits if not any(side % f for side in size)), 1)


def _to_8_bit(grey, path):
    """Scale 16-bit values [h, w] to uint8, so that 65535 becomes 255."""
    if not np.issubdtype(grey.dtype, np.integer):
        raise UnreadableImage(path, "floating-point pixels are not supported")
    grey = grey.astype(np.int64)
    if grey.min() < 0 or grey.max() > 65535:
        raise UnreadableImage(
            path,
            f"pixels must be in 0..65535, got {grey.min()}..{grey.max()}",
        )
    return ((grey + 128) // 257).astype(np.uint8)
