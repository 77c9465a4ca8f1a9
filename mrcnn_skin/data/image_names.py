"""Match the cells of tables to the images of a data set."""

import re
import unicodedata
from collections import defaultdict
from functools import cache, partial
from os.path import commonprefix

import numpy as np

from .file_names import ARCHIVE_NAME, image_id, splits_in

_NUMBER = re.compile(r"(?P<prefix>ISIC_)?0*(?P<number>\d{1,12})(?:\.0+)?", re.I)


class ImageNames:
    """The names of a data set's images.

    Attributes:
        ids: list of one id per image: the file's name without suffix. If images of
            several folders share it, it is prefixed by the folders, "patient1/x",
            except for globally unique names such as ISIC_0000001.
    """

    def __init__(self, paths):
        """Index relative paths with forward slashes, or ids."""
        self._parts = [_parts(path) for path in paths]
        self._images = defaultdict(list)  # {name: indices}
        self._lower, self._numbers = defaultdict(list), defaultdict(list)
        for i, (*_, name) in enumerate(self._parts):
            self._images[name].append(i)
            self._lower[name.lower()].append(i)
            number = _NUMBER.fullmatch(name)
            if number and "." not in name:
                self._numbers[bool(number["prefix"]), number["number"]].append(i)
        folders = {folder for *folders, _ in self._parts for folder in folders}
        self._folder_kinds = set(map(_kind, folders))
        self.ids = [parts[-1] for parts in self._parts]
        for name, images in self._images.items():
            if len(images) > 1 and not ARCHIVE_NAME.match(name):
                self._add_folders(images)

    def find(self, cells, source=""):
        """Return the image id of each cell; None if no image, or several, match.

        A cell may have a folder and a suffix, or be a number without its leading zeros
        or with ".0"; see places.
        """
        found = ({self.ids[i] for i in places} for places in self.places(cells, source))
        return [ids.pop() if len(ids) == 1 else None for ids in found]

    def places(self, cells, source=""):
        """Return the indices of the images that match each cell.

        Images of the same name are told apart by the folder in the cell, or else by
        that of the table. Neither may name another folder of the data set, such as
        patient2/ for an image in patient1/, or another split. If a table has a name in
        several folders, the cell's folder must match the image's. source is the path of
        the cells' table.
        """
        cells = [_parts(cell) for cell in cells]
        folders = defaultdict(set)
        for *folder, name in cells:
            folders[name].add(tuple(folder))
        *source_folder, source_name = _parts(source)
        fits = cache(partial(self._fits, source_name))
        found = []
        for *folder, name in cells:
            images = self._named(name)
            if not ARCHIVE_NAME.match(name):
                both = *source_folder, *folder
                images = [i for i in images if fits(both, self._folder(i))]
                if len(folders[name]) > 1 and folder:
                    images = [i for i in images if set(folder) & set(self._folder(i))]
            found.append(self._closest(images, folder, source_folder))
        return found

    def is_folder(self, name):
        """Whether folders of images have this name, except for its numbers."""
        return not name.isdigit() and _kind(name) in self._folder_kinds

    def knows(self, cells):
        """Return whether each cell is the name of an image or several, bool [cells].

        Plain numbers do not count.
        """
        is_number = re.compile(r"\d+(\.0*)?").fullmatch
        known = (not is_number(c) and self._named(_parts(c)[-1]) for c in cells)
        return np.array([bool(images) for images in known], bool)

    def _named(self, name):
        """Return the indices of the images with this name in any folder."""
        images = self._images.get(name) or self._lower.get(name.lower(), ())
        number = _NUMBER.fullmatch(name)
        if not images and number:
            prefix, number = bool(number["prefix"]), number["number"]
            images = self._numbers.get((prefix, number), ())
            images = images or self._numbers.get((True, number), ())
        return images

    def _folder(self, i):
        return self._parts[i][:-1]

    def _fits(self, source_name, folders, own):
        """Whether folders and a table's name do not contradict an image's folders."""
        splits = splits_in("/".join((*folders, source_name)))
        own_splits = splits_in("/".join(own))
        if splits and own_splits and not splits & own_splits:
            return False
        own = set(map(str.lower, own))
        return all(
            folder.lower() in own or _kind(folder) not in self._folder_kinds
            for folder in folders
        )

    def _closest(self, images, folder, source_folder):
        """Return the images that share most folders with the cell, then the table."""
        if len(images) < 2:
            return images

        def common(i):
            own = self._folder(i)
            return (
                len(set(folder) & set(own)),
                len(commonprefix([own, tuple(source_folder)])),
            )

        most = max(map(common, images))
        return [i for i in images if common(i) == most]

    def _add_folders(self, images):
        """Prefix the ids of images of one name by as many folders as needed.

        Innermost folders that they share, such as images/, are left out.
        """
        folders = [self._folder(i) for i in images]
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


def _kind(folder):
    """Return a folder's name with its numbers replaced, to compare "patient1"."""
    return re.sub(r"\d+", "0", folder.lower())


def _parts(cell):
    """Return the folders and the name of a path or cell as a tuple, in form NFC."""
    text = unicodedata.normalize("NFC", str(cell).strip()).replace("\\", "/")
    *folders, name = text.split("/")
    return (*(part for part in folders if part not in ("", ".")), image_id(name))
