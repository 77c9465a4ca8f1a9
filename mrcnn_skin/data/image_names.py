"""Which image of a data set a table's cell means."""

import re
import unicodedata
from collections import defaultdict
from pathlib import PurePosixPath

import numpy as np

from .file_names import is_image_file

# Names of the ISIC Archive mean the same photograph in every folder.
_GLOBAL_NAME = re.compile(r"ISIC_\d+", re.I)
_NUMBER = re.compile(r"(?P<prefix>ISIC_)?0*(?P<number>\d{1,12})(?:\.0+)?", re.I)


class ImageNames:
    """The names of a data set's images.

    ids: list of one id an image. It is the file's name without its suffix; where
        images of several folders share it, their folders come with it, "patient1/x",
        unless it is a name of the ISIC Archive.
    """

    def __init__(self, paths):
        """Take the images' relative paths, with forward slashes, or their ids."""
        self._parts = [_parts(path) for path in paths]
        self._images = defaultdict(list)  # {name: indices}
        self._lower, self._numbers = defaultdict(list), defaultdict(list)
        for i, (*_, name) in enumerate(self._parts):
            self._images[name].append(i)
            self._lower[name.lower()].append(i)
            number = _NUMBER.fullmatch(name)
            if number and "." not in name:
                self._numbers[bool(number["prefix"]), number["number"]].append(i)
        self.ids = [parts[-1] for parts in self._parts]
        for name, images in self._images.items():
            if len(images) > 1 and not _GLOBAL_NAME.match(name):
                self._add_folders(images)

    def find(self, cells):
        """Return the image id that each cell means; None for no image, or several.

        A cell may have a folder and a suffix, or be a number that has lost its leading
        zeros or become 1.0. A folder decides between images of the same name, and has
        to agree with the image's where the table has the name in several folders.
        """
        cells = [_parts(cell) for cell in cells]
        folders = defaultdict(set)
        for *folder, name in cells:
            folders[name].add(tuple(folder))
        found = [self._find(cell, len(folders[cell[-1]]) > 1) for cell in cells]
        return [ids.pop() if len(ids) == 1 else None for ids in found]

    def knows(self, cells):
        """Return bool [cells]: whether a cell means an image, or one of several.

        A mere number may be anything, and does not count.
        """
        is_number = re.compile(r"\d+(\.0*)?").fullmatch
        known = (not is_number(c) and self._find(_parts(c), False) for c in cells)
        return np.array([bool(ids) for ids in known], bool)

    def _find(self, cell, folder_must_agree):
        """Return the set of ids that a cell may mean."""
        *folder, name = cell
        images = self._images.get(name) or self._lower.get(name.lower(), ())
        number = _NUMBER.fullmatch(name)
        if not images and number:
            prefix, number = bool(number["prefix"]), number["number"]
            images = self._numbers.get((prefix, number), ())
            images = images or self._numbers.get((True, number), ())
        if images and folder and not _GLOBAL_NAME.match(name):
            common = {i: len(set(folder) & set(self._parts[i][:-1])) for i in images}
            most = max(common.values())
            images = [i for i in images if common[i] == most]
            if folder_must_agree and not most:
                return set()
        return {self.ids[i] for i in images}

    def _add_folders(self, images):
        """Put as many folders before the ids of images of one name as it takes.

        Folders in which they all end, such as images/, tell nothing.
        """
        folders = [self._parts[i][:-1] for i in images]
        while all(folders) and len({folder[-1] for folder in folders}) == 1:
            folders = [folder[:-1] for folder in folders]
        depth = 1
        while len({f[-depth:] for f in folders}) < len(set(folders)):
            depth += 1
        for i, folder in zip(images, folders, strict=True):
            self.ids[i] = "/".join((*folder[-depth:], self.ids[i]))


def bare_name(cell):
    """Return a cell's file name without folder and image suffix."""
    return _parts(cell)[-1]


def _parts(cell):
    """Return the folders and the name of a path or cell, as a tuple.

    Accented letters get one form: macOS writes those of file names in two parts.
    """
    text = unicodedata.normalize("NFC", str(cell).strip()).replace("\\", "/")
    *folders, name = text.split("/")
    if is_image_file(name):
        name = PurePosixPath(name).stem
    return (*(part for part in folders if part not in ("", ".")), name)
