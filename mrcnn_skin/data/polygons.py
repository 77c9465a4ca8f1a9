"""Lesions outlined as polygons in JSON: COCO, labelme, and the VGG annotator (VIA).

Outlines have names such as "lesion" or "nevus". If not all of them mean lesions, the
user must state which do.
"""

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .diagnoses import meaning_of, normalise
from .file_names import image_id, is_folder_of, says_no_truth
from .files import orientation_problem, same_aspect
from .image_names import ImageNames

MAX_JSON_BYTES = 500_000_000
_CIRCLE_POINTS = 64
_MARGIN = 0.01  # share of the sides by which outlines may exceed the image

# Names of areas that are lesions, besides the diagnoses
_LESIONS = {"lesion", "lesions", "skin lesion", "mole", "tumor", "tumour"}
# Attributes of a VIA region that hold its name
_NAME_ATTRIBUTES = {"name", "label", "class", "category", "type"}
_MARKS = ("point", "points", "line")  # not areas


class Shape(NamedTuple):
    """One outlined area: its name, "" without; parts: float [corners, (x, y)] each."""

    name: str
    parts: list


class Outlines(NamedTuple):
    """The areas of an image in one entry of an annotation file.

    Attributes:
        size: (height, width) in the file, or None.
        shapes: list of Shape, corners in pixels of that size.
        source: the file.
    """

    size: tuple | None
    shapes: list
    source: str


def read_outlines(path):
    """Read an annotation file.

    Returns:
        list of (names, outlines): the file names that the image may have, and its
        Outlines, or a text with the reason if they are unusable. None if the JSON is
        not an annotation file.

    Raises:
        ValueError: if the file is broken; the message names it.
    """
    path = Path(path)
    if path.stat().st_size > MAX_JSON_BYTES:
        raise ValueError(f"{path} is larger than {MAX_JSON_BYTES} bytes")
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        if not isinstance(content, dict):
            return None
        if "images" in content and "annotations" in content:
            entries = _read_coco(content)
        elif "shapes" in content and "imagePath" in content:
            entries = _read_labelme(content, path)
        else:
            regions = content.get("_via_img_metadata", content).values()
            is_via = [isinstance(e, dict) and "regions" in e for e in regions]
            if not is_via or not all(is_via):
                return None
            entries = _read_via(regions)
        return [_checked_entry(*entry, str(path)) for entry in entries]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise ValueError(f"cannot read annotations {path}: {kind}{error}") from error


def find_outlines(dataset_dir, paths, photographs, names=None):
    """Find the outlines of photographs in the annotation files of a folder.

    Args:
        dataset_dir: the folder.
        paths: of all its files, relative to it.
        photographs: relative paths.
        names: names of the areas that are lesions; None for all areas, if their names
            mean lesions.

    Returns:
        outlines: {photograph: tuple of Outlines, one for each entry of a file}.
        notes: list of text: what was ignored, and why.

    Raises:
        ValueError: if no area has one of the names.
    """
    found, notes = _assign(dataset_dir, paths, photographs)
    named = {
        s.name for drawings in found.values() for one in drawings for s in one.shapes
    }
    if names:
        lesions = set(map(normalise, names))
        absent = sorted(lesions - set(map(normalise, named)))
        if absent:
            raise ValueError(
                f"mask_values must be among {sorted(named)}, got {absent}: the names "
                "of the areas in JSON annotations"
            )
    else:
        lesions = set(map(normalise, named))
        if named - {""} and not all(map(_means_lesion, named)):
            listed = ", ".join(map(repr, sorted(named)[:8]))
            notes.append(
                f"the outlines of {len(found)} images are ignored: the areas are named "
                f"{listed}; set mask_values to the names of lesions"
            )
            return {}, notes
    kept = {}
    for photograph, drawings in found.items():
        for one in drawings:
            shapes = [s for s in one.shapes if normalise(s.name) in lesions]
            if shapes:
                kept.setdefault(photograph, []).append(one._replace(shapes=shapes))
    return {photograph: tuple(drawings) for photograph, drawings in kept.items()}, notes


def _assign(dataset_dir, paths, photographs):
    """Return {photograph: list of Outlines} of all annotation files; and notes."""
    images, ids = ImageNames(photographs), set(map(image_id, photographs))
    found, unread, notes = defaultdict(list), defaultdict(list), []
    for path in (path for path in paths if path.lower().endswith(".json")):
        folder, _, name = path.rpartition("/")
        if says_no_truth(folder if name[:-5] in ids else path):
            notes.append(
                f"{path}: its name says that it is no ground truth; rename it if it is"
            )
            continue
        try:
            entries = read_outlines(Path(dataset_dir, path)) or []
        except ValueError as error:
            notes.append(str(error))
            continue
        places = iter(images.places([c for cells, _ in entries for c in cells], path))
        for cells, outlines in entries:
            named = {photographs[i] for _ in cells for i in next(places)}
            owners = {image for image in named if is_folder_of(image, path)}
            if isinstance(outlines, str):
                unread[outlines].append(f"{' or '.join(cells)} in {path}")
            elif outlines.shapes and len(owners) != 1:
                problem = "no image of that folder has the name, or several have it"
                unread[problem].append(f"{' or '.join(cells)} in {path}")
            elif outlines.shapes:
                found[owners.pop()].append(outlines._replace(source=path))
    notes += [
        f"outlines of {len(cells)} images are ignored, such as {cells[0]}: {problem}"
        for problem, cells in unread.items()
    ]
    return found, notes


def _means_lesion(name):
    return normalise(name) in _LESIONS or meaning_of(name) is not None


def draw_outlines(outlines, shape):
    """Fill the outlined areas, bool [height, width]; shape: of the image, pixels."""
    height, width = shape
    rows, columns = outlines.size or shape
    mask = np.zeros(shape, bool)
    for corners in (part for area in outlines.shapes for part in area.parts):
        mask |= _fill(np.multiply(corners, (width / columns, height / rows)), shape)
    return mask


def outline_problem(outlines, shape, orientation=1):
    """Return why outlines cannot be drawn on an image, or None.

    shape: (height, width) of the image, pixels. orientation: that of EXIF, 1..8.
    """
    if outlines.size and not same_aspect(outlines.size, shape):
        return f"mask size mismatch: outlines {outlines.size}, image {tuple(shape)}"
    problem = orientation_problem(outlines.size, shape, orientation)
    if problem:
        return problem
    height, width = outlines.size or shape
    corners = np.concatenate([part for area in outlines.shapes for part in area.parts])
    margin = np.maximum(1, _MARGIN * np.array([width, height]))
    if (corners < -margin).any() or (corners > margin + (width, height)).any():
        (x1, y1), (x2, y2) = corners.min(axis=0), corners.max(axis=0)
        return (
            f"outlines beyond the image: they have x {x1:g}..{x2:g}, y {y1:g}..{y2:g} "
            f"in {width} x {height} pixels"
        )
    if (corners <= 1).all():
        return "outlines not in pixels: all corners are at most 1"
    return None if draw_outlines(outlines, shape).any() else "empty mask"


def _fill(corners, shape):
    """Tell which pixels have their centre in a polygon, by the even-odd rule.

    skimage.draw looks at every corner for every pixel; here it is for every row.
    corners: float [n, (x, y)], pixels. shape: (height, width).
    """
    height, width = shape
    (x, y), (next_x, next_y) = corners.T, np.roll(corners, -1, axis=0).T
    centres = np.arange(height) + 0.5
    rows, sides = np.nonzero((y <= centres[:, None]) != (next_y <= centres[:, None]))
    parts = (centres[rows] - y[sides]) / (next_y - y)[sides]
    crossings = x[sides] + parts * (next_x - x)[sides]
    columns = np.ceil(crossings - 0.5).clip(0, width).astype(int)
    turns = np.zeros((height, width + 1), np.uint8)
    np.add.at(turns, (rows, columns), 1)  # from outside to inside, or back
    return np.cumsum(turns, axis=1, dtype=np.uint8)[:, :-1] % 2 == 1


def _checked_entry(names, size, areas, source):
    """Return names and the Outlines of (name, parts) of areas, or an error's text."""
    if not all(isinstance(name, str) for name in names):
        raise ValueError(f"names of image files must be text, got {names}")
    try:
        if size and not all(isinstance(n, int | float) and 0 < n < 1e6 for n in size):
            raise ValueError(f"height and width must be pixels, got {str(size)[:40]}")
        shapes = [Shape(name, list(map(_checked, parts))) for name, parts in areas]
    except (ValueError, OverflowError) as error:
        return names, str(error)
    return names, Outlines(size, [shape for shape in shapes if shape.parts], source)


def _checked(part):
    """Return corners as float [n, (x, y)]."""
    corners = np.array(part, float)
    if corners.ndim != 2 or corners.shape[1] != 2 or not np.isfinite(corners).all():
        raise ValueError(f"corners must be pairs of numbers, got {str(part)[:40]}")
    return corners


def _read_coco(content):
    """Return a list of (file names, size, areas as of _checked_entry)."""
    for kind in ("images", "categories"):
        ids = [entry["id"] for entry in content.get(kind, ())]
        twice = [one for one, count in Counter(ids).items() if count > 1]
        if twice:
            raise ValueError(f"several {kind} have the id {twice[0]!r}")
    names = {c["id"]: str(c["name"]) for c in content.get("categories", ())}
    areas = {info["id"]: [] for info in content["images"]}
    for annotation in content["annotations"]:
        image, category = annotation["image_id"], annotation["category_id"]
        if image not in areas:
            raise ValueError(f"an annotation has image_id {image!r}, but no image has")
        name = names.get(category, f"category {category}" if names else "")
        areas[image].append((name, annotation.get("segmentation")))
    return [
        (
            (info["file_name"],),
            (info["height"], info["width"]) if info.get("height") else None,
            ((name, _coco_parts(parts)) for name, parts in areas[info["id"]]),
        )
        for info in content["images"]
    ]


def _coco_parts(parts):
    if isinstance(parts, dict):
        raise ValueError(
            "run-length masks are not supported, export polygons or masks as images"
        )
    parts = [np.reshape(part, (-1, 2)) for part in parts or () if part]
    if not parts:
        raise ValueError("an area has no outline")
    return parts


def _read_labelme(content, path):
    """As _read_coco; the image may also have the name of the JSON file."""
    size = content.get("imageHeight"), content.get("imageWidth")
    names = path.stem, str(content["imagePath"])
    areas = ((str(s["label"]), _labelme_parts(s)) for s in content["shapes"])
    return [(names, size if all(size) else None, areas)]


def _labelme_parts(shape):
    points, kind = shape["points"], shape.get("shape_type") or "polygon"
    if kind in _MARKS:
        return []
    if kind == "polygon" and len(points) > 2:
        return [points]
    if kind == "rectangle":
        return [_rectangle(*points[0], *points[1])]
    if kind == "circle":
        (x, y), edge = points
        radius = float(np.hypot(edge[0] - x, edge[1] - y))
        return [_ellipse(x, y, radius, radius)]
    raise ValueError(f"a {kind} of {len(points)} points outlines no area")


def _read_via(entries):
    """As _read_coco."""
    for entry in entries:
        regions = entry["regions"]
        regions = regions.values() if isinstance(regions, dict) else regions
        areas = (
            (
                _via_name(r.get("region_attributes", {})),
                _via_parts(r["shape_attributes"]),
            )
            for r in regions
        )
        yield (entry["filename"],), None, areas


def _via_name(attributes):
    """Return the name of a region from its attributes."""
    given = {key.lower(): value for key, value in attributes.items() if value}
    named = [given[key] for key in sorted(_NAME_ATTRIBUTES & set(given))]
    texts = []
    for value in named or given.values():
        ticked = isinstance(value, dict)  # {option: whether it is ticked}
        texts += [k for k, on in value.items() if on] if ticked else [str(value)]
    return "/".join(texts)


def _via_parts(shape):
    kind = shape["name"]
    if kind in _MARKS:
        return []
    if kind == "polygon":
        return [list(zip(shape["all_points_x"], shape["all_points_y"], strict=True))]
    if kind == "rect":
        x, y = shape["x"], shape["y"]
        return [_rectangle(x, y, x + shape["width"], y + shape["height"])]
    if kind in ("circle", "ellipse"):
        radii = shape.get("rx", shape.get("r")), shape.get("ry", shape.get("r"))
        return [_ellipse(shape["cx"], shape["cy"], *radii, shape.get("theta") or 0)]
    raise ValueError(f"a {kind} outlines no area")


def _rectangle(x1, y1, x2, y2):
    return [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]


def _ellipse(x, y, x_radius, y_radius, angle=0.0):
    """Return corners of an ellipse, rotated by angle, radians, from x towards y."""
    turns = np.linspace(0, 2 * np.pi, _CIRCLE_POINTS, endpoint=False)
    along, across = x_radius * np.cos(turns), y_radius * np.sin(turns)
    xs = x + along * np.cos(angle) - across * np.sin(angle)
    ys = y + along * np.sin(angle) + across * np.cos(angle)
    return [(float(cx), float(cy)) for cx, cy in zip(xs, ys, strict=True)]
