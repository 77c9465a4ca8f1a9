"""Find the lesion pixels of a mask from its mode and its values.

An ambiguous mask is refused with its values; the user can set the values of the lesion.
Mask files are read by files.py; file_checks.py compares the masks of a data set.
"""

import numpy as np
from PIL import Image

# Foreground is brighter than this, as in the scorer of the ISIC challenge
MASK_THRESHOLD = 128

# Lossy or smoothed masks have many values, nearly all of them close to 0 or 255
_NEAR = 32
_NEAR_SHARE = 0.9
_MANY_VALUES = 16
_GREY_SPREAD = 8  # between the channels of a grey pixel, after a JPEG's rounding

_BLACK, _VOID = 0x000000, 0xE0E0C0  # background and border of PASCAL VOC's colours
_VOID_INDEX = 255
_SHOWN = 6  # values named in a message

WHITE = "255"  # name of the standard value of lesions


class AmbiguousMask(ValueError):
    """A mask that can be read in several ways.

    Attributes:
        classes: names of its classes, as those of find_foreground; empty if unknown.
    """

    def __init__(self, message, classes=()):
        super().__init__(message)
        self.classes = tuple(classes)


def find_foreground(image, values=None):
    """Return which pixels of a mask are lesion, and the name of their value.

    - Grey: of two values, 0 and another, the other one. Of 0, 1 and a smaller area of
      255: 1, since 255 is void. Of lossy or smoothed masks of 0 and 255: above 128, as
      in the ISIC challenge.
    - Palette: the only index above 0 (255 is void), if index 0 is black. If all colours
      are different greys, the pixels are grey values.
    - RGB: the only colour on black; VOC's border colour is void.
    - Alpha: the opaque pixels, if they all have the same colour.

    Lesion and background may be swapped if the lesion has most of the image's border,
    and a larger share of the border than of the image: a large lesion leaves the
    corners free first. Such masks are ambiguous, too.

    Args:
        image: PIL.Image, decoded.
        values: values of lesion pixels, instead of these rules: grey values, palette
            indices, or colours as 0xRRGGBB. A JPEG must be black and white; there, and
            in smoothed masks of 0 and 255, all values up to 128 count as 0.

    Returns:
        mask: bool [height, width].
        name: WHITE for smoothed and 16-bit white, too; a grey value such as "1", a
            palette index with its colour, "1 (#800000)", or a colour, "#ff0000". None
            if values are given, or if the mask is empty.

    Raises:
        AmbiguousMask: if the mask is ambiguous; the message lists the values.
        ValueError: if values are given for a JPEG that is not black and white.
    """
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa"):
        return _of_alpha(image, values)
    if values is not None:
        return _of_values(image, values), None
    mask, name = _by_mode(image)
    if _may_be_inverted(mask):
        raise AmbiguousMask(
            f"the mask may be inverted: it has {mask.mean():.0%} of the image and "
            f"{_border(mask).mean():.0%} of its border; set mask_values to those of "
            "lesion pixels, such as 0",
            [name],
        )
    return mask, name


def _by_mode(image):
    if image.mode == "P":
        return _of_palette(image)
    if image.mode in ("1", "L") or is_deep(image):
        return _of_grey(_codes(image), image.format == "JPEG")
    return _of_colours(image)


def _of_values(image, values):
    """Find the pixels of these values."""
    is_jpeg = image.format == "JPEG"
    codes = np.asarray(image.convert("L")) if is_jpeg else _codes(image)
    found, counts = _count(codes)
    may_be_lossy = is_jpeg or set(values) <= {0, 255}
    if may_be_lossy and _is_smooth(found, counts, is_jpeg):
        sides = [value > MASK_THRESHOLD for value in values]
        return np.isin(codes > MASK_THRESHOLD, sides)
    if is_jpeg:
        raise ValueError("the values of a JPEG are not exact: save the mask as PNG")
    return np.isin(codes, list(values))


def _may_be_inverted(mask):
    """Whether the lesion is commoner on the border than in the image."""
    share, of_border = mask.mean(), _border(mask).mean()
    return max(share, 0.5) < of_border


def _border(mask):
    return np.concatenate([mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1]])


def _codes(image):
    """Return one number per pixel: grey value, palette index or 0xRRGGBB."""
    if image.mode in ("P", "L") or is_deep(image):
        return np.asarray(image)
    if image.mode == "1":
        return np.asarray(image.convert("L"))
    channels = np.asarray(image.convert("RGB")).astype(np.int32)
    return channels @ np.array([1 << 16, 1 << 8, 1], np.int32)


def _of_grey(grey, is_jpeg):
    """Find the lesion in grey values [h, w] of any depth."""
    values, counts = _count(grey)
    bottom, top = values[0], values[-1]
    if bottom == top == 0:
        return np.zeros(grey.shape, bool), None
    names = [_grey_name(value) for value in values]
    if not is_jpeg:
        is_full = len(values) == 1 and top in (1, 255, 65535)
        if is_full or (len(values) == 2 and bottom == 0):
            return grey == top, names[-1]
        if values.tolist() == [0, 1, 255] and counts[1] > counts[2]:
            return grey == 1, names[1]
    if top > 255:
        grey = (grey.astype(np.int64) + 128) // 257
        values, counts = _count(grey)
    if not _is_smooth(values, counts, is_jpeg):
        raise _refusal("grey", values, counts, names)
    return grey > MASK_THRESHOLD, WHITE


def _is_smooth(values, counts, is_jpeg):
    """Whether the values are those of a mask of 0 and 255 with smooth edges."""
    if not np.issubdtype(values.dtype, np.integer) or values[0] < 0 or values[-1] > 255:
        return False
    dark, bright = values <= _NEAR, values >= 255 - _NEAR
    near_share = counts[dark | bright].sum() / counts.sum()
    if not (dark.any() and bright.any() and near_share >= _NEAR_SHARE):
        return False
    if is_jpeg or len(values) >= _MANY_VALUES:
        return True
    # Few values: either edges between 0 and 255, or class numbers and a void of 255
    between = (values > 0) & (values < 255)
    is_edge = counts[between].sum() <= counts[values == 255].sum()
    return bool(values[0] == 0 and is_edge and (between & ~dark).any())


def _of_palette(image):
    """Find the lesion by its palette index, or by grey value if all are grey."""
    indices = np.asarray(image)
    values, counts = _count(indices)
    palette = np.zeros((256, 3), int)
    colours = np.reshape(image.getpalette("RGB"), (-1, 3))
    palette[: len(colours)] = colours
    used = palette[np.union1d(0, values)]
    is_grey = not np.ptp(used, axis=1).any()
    if is_grey and len(np.unique(used[:, 0])) == len(used):
        return _of_grey(np.asarray(image.convert("L")), is_jpeg=False)
    if palette[0].any():  # index 0 is not the background
        return _of_colours(image)
    names = [f"{v} (#{bytes(palette[v].tolist()).hex()})" if v else "0" for v in values]
    classes = [value for value in values if value not in (0, _VOID_INDEX)]
    if len(classes) != 1:
        raise _refusal("palette index", values, counts, names)
    return indices == classes[0], names[values.tolist().index(classes[0])]


def _of_colours(image):
    """Find the lesion by its only colour on black, or by grey value if all are grey."""
    is_jpeg, image = image.format == "JPEG", image.convert("RGB")
    pixels = np.asarray(image)
    spread = pixels.max(axis=2) - pixels.min(axis=2)
    if spread.max() <= _GREY_SPREAD:
        return _of_grey(np.asarray(image.convert("L")), is_jpeg or spread.any())
    codes = _codes(image)
    values, counts = _count(codes)
    colours = [value for value in values if value not in (_BLACK, _VOID)]
    if _BLACK not in values or len(colours) != 1:
        names = [_colour_name(value) for value in values[: _MANY_VALUES + 1]]
        raise _refusal("colour", values, counts, names)
    return codes == colours[0], _colour_name(colours[0])


def _of_alpha(image, values):
    """Find the lesion by the alpha channel or by the colours."""
    image = image.convert("RGBA")
    alpha = np.asarray(image.getchannel("A"))
    colours = image.convert("RGB")
    if alpha.min() == alpha.max() or values is not None:
        return find_foreground(colours, values)
    opaque, _ = _of_grey(alpha, is_jpeg=False)
    shown = np.unique(_codes(colours)[opaque])
    if len(shown) <= 1:
        return opaque, _colour_name(shown[0]) if len(shown) else None
    mask, name = find_foreground(colours)
    if not np.array_equal(mask, opaque):
        raise AmbiguousMask("its colours and its alpha channel show different areas")
    return opaque, name


def _count(codes):
    """Return the sorted unique values and their counts."""
    if codes.dtype == np.uint8:
        counts = np.array(Image.fromarray(codes).histogram())
        values = np.flatnonzero(counts)
        return values, counts[values]
    return np.unique(codes, return_counts=True)


def is_deep(image):
    """Whether a grey image has more than 8 bits a pixel; Pillow scales 16-bit RGB."""
    return image.mode == "F" or image.mode.startswith("I")


def _grey_name(value):
    return WHITE if value == 65535 else f"{value:g}"


def _colour_name(code):
    red, green, blue = int(code).to_bytes(3, "big")
    return f"{red}" if red == green == blue else f"#{code:06x}"


def _refusal(kind, values, counts, names):
    """Return the exception for an ambiguous mask, with its values."""
    order = np.argsort(-counts, kind="stable")[:_SHOWN]
    shares = 100 * counts / counts.sum()
    is_colour = kind == "colour"
    shown = (f"#{v:06x}" if is_colour else f"{v:g}" for v in values[order])
    listed = (f"{n} ({shares[i]:.1f} %)" for n, i in zip(shown, order, strict=True))
    more = f" and {len(values) - _SHOWN} more" if len(values) > _SHOWN else ""
    classes = [name for name in names if name != "0"]
    are_classes = 1 < len(classes) < _MANY_VALUES
    return AmbiguousMask(
        f"ambiguous mask values: {kind} {', '.join(listed)}{more}; set mask_values to "
        "those of lesion pixels",
        classes if are_classes else (),
    )
