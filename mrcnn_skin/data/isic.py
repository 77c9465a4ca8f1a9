"""IsicDataset: dermoscopy images with a diagnosis and lesion masks, from a folder.

It splits what isic_layouts finds into train, val and test, drops unusable files
with a reason, and loads the masks. What is in the folder is found by isic_layouts;
copies of a photograph under another id are not recognised.
"""

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from skimage import measure

from mrcnn_skin.data import files, isic_layouts
from mrcnn_skin.data.dataset import Dataset

SOURCE = "isic"
CLASS_IDS = {isic_layouts.BENIGN: 1, isic_layouts.MALIGNANT: 2}
SPLITS = ("train", "val", "test")

_DROPPED_COLUMNS = ["image_id", "file", "reason"]
# Columns of the records that image_info holds under names of their own.
_NOT_METADATA = ["image_id", "path", "mask_paths", "label", "split", "file", "reason"]


class IsicDataset(Dataset):
    """Lesions as benign (class 1) or malignant (class 2), from the source "isic".

        dataset = IsicDataset()
        dataset.load_isic("data/ISIC2017", subset="train")
        dataset.prepare()
        print(dataset.summary())

    Each image_info holds, besides id, source and path: mask_paths (tuple), label
    ("benign", "malignant" or None), class_id (0 without a label), split, height,
    width (pixels), and metadata {column: value} (age, sex, lesion_id, ...).

    dropped: DataFrame of image_id, file, reason; what load_isic left out.
    """

    def __init__(self, class_map=None):
        super().__init__(class_map)
        self.dropped = pd.DataFrame(columns=_DROPPED_COLUMNS)
        self._instances, self._min_component_area = "image", 0.0

    def load_isic(
        self,
        dataset_dir,
        subset=None,
        val_fraction=0.1,
        seed=0,
        limit=None,
        instances="image",
        min_component_area=1e-4,
        require_masks=True,
        require_labels=True,
        check="header",
    ):
        """Add the images of a folder laid out as one of isic_layouts.LAYOUTS.

        Official splits are used where the folder names show them. Images without
        one are split by seed: val_fraction each for val and test, the rest train.
        Where there is no official val, it is taken from train. Images of one
        patient (or else one lesion) stay together; labels are stratified.

        subset: "train", "val", "test", or None for all of them.
        limit: take at most so many images, in the proportions of the labels.
        instances: "image", the union of an image's masks is one instance; or
            "component", each connected component is one.
        min_component_area: components below this share of the image's area are
            specks and dropped; the largest component always stays.
        require_masks, require_labels: drop images without. If masks are not
            required, a missing or unusable one leaves the image in, without mask.
        check: "header" reads file headers, and masks so small on disk that they
            may be blank; "full" decodes every file.
        Raises ValueError for a wrong argument, or when no image is left.
        """
        _check_choice("subset", subset, (*SPLITS, None))
        _check_choice("instances", instances, ("image", "component"))
        _check_choice("check", check, ("header", "full"))
        _check_range("val_fraction", val_fraction, 0, 0.5)
        _check_range("min_component_area", min_component_area, 0, 1)
        for name, class_id in CLASS_IDS.items():
            self.add_class(SOURCE, class_id, name)
        self._instances, self._min_component_area = instances, min_component_area

        found = isic_layouts.read_records(dataset_dir)
        found["split"] = assign_splits(found, val_fraction, seed)
        found["reason"] = self._row_problems(found, require_masks, require_labels)
        found["file"] = found["path"]
        records = found if subset is None else found[found["split"] == subset]
        records = check_files(records, require_masks, check)

        dropped = records.loc[records["reason"].notna(), _DROPPED_COLUMNS]
        usable = records[records["height"].notna()]
        if usable.empty:
            raise ValueError(_nothing_left(dataset_dir, subset, found, dropped))
        if limit is not None:
            usable = take_stratified(usable, limit, seed)
        self.dropped = pd.concat([self.dropped, dropped], ignore_index=True)
        for record in usable.to_dict("records"):
            self._add_record(record)

    def load_mask(self, image_id):
        """Read the lesion masks of an image.

        Class id 0 means that the image has no label: such masks serve to score a
        segmentation, not to train on.

        Returns masks bool [height, width, instances], largest component first, and
        class_ids int32 [instances].
        """
        info = self.image_info[image_id]
        shape = (info["height"], info["width"])
        union = np.zeros(shape, bool)
        for path in info["mask_paths"]:
            union |= files.read_mask(path, shape)
        if self._instances == "component":
            masks = split_components(union, self._min_component_area)
        else:
            masks = union[:, :, None] if union.any() else np.zeros((*shape, 0), bool)
        class_id = self._label(image_id)
        return masks, np.full(masks.shape[-1], class_id, np.int32)

    def image_reference(self, image_id):
        """Return the image's name in its collection, such as "ISIC_0000013"."""
        return self.image_info[image_id]["id"]

    def summary(self):
        """Return the number of images per label, and what was dropped and why."""
        labels = Counter(info["label"] for info in self.image_info)
        without_mask = sum(not info["mask_paths"] for info in self.image_info)
        rows = [
            ("images", len(self.image_info)),
            *((f"  {name}", labels[name]) for name in CLASS_IDS),
            ("  without label", labels[None]),
            ("  without mask", without_mask),
            ("dropped or without their mask", len(self.dropped)),
            *(
                (f"  {kind}", count)
                for kind, count in _count_reasons(self.dropped).most_common()
            ),
        ]
        return "\n".join(f"{name:<32}{count:>7}" for name, count in rows)

    def _add_record(self, record):
        metadata = {
            column: value
            for column, value in record.items()
            if column not in _NOT_METADATA and not pd.isna(value)
        }
        height, width = int(metadata.pop("height")), int(metadata.pop("width"))
        self.add_image(
            SOURCE,
            image_id=record["image_id"],
            path=record["path"],
            mask_paths=record["mask_paths"],
            label=record["label"],
            class_id=CLASS_IDS.get(record["label"], 0),
            split=record["split"],
            height=height,
            width=width,
            metadata=metadata,
        )

    def _row_problems(self, records, require_masks, require_labels):
        """Return why a record is dropped before its files are read, else None."""
        ids = records["image_id"]
        # An id in several splits stays where it keeps a test honest.
        order = (
            records["split"]
            .map(SPLITS.index)
            .sort_values(ascending=False, kind="stable")
        )
        twice = ids[order.index].duplicated().sort_index()
        loaded = {info["id"] for info in self.image_info}
        reasons = pd.Series(None, index=records.index, dtype=object)
        # Later assignments win: from the least to the most telling.
        if require_masks:
            reasons[records["mask_paths"].map(len) == 0] = "no mask"
        if require_labels:
            reasons[records["label"].isna()] = "no label"
        reasons[twice | ids.isin(loaded)] = "image id occurs twice"
        contradictory = records.groupby("image_id")["label"].transform("nunique") > 1
        reasons[contradictory] = "contradictory labels"
        return reasons


def assign_splits(records, val_fraction, seed):
    """Return "train", "val" or "test" for each record; see IsicDataset.load_isic.

    records: as from isic_layouts.read_records; official splits are kept.
    Of the groups of each label, the share val_fraction goes to val, and to test
    (rounded: a label with very few groups may give none).
    """
    group = records["patient_id"].fillna(records["lesion_id"])
    group = group.fillna(records["image_id"])
    split = records["split"].copy()
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


def check_files(records, require_masks, check):
    """Look at the files of the records that have no reason to be dropped yet.

    Returns the records with columns height, width (pixels; missing: not usable),
    and reason and file set where a file fails. mask_paths is emptied when a mask
    fails but masks are not required.
    """
    records = records.copy()
    records["height"] = records["width"] = None
    clean = records[records["reason"].isna()]
    inspect = partial(_check_record, require_masks=require_masks, check=check)
    with ThreadPoolExecutor() as pool:
        checked = list(pool.map(inspect, clean["path"], clean["mask_paths"]))
    columns = ["height", "width", "mask_paths", "file", "reason"]
    results = pd.DataFrame(checked, index=clean.index, columns=columns, dtype=object)
    records = records.astype({column: object for column in columns})
    records.loc[clean.index, columns] = results
    return records


def split_components(mask, min_area):
    """Split a mask into its connected components (8 neighbours).

    mask: bool [height, width].
    min_area: share of the image's area below which a component is dropped, unless
        it is the largest one.
    Returns bool [height, width, components], the largest first.
    """
    components = measure.label(mask, connectivity=2)
    areas = np.bincount(components.ravel())[1:]
    order = np.argsort(-areas, kind="stable")
    large = [i for i in order if areas[i] >= min_area * mask.size]
    numbers = np.array(large or order[:1], int) + 1
    return components[:, :, None] == numbers


def _sample_groups(records, group, fraction, seed):
    """Return a share of the groups of records, stratified by label."""
    # "malignant" sorts last: a group with one malignant image counts as such.
    labels = records["label"].fillna("").groupby(group[records.index]).max()
    return labels.groupby(labels).sample(frac=fraction, random_state=seed).index


def _check_record(path, mask_paths, require_masks, check):
    """Return (height, width, usable mask_paths, file, reason) of one image."""
    try:
        size = files.image_size(path)
        if check == "full":
            files.read_image(path)
    except (files.UnreadableImage, FileNotFoundError) as error:
        return None, None, mask_paths, path, f"unreadable image: {error}"
    for mask_path in mask_paths:
        reason = _mask_problem(mask_path, size, check)
        if reason and require_masks:
            return None, None, mask_paths, mask_path, reason
        if reason:
            return *size, (), mask_path, reason
    return *size, mask_paths, path, None


def _mask_problem(path, size, check):
    """Return why a mask cannot serve an image of size (height, width), or None."""
    try:
        shape = files.image_size(path)
        if not files.same_aspect(shape, size):
            return f"mask size mismatch: mask {shape}, image {size}"
        decode = check == "full" or _may_be_blank(path, shape)
        if decode and not files.read_mask(path).any():
            return "empty mask"
    except (files.UnreadableImage, FileNotFoundError) as error:
        return f"unreadable mask: {error}"
    return None


def _may_be_blank(path, shape):
    """Whether the file is so small for its shape that all pixels may be equal.

    A blank grey PNG takes 1/1000 to 1/200 byte a pixel, by compression level; other
    formats say nothing by their size.
    """
    height, width = shape
    is_png = Path(path).suffix.lower() == ".png"
    return not is_png or os.path.getsize(path) < 300 + height * width / 200


def _nothing_left(dataset_dir, subset, found, dropped):
    """Return the message that says what was looked for and what was found."""
    layouts = ", ".join(layout.name for layout in isic_layouts.LAYOUTS)
    splits = dict(Counter(found["split"])) or "none"
    kinds = dict(_count_reasons(dropped)) or "none"
    return (
        f"no usable image for subset {subset!r} in {dataset_dir}. "
        f"Looked for: {layouts}. Found {len(found)} images, by split: {splits}. "
        f"Dropped from the subset: {kinds}"
    )


def _count_reasons(dropped):
    """Count the kinds of reasons; a reason reads "kind: details"."""
    return Counter(reason.partition(":")[0] for reason in dropped["reason"])


def _check_choice(name, value, choices):
    if value not in choices:
        raise ValueError(f"{name} must be one of {choices}, got {value!r}")


def _check_range(name, value, low, high):
    if not low <= value < high:
        raise ValueError(f"{name} must be in [{low}, {high}), got {value}")
