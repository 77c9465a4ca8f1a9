"""Read the splits train, val and test from tables, and assign images to them.

Images of one patient or lesion stay together.
"""

import re
from pathlib import PurePosixPath

import numpy as np
import pandas as pd

from .diagnoses import normalise
from .file_names import splits_in
from .groups import find_groups, numbered_folders

_FOLD = re.compile(r"([1-9][0-9]*)/([1-9][0-9]*)")
# Words that may name a split, besides train, val and test
_SPLIT_HINT = re.compile(
    r"(?<![a-z])(hold.?out|held.?out|eval|evaluation|fold|tr|ts)(?![a-z])", re.I
)
_SHOWN = 6  # names in a note
_FOLD_SEED = 2017  # the same in all runs, so that the folds do not overlap


def add_splits(splits, image_ids, cells, source):
    """Add the splits in a column's cells to {image id: (split, its source)}.

    Raises ValueError if a cell names no split, or contradicts an earlier one.
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


def join_splits(records, splits, by_name, tables_overrule):
    """Return the split of each record, from the tables or its folder.

    Args:
        records: with image_id and split, that of the folder.
        splits: from add_splits.
        by_name: from unique_splits, for images without another one.
        tables_overrule: whether ValueError is not raised if the two differ.
    """
    joined = []
    for image_id, own in records[["image_id", "split"]].itertuples(index=False):
        split, source = splits.get(image_id, (None, ""))
        if None not in (split, own) and split != own and not tables_overrule:
            raise ValueError(
                f"{source} says that {image_id!r} is in {split}, its folder says "
                f"{own}; split_column=split makes the column count"
            )
        joined.append(split or own or by_name.get(image_id))
    return pd.Series(joined, records.index, dtype=object)


def unique_splits(named):
    """Return {image id: split} of tables such as train.csv and test.csv.

    It is empty if they name one split only, or two for an image. named: list of (image
    id, the split in its table's name, that name).
    """
    pairs = {(image_id, split) for image_id, split, _ in named}
    splits = dict(pairs)
    is_unique = len(pairs) == len(splits) and len(set(splits.values())) > 1
    return splits if is_unique else {}


def note_unread_splits(paths, lists):
    """Note folders, and files that may list images, named like splits.

    paths: of the images without a split. lists: paths of such files.
    """
    names = {part for path in paths for part in PurePosixPath(path).parts}
    names |= {PurePosixPath(path).name for path in lists} if paths else set()
    names = {
        re.sub(r"\d+", "#", n) for n in names if splits_in(n) or _SPLIT_HINT.search(n)
    }
    if not names:
        return []
    return [
        f"{len(paths)} images are assigned to splits at random, though there are "
        f"names such as {', '.join(sorted(names)[:_SHOWN])}: folders such as train/ "
        "and test/, or split_column, assign them"
    ]


def assign_splits(records, val_fraction, seed, fold=None):
    """Return "train", "val" or "test" for each record; see IsicDataset.load_isic.

    Official splits of records are kept, and extended to the other images of the same
    patient or lesion. Of the groups of each label, val_fraction each is assigned to val
    and to test (rounded: a label with very few groups may have none there). With a
    fold, val is this part of train and val instead; see assign_fold.
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
        val_fraction /= 1 - val_fraction  # as many groups as test, out of fewer
    if "val" not in set(split):
        train = split == "train"
        of_val = _sample_groups(records[train], group, val_fraction, seed)
        split[train & group.isin(of_val)] = "val"
    return split if fold is None else assign_fold(records.assign(split=split), fold)


def assign_fold(records, fold):
    """Return the splits of records for one fold of a cross-validation.

    The images of train and val are divided into n folds of about equal size: the k-th
    is val, the others are train, and test stays. Groups stay together, and labels are
    stratified. The same images and labels give the same folds.

    Args:
        records: with the split of each image, as from assign_splits.
        fold: "k/n".
    """
    k, n = parse_fold(fold)
    group, split = find_groups(records), records["split"].copy()
    is_pooled = split != "test"
    labels = _label_groups(records[is_pooled], group)[group[is_pooled].unique()]
    rng = np.random.default_rng(_FOLD_SEED)
    shuffled = [rng.permutation(own.index) for _, own in labels.groupby(labels)]
    of_val = [group for groups in shuffled for group in groups[k - 1 :: n]]
    split[is_pooled] = np.where(group[is_pooled].isin(of_val), "val", "train")
    return split


def parse_fold(fold):
    """Return (k, n) of "k/n"; raises ValueError unless 1 <= k <= n and n > 1."""
    match = _FOLD.fullmatch(fold) if isinstance(fold, str) else None
    k, n = map(int, match.groups()) if match else (0, 0)
    if not 1 <= k <= n or n < 2:
        raise ValueError(
            f"fold must be K/N, the K-th of N folds, such as 1/4, got {fold!r}"
        )
    return k, n


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


def split_notes(found, subset, val_fraction, seed, fold=None):
    """Note how images without an official split, or of a fold, were assigned."""
    unsplit, official = found["split"].isna(), set(found["split"].dropna())
    if subset is None or not len(found):
        return []
    share, notes = f"{val_fraction:.0%}", []
    if unsplit.any():
        how = "were drawn for test" if fold else "each were drawn for val and test"
        notes.append(
            f"{unsplit.sum()} of {len(found)} images have no official split: {share} "
            f"of them {how}"
        )
    elif "val" not in official and not fold:
        notes.append(
            f"there is no official split val: {share} of train was drawn for it"
        )
    all_images = "subset None, or --split=all, takes all images"
    notes = [f"{note} (seed {seed}); {all_images}" for note in notes]
    if fold:
        notes.append(f"val is fold {fold} of the images of train and val")
    drawn = found[found["split"].ne("test") if fold else unsplit]
    return [*_group_notes(drawn), *notes] if len(drawn) else notes


def _group_notes(drawn):
    """Note if images that are divided at random hang together, or perhaps should."""
    notes, groups = [], find_groups(drawn).value_counts()
    if groups.iloc[0] > max(len(drawn) / 2, 2):
        notes.append(
            f"{groups.iloc[0]} of {len(drawn)} images are linked by patients or "
            f"lesions, such as {groups.index[0]!r}, and stay in one split; "
            "group_column names another column"
        )
    folders = numbered_folders(drawn, drawn["path"])
    if folders:
        notes.append(
            f"folders {', '.join(folders[:3])} ... are not taken for patients, and "
            "may be divided; names such as patient12/, or a column patient_id, "
            "would keep their images in one split"
        )
    return notes


def _sample_groups(records, group, fraction, seed):
    """Return a share of the groups of records, stratified by label."""
    labels = _label_groups(records, group)
    return labels.groupby(labels).sample(frac=fraction, random_state=seed).index


def _label_groups(records, group):
    """Return {group: label}; one with a malignant image is malignant."""
    labels = records["label"].fillna("").sort_values()  # "malignant" sorts last
    return labels.groupby(group[labels.index]).last()
