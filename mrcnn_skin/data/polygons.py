"""Lesions outlined as polygons in JSON: COCO, labelme, and the VGG annotator (VIA).

An outline says what it shows by a name, such as "lesion" or "nevus". Those of one name
are taken; where there are several names, the user must say which are lesions.
"""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from skimage.draw import polygon2mask

from .files import same_aspect
from .image_names import ImageNames

MAX_JSON_BYTES = 500_000_000
_CIRCLE_POINTS = 64


class Shape(NamedTuple):
    """One outlined area: its name, "" without; and its corners, [(x, y), ...], pixels.

    parts: lists of corners, the parts of one area. source: the file that it is from.
    """

    name: str
    parts: list
    source: str


class Outlines(NamedTuple):
    """What is outlined in an image. size: (height, width) as the file says, or None."""

    size: tuple | None
    shapes: list


def read_outlines(path):
    """Read an annotation file.

    Returns:
        {image file name: Outlines}; None if the JSON is of another kind.

    Raises:
        ValueError: naming the file, if it is broken.
    """
    path = Path(path)
    if path.stat().st_size > MAX_JSON_BYTES:
        raise ValueError(f"{path} is larger than {MAX_JSON_BYTES} bytes")
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        if not isinstance(content, dict):
            return None
        if "images" in content and "annotations" in content:
            return _read_coco(content, path.name)
        if "shapes" in content and "imagePath" in content:
            return _read_labelme(content, path)
        content = content.get("_via_img_metadata", content)
        entries = list(content.values())
        if entries and all(isinstance(e, dict) and "regions" in e for e in entries):
            return _read_via(entries, path.name)
        return None
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise ValueError(f"cannot read annotations {path}: {kind}{error}") from error


def find_outlines(dataset_dir, paths, photographs, names=None):
    """Find the outlines of photographs in the annotation files of a folder.

    Args:
        dataset_dir: the folder. paths: of all its files, relative to it.
        photographs: relative paths. names: of the areas that are lesions; None for the
            one name that there is.

    Returns:
        {photograph: Outlines}; and notes, lines of text: what was not read, and why.

    Raises:
        ValueError: if no area has one of the names.
    """
    images = ImageNames(photographs)
    found, notes = {}, []
    for path in (path for path in paths if path.lower().endswith(".json")):
        try:
            content = read_outlines(Path(dataset_dir, path)) or {}
        except ValueError as error:
            notes.append(str(error))
            continue
        places = images.places(content, path)
        for outlines, indices in zip(content.values(), places, strict=True):
            if len(indices) == 1 and outlines.shapes:
                photograph = photographs[indices[0]]
                before = found.get(photograph, Outlines(None, []))
                size = outlines.size or before.size
                found[photograph] = Outlines(size, before.shapes + outlines.shapes)
    known = sorted({s.name for outlines in found.values() for s in outlines.shapes})
    if names is None and len(known) > 1:
        listed = ", ".join(map(repr, known[:8]))
        notes.append(
            f"{len(found)} outlined images are not read: the areas are named {listed}; "
            "mask_values can say which are lesions"
        )
        return {}, notes
    if names and not set(names) & set(known):
        raise ValueError(f"mask_values must be among {known}, got {sorted(names)}")
    kept = {}
    for photograph, (size, shapes) in found.items():
        shapes = [shape for shape in shapes if not names or shape.name in names]
        if shapes:
            kept[photograph] = Outlines(size, shapes)
    return kept, notes


def draw_outlines(outlines, shape):
    """Fill the outlined areas, bool [height, width]; shape: of the image, pixels."""
    height, width = shape
    rows, columns = outlines.size or shape
    mask = np.zeros(shape, bool)
    for area in outlines.shapes:
        for corners in area.parts:
            # A corner is a place between pixels; polygon2mask counts from their centres
            places = np.array(corners, float) * (width / columns, height / rows) - 0.5
            mask |= polygon2mask(shape, places[:, ::-1])
    return mask


def outline_problem(outlines, shape):
    """Return why outlines cannot be drawn on an image of this shape, or None."""
    if outlines.size and not same_aspect(outlines.size, shape):
        return f"mask size mismatch: outlines {outlines.size}, image {tuple(shape)}"
    corners = np.concatenate([part for s in outlines.shapes for part in s.parts])
    if not np.isfinite(corners).all():
        return "unreadable mask: the outlines have corners that are no numbers"
    high = np.array([outlines.size or shape], float)[0, ::-1]
    inside = (corners.max(axis=0) > 0).all() and (corners.min(axis=0) < high).all()
    return None if inside and np.ptp(corners, axis=0).all() else "empty mask"


def _read_coco(content, source):
    names = {c["id"]: str(c["name"]) for c in content.get("categories", ())}
    images = {}
    for info in content["images"]:
        size = (info["height"], info["width"]) if info.get("height") else None
        images[info["id"]] = (info["file_name"], Outlines(size, []))
    for annotation in content["annotations"]:
        parts = annotation.get("segmentation")
        if isinstance(parts, dict):
            raise ValueError(
                "run-length masks are not read, export polygons or masks as images"
            )
        parts = [np.reshape(part, (-1, 2)).tolist() for part in parts or () if part]
        if parts:
            name = names.get(annotation["category_id"], "")
            shapes = images[annotation["image_id"]][1].shapes
            shapes.append(Shape(name, parts, source))
    return dict(images.values())


def _read_labelme(content, path):
    size = content.get("imageHeight"), content.get("imageWidth")
    shapes = [
        Shape(str(s["label"]), [_labelme_corners(s)], "labelme files")
        for s in content["shapes"]
    ]
    # The image may have been renamed together with its JSON
    return {path.stem + ".jpg": Outlines(size if all(size) else None, shapes)}


def _labelme_corners(shape):
    points, kind = shape["points"], shape.get("shape_type", "polygon")
    if kind == "polygon" and len(points) > 2:
        return points
    if kind == "rectangle":
        return _rectangle(*points[0], *points[1])
    if kind == "circle":
        (x, y), edge = points
        radius = float(np.hypot(edge[0] - x, edge[1] - y))
        return _ellipse(x, y, radius, radius)
    raise ValueError(f"a {kind} of {len(points)} points outlines no area")


def _read_via(entries, source):
    images = {}
    for entry in entries:
        regions = entry["regions"]
        shapes = []
        for region in regions.values() if isinstance(regions, dict) else regions:
            words = [str(v) for v in region.get("region_attributes", {}).values() if v]
            corners = _via_corners(region["shape_attributes"])
            shapes.append(Shape(words[0] if words else "", [corners], source))
        images[entry["filename"]] = Outlines(None, shapes)
    return images


def _via_corners(shape):
    kind = shape["name"]
    if kind == "polygon":
        return list(zip(shape["all_points_x"], shape["all_points_y"], strict=True))
    if kind == "rect":
        x, y = shape["x"], shape["y"]
        return _rectangle(x, y, x + shape["width"], y + shape["height"])
    if kind in ("circle", "ellipse"):
        radii = shape.get("rx", shape.get("r")), shape.get("ry", shape.get("r"))
        return _ellipse(shape["cx"], shape["cy"], *radii)
    raise ValueError(f"a {kind} outlines no area")


def _rectangle(x1, y1, x2, y2):
    return [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]


def _ellipse(x, y, x_radius, y_radius):
    angles = np.linspace(0, 2 * np.pi, _CIRCLE_POINTS, endpoint=False)
    corners = zip(
        x + x_radius * np.cos(angles), y + y_radius * np.sin(angles), strict=True
    )
    return [(float(cx), float(cy)) for cx, cy in corners]
