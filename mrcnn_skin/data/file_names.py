"""Which files of a folder are photographs, and which are masks, by their names alone.

The one place that decides it, for data sets and for all commands. No file is opened:
what the pixels of a mask mean is in mask_values.py.
"""

import itertools
import os
import re
import unicodedata
from pathlib import PurePosixPath

from . import dicom
from .own_outputs import is_output_file, is_output_folder

IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"),
    *dicom.SUFFIXES,
)
_JPEG, _LOSSLESS = (".jpg", ".jpeg"), (".png", ".bmp", ".tif", ".tiff")
MASK_HINT = (
    "x_segmentation, x_mask, x_seg, x_gt or mask_x, x.png beside x.jpg, or x in a "
    "folder such as masks, GT, labels or SegmentationClass"
)

# A folder holds masks if all its words are known and some are of the first set, unless
# there is a word of images beside a word that may mean the task: "lesion_masks" and
# "mask_images" do, "masked_lesions" and "segmentation_images" do not.
_MASK_WORDS = {
    *("mask", "masks", "gt", "groundtruth", "groundtruths", "truth", "truths"),
    *("annot", "annots"),
}
_TASK_WORDS = {
    *("segmentation", "segmentations", "seg", "segs", "label", "labels"),
    *("annotation", "annotations"),
}
_IMAGE_WORDS = {"image", "images", "img", "imgs", "data", "input"}
_SPLIT_WORDS = {
    **dict.fromkeys(("train", "training", "trainset"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "valset", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "testset"), "test"),
}
_KNOWN_WORDS = {
    *(_MASK_WORDS | _TASK_WORDS | _IMAGE_WORDS | _SPLIT_WORDS.keys()),
    *("ground", "lesion", "lesions", "skin", "binary", "bin", "png", "bmp", "tif"),
    *("jpeg", "class", "raw", "part", "task", "isic", "isbi", "ham", "tschandl"),
    *("expert", "manual", "final", "all"),
}
# Pictures that are neither: superpixels of 2017, attributes of 2018, PH2's regions,
# drawings of masks, and the instances beside VOC's SegmentationClass.
_NEITHER = re.compile(
    r"(?:_superpixels|_attribute_\w+|_R\d+_Label\d+)\.\w+$"
    r"|(?:^|/)(?:\w*visuali[sz]ations?|overlays?|\w*superpixels?|SegmentationObject\w*)"
    r"/[^/]+$",
    re.I,
)

_ANNOTATOR = r"(?:[ _.-]?(?P<annotator>(?:annotator|expert|rater|reader|A)?[ _-]?\d+))?"
# Names of the ISIC archive, of IMA++ (annotator, tool, skill, number), PH2 and others
_SURE_MASKS = (
    re.compile(
        r"(?P<id>.+?)[ _.-](?:segmentation|segmented|seg|masks?|gt|ground[ _-]?truth)"
        rf"{_ANNOTATOR}",
        re.I,
    ),
    re.compile(
        r"(?P<id>.+)_(?P<annotator>A\d+|ST|MV)_(?:T\d+|ST|MV)_(?:S\d+|ST|MV)_\w+"
    ),
    re.compile(r"(?P<id>IMD\d+)_lesion"),
    re.compile(r"(?:mask|segmentation)[ _.-](?P<id>.+)", re.I),
)
# These may also be part of an image's id: outside of a folder of masks they count
# beside the image `id` only.
_POSSIBLE_MASKS = (
    re.compile(
        rf"(?P<id>.+?)[ _.-](?:lesion|labels?|annotations?|binary|bin){_ANNOTATOR}",
        re.I,
    ),
    re.compile(r"(?:seg|gt|labels?)[ _.-](?P<id>.+)", re.I),
)


def is_image_file(path):
    """Whether the name ends in one of IMAGE_SUFFIXES, in upper or lower case.

    Hidden files, such as macOS's ._x.jpg, are no images.
    """
    path = PurePosixPath(path)
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def walk_files(folder):
    """Yield the paths of all files below a folder, relative, with forward slashes.

    Links to folders are followed, after all others; no folder is entered twice.
    Hidden folders, __MACOSX and the results of this package are left out.

    Raises:
        OSError: for a folder that cannot be listed.
    """
    pending, seen = [os.fspath(folder)], set()
    while pending:
        for path, subfolders, names in os.walk(pending.pop(0), onerror=_raise):
            inside = os.path.relpath(path, folder)
            real = os.path.realpath(path)
            is_output = inside != "." and is_output_folder([*names, *subfolders])
            if real in seen or is_output:
                subfolders.clear()
                continue
            seen.add(real)
            subfolders[:] = sorted(filter(_is_visible, subfolders))
            paths = (os.path.join(path, name) for name in subfolders)
            pending += filter(os.path.islink, paths)
            for name in sorted(filter(_is_visible, names)):
                if not is_output_file(name):
                    yield PurePosixPath(inside, name).as_posix()


def photographs(paths):
    """Yield those of the paths that are photographs by their names.

    Args:
        paths: relative, with forward slashes, the files of a folder one after the
            other, as walk_files yields them.
    """
    for folder, group in itertools.groupby(paths, _folder):
        images = [path for path in group if is_image_file(path)]
        if _holds_masks(folder):
            continue
        images = [path for path in images if not _NEITHER.search(path)]
        images = [path for path in images if not _match(_SURE_MASKS, path)]
        ids = {image_id(path) for path in images}
        jpeg_ids = {image_id(path) for path in images if _has_suffix(path, _JPEG)}
        for path in images:
            beside_jpeg = image_id(path) in jpeg_ids and _has_suffix(path, _LOSSLESS)
            name = _match(_POSSIBLE_MASKS, path)
            if not beside_jpeg and not (name and name["id"] in ids):
                yield path


def sort_images(paths):
    """Tell photographs from masks, and find the masks of each photograph.

    A mask belongs to the photograph with its id; of several, to the one whose folder
    has most words in common with the mask's, such as "train" or "patient 3". It never
    belongs to a photograph of another split.

    Args:
        paths: relative, with forward slashes; files that are no images are ignored.

    Returns:
        {photograph: list of its masks}; and the list of masks that belong to no
        photograph, or to several alike.
    """
    paths = sorted(filter(is_image_file, paths), key=lambda path: (_folder(path), path))
    masks = {path: [] for path in photographs(paths)}
    by_id = {}
    for path in masks:
        by_id.setdefault(image_id(path), []).append(path)
    left = []
    for path in paths:
        if path not in masks and not _NEITHER.search(path):
            owner = _owner(path, by_id)
            (left if owner is None else masks[owner]).append(path)
    return masks, left


def image_id(path):
    """Return the name without folder and suffix, its accents in one form.

    macOS writes the accented letters of file names in two parts.
    """
    return unicodedata.normalize("NFC", PurePosixPath(path).stem)


def annotator(path):
    """Return who drew a mask, by its name, such as "2" or "A00"; else None."""
    name = _match((*_SURE_MASKS, *_POSSIBLE_MASKS), path)
    return name.groupdict().get("annotator") if name else None


def split_name(text):
    """Return "train", "val" or "test", the last such word in a text; else None."""
    found = [_SPLIT_WORDS[word] for word in _words(text) if word in _SPLIT_WORDS]
    return found[-1] if found else None


def _owner(mask, by_id):
    """Return the photograph that a mask belongs to; None unless there is just one."""
    name = _match((*_SURE_MASKS, *_POSSIBLE_MASKS), mask)
    ids = [image_id(mask), name["id"]] if name else [image_id(mask)]
    found = next((by_id[i] for i in ids if i in by_id), [])
    split, words = split_name(_folder(mask)), set(_words(_folder(mask)))
    common = {}
    for path in found:
        folder = _folder(path)
        if None in (split, split_name(folder)) or split == split_name(folder):
            common[path] = len(words.intersection(_words(folder)))
    best = [path for path in common if common[path] == max(common.values())]
    return best[0] if len(best) == 1 else None


def _holds_masks(folder):
    """Whether the innermost part of a path that says what is in it says masks."""
    for part in reversed(folder.split("/")):
        words = set(_words(part))
        if all(w in _KNOWN_WORDS or len(w) == 1 or w.isdigit() for w in words):
            if words & _MASK_WORDS:
                return True
            if words & _IMAGE_WORDS:
                return False
            if words & _TASK_WORDS:
                return True
    return False


def _match(patterns, path):
    stem = image_id(path)
    return next(filter(None, (pattern.fullmatch(stem) for pattern in patterns)), None)


def _words(text):
    """Return the words of a name in lower case: "SegmentationClass" has two."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", str(text))
    return [word.lower() for word in words]


def _has_suffix(path, suffixes):
    return path.lower().endswith(suffixes)


def _is_visible(name):
    return not name.startswith(".") and name != "__MACOSX"


def _folder(path):
    """Return the folder of a relative path, "" for a file at the top."""
    return path.rpartition("/")[0]


def _raise(error):
    raise error
