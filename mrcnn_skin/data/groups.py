"""Find which images belong together because they share a patient or a lesion."""

import re
from collections import Counter, defaultdict
from pathlib import PurePosixPath

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from .diagnoses import normalise
from .isic_tables import column_name

GROUPS = ("patient_id", "lesion_id", "group_id")
_NUMBERED_FOLDER = re.compile(r"[a-z]{0,2}\d+", re.I)
_PATIENT_FOLDER = re.compile(
    r"(patient|subject|person|participant|case|lesion)[ _-]?[a-z]{0,2}\d+(?![a-z])",
    re.I,
)
# Cells of an unknown patient or lesion, as are cells without letters and digits
_NOBODY = {"", "none", "unknown", "unk", "missing", "anonymous", "not available"}


def name_groups(rows, group_column=None):
    """Return rows of a table with the known patients and lesions in columns GROUPS.

    group_column is used as patient_id; as group_id, which counts besides, if there is
    one.
    """
    group = column_name(group_column or "")
    if group in rows and group not in GROUPS:
        name = "group_id" if "patient_id" in rows else "patient_id"
        rows = rows.assign(**{name: rows[group]})
    is_lesion = "lesion" in rows and "lesion_id" not in rows
    if is_lesion and rows["lesion"].str.contains(r"\d").any():  # not only "nevus"
        rows = rows.rename(columns={"lesion": "lesion_id"})
    for name in rows.columns.intersection(GROUPS):
        rows = rows.assign(**{name: rows[name].where(rows[name].map(_is_known))})
    return rows


def add_groups(records, rows, paths):
    """Add GROUPS and the column groups, the names that images share, to records.

    Different rows of tables may name different patients of an image; it belongs to all.
    If none names its patient, the folder in its path may, such as patient7/.
    """
    for column in GROUPS:
        values = records.get(column, pd.Series(None, records.index, dtype=object))
        records[column] = values.astype(object).where(values.notna(), None)
    folders = pd.Series(map(_patient_folder, paths), records.index, dtype=object)
    is_known = records["patient_id"].notna()
    records["patient_id"] = records["patient_id"].where(is_known, folders)
    groups = defaultdict(set)
    for table in (rows, records):
        for column in table.columns.intersection(GROUPS):
            for image_id, name in zip(table["image_id"], table[column], strict=True):
                if isinstance(name, str):
                    groups[image_id].add(f"{column} {_group_key(name)}")
    records["groups"] = [tuple(sorted(groups[i])) for i in records["image_id"]]
    return records


def numbered_folders(records, paths):
    """Return folders such as 0012/, of several images without a known patient.

    They may be patients, but also parts of a large collection.
    """
    unknown = [not groups for groups in records["groups"]]
    parents = [PurePosixPath(path).parent for path in paths[unknown]]
    found = Counter(p for p in parents if _NUMBERED_FOLDER.fullmatch(p.name))
    return sorted(f"{p.name}/" for p in found if found[p] > 1) if len(found) > 1 else []


def find_groups(records):
    """Return the group of each record: all that a chain of shared names connects."""
    names = [
        (image_id, *groups)
        for image_id, groups in zip(records["image_id"], records["groups"], strict=True)
    ]
    codes, unique = pd.factorize(np.array([n for own in names for n in own], object))
    rows, count = np.repeat(np.arange(len(names)), list(map(len, names))), len(names)
    size = count + len(unique)
    graph = coo_array((np.ones(len(rows)), (rows, codes + count)), (size, size))
    component = connected_components(graph, directed=False)[1][:count]
    own = records[[*GROUPS, "image_id"]].bfill(axis=1)["patient_id"]
    component = pd.Series(component, records.index)
    # "min" would call Python for each group
    return own.sort_values().groupby(component).transform("first")[records.index]


def _is_known(name):
    """Whether a cell names a patient or lesion that is not unknown."""
    text = normalise(name)
    return text not in _NOBODY and any(map(str.isalnum, text)) and name != "-1"


def _patient_folder(path):
    """Return the innermost folder that names a patient, such as patient7, or None."""
    found = map(_PATIENT_FOLDER.match, reversed(PurePosixPath(path).parts))
    return next((re.sub("[ _-]", "", f[0]) for f in found if f), None)


def _group_key(name):
    """Return a name of a patient or lesion so that p3 and P03, 7 and 007 are equal."""
    return re.sub(r"(?<!\d)0+(?=\d)", "", normalise(name))
