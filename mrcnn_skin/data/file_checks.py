"""Find the unusable image and mask files of a data set, and why they are unusable.

Depth "header" reads file headers, and decodes masks so small on disk that they may be
blank; "full" decodes everything. Nothing is deleted or repaired.
"""

import os
from functools import partial
from itertools import chain
from pathlib import Path

import pandas as pd

from . import files
from .cached_map import map_files

DEPTHS = ("header", "full")
_RULES = 2  # to be increased with any change that invalidates cached results


def check_files(
    records, require_masks, depth, max_pixels, cache=None, mask_values=None
):
    """Check the files of all records that are not dropped yet.

    Args:
        records: DataFrame with path, mask_paths, reason, file.
        require_masks: whether images without a usable mask are dropped.
        depth: one of DEPTHS.
        max_pixels: maximum height * width of an image.
        cache: as in cached_map.map_files.
        mask_values: as in mask_values.find_foreground.

    Returns:
        the records with columns height, width (pixels; missing if unusable),
        orientation (EXIF, 1..8), and reason and file of an unusable file. If only the
        mask is unusable and not required, mask_paths is empty.
    """
    records = records.copy()
    records["height"] = records["width"] = records["orientation"] = None
    clean = records[records["reason"].isna()]
    about = f"{_RULES} {depth} {max_pixels}"
    inspect = partial(inspect_image, depth=depth, max_pixels=max_pixels)
    images = map_files(inspect, clean["path"], f"images {about}", cache)
    inspect = partial(
        inspect_mask, depth=depth, max_pixels=max_pixels, values=mask_values
    )
    about += "" if mask_values is None else f" {sorted(mask_values)}"
    mask_paths = chain.from_iterable(clean["mask_paths"])
    masks = map_files(inspect, mask_paths, f"masks {about}", cache)
    checked = [
        _judge(path, own_masks, images[path], masks, require_masks)
        for path, own_masks in zip(clean["path"], clean["mask_paths"], strict=True)
    ]
    columns = ["height", "width", "orientation", "mask_paths", "file", "reason"]
    results = pd.DataFrame(checked, index=clean.index, columns=columns, dtype=object)
    records = records.astype({column: object for column in columns})
    records.loc[clean.index, columns] = results
    return records


def inspect_image(path, depth, max_pixels):
    """Return files.image_header of an image; raises as files.read_image."""
    header = files.image_header(path, max_pixels)
    if depth == "full":
        files.verify_image(path, max_pixels)
    return list(header)


def inspect_mask(path, depth, max_pixels, values=None):
    """Return files.image_header and whether there is a foreground, in a list.

    Raises as files.read_mask.
    """
    header = files.image_header(path, max_pixels)
    if depth == "header" and not _may_be_blank(path, header[:2]):
        files.check_mask_header(path, max_pixels)
        return [*header, True]
    if depth == "full":
        files.verify_image(path, max_pixels)
    mask = files.read_mask(path, max_pixels=max_pixels, values=values)
    return [*header, bool(mask.any())]


def _judge(path, mask_paths, header, masks, require_masks):
    """Return (height, width, orientation, usable mask_paths, file, reason) of an image.

    header and the values of masks are the results of inspect_image and inspect_mask, or
    exceptions.
    """
    if isinstance(header, Exception):
        return *[None] * 3, mask_paths, path, f"unreadable image: {_words(header)}"
    for mask_path in mask_paths:
        reason = _mask_problem(masks[mask_path], *header)
        if reason and require_masks:
            return *[None] * 3, mask_paths, mask_path, reason
        if reason:
            return *header, (), mask_path, reason
    return *header, mask_paths, path, None


def _mask_problem(found, height, width, orientation):
    """Return why a mask is unusable for an image, or None."""
    if isinstance(found, Exception):
        return f"unreadable mask: {_words(found)}"
    *shape, own_orientation, has_foreground = found
    if not files.same_aspect(shape, (height, width)):
        return f"mask size mismatch: mask {tuple(shape)}, image {(height, width)}"
    if own_orientation == 1:
        problem = files.orientation_problem(shape, (height, width), orientation)
        if problem:
            return problem
    return None if has_foreground else "empty mask"


def _words(error):
    """Return an error's reason without the file name."""
    return getattr(error, "reason", None) or getattr(error, "strerror", None) or error


def _may_be_blank(path, shape):
    """Whether the file is so small for its shape that all pixels may be equal.

    A blank grey PNG takes 1/1000 to 1/200 byte per pixel, depending on the compression
    level. The size of other formats gives no such bound.
    """
    height, width = shape
    is_png = Path(path).suffix.lower() == ".png"
    return not is_png or os.path.getsize(path) < 300 + height * width / 200
