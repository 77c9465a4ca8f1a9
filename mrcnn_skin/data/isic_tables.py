"""Read tables of labels and metadata, and find their header and image column.

Every cell is text and stays text; nothing in a table is run, followed or opened. What
the columns say of a label is in diagnoses.py.
"""

import codecs
import csv
import io
import re
from collections import Counter
from itertools import dropwhile
from pathlib import Path

import pandas as pd

# The table of the whole ISIC Archive has about half as many.
MAX_TABLE_BYTES = 200_000_000

# Names that collections give to the column of image names; the likeliest first.
IMAGE_COLUMNS = (
    *("isic_id", "image_id", "image_name", "img_id", "bcn_filename", "image"),
    *("image_path", "img_path", "image_file", "filename", "file_name", "filepath"),
    *("file_path", "file", "path", "img", "name", "id"),
)
# Names that collections give to one and the same column.
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
    "lesion": "lesion_id",
}
# Older exports of the ISIC Archive name a column "meta.clinical.diagnosis".
_PREFIX = re.compile(r"^meta(data)?_clinical_")
_FIRST_CELLS = 1000  # of a column, of which one has to name an image
_HEADER_ROWS = 10  # titles and remarks above the header, at most
_DELIMITERS = ",;\t|"


def read_table(path, names=None, image_column=None):
    """Read a table of text, or a sheet of Excel, with its header and image column.

    The delimiter is the one of , ; tab | and PH2's || that gives most rows the same
    number of cells. A line sep=; tells it. Titles and lines of # above the header, a
    byte order mark, CRLF and empty cells at the ends of rows are passed over.

    Args:
        path: of the table.
        names: ImageNames of the data set. With them, an image column of any name is
            found by its cells, and so is that of a table without header.
        image_column: its name, instead of IMAGE_COLUMNS, where the table has it.

    Returns:
        DataFrame of strings, "" for an empty cell. Column names are lower case with
        underscores, "column_1" ... without a header. attrs["has_header"] is False
        without; attrs["image_column"] names the column of images, or is None.

    Raises:
        ValueError: naming the file, also when it is binary, ragged or larger than
            MAX_TABLE_BYTES.
        ImportError: when an .xlsx needs openpyxl.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_TABLE_BYTES:
            raise ValueError(f"it is larger than {MAX_TABLE_BYTES} bytes")
        if path.suffix.lower() == ".xlsx":
            rows = pd.read_excel(path, header=None, dtype=str).fillna("")
        else:
            rows = _read_rows(_decode(path.read_bytes()))
        return _with_header(rows, names, image_column)
    except ValueError as error:  # pandas' ParserError and EmptyDataError are such
        raise ValueError(f"cannot read table {path}: {error}") from error


def column_name(text):
    """Return the first line of a heading in lower case, with underscores."""
    lines = str(text).strip().lower().splitlines() or [""]
    name = re.sub(r"\W+", "_", lines[0]).strip("_")
    name = _PREFIX.sub("", name)
    return _COLUMN_NAMES.get(name, name)


def _decode(data):
    """Return the text of a table's bytes. Raises ValueError if there is none."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")  # what Excel calls Unicode text
    if b"\0" in data:
        raise ValueError("it is binary, not text")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def _read_rows(text):
    """Return all rows of a text, header and titles among them, as a DataFrame."""
    lines = [line for line in re.split(r"\r?\n|\r", text) if line.strip()]
    told = re.fullmatch(r'"?sep=(.)"?', lines[0].strip()) if lines else None
    remarks = "#" if told is None else ("#", lines[0])
    lines = list(dropwhile(lambda line: line.lstrip().startswith(remarks), lines))
    if not lines:
        raise ValueError("the file is empty")
    if any(line.lstrip().startswith("||") for line in lines):
        # PH2; its other lines are a legend
        lines = [line.strip() for line in lines if line.lstrip().startswith("||")]
        cells = [
            [cell.strip() for cell in line.strip("|").split("||")] for line in lines
        ]
        return pd.DataFrame(cells).fillna("")
    delimiter = told[1] if told else _find_delimiter(lines)
    rows = pd.read_csv(
        io.StringIO("\n".join(lines)),
        sep=delimiter,
        names=range(max(line.count(delimiter) for line in lines) + 1),
        header=None,
        index_col=False,
        dtype=str,
        na_filter=False,
        skipinitialspace=True,
    ).fillna("")
    return rows.apply(lambda cells: cells.str.strip())


def _find_delimiter(lines):
    """Return the delimiter that gives most of the first rows the same width above 1."""

    def agreement(delimiter):
        rows = csv.reader(lines[:200], delimiter=delimiter, skipinitialspace=True)
        try:
            widths = Counter(map(len, rows))
        except csv.Error:  # a huge cell
            widths = Counter(line.count(delimiter) + 1 for line in lines[:200])
        del widths[1]
        return max(((count, width) for width, count in widths.items()), default=(0, 0))

    return max(_DELIMITERS, key=agreement)


def _with_header(rows, names, image_column):
    """Turn rows into a table; see read_table."""
    rows = rows.reset_index(drop=True)
    heads = rows[:_HEADER_ROWS].map(column_name)
    wanted = [column_name(image_column)] if image_column else []
    if not heads.isin(wanted).any(axis=None):
        wanted = list(IMAGE_COLUMNS)
    is_header = heads.isin(wanted).any(axis=1)
    if is_header.any():
        table = _below(rows, is_header.idxmax())
        table.attrs["image_column"] = _choose_image_column(table, wanted, names)
        return table
    found = _find_image_columns(rows, names)
    position = found[0] if len(found) == 1 else None
    if position is not None and names.knows(rows[position][:1]).all():
        table = rows.rename(columns=lambda i: f"column_{i + 1}")
        table.attrs |= {
            "has_header": False,
            "image_column": f"column_{position + 1}",
        }
        return table
    # A title is narrower than the header and most of the rows.
    widths = _widths(rows)
    is_header = widths[:_HEADER_ROWS] >= widths.mode()[0]
    table = _below(rows, is_header.idxmax() if is_header.any() else 0)
    table.attrs["image_column"] = None if position is None else table.columns[position]
    return table


def _below(rows, header):
    """Return the rows below a header as a table with its column names."""
    width = int(_widths(rows)[header])
    body = rows[header + 1 :].reset_index(drop=True)
    extra = (body.iloc[:, width:] != "").any(axis=1)
    if extra.any():
        first = body[extra].iloc[0]
        raise ValueError(
            f"{extra.sum()} rows have more cells than the header's {width}, such as "
            f"{', '.join(first[first != ''])[:60]!r}"
        )
    table = body.iloc[:, :width]
    titles = enumerate(rows.loc[header][:width], start=1)
    table.columns = [column_name(name) or f"column_{i}" for i, name in titles]
    for name in table.columns[table.columns.duplicated()].unique():
        same = table[name]
        if same.ne(same.iloc[:, 0], axis=0).any(axis=None):
            raise ValueError(f"it has several columns {name!r}, which differ")
    table = table.loc[:, ~table.columns.duplicated()].copy()
    table.attrs["has_header"] = True
    return table


def _widths(rows):
    """Return the number of cells of each row up to the last one that is filled."""
    filled = rows.ne("").to_numpy()
    last = rows.shape[1] - filled[:, ::-1].argmax(axis=1)
    return pd.Series(last * filled.any(axis=1), index=rows.index)


def _choose_image_column(table, wanted, names):
    """Return the image column among the known names; the first that names images.

    Raises ValueError if another column names other images.
    """
    columns = [name for name in wanted if name in table]
    if names is None:
        return columns[0]
    if len(wanted) > 1:  # nobody has said it
        others = _find_image_columns(table, names, headers=0)
        columns += [name for name in others if name not in columns]
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
                f"its columns {first!r} and {other!r} name different images; say which "
                "holds the images: image_column"
            )
    return first


def _find_image_columns(rows, names, headers=1):
    """Return the columns of which most cells name images, each once.

    headers: number of cells above them that need not.
    """
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
