"""Find out what a folder of dermoscopy images holds: images, masks, labels, splits.

Pure functions from a folder to a pandas DataFrame with one row per image. Files are
listed and tables are read (isic_tables says which label means malignant); no image is
opened, and nothing is dropped here.
"""

import re
import unicodedata
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pandas as pd

from .file_names import image_id, is_image_file, sort_images, split_name, walk_files
from .isic_tables import label_texts, read_table, row_labels


class Layout(NamedTuple):
    """How a collection names things: patterns searched in paths below the folder.

    images: of the folder that holds the file; tables: of the file itself.
    """

    name: str
    images: str
    tables: str


# The last row is tried only when none of the others finds an image.
LAYOUTS = (
    Layout(
        "ISIC 2016",
        images=r"ISBI2016_ISIC_Part\w+_Data$",
        tables=r"ISBI2016_ISIC_Part3\w*_GroundTruth\.csv$",
    ),
    Layout(
        "ISIC 2017",
        images=r"ISIC-2017_\w+_Data$",
        tables=r"ISIC-2017_\w+_(Part3_GroundTruth|Data_metadata)\.csv$",
    ),
    Layout(
        "ISIC 2018",
        images=r"ISIC2018_Task[\d-]+_\w+_Input$",
        tables=r"ISIC2018_Task3_\w+_(GroundTruth|LesionGroupings)\.csv$",
    ),
    Layout(
        "HAM10000",
        images=r"HAM10000_images\w*$",
        tables=r"HAM10000_metadata(\.csv|\.tab|\.txt)?$",
    ),
    Layout(
        "PH2",
        images=r"IMD\d+_Dermoscopic_Image$",
        tables=r"PH2_dataset\.(txt|csv|xlsx)$",
    ),
    Layout(
        "ISIC Archive or plain folders (images/, masks/, a CSV)",
        images=r"",
        tables=r"\.(csv|tsv)$",
    ),
)

_ISIC_NUMBER = re.compile(r"(?:ISIC_)?(\d{1,7})", re.I)


def read_records(dataset_dir):
    """Describe the images below a folder, whichever of LAYOUTS it follows.

    Folders of several collections side by side are all read. An image has several
    rows when tables contradict each other about its label.

    Returns a DataFrame sorted by path with the columns
        image_id: the file's stem. path: of the image.
        mask_paths: tuple of paths, empty without a mask.
        label: "benign", "malignant" or None. label_text: where it is None, what the
            tables say instead, or None. split: "train", "val", "test" or None.
        lesion_id, patient_id: or None. layout: the name of the Layout.
    and what the tables say besides (age, sex, site, ...). Its attrs["unknown_ids"]
    lists the ids of the tables' rows that have no image.
    Raises FileNotFoundError if there is no such folder, ValueError naming the table
    that cannot be read.
    """
    dataset_dir = Path(dataset_dir).expanduser()
    if not dataset_dir.is_dir():
        raise FileNotFoundError(f"dataset_dir must be a folder, got {dataset_dir}")
    paths = sorted(walk_files(dataset_dir))
    masks, _ = sort_images(paths)
    found = [
        _layout_records(dataset_dir, paths, masks, layout) for layout in LAYOUTS[:-1]
    ]
    found = [records for records in found if len(records)]
    if not found:
        found = [_layout_records(dataset_dir, paths, masks, LAYOUTS[-1])]
    # attrs of several tables would not survive pd.concat
    unknown_ids = [i for records in found for i in records.attrs.pop("unknown_ids")]
    records = pd.concat(found, ignore_index=True).astype({"label": object})
    records = records.sort_values("path", kind="stable", ignore_index=True)
    records.attrs["unknown_ids"] = unknown_ids
    return records


def normalise_id(text, image_ids):
    """Return the member of image_ids that a table's cell means, or the bare cell.

    A folder and a suffix (.jpg) are removed; a number without its leading zeros,
    "123" or "ISIC_123", becomes "ISIC_0000123".
    """
    name = re.split(r"[/\\]", unicodedata.normalize("NFC", str(text).strip()))[-1]
    if is_image_file(name):
        name = PurePosixPath(name).stem
    number = _ISIC_NUMBER.fullmatch(name)
    if name in image_ids or not number:
        return name
    return f"ISIC_{int(number[1]):07d}"


def _layout_records(dataset_dir, paths, masks, layout):
    """Return the records of one layout; no rows if it has no image here.

    masks: {photograph: its masks} of file_names.sort_images.
    """
    rows = []
    for path in masks:
        folder = path.rpartition("/")[0]
        if re.search(layout.images, folder, re.I):
            mask_paths = tuple(str(dataset_dir / mask) for mask in masks[path])
            image = str(dataset_dir / path)
            rows.append((image_id(path), image, mask_paths, split_name(folder)))
    columns = ["image_id", "path", "mask_paths", "split"]
    records = pd.DataFrame(rows, columns=columns, dtype=object)
    records["layout"] = layout.name
    tables = [path for path in paths if re.search(layout.tables, path, re.I)]
    return _add_tables(records, [dataset_dir / path for path in tables if rows])


def _add_tables(records, table_paths):
    """Join the tables' labels, splits and metadata to the records by image_id."""
    if any(path.suffix.lower() != ".xlsx" for path in table_paths):
        table_paths = [path for path in table_paths if path.suffix.lower() != ".xlsx"]
    image_ids = set(records["image_id"])
    columns = ["image_id", "label", "label_text"]
    tables = [pd.DataFrame(columns=columns, dtype=object)]
    for table in map(read_table, table_paths):
        if "image_id" in table:
            ids = [normalise_id(cell, image_ids) for cell in table["image_id"]]
            told = {"label": row_labels(table), "label_text": label_texts(table)}
            tables.append(table.assign(image_id=ids, **told))
    rows = pd.concat([table.astype(object) for table in tables], ignore_index=True)
    labels = rows[["image_id", "label"]].dropna().drop_duplicates()
    metadata = rows.drop(columns="label").groupby("image_id").first()
    unknown_ids = [image_id for image_id in metadata.index if image_id not in image_ids]
    if "split" in metadata:
        told = metadata.pop("split").fillna("").map(split_name)
        missing = records["split"].isna()
        records.loc[missing, "split"] = records["image_id"].map(told)[missing]
    metadata = metadata.drop(columns=records.columns, errors="ignore")
    records = records.join(metadata, on="image_id").merge(
        labels, on="image_id", how="left"
    )
    if "age" in records:
        records["age"] = pd.to_numeric(records["age"], errors="coerce")
    records.loc[records["label"].notna(), "label_text"] = None
    for column in ("label", "label_text", "split", "lesion_id", "patient_id"):
        values = records.get(column, pd.Series(None, records.index, dtype=object))
        records[column] = values.astype(object).where(values.notna(), None)
    records.attrs["unknown_ids"] = unknown_ids
    return records
