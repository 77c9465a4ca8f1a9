"""List the images of a folder with their masks, labels and splits.

file_names tells photographs from masks, isic_labels joins the tables. No image is
opened or dropped here.
"""

import re
from pathlib import Path

import pandas as pd

from .diagnoses import AS_WRITTEN
from .file_names import describe_unread, sort_images, split_name, walk_files
from .isic_labels import add_labels
from .polygons import find_outlines

_OTHER_TABLE = re.compile(
    r"\.(xls|xlsm|ods|numbers|parquet|sav|dta|(csv|tsv|txt|xlsx)\.(gz|bz2|zip|xz))$"
    r"|(label|diagnos|truth)[^/]*\.txt$",
    re.I,
)


def read_records(dataset_dir, options=AS_WRITTEN, area_names=None):
    """Describe the images below a folder.

    It may hold several public collections, a folder per class, or plain folders;
    tables and masks are joined by image id.

    Args:
        dataset_dir: the folder.
        options: LabelOptions, which take precedence over the tables.
        area_names: names of lesions in JSON annotations; see polygons.find_outlines.

    Returns:
        DataFrame sorted by path, with the attrs of isic_labels.add_labels and columns
        image_id: the file's stem, with its folder if several images share it.
        path: of the image.
        mask_paths: tuple of paths, empty without a mask.
        outlines: tuple of polygons.Outlines, or None.
        label, label_problem: "benign", "malignant" or None; why it is None.
        label_sources: tuple of the tables and columns that gave the label.
        split: "train", "val", "test" or None.
        lesion_id, patient_id, age, sex, site, ...: the tables' other columns.

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if the options do not match the tables.
    """
    dataset_dir = Path(dataset_dir).expanduser()
    if not dataset_dir.is_dir():
        raise FileNotFoundError(f"dataset_dir must be a folder, got {dataset_dir}")
    results = []
    paths = sorted(walk_files(dataset_dir, results))
    masks, left = sort_images(paths)
    images = list(masks)
    outlines, notes = find_outlines(dataset_dir, paths, images, area_names)
    columns = {
        "outlines": [outlines.get(path) for path in images],
        "path": [str(dataset_dir / path) for path in images],
        "mask_paths": [
            tuple(str(dataset_dir / mask) for mask in masks[path]) for path in images
        ],
        "split": [split_name(path.rpartition("/")[0]) for path in images],
    }
    records = pd.DataFrame(columns, dtype=object)
    records = add_labels(records, images, dataset_dir, paths, options)
    if "age" in records:
        records["age"] = pd.to_numeric(records["age"], errors="coerce")
    records.attrs["notes"] += [
        *describe_unread(paths, left),
        *notes,
        *_describe_ignored(paths, results),
    ]
    return records


def _describe_ignored(paths, results):
    """Describe tables of other formats and results of this package."""
    tables = [path for path in paths if _OTHER_TABLE.search(path)]
    for files, what in (
        (tables, "tables are ignored: .csv, .tsv, .tab and .xlsx are read, not"),
        (results, "results of this package are ignored:"),
    ):
        if files:
            more = f" and {len(files) - 3} more" * (len(files) > 3)
            yield f"{what} {', '.join(files[:3])}{more}"
