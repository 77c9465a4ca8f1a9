"""Draw images into train, val and test; patients and lesions stay together."""

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


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
