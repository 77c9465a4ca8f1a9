"""Read the splits train, val and test of tables, and draw images into them.

Images of one patient or lesion stay together.
"""

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from .diagnoses import normalise
from .image_names import splits_in


def add_splits(splits, image_ids, cells, source):
    """Add the splits that the cells of a column say.

    Args:
        splits: {image id: (split, its source)} so far. image_ids: of the cells.
        cells: Series of texts. source: the table and column, in words.

    Raises:
        ValueError: if a cell says something else, or another split than before.
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
    """Return the split of each record, by its folder or by the tables.

    Args:
        records: with image_id and split, that of the folder. splits: of add_splits.
        tables_overrule: whether tables count where the two disagree.

    Raises:
        ValueError: if they disagree and nobody has said which counts.
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

    records: as from isic_layouts.read_records; official splits are kept, and taken for
        the other images of the same patient or lesion.
    Of the groups of each label, the share val_fraction goes to val, and to test
    (rounded: a label with very few groups may give none).
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
    """Return at most limit records, in the proportions of their labels.

    The choice depends on seed only, and a larger limit adds to a smaller one's.
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
    """Say how many images have no split of their own and were drawn into one."""
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
    """Return a name for each record, which those of one patient or lesion share.

    Where only some of a lesion's images name the patient, all belong to that group.
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
