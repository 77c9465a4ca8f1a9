"""Read tables of labels and metadata, and find their header and image column.

All cells are read as text; nothing in a table is run or opened. Labels are read from
the columns by label_columns.py.
"""

import codecs
import csv
import io
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from .file_names import ARCHIVE_NAME

# About twice the size of the table of the whole ISIC Archive
MAX_TABLE_BYTES = 200_000_000

# Names of the column of image names; the most likely first
IMAGE_COLUMNS = (
    *("isic_id", "image_id", "image_name", "img_id", "bcn_filename", "image"),
    *("image_path", "img_path", "image_file", "filename", "file_name", "filepath"),
    *("file_path", "file", "path", "img", "name", "id"),
)
# Different names of the same column
_COLUMN_NAMES = {
    "age_approximate": "age",
    "age_approx": "age",
    "localization": "site",
    "anatom_site_general": "site",
    "anatom_site_general_challenge": "site",
    "anatomical_site": "site",
    "region": "site",
    "gender": "sex",
    "patient": "patient_id",
    "patientid": "patient_id",
    "lesionid": "lesion_id",
}
# Older exports of the ISIC Archive name a column "meta.clinical.diagnosis".
_PREFIX = re.compile(r"^meta(data)?_clinical_")
_FIRST_CELLS = 1000  # of a column; one of them must name an image
_HEADER_ROWS = 20  # maximum number of rows above the header; PH2 has 12
_DELIMITERS = ",;\t|"


def read_table(path, names=None, image_column=None):
    """Read a text table, or an Excel sheet, and find its header and image column.

    The delimiter is given by a first line such as sep=; or is the one of , ; tab | and
    PH2's || for which most rows have the same number of cells. Titles and comments
    above the header, a byte order mark, CRLF, trailing empty cells, empty rows, and
    repetitions of the header are ignored; so is R's and pandas' column of row numbers
    without a heading.

    Args:
        path: of the table.
        names: ImageNames of the data set, by which an image column of any name is
            found, also without a header.
        image_column: its name, tried before IMAGE_COLUMNS.

    Returns:
        DataFrame of strings, "" for an empty cell. Column names are lower case with
        underscores, or "column_1" ... without a header. attrs: has_header (bool),
        image_column (name or None) and remarks (all text down to the header).

    Raises:
        ValueError: if the file is binary, ragged or larger than MAX_TABLE_BYTES, or has
            several sheets; the message names it.
        ImportError: if an .xlsx file needs openpyxl.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_TABLE_BYTES:
            raise ValueError(f"it is larger than {MAX_TABLE_BYTES} bytes")
        if path.suffix.lower() == ".xlsx":
            rows = _read_sheet(path)
        else:
            rows = _read_rows(_decode(path.read_bytes()))
        return _with_header(rows, names, image_column)
    except ValueError as error:  # also pandas' ParserError and EmptyDataError
        raise ValueError(f"cannot read table {path}: {error}") from error


def column_name(text):
    """Return the first line of a heading in lower case, with underscores."""
    name = _heading(text)
    return _COLUMN_NAMES.get(name, name)


def _heading(text):
    lines = str(text).strip().lower().splitlines() or [""]
    name = re.sub(r"\W+", "_", lines[0]).strip("_")
    return _PREFIX.sub("", name)


def _read_sheet(path):
    """Return the only sheet of an Excel file that is not empty."""
    sheets = pd.read_excel(path, sheet_name=None, header=None, dtype=str)
    sheets = {name: rows.fillna("") for name, rows in sheets.items() if len(rows)}
    if len(sheets) > 1:
        raise ValueError(
            f"it has several sheets, {', '.join(sheets)}: save one of them as .csv"
        )
    return next(iter(sheets.values()), pd.DataFrame())


def _decode(data):
    """Decode a table's bytes; raise ValueError if they are not text."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")  # what Excel calls Unicode text
    if b"\0" in data:
        raise ValueError("it is binary, not text")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def _read_rows(text):
    """Return all rows of a text, with header and titles, as a DataFrame."""
    lines = [line for line in re.split(r"\r?\n|\r", text) if line.strip()]
    told = re.fullmatch(r'"?sep=(.)"?', lines[0].strip()) if lines else None
    lines = lines[told is not None :]
    ph2 = [line.strip().strip("|") for line in lines if line.lstrip().startswith("||")]
    if ph2:  # its other lines are a legend
        lines = [line.replace("||", "\x1f") for line in ph2 if line.strip()]
    if not lines:
        raise ValueError("the file is empty")
    delimiter = "\x1f" if ph2 else told[1] if told else _find_delimiter(lines)
    rows = pd.read_csv(
        io.StringIO("\n".join(lines)),
        sep=delimiter,
        names=range(max(line.count(delimiter) for line in lines) + 1),
        header=None,
        index_col=False,
        dtype=str,
        na_filter=False,
        skipinitialspace=True,
        quoting=csv.QUOTE_NONE if ph2 else csv.QUOTE_MINIMAL,
    ).fillna("")
    return rows.apply(lambda cells: cells.str.strip())


def _find_delimiter(lines):
    """Return the delimiter for which most of the first rows have the same width > 1."""

    def agreement(delimiter):
        rows = csv.reader(lines[:200], delimiter=delimiter, skipinitialspace=True)
        try:
            widths = Counter(map(len, rows))
        except csv.Error:  # a huge cell
            widths = Counter(line.count(delimiter) + 1 for line in lines[:200])
        del widths[1]
        return max(((count, width) for width, count in widths.items()), default=(0, 0))

    best = max(_DELIMITERS, key=agreement)
    return best if agreement(best) > (0, 0) else " "


def _with_header(rows, names, image_column):
    """Turn rows into a table; see read_table."""
    rows = rows.reset_index(drop=True)
    found = _find_image_columns(rows, names)
    position = found[0] if len(found) == 1 else None
    is_image = np.zeros(len(rows), bool)
    if position is not None:
        is_image = names.knows(rows[position])
        is_image |= rows[position].str.match(ARCHIVE_NAME).to_numpy()
    heads = rows[:_HEADER_ROWS].map(column_name)
    wanted = [column_name(image_column)] if image_column else []
    if not heads.isin(wanted).any(axis=None):
        wanted = list(IMAGE_COLUMNS)
    is_image[:_HEADER_ROWS] &= ~heads.get(position, heads[0]).isin(wanted)
    is_header = heads.isin(wanted).any(axis=1) & ~is_image[:_HEADER_ROWS]
    if is_header.any():
        found = list(heads.index[is_header])
        header = min(found, key=lambda i: rows.loc[i, 0].startswith("#"))
        table = _below(rows, header)
        table.attrs["image_column"] = _choose_image_column(table, wanted, names)
        return table
    # A title is narrower than the header and most rows
    widths = _widths(rows)
    is_header = (widths >= widths.mode()[0])[:_HEADER_ROWS] & ~is_image[:_HEADER_ROWS]
    first = is_image.argmax() if is_image.any() else len(rows)
    if position is not None and not is_header[:first].any():
        table = rows[first:].rename(columns=lambda i: f"column_{i + 1}")
        table.attrs |= {
            "has_header": False,
            "image_column": f"column_{position + 1}",
            "remarks": text_of(rows[:first]),
        }
        return table
    table = _below(rows, is_header.idxmax() if is_header.any() else 0)
    table.attrs["image_column"] = None if position is None else table.columns[position]
    return table


def text_of(rows):
    """Return all cells as a text with a line for each row."""
    return "\n".join(" ".join(row) for row in rows.itertuples(index=False))


def _below(rows, header):
    """Return the rows below a header as a table with its column names."""
    titles = list(rows.loc[header][: int(_widths(rows)[header])])
    body = rows[header + 1 :]
    is_row = (body != "").any(axis=1) & (body != rows.loc[header]).any(axis=1)
    body = body[is_row].reset_index(drop=True)
    if _has_row_numbers(body, len(titles)):
        titles.insert(0, "")
    extra = (body.iloc[:, len(titles) :] != "").any(axis=1)
    if extra.any():
        first = body[extra].iloc[0]
        raise ValueError(
            f"{extra.sum()} rows have more cells than the header's {len(titles)}, such "
            f"as {', '.join(first[first != ''])[:60]!r}"
        )
    table = body.iloc[:, : len(titles)]
    table.columns = _column_names(titles)
    for name in table.columns[table.columns.duplicated()].unique():
        same = table[name]
        if same.ne(same.iloc[:, 0], axis=0).any(axis=None):
            raise ValueError(f"it has several columns {name!r}, which differ")
    table = table.loc[:, ~table.columns.duplicated()].copy()
    table.attrs |= {"has_header": True, "remarks": text_of(rows[: header + 1])}
    return table


def _has_row_numbers(body, width):
    """Whether all rows have one cell more than the header, and begin with a number."""
    if not (len(body) and (_widths(body) == width + 1).all()):
        return False
    first = range(len(body)), range(1, len(body) + 1)
    return list(body[0]) in [list(map(str, numbers)) for numbers in first]


def _column_names(titles):
    """Name the columns; of age and age_approx, the second keeps its name."""
    names, headings = [], list(map(_heading, titles))
    for position, heading in enumerate(headings, start=1):
        name = _COLUMN_NAMES.get(heading, heading)
        if name != heading and name in (*headings, *names):
            name = heading
        names.append(name or f"column_{position}")
    return names


def _widths(rows):
    """Return the number of cells of each row up to the last non-empty one."""
    filled = rows.ne("").to_numpy()
    last = rows.shape[1] - filled[:, ::-1].argmax(axis=1)
    return pd.Series(last * filled.any(axis=1), index=rows.index)


def _choose_image_column(table, wanted, names):
    """Return the first column with a known name whose cells name images.

    Plain numbers name images only if no column has other names of images.
    Raises ValueError if another column names different images, or if the only one is
    called "id" and has plain numbers, which may be those of patients or rows.
    """
    columns = [name for name in wanted if name in table]
    if names is None:
        return columns[0]
    if len(wanted) > 1:  # image_column is not given
        columns = [c for c in columns if not _are_numbers(table[c])] or columns
        others = _find_image_columns(table, names, headers=0)
        columns += [name for name in others if name not in columns]
        if columns == ["id"] and _are_numbers(table["id"]):
            raise ValueError(
                "its column 'id' has plain numbers, which may not be those of images; "
                "image_column=id would read them"
            )
    if len(columns) == 1:
        return columns[0]
    found = {name: pd.Series(names.find(table[name])) for name in columns}
    found = {name: ids for name, ids in found.items() if ids.notna().any()}
    if not found:
        return columns[0]
    first, *others = found
    for other in others:
        both = found[first].notna() & found[other].notna()
        if (found[first][both] != found[other][both]).any():
            raise ValueError(
                f"its columns {first!r} and {other!r} name different images; set "
                "image_column to one of them"
            )
    return first


def _are_numbers(cells):
    return cells.str.fullmatch(r"(\d+(\.0*)?)?").all()


def _find_image_columns(rows, names, headers=1):
    """Return the columns whose cells, but the headers, mostly name images once."""
    found = []
    for position in rows if names is not None else ():
        cells = rows[position][rows[position] != ""]
        if not names.knows(cells[:_FIRST_CELLS]).any():
            continue
        known = names.knows(cells)
        is_most = 2 * known.sum() + headers > len(cells) - headers
        if is_most and not cells[known].duplicated().any():
            found.append(position)
    return found
