"""Score archives of millions of images into Parquet files, one row per image.

cli/score.py distributes the work. Needs pyarrow (extra "archive").
"""

import codecs
import csv
import itertools
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..atomic import written_whole
from ..data.file_names import is_image_file, photographs, walk_files
from ..data.files import UnreadableImage, read_image
from ..data.isic_tables import IMAGE_COLUMNS, column_name
from ..evaluation.scoring import describe_answer
from ..evaluation.submission import mask_png
from ..evaluation.summary import ANSWER

_TYPES = {
    **{"predicted_class": pa.string(), "lesion_area": pa.int64()},
    **dict.fromkeys(("low_confidence", "unfamiliar"), pa.bool_()),
}
SCHEMA = pa.schema(
    [
        ("image", pa.string()),  # path as listed, unique
        *((name, _TYPES.get(name, pa.float32())) for name in ANSWER),
        ("error", pa.string()),  # null if the image could be read
        ("mask_png", pa.binary()),
    ]
)
PART_ROWS = 1000
_FIRST_LINES = 100  # of a list, from which its format is read
_TITLES = set(map(column_name, IMAGE_COLUMNS))


def list_images(source, results=None):
    """Yield the images of an archive: paths as text, relative to root_of(source).

    Args:
        source: a folder, which is searched with all folders in it for photographs (see
            data.file_names); or a text file in UTF-8 or UTF-16 with one path a line,
            absolute or relative to its folder, or a CSV table with a column of paths.
        results: list to which skipped results of this package are added, or None.

    Raises:
        OSError: if a folder or the list cannot be read.
        ValueError: for a table without a column of paths, or with several.
    """
    if not os.path.isdir(source):
        yield from _listed(source)
        return
    for path in photographs(walk_files(source, results)):
        # A name that is not UTF-8 is escaped: the file is not found, an error row
        yield path.encode("utf-8", "backslashreplace").decode("utf-8")


def _listed(source):
    """Yield the paths in a text file or CSV table."""
    root = root_of(source)
    with open(source, "rb") as file:
        is_utf16 = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    encoding = "utf-16" if is_utf16 else "utf-8-sig"
    with open(source, encoding=encoding, newline="") as file:
        lines = filter(None, map(str.strip, file))
        first = list(itertools.islice(lines, _FIRST_LINES))
        if not first:
            return
        separator, column = _place_of_paths(source, first, root)
        rows = _split(itertools.chain(first, lines), separator)
        for number, row in enumerate(rows):
            if column >= len(row):
                raise ValueError(
                    f"{source} must list image files, or have them in column "
                    f"{column + 1} of each row, got {row}"
                )
            path = _path(row[column], root)
            is_image = is_image_file(path) or (root / path).is_file()
            is_title = separator or path[:1] == "#" or column_name(path) in _TITLES
            if path and (is_image or number or not is_title):
                yield path


def _place_of_paths(source, lines, root):
    """Return separator and column of the paths in a list's first lines.

    The separator is None for a path a line. The column is the one that names most
    photographs that exist, or has a usual title, or else looks like photographs.
    """
    scores = {}
    for separator in (None, *",;\t|"):
        columns = itertools.zip_longest(*_split(lines, separator), fillvalue="")
        for i, cells in enumerate(columns):
            paths = [_path(cell, root) for cell in cells]
            images = [path for path in paths if any(photographs([path]))]
            found = sum((root / path).is_file() for path in paths if path)
            title = column_name(cells[0]) in _TITLES
            if found or images:
                scores[separator, i] = (found, title, len(images))
    best = max(scores, key=scores.get, default=None)
    if best is None:
        raise ValueError(
            f"{source} must list image files, or be a CSV table with a column of them, "
            f"got {lines[0][:80]!r}"
        )
    same = [i for sign, i in scores if scores[sign, i] == scores[best]]
    if best[0] and len(same) > 1:
        raise ValueError(
            f"{source} must have one column of image files, got columns "
            f"{', '.join(str(i + 1) for i in same)}"
        )
    return best


def _split(lines, separator):
    """Return the cells of each line; None leaves it whole."""
    if separator is None:
        return ([line] for line in lines)
    return csv.reader(lines, delimiter=separator)


def _path(text, root):
    """Return a listed path without quotes; Windows' backslashes become slashes."""
    text = text.strip().strip("\"'")
    if "\\" in text and not (root / text).is_file():
        text = text.replace("\\", "/")
    return text


def root_of(source):
    """Return the folder that the paths of list_images(source) are relative to."""
    source = Path(source).resolve()
    return source if source.is_dir() else source.parent


class Parts:
    """The Parquet files of answers in a folder: part-00000.parquet ...

    As a context manager, it writes pending answers when the block ends or raises.

    Args:
        folder: of the parts.
        origin: {name: text} on the network, stored in the schema of each part.

    Raises:
        ValueError: if a part has another origin or cannot be read.
    """

    def __init__(self, folder, origin):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.schema = SCHEMA.with_metadata(origin)
        self.waiting = []
        files = sorted(self.folder.glob("part-*.parquet"))
        numbers = [int(path.stem.removeprefix("part-")) for path in files]
        self.count = max(numbers, default=-1) + 1
        chunks = [chunk for path in files for chunk in self._images(path).chunks]
        self.scored = pa.chunked_array(chunks, SCHEMA.field("image").type)

    def _images(self, file):
        """Read the column `image` of a part."""
        try:
            table = pq.read_table(file, columns=["image"])
        except pa.ArrowException as error:
            raise ValueError(
                f"{file} is not a file of answers, or of a version before 0.2: choose "
                f"another folder ({error})"
            ) from error
        for name, wanted in self.schema.metadata.items():
            if (table.schema.metadata or {}).get(name) != wanted:
                raise ValueError(
                    f"{file} was made with other {name.decode()}: choose another folder"
                )
        return table["image"]

    def left_of(self, paths):
        """Return the distinct paths without an answer as a pa.Array."""
        paths = pc.unique(pa.array(paths, self.scored.type))
        return paths.filter(pc.invert(pc.is_in(paths, value_set=self.scored)))

    def add(self, table):
        """Add a table of answers; write a part once there are PART_ROWS."""
        self.waiting.append(table)
        if sum(map(len, self.waiting)) >= PART_ROWS:
            self.write()

    def write(self):
        """Write the pending answers as one part."""
        if not self.waiting:
            return
        table = pa.concat_tables(self.waiting).cast(self.schema)
        with written_whole(self.folder / f"part-{self.count:05}.parquet") as partial:
            pq.write_table(table, partial)
        self.count += 1
        self.waiting = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.write()


def score_files(detector, root, paths, config, masks=False):
    """Score image files; read one image ahead.

    Args:
        detector: as for evaluation.scoring.
        root: folder.
        paths: texts, relative to it.
        config: a Config, for CLASS_NAMES and MAX_IMAGE_PIXELS.
        masks: whether to fill mask_png.

    Returns:
        A pa.Table of SCHEMA in the order of paths.
    """
    files = [Path(root, path) for path in paths]
    rows = []
    images = _read_ahead(files, config.MAX_IMAGE_PIXELS)
    for path, (image, error) in zip(paths, images, strict=True):
        row, mask = {}, None
        if error is None:
            result = detector(image)
            row, mask = describe_answer(result, image.shape[:2], config.CLASS_NAMES)
        png = mask_png(mask) if masks and mask is not None else None
        rows.append({"image": path, "error": error, "mask_png": png, **row})
    return pa.Table.from_pylist(rows, SCHEMA)


def _read_ahead(files, max_pixels):
    """Yield _read of each file while the next one is read."""
    pending = deque()
    with ThreadPoolExecutor(1) as reader:
        for file in files:
            pending.append(reader.submit(_read, file, max_pixels))
            if len(pending) > 1:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _read(path, max_pixels):
    """Return (image, None), or (None, the reason)."""
    try:
        return read_image(path, max_pixels), None
    except UnreadableImage as error:
        return None, error.reason
    except FileNotFoundError:
        return None, "no such file"
