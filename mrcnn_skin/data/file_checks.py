"""Find the unusable image and mask files of a data set, and why they are unusable.

Depth "header" reads the headers of images and decodes masks; "full" decodes everything.
All masks of a data set must show the lesion by the same value. Nothing is deleted or
repaired.
"""

from functools import partial
from itertools import chain
from pathlib import Path

import pandas as pd

from . import files
from .annotators import MAJORITY, UNION
from .cached_map import map_files
from .drawings import read_union
from .mask_values import WHITE
from .polygons import outline_problem

DEPTHS = ("header", "full")
_RULES = 3  # to be increased with any change that invalidates cached results
_SAME = {"1", WHITE}  # bilevel masks are written as 0 and 1, or as 0 and 255
_SHOWN = 6  # values named in a message
_EMPTY = dict.fromkeys(("height", "width", "orientation", "outlines"))


def check_files(
    records,
    require_masks,
    depth,
    max_pixels,
    cache=None,
    mask_values=None,
    siblings=(),
    annotators=UNION,
):
    """Check the files of all records that are not dropped yet.

    Args:
        records: DataFrame with path, mask_paths, reason, file, perhaps outlines.
        require_masks: whether images without a usable mask are dropped.
        depth: one of DEPTHS.
        max_pixels: maximum height * width of an image.
        cache: as in cached_map.map_files.
        mask_values: as in mask_values.find_foreground.
        siblings: paths of further masks of the data set, such as those of its other
            splits, whose values are compared.
        annotators: as in annotators.join_masks.

    Returns:
        the records with columns height, width (pixels; missing if unusable),
        orientation (EXIF, 1..8), and reason and file of an unusable file. If only the
        mask is unusable and not required, mask_paths and outlines are empty.
    """
    rows = [_EMPTY | row for row in records.to_dict("records")]
    clean = [row for row in rows if pd.isna(row["reason"])]
    about = f"{_RULES} {depth} {max_pixels}"
    inspect = partial(inspect_image, depth=depth, max_pixels=max_pixels)
    paths = [row["path"] for row in clean]
    images = map_files(inspect, paths, f"images {about}", cache)
    inspect = partial(
        inspect_mask, depth=depth, max_pixels=max_pixels, values=mask_values
    )
    about += "" if mask_values is None else f" {sorted(mask_values)}"
    paths = chain(*(row["mask_paths"] for row in clean), siblings)
    masks = map_files(inspect, paths, f"masks {about}", cache)
    masks |= _find_contradictions(masks)
    how = {"mask_values": mask_values, "annotators": annotators}
    how |= {"is_pseudo_mask": False, "max_pixels": max_pixels}
    for row in clean:
        row |= _judge(row | how, images[row["path"]], masks, require_masks)
    columns = [*_EMPTY, *records.columns.difference(_EMPTY, sort=False)]
    return pd.DataFrame(rows, records.index, columns, dtype=object)


def inspect_image(path, depth, max_pixels):
    """Return files.image_header of an image; raises as files.read_image."""
    header = files.image_header(path, max_pixels)
    if depth == "full":
        files.verify_image(path, max_pixels)
    return list(header)


def inspect_mask(path, depth, max_pixels, values=None):
    """Return files.image_header, whether there is a foreground, and its value's name.

    Raises as files.read_mask.
    """
    header = files.image_header(path, max_pixels)
    if depth == "full":
        files.verify_checksums(path, max_pixels)
    mask, name = files.read_named_mask(path, max_pixels, values)
    return [*header, bool(mask.any()), name]


def _find_contradictions(masks):
    """Return {path: exception} of masks whose value may be another class elsewhere.

    The masks of a data set, {path: result of inspect_mask}, must show the lesion by one
    value, which must not be one of several classes of an ambiguous mask. White is the
    standard, and is kept.
    """
    shown = {}  # {classes of a mask: first path}
    for path, found in masks.items():
        shown.setdefault(_classes(found), path)
    single = {names[0] for names in shown if len(names) == 1}
    several = {name for names in shown if len(names) > 1 for name in names}
    differ = len(single) > 1 and single != _SAME
    refused = (single if differ else single & several) - {WHITE}
    examples = [
        f"{', '.join(names)} in {Path(path).name}"
        for names, path in sorted(shown.items(), key=lambda item: len(item[0]))
        if (differ and len(names) == 1) or refused & set(names)
    ]
    error = ValueError(
        "ambiguous mask values: masks of the data set show different values as lesion "
        f"or as several classes: {'; '.join(examples[:_SHOWN])}; set mask_values to "
        "those of lesion pixels"
    )
    return {
        path: error
        for path, found in masks.items()
        if not isinstance(found, Exception) and found[-1] in refused
    }


def _classes(found):
    """Return the names of the values that a mask shows, from inspect_mask."""
    if isinstance(found, Exception):
        return getattr(found.__cause__, "classes", ())
    return () if found[-1] is None else (found[-1],)


def _judge(info, header, masks, require_masks):
    """Return the columns of check_files that change for an image.

    info: row, and options of drawings.read_union. header, and the values of masks, are
    results of inspect_image and inspect_mask, or exceptions.
    """
    if isinstance(header, Exception):
        return {"reason": f"unreadable image: {_words(header)}"}
    size = dict(zip(("height", "width", "orientation"), header, strict=True))
    file, reason = _drawing_problem(info | size, masks)
    if reason and require_masks:
        return {"file": file, "reason": reason}
    drawings = {"mask_paths": (), "outlines": None} if reason else {}
    return {**size, **drawings, "file": file, "reason": reason}


def _drawing_problem(info, masks):
    """Return the unusable file of an image, and why, or None."""
    shape, orientation = (info["height"], info["width"]), info["orientation"]
    outlines = info.get("outlines") or ()
    for path in info["mask_paths"]:
        problem = _mask_problem(masks[path], *shape, orientation)
        if problem:
            return path, problem
    problems = (outline_problem(one, shape, orientation) for one in outlines)
    problem = next(filter(None, problems), None)
    if not problem and info["annotators"] == MAJORITY:
        drawings = len(info["mask_paths"]) + len(outlines)
        if drawings > 1 and not read_union(info, info["max_pixels"]).any():
            problem = "empty mask: no pixel is in more than half of its masks"
    return info["path"], problem


def _mask_problem(found, height, width, orientation):
    """Return why a mask is unusable for an image, or None."""
    if isinstance(found, Exception):
        return f"unreadable mask: {_words(found)}"
    *shape, own_orientation, has_foreground, _ = found
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
