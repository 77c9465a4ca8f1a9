"""Read the splits train, val and test from tables, and assign images to them.

Images of one patient or lesion stay together.
"""

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from .diagnoses import normalise
from .image_names import splits_in


def add_splits(splits, image_ids, cells, source):
    """Add the splits in the cells of a column.

    Args:
        splits: {image id: (split, its source)} so far, updated.
        image_ids: of the cells.
        cells: Series of texts.
        source: description of table and column.

    Raises:
        ValueError: if a cell names no split, or contradicts an earlier one.
    """
    meanings = {cell: splits_in(cell) for cell in cells.unique() if normalise(cell)}
    wrong = [cell for cell, found in meanings.items() if len(found) != 1]
    if wrong:
        raise ValueError(
            f"{source} must say train, val, test or nothing, got "
            f"{', '.join(map(repr, sorted(wrong)[:8]))}; rename it, or name another "
            "one: split_column"
        )
    for image_id, cell in zip(image_ids, cells, strict=True):
        for split in meanings.get(cell, ()):
            first, where = splits.setdefault(image_id, (split, source))
            if first != split:
                raise ValueError(
                    f"image {image_id!r} has two splits: {first} ({where}) and "
                    f"{split} ({source})"
                )


def join_splits(records, splits, tables_overrule):
    """Return the split of each record, from its folder or from the tables.

    Args:
        records: with image_id and split, that of the folder.
        splits: from add_splits.
        tables_overrule: whether tables take precedence over folders.

    Raises:
        ValueError: if the two differ and tables_overrule is False.
    """
    joined = []
    for image_id, own in records[["image_id", "split"]].itertuples(index=False):
        split, source = splits.get(image_id, (None, ""))
        if None not in (split, own) and split != own and not tables_overrule:
            raise ValueError(
                f"{source} says that {image_id!r} is in {split}, its folder says "
                f"{own}; split_column=split makes the column count"
            )
        joined.append(split or own)
    return pd.Series(joined, records.index, dtype=object)


def assign_splits(records, val_fraction, seed):
    """Return "train", "val" or "test" for each record; see IsicDataset.load_isic.

    Official splits of records are kept, and extended to the other images of the same
    patient or lesion. Of the groups of each label, val_fraction each is assigned to val
    and to test (rounded: a label with very few groups may have none there).
    """
    group = find_groups(records)
    split = records["split"].copy()
    for name in ("train", "val", "test"):  # of several the last, for an honest test
        is_official = records["split"] == name
        split[records["split"].isna() & group.isin(group[is_official])] = name
    unsplit = split.isna()
    if unsplit.any():
        of_test = _sample_groups(records[unsplit], group, val_fraction, seed)
        split[unsplit] = "train"
        split[unsplit & group.isin(of_test)] = "test"
        # The same number of groups as test, out of fewer.
        val_fraction_left = val_fraction / (1 - val_fraction)
    else:
        val_fraction_left = val_fraction
    if "val" not in set(split):
        train = split == "train"
        of_val = _sample_groups(records[train], group, val_fraction_left, seed)
        split[train & group.isin(of_val)] = "val"
    return split


def take_stratified(records, limit, seed):
    """Return at most limit records, in proportion to the labels.

    With the same seed, a larger limit adds to the records of a smaller one.
    Raises ValueError if limit is not positive.
    """
    if limit < 1:
        raise ValueError(f"limit must be at least 1, got {limit}")
    shuffled = records["label"].fillna("").sample(frac=1, random_state=seed)
    by_label = shuffled.groupby(shuffled)
    position = (by_label.cumcount() + 0.5) / by_label.transform("size")
    chosen = position.sort_values(kind="stable").index[:limit]
    return records.loc[chosen].sort_index()


def split_notes(found, subset, val_fraction, seed):
    """Note how many images have no official split and were assigned at random."""
    unsplit, official = found["split"].isna().sum(), set(found["split"].dropna())
    if subset is None or not len(found) or (not unsplit and "val" in official):
        return []
    what = "there is no official split val", "of train was drawn for it"
    if unsplit:
        what = (
            f"{unsplit} of {len(found)} images have no official split",
            "of them each were drawn for val and test",
        )
    return [
        f"{what[0]}: {val_fraction:.0%} {what[1]} (seed {seed}); subset None, or "
        "--split=all, takes all images"
    ]


def find_groups(records):
    """Return the group of each record: its patient, its lesion, or the image itself.

    If only some of a lesion's images name the patient, all belong to that group.
    """
    columns = ["patient_id", "lesion_id", "image_id"]
    codes, count = [], len(records)
    for column in columns:
        code, names = pd.factorize(records[column])
        codes.append(np.where(code < 0, np.arange(len(records)), code + count))
        count += len(names)
    edges = np.tile(np.arange(len(records)), len(columns)), np.concatenate(codes)
    graph = coo_array((np.ones(len(edges[0])), edges), (count, count))
    component = connected_components(graph, directed=False)[1][: len(records)]
    own = records[columns].bfill(axis=1)["patient_id"]
    return own.groupby(component).transform("min")


def _sample_groups(records, group, fraction, seed):
    """Return a share of the groups of records, stratified by label."""
    # "malignant" sorts last: a group with one malignant image counts as such.
    labels = records["label"].fillna("").groupby(group[records.index]).max()
    return labels.groupby(labels).sample(frac=fraction, random_state=seed).index
