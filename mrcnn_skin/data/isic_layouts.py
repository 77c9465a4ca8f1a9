"""List the images of a folder with their masks, labels and splits.

file_names tells photographs from masks, isic_labels joins the tables. No image is
opened or dropped here.
"""

import re
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from .diagnoses import AS_WRITTEN
from .file_names import describe_unread, sort_images, split_name, walk_files
from .isic_labels import add_labels
from .polygons import find_outlines
from .splits import note_unread_splits


class Layout(NamedTuple):
    """A collection, and a regular expression for its folders of images."""

    name: str
    images: str


# The first match counts. All are read alike and joined by image id.
LAYOUTS = (
    Layout("ISIC 2016", r"ISBI2016_ISIC_Part\w+_Data$"),
    Layout("ISIC 2017", r"ISIC-2017_\w+_Data$"),
    Layout("ISIC 2018", r"ISIC2018_Task[\d-]+_\w+_(Input|Images)$"),
    Layout("ISIC 2019", r"ISIC_2019_\w+_Input$"),
    Layout("ISIC 2020", r"ISIC_2020_\w+(Input|JPEG(/\w+)?)$"),
    Layout("HAM10000", r"HAM10000_images\w*$"),
    Layout("BCN20000", r"BCN_?20k\w*$|BCN20000"),
    Layout("PAD-UFES-20", r"imgs_part_\d$"),
    Layout("PH2", r"IMD\d+_Dermoscopic_Image$"),
    Layout("ISIC Archive, a folder per class or plain folders (images/, masks/)", r""),
)

_TABLE = re.compile(
    r"\.(csv|tsv|tab|xlsx)$|(^|/)(PH2_dataset\.txt|HAM10000_metadata(\.txt)?)$", re.I
)
# Texts that may explain the codes of a table
_LEGEND = re.compile(
    r"(class|label|legend|readme|codebook|categor|data)[^/]*\.(json|txt|md|ya?ml)$",
    re.I,
)
_LIST = re.compile(r"\.(csv|tsv|tab|xlsx|txt|lst|json)$", re.I)
_UNREAD_TABLE = re.compile(
    r"\.(xls|xlsm|ods|numbers|parquet|rds|sav|dta|(csv|tsv|txt|xlsx)\.(gz|bz2|zip|xz))$"
    r"|(label|diagnos|truth|metadata)[^/]*\.txt$",
    re.I,
)


def read_records(dataset_dir, options=AS_WRITTEN, area_names=None):
    """Describe the images below a folder, whichever of LAYOUTS it follows.

    A folder may hold several collections; their tables and masks are joined by image
    id.

    Args:
        dataset_dir: the folder.
        options: LabelOptions, which take precedence over the tables.
        area_names: names of lesions in JSON annotations; see polygons.find_outlines.

    Returns:
        DataFrame sorted by path, with the attrs of isic_labels.add_labels and columns
        image_id: the file's stem, with its folder if several images share it.
        path, layout: of the image; name of its Layout.
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
    folders = [path.rpartition("/")[0] for path in images]
    outlines, notes = find_outlines(dataset_dir, paths, images, area_names)
    columns = {
        "outlines": [outlines.get(path) for path in images],
        "path": [str(dataset_dir / path) for path in images],
        "mask_paths": [
            tuple(str(dataset_dir / mask) for mask in masks[path]) for path in images
        ],
        "split": [split_name(folder) for folder in folders],
        "layout": [_layout_name(folder) for folder in folders],
    }
    records = pd.DataFrame(columns, dtype=object)
    tables = [path for path in paths if _TABLE.search(path)]
    legends = [path for path in paths if _LEGEND.search(path)]
    records = add_labels(records, images, dataset_dir, tables, options, legends)
    records = _complete(records)
    lists = [path for path in paths if _LIST.search(path)]
    records.attrs["notes"] += note_unread_splits(records["split"], images, lists)
    records.attrs["notes"] += [*describe_unread(paths, left), *notes]
    unread = [path for path in paths if _UNREAD_TABLE.search(path)]
    unread = [path for path in unread if path not in tables]
    if unread:
        records.attrs["notes"].append(
            f"{len(unread)} tables of other formats are ignored, such as "
            f"{', '.join(unread[:3])}: .csv, .tsv, .tab and .xlsx are read"
        )
    if results:
        records.attrs["notes"].append(
            f"results of this package are ignored: {', '.join(results[:3])}"
            + f" and {len(results) - 3} more" * (len(results) > 3)
        )
    return records


def _layout_name(folder):
    return next(name for name, images in LAYOUTS if re.search(images, folder, re.I))


def _complete(records):
    """Convert ages to numbers."""
    if "age" in records:
        records["age"] = pd.to_numeric(records["age"], errors="coerce")
    return records
