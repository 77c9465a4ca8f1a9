"""Find out what a folder of dermoscopy images holds: images, masks, labels, splits.

Pure functions from a folder to a pandas DataFrame with one row per image. Files are
listed and tables are read; no image is opened, and nothing is dropped here.

What counts as malignant:
- ISIC 2016: as its table says. ISIC 2017: melanoma; seborrheic keratosis and nevus
  are benign.
- One-hot tables (ISIC 2018 Task 3): MEL, BCC and AKIEC (AK and SCC where a later
  year's table has them).
- HAM10000: dx of mel, bcc or akiec.
- ISIC Archive: benign_malignant, else diagnosis_1. "Indeterminate" is no label.
- PH2: clinical diagnosis 2, melanoma; common (0) and atypical (1) nevi are benign.
"""

import io
import os
import re
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pandas as pd

from mrcnn_skin.data.files import is_image_file

BENIGN, MALIGNANT = _LABELS = ("benign", "malignant")


class Layout(NamedTuple):
    """How a collection names things: patterns searched in paths below the folder.

    images, masks: of the folder that holds the file; tables: of the file itself.
    """

    name: str
    images: str
    masks: str
    tables: str


# The last row is tried only when none of the others finds an image.
LAYOUTS = (
    Layout(
        "ISIC 2016",
        images=r"ISBI2016_ISIC_Part\w+_Data$",
        masks=r"ISBI2016_ISIC_Part1_\w+_GroundTruth$",
        tables=r"ISBI2016_ISIC_Part3\w*_GroundTruth\.csv$",
    ),
    Layout(
        "ISIC 2017",
        images=r"ISIC-2017_\w+_Data$",
        masks=r"ISIC-2017_\w+_Part1_GroundTruth$",
        tables=r"ISIC-2017_\w+_(Part3_GroundTruth|Data_metadata)\.csv$",
    ),
    Layout(
        "ISIC 2018",
        images=r"ISIC2018_Task[\d-]+_\w+_Input$",
        masks=r"ISIC2018_Task1_\w+_GroundTruth$",
        tables=r"ISIC2018_Task3_\w+_(GroundTruth|LesionGroupings)\.csv$",
    ),
    Layout(
        "HAM10000",
        images=r"HAM10000_images\w*$",
        masks=r"HAM10000_segmentations\w*$",
        tables=r"HAM10000_metadata(\.csv|\.tab|\.txt)?$",
    ),
    Layout(
        "PH2",
        images=r"IMD\d+_Dermoscopic_Image$",
        masks=r"IMD\d+_lesion$",
        tables=r"PH2_dataset\.(txt|csv|xlsx)$",
    ),
    Layout(
        "ISIC Archive or plain folders (images/, masks/, a CSV)",
        images=r"",
        masks=r"(^|/)(masks?|segmentations?|ground_?truth)(/|$)",
        tables=r"\.(csv|tsv)$",
    ),
)

# Superpixel maps lie beside the images of 2017.
_SKIPPED = re.compile(r"(^|/)(\.|__MACOSX/)|_superpixels\.", re.I)
_MASK_ENDING = re.compile(r"[_-](segmentation|mask|lesion)([_-]?\d+)?$", re.I)
_SPLIT = re.compile(r"(?:^|[/_-])(train|val|test)", re.I)
_ISIC_NUMBER = re.compile(r"(?:ISIC_)?(\d{1,7})", re.I)

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


def read_records(dataset_dir):
    """Describe the images below a folder, whichever of LAYOUTS it follows.

    Folders of several collections side by side are all read. An image has several
    rows when tables contradict each other about its label.

    Returns a DataFrame sorted by path with the columns
        image_id: the file's stem. path: of the image.
        mask_paths: tuple of paths, empty without a mask.
        label: "benign", "malignant" or None. split: "train", "val", "test" or None.
        lesion_id, patient_id: or None. layout: the name of the Layout.
    and what the tables say besides (age, sex, site, ...).
    Raises FileNotFoundError if there is no such folder, ValueError naming the table
    that cannot be read.
    """
    dataset_dir = Path(dataset_dir)
    if not dataset_dir.is_dir():
        raise FileNotFoundError(f"dataset_dir must be a folder, got {dataset_dir}")
    paths = _list_files(dataset_dir)
    found = [_layout_records(dataset_dir, paths, layout) for layout in LAYOUTS[:-1]]
    found = [records for records in found if len(records)]
    if not found:
        found = [_layout_records(dataset_dir, paths, LAYOUTS[-1])]
    records = pd.concat(found, ignore_index=True).astype({"label": object})
    return records.sort_values("path", kind="stable", ignore_index=True)


def read_table(path):
    """Read a table of any of the collections, tolerantly.

    The separator is one of , ; tab || (PH2; its other lines are a legend). A byte
    order mark, CRLF and a missing header (then: image_id, label) are all right.
    Column names become lower case with underscores, and those of _COLUMN_NAMES.

    Returns a DataFrame of strings.
    Raises ValueError naming the file; ImportError when an .xlsx needs openpyxl.
    """
    path = Path(path)
    try:
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
        answers = answers.astype(object).where(marks.isin(_YES + _NO).any(axis=1))
        labels = labels.where(labels.notna(), answers)
    return labels.where(labels.notna(), None)


def normalise_id(text, image_ids):
    """Return the member of image_ids that a table's cell means, or the bare cell.

    A folder and a suffix (.jpg) are removed; a number without its leading zeros,
    "123" or "ISIC_123", becomes "ISIC_0000123".
    """
    name = re.split(r"[/\\]", str(text).strip())[-1]
    if is_image_file(name):
        name = PurePosixPath(name).stem
    number = _ISIC_NUMBER.fullmatch(name)
    if name in image_ids or not number:
        return name
    return f"ISIC_{int(number[1]):07d}"


def _list_files(dataset_dir):
    """Return the sorted paths of all files, relative, with forward slashes."""
    paths = [
        Path(folder, name).relative_to(dataset_dir).as_posix()
        for folder, _, names in os.walk(dataset_dir)
        for name in names
    ]
    return sorted(path for path in paths if not _SKIPPED.search(path))


def _layout_records(dataset_dir, paths, layout):
    """Return the records of one layout; no rows if it has no image here."""
    images, masks, tables = _sort_files(paths, layout)
    image_ids = {PurePosixPath(path).stem for path in images}
    masks = _masks_by_image(masks, image_ids)
    rows = []
    for path in images:
        image_id, split = PurePosixPath(path).stem, _split_name(_folder(path))
        own = masks.get((image_id, split)) or masks.get((image_id, None), ())
        mask_paths = tuple(str(dataset_dir / mask) for mask in own)
        rows.append((image_id, str(dataset_dir / path), mask_paths, split))
    columns = ["image_id", "path", "mask_paths", "split"]
    records = pd.DataFrame(rows, columns=columns, dtype=object)
    records["layout"] = layout.name
    tables = [dataset_dir / table for table in tables] if rows else []
    return _add_tables(records, tables)


def _sort_files(paths, layout):
    """Sort paths into (images, masks, tables) of a layout; others are left out."""
    images, masks, tables = [], [], []
    for path in paths:
        if re.search(layout.tables, path, re.I):
            tables.append(path)
        elif is_image_file(path):
            ending = _MASK_ENDING.search(PurePosixPath(path).stem)
            # "_lesion" alone does not make a mask: it may well be part of an id.
            named_mask = ending and ending[1].lower() != "lesion"
            if re.search(layout.masks, _folder(path), re.I):
                masks.append(path)
            elif re.search(layout.images, _folder(path), re.I):
                (masks if named_mask else images).append(path)
    return images, masks, tables


def _masks_by_image(paths, image_ids):
    """Return {(image id, split): [paths]}, for the masks of image_ids only."""
    masks = {}
    for path in paths:
        stem = PurePosixPath(path).stem
        image_id = stem if stem in image_ids else _MASK_ENDING.sub("", stem)
        masks.setdefault((image_id, _split_name(_folder(path))), []).append(path)
    return masks


def _add_tables(records, table_paths):
    """Join the tables' labels, splits and metadata to the records by image_id."""
    if any(path.suffix.lower() != ".xlsx" for path in table_paths):
        table_paths = [path for path in table_paths if path.suffix.lower() != ".xlsx"]
    image_ids = set(records["image_id"])
    tables = [pd.DataFrame({"image_id": [], "label": []}, dtype=object)]
    for table in map(read_table, table_paths):
        if "image_id" in table:
            ids = [normalise_id(cell, image_ids) for cell in table["image_id"]]
            tables.append(table.assign(image_id=ids, label=row_labels(table)))
    rows = pd.concat([table.astype(object) for table in tables], ignore_index=True)
    labels = rows[["image_id", "label"]].dropna().drop_duplicates()
    metadata = rows.drop(columns="label").groupby("image_id").first()
    if "split" in metadata:
        told = metadata.pop("split").fillna("").map(_split_name)
        missing = records["split"].isna()
        records.loc[missing, "split"] = records["image_id"].map(told)[missing]
    metadata = metadata.drop(columns=records.columns, errors="ignore")
    records = records.join(metadata, on="image_id").merge(
        labels, on="image_id", how="left"
    )
    if "age" in records:
        records["age"] = pd.to_numeric(records["age"], errors="coerce")
    for column in ("label", "split", "lesion_id", "patient_id"):
        values = records.get(column, pd.Series(None, records.index, dtype=object))
        records[column] = values.astype(object).where(values.notna(), None)
    return records


def _folder(path):
    """Return the folder of a relative path, "" for a file at the top."""
    return path.rpartition("/")[0]


def _split_name(text):
    """Return the last of train, val, test that begins a word of text, or None."""
    names = _SPLIT.findall(text)
    return names[-1].lower() if names else None


def _read_text_table(path):
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
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
