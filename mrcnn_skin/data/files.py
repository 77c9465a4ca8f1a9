"""Read image and mask files with Pillow into NumPy arrays; DICOM by dicom.py.

It settles what a file may look like (orientation, colour mode, bit depth). What a
mask's values mean is in mask_values.py. It does not resize images, nor know which files
belong together.
"""

import os
from contextlib import contextmanager

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from ..config import Config
from . import dicom
from .mask_values import find_foreground

# What is in a file counts, not its name. Pillow knows many more formats; one of them
# (EPS) runs a program of its own.
FORMATS = ("JPEG", "PNG", "BMP", "TIFF")

MAX_PIXELS = Config.MAX_IMAGE_PIXELS

ASPECT_TOLERANCE = 0.01

# Text in the masks that this package predicts, under the PNG keyword "Software"
PREDICTION_MARK = "mrcnn_skin prediction"

# A JPEG is decoded at least so much larger than it will be made: the decoder's own
# filter is sharper than the resize's
_MARGIN = 1.25

_QUARTER_TURNS = (5, 6, 7, 8)  # EXIF orientations that swap height and width


class UnreadableImage(ValueError):
    """A file that is no usable image: corrupt, empty, too large, unknown mode."""

    def __init__(self, path, reason):
        super().__init__(f"cannot read image {path}: {reason}")
        self.path = str(path)
        self.reason = str(reason)


class PredictedMask(UnreadableImage):
    """A mask that this package predicted, where ground truth is wanted."""

    def __init__(self, path):
        super().__init__(path, "it was predicted by this package: no ground truth")


def read_image(path, max_pixels=MAX_PIXELS, scale=1.0):
    """Read an image as it is meant to be seen.

    The EXIF orientation is applied; grey, palette and CMYK become RGB, alpha is
    dropped, 16 bits are scaled to 8. Files of FORMATS and DICOM are read, whatever
    their names.

    max_pixels: height * width above which the file is refused before decoding;
        Config.MAX_IMAGE_PIXELS.
    scale: factor by which the image will be resized. A JPEG is decoded at a half, a
        quarter or an eighth of its height and width where that is still a quarter
        more than needed and goes without a rest. It takes half the time, and changes
        the resized pixels by less than 1 of 255 in the mean.
    Returns uint8 [height, width, 3], RGB.
    Raises UnreadableImage, or FileNotFoundError if there is no such file.
    """
    if _is_dicom(path):
        with _naming(path):
            return dicom.read_dicom(path, max_pixels)
    with _opened(path, max_pixels) as image:
        _decode(image, scale)
    if _is_deep(image):
        grey = _to_8_bit(np.asarray(image), path)
        return np.repeat(grey[:, :, None], 3, axis=2)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def read_mask(
    path, shape=None, max_pixels=MAX_PIXELS, values=None, allow_prediction=False
):
    """Read a segmentation mask.

    Which pixels are foreground is decided by mask_values.find_foreground. The file's
    EXIF orientation is applied, as to an image: a mask is taken to be drawn on the
    image as it is seen.

    shape: (height, width) of the image. A mask of another size is resized to it
        (nearest neighbour) when its aspect ratio agrees within 1 %.
    values: which pixel values are foreground, instead of find_foreground's rules.
    allow_prediction: whether the mask may be one that this package predicted.
    Returns bool [height, width].
    Raises UnreadableImage, also when the values are ambiguous, when the file has
    several pages, or when the mask does not fit shape; or FileNotFoundError.
    """
    with _opened(path, max_pixels) as image:
        _require_mask(path, image, allow_prediction)
        _decode(image)
        mask = find_foreground(image, values)
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


def image_size(path, max_pixels=MAX_PIXELS):
    """Read (height, width) from the header, without decoding the pixels.

    The EXIF orientation is respected: the result is read_image's shape.

    Raises as read_image does, as far as the header shows it.
    """
    if _is_dicom(path):
        with _naming(path):
            return dicom.dicom_size(path)
    with _opened(path, max_pixels) as image:
        width, height = image.size
        # Pillow's TIFF reader already gives the oriented size. The method of the
        # base class is called because that of the PNG reader decodes the pixels.
        if image.format != "TIFF":
            exif = Image.Image.getexif(image)
            if exif.get(ExifTags.Base.Orientation) in _QUARTER_TURNS:
                width, height = height, width
    return height, width


def check_mask_header(path, max_pixels=MAX_PIXELS):
    """Raise PredictedMask, or UnreadableImage for a file of several pages.

    The pages of a TIFF or animated PNG may be the masks of several areas, or versions.
    """
    with _opened(path, max_pixels) as image:
        _require_mask(path, image)


def _require_mask(path, image, allow_prediction=False):
    pages = getattr(image, "n_frames", 1)
    if pages > 1:
        raise UnreadableImage(path, f"it has {pages} pages, and a mask has one")
    is_prediction = image.info.get("Software") == PREDICTION_MARK
    if is_prediction and not allow_prediction:
        raise PredictedMask(path)


def verify_image(path, max_pixels=MAX_PIXELS):
    """Decode an image without keeping it; the checksums of a PNG are looked at too.

    A JPEG has no checksum: bytes changed in its middle may decode to other pixels.
    Raises as read_image does.
    """
    if _is_dicom(path):
        read_image(path, max_pixels)
        return
    with _opened(path, max_pixels) as image:
        if image.format == "PNG":
            image.verify()  # leaves an image that cannot be decoded any more
    with _opened(path, max_pixels) as image:
        image.load()


def same_aspect(shape, other):
    """Whether two (height, width) have the same aspect ratio, within 1 %."""
    (height, width), (other_height, other_width) = shape, other
    ratio = (width * other_height) / (height * other_width)
    return abs(ratio - 1) <= ASPECT_TOLERANCE


@contextmanager
def _naming(path):
    """Turn whatever reading the file raises into UnreadableImage with its name."""
    try:
        yield
    except (UnreadableImage, FileNotFoundError):
        raise
    except UnidentifiedImageError as error:
        kinds = f"{', '.join(FORMATS)} or DICOM"
        raise UnreadableImage(path, f"its content is not {kinds}") from error
    # Broken bytes make Pillow's decoders raise nearly anything: OSError,
    # SyntaxError, struct.error, zlib.error, TypeError, DecompressionBombError.
    except Exception as error:
        raise UnreadableImage(path, error or type(error).__name__) from error


@contextmanager
def _opened(path, max_pixels):
    """Open a file with Pillow, and refuse it if it has too many pixels."""
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
    """Decode an opened image, and turn it upright; see read_image for the scale."""
    factor = _reduction(image.size, scale)
    if factor > 1:
        image.draft(None, [side // factor for side in image.size])
    image.load()
    ImageOps.exif_transpose(image, in_place=True)


def _reduction(size, scale):
    """The factor, 1, 2, 4 or 8, by which a JPEG may be decoded smaller.

    It divides both sides, or else the last row and column would be stretched, and
    leaves the resize that follows something to average.
    """
    fits = (f for f in (8, 4, 2) if f * scale * _MARGIN <= 1)
    return next((f for f in fits if not any(side % f for side in size)), 1)


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
