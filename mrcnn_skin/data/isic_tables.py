"""Read a collection's table of labels and metadata, as tolerantly as it can be done.

Every cell is text and stays text; nothing in a table is run, followed or opened. How
tables are joined to images is isic_layouts' business.

What counts as malignant:
- ISIC 2016: as its table says. ISIC 2017: melanoma; seborrheic keratosis and nevus
  are benign.
- One-hot tables (ISIC 2018 Task 3): MEL, BCC and AKIEC (AK and SCC where a later
  year's table has them). A row with another number than 0 and 1, or with marks of both
  kinds, has no label.
- HAM10000: dx of mel, bcc or akiec.
- ISIC Archive: benign_malignant, else diagnosis_1. "Indeterminate" is no label.
- PH2: clinical diagnosis 2, melanoma; common (0) and atypical (1) nevi are benign.
"""

import codecs
import io
import re
from pathlib import Path

import pandas as pd

# The table of the whole ISIC Archive has about half as many.
MAX_TABLE_BYTES = 200_000_000

BENIGN, MALIGNANT = _LABELS = ("benign", "malignant")

# Names that collections give to one and the same column.
_COLUMN_NAMES = {
    "image": "image_id",
    "isic_id": "image_id",
    "image_name": "image_id",
    "name": "image_id",
    "filename": "image_id",
    "file": "image_id",
    "id": "image_id",
    "age_approximate": "age",
    "age_approx": "age",
    "localization": "site",
    "anatom_site_general": "site",
    "class": "label",
    "target": "label",
}

_DX = {
    **dict.fromkeys(("mel", "bcc", "akiec"), MALIGNANT),
    **dict.fromkeys(("nv", "bkl", "df", "vasc"), BENIGN),
}
_WORDS = {
    **_DX,
    **dict.fromkeys(("malignant", "melanoma", "1", "1.0", "true"), MALIGNANT),
    **dict.fromkeys(("benign", "nevus", "0", "0.0", "false"), BENIGN),
}
# {column: {first word of the cell: label}}; the first column with an answer wins.
_LABEL_COLUMNS = {
    "label": _WORDS,
    "benign_malignant": _WORDS,
    "diagnosis_1": _WORDS,
    "dx": _DX,
    "clinical_diagnosis": {"0": BENIGN, "1": BENIGN, "2": MALIGNANT},
}
_ONE_HOT = {
    **dict.fromkeys(("melanoma", "mel", "bcc", "akiec", "ak", "scc"), MALIGNANT),
    **dict.fromkeys(("seborrheic_keratosis", "nv", "bkl", "df", "vasc"), BENIGN),
    **dict.fromkeys(("common_nevus", "atypical_nevus"), BENIGN),
}
_YES, _NO = ("1", "1.0", "x"), ("0", "0.0")


def read_table(path):
    """Read a table of any of the collections, tolerantly.

    The separator is one of , ; tab || (PH2; its other lines are a legend). A byte
    order mark, CRLF and a missing header (then: image_id, label) are all right.
    Column names become lower case with underscores, and those of _COLUMN_NAMES.

    Returns a DataFrame of strings; a cell is text, whatever it looks like.
    Raises ValueError naming the file, also when it is binary or larger than
    MAX_TABLE_BYTES; ImportError when an .xlsx needs openpyxl.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_TABLE_BYTES:
            raise ValueError(f"it is larger than {MAX_TABLE_BYTES} bytes")
        if path.suffix.lower() == ".xlsx":
            table = _read_excel(path)
        else:
            table = _read_text_table(path)
    except ValueError as error:  # pandas' ParserError and EmptyDataError are such
        raise ValueError(f"cannot read table {path}: {error}") from error
    table.columns = [_column_name(name) for name in table.columns]
    for name, ours in _COLUMN_NAMES.items():
        if ours not in table:
            table = table.rename(columns={name: ours})
    return table.loc[:, ~table.columns.duplicated()]


def row_labels(table):
    """Return "benign", "malignant" or None for each row of a table of read_table."""
    labels = pd.Series(None, index=table.index, dtype=object)
    for column in [column for column in _LABEL_COLUMNS if column in table]:
        words = table[column].astype(str).str.lower().str.extract(r"^\s*([\w.]+)")[0]
        answers = words.map(_LABEL_COLUMNS[column]).astype(object)
        labels = labels.where(labels.notna(), answers)
    columns = [column for column in _ONE_HOT if column in table]
    if any(_ONE_HOT[column] == MALIGNANT for column in columns):
        marks = table[columns].apply(lambda cells: cells.str.strip().str.lower())
        classes = marks.isin(_YES).T.groupby(_ONE_HOT.get).any().T
        answers = classes[MALIGNANT].map({True: MALIGNANT, False: BENIGN})
        filled = marks.fillna("") != ""
        is_clear = (marks.isin(_YES + _NO) == filled).all(axis=1) & filled.any(axis=1)
        is_clear &= classes.sum(axis=1) < 2  # not benign and malignant at once
        answers = answers.astype(object).where(is_clear)
        labels = labels.where(labels.notna(), answers)
    return labels.where(labels.notna(), None)


def label_texts(table):
    """Return what each row of a table says of its label, word for word, or None.

    At most 40 characters of the filled cells of the columns that row_labels reads.
    """
    columns = [c for c in table if c in _LABEL_COLUMNS or c in _ONE_HOT]
    texts = []
    for cells in table[columns].fillna("").to_numpy():
        pairs = zip(columns, cells, strict=True)
        told = " ".join(f"{column}={cell}" for column, cell in pairs if cell)
        texts.append(told[:40] or None)
    return pd.Series(texts, index=table.index, dtype=object)


def _read_text_table(path):
    text = _decode(path.read_bytes())
    lines = [line for line in re.split(r"\r?\n|\r", text) if line.strip()]
    if not lines:
        raise ValueError("the file is empty")
    if any(line.lstrip().startswith("||") for line in lines):
        lines = [line.strip() for line in lines if line.lstrip().startswith("||")]
        lines, separator = [line.strip("|") for line in lines], "||"
    else:
        separator = max(",;\t", key=lines[0].count)
    first = [cell.strip(' "').lower() for cell in lines[0].split(separator)]
    has_header = not any(cell in _LABELS or _is_number(cell) for cell in first[1:])
    table = pd.read_csv(
        io.StringIO("\n".join(lines)),
        sep=separator if len(separator) == 1 else re.escape(separator),
        engine="c" if len(separator) == 1 else "python",
        header=0 if has_header else None,
        index_col=False,
        dtype=str,
        skipinitialspace=True,
    )
    if not has_header:
        table.columns = ["image_id", "label", *map(str, table.columns[2:])]
    return table.apply(lambda cells: cells.str.strip())


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


def _read_excel(path):
    """Read PH2's sheet: a title above the header, X for the diagnosis."""
    sheet = pd.read_excel(path, header=None, dtype=str)
    names = sheet.map(_column_name)
    is_header = names.isin(["image_id", *_COLUMN_NAMES]).any(axis=1)
    if not is_header.any():
        raise ValueError("no row holds the name of an image column")
    header = is_header.idxmax()
    table = sheet.loc[header + 1 :].reset_index(drop=True)
    table.columns = sheet.loc[header]
    return table


def _column_name(text):
    """Return the first line of a heading in lower case, with underscores."""
    lines = str(text).strip().lower().splitlines() or [""]
    return re.sub(r"\W+", "_", lines[0]).strip("_")


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True
