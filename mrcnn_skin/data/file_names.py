"""Tell photographs from masks by the names of files and folders.

All data sets and commands use these rules. No file is opened; the meaning of a mask's
pixels is in mask_values.py.
"""

import itertools
import os
import re
import unicodedata
from collections import Counter
from functools import lru_cache
from pathlib import PurePosixPath

from . import dicom
from .own_outputs import is_output_file, is_output_folder

IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"),
    *dicom.SUFFIXES,
)
_SYSTEM_NAMES = {
    *("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"),
}
_SHOWN = 6  # folders named in a message
_JPEG, _LOSSLESS = (".jpg", ".jpeg"), (".png", ".bmp", ".tif", ".tiff")
MASK_HINT = (
    "x_segmentation, x_mask, x_seg, x_gt or mask_x, x.png next to x.jpg, or x in a "
    "folder such as masks, GT, labels or SegmentationClass"
)
# Unsupported formats of pictures and arrays
_OTHER_SUFFIXES = (
    *(".webp", ".gif", ".jp2", ".j2k", ".jfif", ".heic", ".heif", ".avif", ".ppm"),
    *(".pgm", ".tga", ".psd", ".svg", ".npy", ".npz", ".mat", ".nii", ".nii.gz"),
)

# A folder holds masks if its name has a mask word, or a task word and neither image
# words nor unknown ones: "lesion_masks" and "mask_images", not "masked_lesions" nor
# "segmentation_images".
_MASK_WORDS = {
    *("mask", "masks", "gt", "gts", "groundtruth", "groundtruths", "truth", "truths"),
    *("annot", "annots"),
}
_TASK_WORDS = {
    *("segmentation", "segmentations", "seg", "segs", "label", "labels", "lbl", "lbls"),
    *("annotation", "annotations", "anno", "ann", "anns", "target", "targets"),
}
# Pictures derived from photographs, but perhaps not masks: they are neither
_UNCLEAR_WORDS = {
    *("roi", "rois", "contour", "contours", "edge", "edges", "boundary", "boundaries"),
    *("silhouette", "silhouettes", "heatmap", "heatmaps"),
}
_IMAGE_WORDS = {"image", "images", "img", "imgs", "data", "dataset", "input"}
_SPLIT_WORDS = {
    **dict.fromkeys(("train", "training", "trainset", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "valset", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "testset", "tst"), "test"),
}
_NNUNET = re.compile(r"(?<=images|labels)T([rs])(?![a-z])")
_ANNOTATOR_WORDS = {"annotator", "expert", "rater", "reader"}
_KNOWN_WORDS = {
    *(_MASK_WORDS | _TASK_WORDS | _IMAGE_WORDS | _SPLIT_WORDS.keys()),
    *("ground", "lesion", "lesions", "binary", "bin", "png", "bmp", "tif"),
    *("jpeg", "part", "task", "isic", "isbi", "ham", "tschandl"),
    *("manual", "final", "all", "resized", "tr", "ts"),
    *("json", "coco", "via", "vgg", "labelme", "metadata", "table", "tables", "csv"),
    *("meta", "info", "excel", "sheet", "sheets"),
    *_ANNOTATOR_WORDS,
}
_VAGUE_WORDS = {"skin", "raw", "class", "map", "maps"}  # known only with others
# A path with such a word leads to no ground truth
_NO_TRUTH_WORDS = {
    *("pred", "preds", "predicted", "prediction", "predictions", "inference"),
    *("output", "outputs", "result", "results", "submission", "submissions"),
    *("old", "backup", "bak", "copy", "tmp", "temp", "trash", "unused", "obsolete"),
    *("draft", "drafts", "rejected", "discarded", "deleted", "wrong", "misclassified"),
    *("excluded", "review", "reviews"),
}
# Names that identify a photograph whatever its folder
ARCHIVE_NAME = re.compile(r"ISIC_\d+|BCN_\d+|PAT_\d+_\d+_\d+|IMD\d+", re.I)
# Pictures that are neither: superpixels (ISIC 2017), attributes (ISIC 2018), regions
# (PH2), drawings of masks, and VOC's SegmentationObject.
_NEITHER = re.compile(
    r"(?:_superpixels|_attribute_\w+|_R\d+_Label\d+|-checkpoint)\.\w+$"
    r"|(?:^|/)(?:\w*visuali[sz]ations?|overlays?|\w*superpixels?|SegmentationObject\w*)"
    r"/[^/]+$",
    re.I,
)

_ANNOTATOR = r"(?:[ _.-]?(?P<annotator>(?:annotator|expert|rater|reader|A)?[ _-]?\d+))?"
_OF_IMAGE = (
    r"(?P<id>.+?)[ _.-](?:segmentation|segmented|seg|masks?|gt|ground[ _-]?truth)"
)
# Names of the ISIC archive, of IMA++ (annotator, tool, skill, number), PH2 and others
_SURE_MASKS = (
    re.compile(_OF_IMAGE + _ANNOTATOR, re.I),
    re.compile(
        r"(?P<id>.+)_(?P<annotator>A\d+|ST|MV)_(?:T\d+|ST|MV)_(?:S\d+|ST|MV)_\w+"
    ),
    re.compile(r"(?P<id>IMD\d+)_lesion"),
    re.compile(r"(?:mask|segmentation)[ _.-](?P<id>.+)", re.I),
)
# These may also be part of an image's id: outside a folder of masks they count only if
# there is an image named `id`.
_POSSIBLE_MASKS = (
    re.compile(
        rf"(?P<id>.+?)[ _.-](?:lesion|labels?|annotations?|binary|bin){_ANNOTATOR}",
        re.I,
    ),
    re.compile(r"(?:seg|gt|labels?)[ _.-](?P<id>.+)", re.I),
    # Such as "x_mask_old" and "x_mask (1)": these are neither
    re.compile(_OF_IMAGE + r"[^a-z].*", re.I),
)
_LESION = re.compile(r"[ _.-]lesion(?=[ _-]\d+$|$)", re.I)
_ANNOTATOR_FOLDER = re.compile(
    r"(?:.*[ _-])?(?P<annotator>(?:annotator|expert|rater|reader)[ _-]?(?:\d+|[a-z]))"
    r"|(?:masks?|gt|segmentations?|segs?|labels?|annotations?)[ _-]?(?P<number>\d\d?)",
    re.I,
)


def is_image_file(path):
    """Whether the name has one of IMAGE_SUFFIXES and the file is not hidden."""
    name = os.path.basename(path)
    return name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")


def walk_files(folder, results=None):
    """Yield the relative paths of all files below a folder, with forward slashes.

    Links to folders are followed last; no folder is visited twice. Hidden files, files
    of operating systems, and results of this package are skipped; the paths of results
    are added to the list `results`. Raises OSError if a folder cannot be listed.
    """
    pending, seen = [os.fspath(folder)], set()
    results = [] if results is None else results
    while pending:
        for path, subfolders, names in os.walk(pending.pop(0), onerror=_raise):
            inside = os.path.relpath(path, folder)
            real = os.path.realpath(path)
            is_output = inside != "." and is_output_folder([*names, *subfolders])
            if real in seen or is_output:
                results += [PurePosixPath(inside).as_posix()] * is_output
                subfolders.clear()
                continue
            seen.add(real)
            subfolders[:] = sorted(filter(_is_visible, subfolders))
            paths = (os.path.join(path, name) for name in subfolders)
            pending += filter(os.path.islink, paths)
            for name in sorted(filter(_is_visible, names)):
                path = PurePosixPath(inside, name).as_posix()
                if is_output_file(name):
                    results.append(path)
                else:
                    yield path


def photographs(paths):
    """Yield the photographs among paths, grouped by folder as from walk_files."""
    for folder, group in itertools.groupby(paths, _folder):
        images = [path for path in group if is_image_file(path)]
        if _content(folder) == "masks":
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
    """Tell photographs from masks, and assign the masks to the photographs.

    Copies in folders such as "old" or "predictions" are neither.

    Returns:
        masks: {photograph: list of its masks}.
        left: list of unassigned pictures: masks of no photograph or of several, and
            pictures that may be masks.
    """
    paths = sorted(filter(is_image_file, paths), key=lambda path: path.rpartition("/"))
    by_id, left = {}, []
    for path in photographs(paths):
        by_id.setdefault(image_id(path), []).append(path)
    for name, images in by_id.items():
        by_id[name] = [p for p in images if not says_no_truth(_folder(p))] or images
    masks = {path: [] for images in by_id.values() for path in images}
    for path in paths:
        if path not in masks and not _NEITHER.search(path):
            owner = _owner(path, by_id)
            (left if owner is None else masks[owner]).append(path)
    return masks, left


def image_id(path):
    """Return the name without folder and image suffixes, in Unicode form NFC.

    macOS decomposes the accented letters of file names.
    """
    name = unicodedata.normalize("NFC", os.path.basename(path))
    while is_image_file(name):
        name = name.rpartition(".")[0]
    return name


def annotator(path):
    """Return the annotator in the name of a file or folder, such as "A00"; or None."""
    name = _match((*_SURE_MASKS, *_POSSIBLE_MASKS), path)
    folders = map(_ANNOTATOR_FOLDER.fullmatch, reversed(PurePosixPath(path).parts[:-1]))
    for found in filter(None, (name, *folders)):
        who = found.groupdict().get("annotator") or found.groupdict().get("number")
        if who:
            return who
    return None


def describe_unread(paths, left):
    """Describe the pictures that are left by sort_images, and unsupported ones."""
    notes = []
    if left:
        folders = Counter(_folder(path) or "." for path in left).most_common()
        listed = ", ".join(f"{count} in {name}" for name, count in folders[:_SHOWN])
        more = f" and {len(folders) - _SHOWN} more folders" * (len(folders) > _SHOWN)
        notes.append(
            f"{len(left)} pictures are neither images nor masks and are ignored: "
            f"{listed}{more}, such as {left[0]}. They match no image, or several, "
            "or their folder does not say that they are masks of its lesion; a mask of "
            f"x.jpg is {MASK_HINT}"
        )
    unread = [path for path in paths if _has_suffix(path, _OTHER_SUFFIXES)]
    others = Counter(s for p in unread for s in _OTHER_SUFFIXES if _has_suffix(p, s))
    if others:
        listed = ", ".join(f"{count} {suffix}" for suffix, count in others.items())
        read = ", ".join(IMAGE_SUFFIXES)
        notes.append(f"unsupported files are ignored: {listed}; supported are {read}")
    return notes


def says_no_truth(path):
    """Whether a path has a word such as "predictions" or "old"."""
    return not _NO_TRUTH_WORDS.isdisjoint(_words(path))


def is_folder_of(photograph, path):
    """Whether a mask or annotation file may belong to a photograph by its folders.

    Each word of their names must be one for ground truth, such as "masks" or "expert",
    or occur in the photograph's folders, or the folder must have the photograph's id.
    Numbers and single letters need such a word in the same name, and must be the
    photograph's if its folders have any. Thus masks/vessels/ is not taken, nor the
    masks of another patient, hospital or split. A name of the archive is unique:
    numbers, and folders outside that of the masks, may differ.
    """
    folder, own_folder, name = _folder(path), _folder(photograph), image_id(photograph)
    splits = {split_name(folder), split_name(own_folder)} - {None}
    if says_no_truth(folder) or len(splits) > 1:
        return False
    parts, own_parts = folder.split("/"), own_folder.split("/")
    shared = len(os.path.commonprefix([parts, own_parts]))
    own_numbers = _numbers("/".join(own_parts[shared:]))
    if ARCHIVE_NAME.match(name):
        inner = (i for i, part in enumerate(parts) if _content(part) == "masks")
        parts, own_numbers = parts[next(inner, 0) :], set()
    own_words = set(_words(own_folder))
    for part in parts:
        words = set(_words(part))
        new = words - own_words
        numbers = new & _numbers(part)
        is_known = new - numbers <= _KNOWN_WORDS | _VAGUE_WORDS
        is_named = is_known and not (new and words.isdisjoint(_KNOWN_WORDS))
        if not is_named and part != name:
            return False
        if numbers and own_numbers and words.isdisjoint(_ANNOTATOR_WORDS):
            return False
    return True


def _mask_ids(path):
    """Return a mask's name and possible images: of "x_mask_1", "x" and "x_1"."""
    ids = [image_id(path)]
    name = _match((*_SURE_MASKS, *_POSSIBLE_MASKS[:-1]), path)
    if name:
        ids.append(image_id(name["id"]))
        number = name.groupdict().get("annotator")
        ids += [f"{ids[1]}{sign}{number}" for sign in "_- "] if number else []
    return ids


def _owner(path, by_id):
    """Return the photograph in {id: photographs} that a mask belongs to, or None.

    Of several with its id, it is that with most words of the mask's folder in its own.
    """
    own, *others = _mask_ids(path)
    if by_id.keys().isdisjoint(others):  # "x_lesion_mask" may be of x_lesion or of x
        others = [_LESION.sub("", name) for name in others]
    names = [name for name in others if name in by_id]
    names = [own] if own in by_id else names if names == others[:1] else []
    words = set(_words(_folder(path)))
    by_words = {}  # {number of words in common: photographs}
    for image in (image for name in names for image in by_id[name]):
        common = len(words.intersection(_words(_folder(image))))
        by_words.setdefault(common, []).append(image)
    for _, images in sorted(by_words.items(), reverse=True):
        found = [image for image in images if is_folder_of(image, path)]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def _numbers(text):
    """Return the numbers and single letters of a name."""
    return {word for word in _words(text) if word.isdigit() or len(word) == 1}


def split_name(text):
    """Return the split of a path's innermost part that names one, and not several.

    nnU-Net's imagesTr and imagesTs are known.
    """
    for part in reversed(str(text).split("/")):
        part = _NNUNET.sub(lambda found: {"r": "Train", "s": "Test"}[found[1]], part)
        found = splits_in(part)
        if len(found) == 1:
            return found.pop()
    return None


def splits_in(text):
    """Return the set of splits that a text names, such as {"train"}."""
    return {_SPLIT_WORDS[word] for word in _words(text) if word in _SPLIT_WORDS}


@lru_cache(1024)
def _content(folder):
    """Return "images" or "masks", as the innermost part that names one, or None."""
    for part in reversed(folder.split("/")):
        words = set(_words(part))
        tasks = _TASK_WORDS | _UNCLEAR_WORDS
        is_known = words <= _KNOWN_WORDS | _VAGUE_WORDS | tasks | _numbers(part)
        if words & _IMAGE_WORDS and not words & _MASK_WORDS:
            return "images"
        if words & _MASK_WORDS or (words & tasks and is_known):
            return "masks"
    return None


def _match(patterns, path):
    stem = image_id(path)
    return next(filter(None, (pattern.fullmatch(stem) for pattern in patterns)), None)


@lru_cache(100_000)
def _words(text):
    """Return the lower-case words of a name; "SegmentationClass" has two."""
    words = re.findall(
        r"[A-Z]{2,}s(?:et)?(?![a-z])|[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", str(text)
    )
    return tuple(word.lower() for word in words)


def _has_suffix(path, suffixes):
    return path.lower().endswith(suffixes)


def _is_visible(name):
    """Whether a name is not one of operating systems and editors."""
    return not name.startswith((".", "~$")) and name not in _SYSTEM_NAMES


def _folder(path):
    """Return the folder of a relative path, "" for a file at the top."""
    return path.rpartition("/")[0]


def _raise(error):
    raise error
