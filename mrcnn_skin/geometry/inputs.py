"""Which images, masks, boxes and colours are accepted, and what is said of all others.

Every public function that takes one of them checks it here first. Files are read in
data/files.py.
"""

import os

import numpy as np
from PIL import Image

# P6, the coarsest level of the pyramid, halves the sides six times
SIDE_MULTIPLE = 64
SIDES = (
    f"with IMAGE_RESIZE_MODE 'none' both sides must be multiples of {SIDE_MULTIPLE}, "
    "or use 'pad64'"
)


def as_image(image, channels: int | None = 3, name: str = "image") -> np.ndarray:
    """Check an image, and convert grey and RGBA as Dataset.load_image does.

    Args:
        image: uint8 [height, width, channels]. If three channels are wanted, grey
            [height, width] or [height, width, 1] becomes RGB, and the alpha of RGBA
            is dropped.
        channels: the number wanted; None for any, and for [height, width] too.
        name: what to call the image in a message.

    Returns:
        uint8 [height, width, channels]; the image itself where nothing changes.

    Raises:
        ValueError: in one line, what was expected, what was given, and what to do.
    """
    array = _as_array(image)
    wanted = "channels" if channels is None else channels
    problem = _image_problem(image, array)
    if not problem and channels is not None:
        given, array = array, _with_channels(array, channels)
        if array.shape[2] != channels:
            problem = _describe(given)
            if given.shape[0] == channels:
                problem += ": np.moveaxis(image, 0, -1) moves the channels to the end"
    if problem:
        raise ValueError(
            f"{name} must be uint8 [height, width, {wanted}], got {problem}"
        )
    return array


def as_input(image, config, name: str = "image") -> np.ndarray:
    """Check an image for a network with this Config.

    Args:
        image: as of as_image, with IMAGE_CHANNEL_COUNT channels.
        config: a Config.
        name: what to call the image in a message.

    Returns:
        uint8 [height, width, IMAGE_CHANNEL_COUNT].

    Raises:
        ValueError: as as_image does; and for sides that the pyramid cannot halve,
            where IMAGE_RESIZE_MODE "none" leaves them as they are.
    """
    image = as_image(image, config.IMAGE_CHANNEL_COUNT, name)
    height, width = image.shape[:2]
    is_fit = not (height % SIDE_MULTIPLE or width % SIDE_MULTIPLE)
    if config.IMAGE_RESIZE_MODE == "none" and not is_fit:
        raise ValueError(f"{name} is {height} x {width} pixels: {SIDES}")
    return image


def as_inputs(images, config) -> list[np.ndarray]:
    """Check images for a network, all of them before the first is used.

    Args:
        images: a list of images of any sizes, or an array [n, height, width, channels].
        config: a Config.

    Returns:
        A list of uint8 [height, width, IMAGE_CHANNEL_COUNT].

    Raises:
        ValueError: as as_input does, with the place in the list; and for one image
            that is not in a list.
    """
    return [
        as_input(image, config, f"images[{i}]")
        for i, image in enumerate(as_list(images))
    ]


def as_list(images, name: str = "images") -> list:
    """Turn several images into a list; they are not checked themselves.

    Raises:
        ValueError: for one image that is not in a list, and for what is no list.
    """
    if isinstance(images, Image.Image) or getattr(images, "ndim", None) in (2, 3):
        raise ValueError(
            f"{name} must be a list of images, got one image: pass [image]"
        )
    if isinstance(images, str | bytes | dict) or not np.iterable(images):
        kind = _describe_object(images)
        raise ValueError(f"{name} must be a list of uint8 arrays, got {kind}")
    return list(images)


def as_mask(
    mask, size=None, ndim: int = 2, name: str = "mask", count: int | None = None
) -> np.ndarray:
    """Check one mask or a stack of masks, and find its foreground.

    Args:
        mask: [height, width] or [height, width, n]: bool; whole numbers that are all
            0 or 1, or all 0 or 255; or probabilities, foreground above 0.5.
        size: (height, width) that it must have, unless n is 0; None for any.
        ndim: 2 for one mask, 3 for a stack.
        name: what to call it in a message.
        count: n that a stack must have, one mask for each box; None for any.

    Returns:
        bool, of the same shape; the mask itself if it is bool.

    Raises:
        ValueError: in one line, what was expected and what was given.
    """
    array = _as_array(mask)
    wanted = "[height, width]" if ndim == 2 else "[height, width, n]"
    if array is None or array.ndim != ndim or array.dtype.kind not in "biuf":
        given = _describe_object(mask) if array is None else _describe(array)
        raise ValueError(f"{name} must be a mask {wanted}, got {given}")
    is_empty = array.shape[2:] == (0,)
    if size is not None and not is_empty and array.shape[:2] != tuple(size):
        raise ValueError(
            f"{name} must be as large as its image, {tuple(size)}, got "
            f"{array.shape[:2]}"
        )
    if count is not None:
        require_count(count, **{name: range(array.shape[2])})
    if array.dtype.kind == "b" or not array.size:
        return array.astype(bool, copy=False)
    low, high = array.min(), array.max()
    if array.dtype.kind == "f":
        is_known, foreground = high <= 1, array > 0.5
    else:
        foreground = array > 0
        is_known = high in (0, 1, 255) and np.all((array == high) | ~foreground)
    if not (low >= 0 and is_known):
        raise ValueError(
            f"{name} must be bool, 0 and 1, 0 and 255, or probabilities, got "
            f"{array.dtype} from {low} to {high}: compare it with a threshold first"
        )
    return foreground


def as_probabilities(mask, **checks) -> np.ndarray:
    """Check masks as as_mask does, but keep probabilities.

    Returns:
        float32, 0 to 1, of the same shape.
    """
    foreground = as_mask(mask, **checks)
    array = np.asarray(mask)
    return np.asarray(array if array.dtype.kind == "f" else foreground, np.float32)


def as_boxes(
    boxes, count: int | None = None, whole: bool = False, name: str = "boxes"
) -> np.ndarray:
    """Check boxes.

    Args:
        boxes: numbers [N, (y1, x1, y2, x2)], in any unit; [] for none.
        count: N that there must be; None for any.
        whole: whether each coordinate must be a whole number, such as 3 or 3.0.
        name: what to call them in a message.

    Returns:
        float32 [N, 4]; int64 if `whole`.

    Raises:
        ValueError: in one line, what was expected and what was given.
    """
    array = _as_array(boxes)
    if array is not None and array.shape == (0,):
        array = array.reshape(0, 4).astype(np.float32)
    is_table = array is not None and array.ndim == 2 and array.shape[1] == 4
    if not is_table or array.dtype.kind not in "iuf":
        given = _describe_object(boxes) if array is None else _describe(array)
        raise ValueError(f"{name} must be numbers [N, (y1, x1, y2, x2)], got {given}")
    if count is not None:
        require_count(count, **{name: array})
    if not whole:
        return array.astype(np.float32, copy=False)
    is_whole = np.isfinite(array) & (array == np.floor(array))
    if not is_whole.all():
        row = array[~is_whole.all(axis=1)][0].tolist()
        raise ValueError(f"{name} must be whole pixels, got {row}: round them first")
    return array.astype(np.int64)


def as_color(color, highest: int, channels: int = 3, name: str = "color") -> tuple:
    """Check a colour.

    Args:
        color: a number for each channel, from 0 to `highest`.
        highest: 1, as in matplotlib; or 255, as in uint8 images, for whole numbers.
        channels: how many.
        name: what to call it in a message.

    Returns:
        A tuple of floats, or of ints up to 255.

    Raises:
        ValueError: for anything else; also for a colour from 0 to 1 that must be one
            from 0 to 255, unless it is black.
    """
    values = _as_array(color)
    is_color = values is not None and values.shape == (channels,)
    if is_color and values.dtype.kind in "iuf" and values.min() >= 0:
        is_unit = values.max() <= 1
        if highest == 1 and is_unit:
            return tuple(values.astype(float).tolist())
        is_byte = np.all(values == np.floor(values)) and values.max() <= 255
        if highest == 255 and is_byte and (not is_unit or not values.any()):
            return tuple(values.astype(int).tolist())
    kind = "numbers from 0 to 1" if highest == 1 else "whole numbers from 0 to 255"
    raise ValueError(f"{name} must be {channels} {kind}, got {color!r}")


def require_count(count: int, of: str = "box", **values) -> None:
    """Raise ValueError unless each of `values` is None or has `count` entries.

    of: what an entry belongs to, in words. values: by the names for the message.
    """
    for name, entries in values.items():
        is_list = np.iterable(entries) and not isinstance(entries, str)
        given = len(entries) if is_list else repr(entries)
        if entries is not None and given != count:
            raise ValueError(
                f"{name} must have {count} entries, one for each {of}, got {given}"
            )


def _as_array(value):
    """The value as an array; None if it is not one."""
    if value is None or isinstance(value, str | bytes | os.PathLike | Image.Image):
        return None
    try:
        return np.asarray(value)
    except ValueError:  # rows of different lengths
        return None


def _describe(array):
    return f"{array.dtype} {list(array.shape)}"


def _describe_object(value):
    if value is None:
        return "None"
    is_path = isinstance(value, str | os.PathLike)
    return f"the path {str(value)!r}" if is_path else type(value).__name__


def _image_problem(image, array):
    """What is given instead of uint8 pixels, and what to do; "" if nothing is wrong."""
    if array is None:
        problem = _describe_object(image)
        if isinstance(image, str | os.PathLike):
            problem += ": read it with mrcnn_skin.data.files.read_image"
        if isinstance(image, Image.Image):
            problem += ": np.asarray(image.convert('RGB')) makes an array of it"
        return problem
    problem = _describe(array)
    if array.ndim == 4:
        return f"{problem}: pass one image at a time"
    if array.ndim not in (2, 3) or array.dtype.kind not in "biuf":
        return problem
    if not array.size:
        return f"{problem}: it has no pixels"
    return "" if array.dtype == np.uint8 else f"{problem}: {_to_uint8(array)}"


def _to_uint8(array):
    """How to make uint8 pixels of numbers of another type, in words."""
    low, high = array.min(), array.max()
    is_float = array.dtype.kind == "f"
    if array.dtype.kind == "b":
        return "255 * image.astype(np.uint8) is black and white"
    if is_float and low >= 0 and high <= 1:
        return "(255 * image).round().astype(np.uint8) converts 0 to 1"
    if low >= 0 and high <= 255:
        rounded = "image.round()" if is_float else "image"
        return f"{rounded}.astype(np.uint8) converts 0 to 255"
    if array.dtype == np.uint16:
        return "(image / 257).round().astype(np.uint8) converts 0 to 65535"
    return f"scale its values, from {low:g} to {high:g}, to 0 to 255 first"


def _with_channels(array, channels):
    """Grey as [height, width, 1], or as RGB; RGBA as RGB; anything else as it is."""
    if array.ndim == 2:
        array = array[:, :, None]
    if channels == 3 and array.shape[2] == 1:
        return np.repeat(array, 3, axis=2)
    if channels == 3 and array.shape[2] == 4:
        return np.ascontiguousarray(array[:, :, :3])
    return array
