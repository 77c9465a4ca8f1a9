"""IsicDataset: dermoscopy images with a diagnosis and lesion masks, from a folder.

isic_layouts lists the images of the folder with their masks and labels. This module
assigns them to train, val and test, drops unusable ones with a reason (file_checks),
and loads the masks. Copies of a photograph under another id are found by leaks.
"""

from collections import Counter
from functools import lru_cache
from numbers import Integral, Real
from os import PathLike
from os.path import dirname
from pathlib import Path, PurePath

import numpy as np
import pandas as pd

from . import files, isic_layouts
from .dataset import Dataset
from .diagnoses import BENIGN, MALIGNANT, LabelOptions
from .drawings import choose_drawings, read_union, split_components
from .file_checks import DEPTHS, check_files
from .file_names import MASK_HINT
from .splits import assign_splits, parse_fold, split_notes, take_stratified

SOURCE = "isic"
CLASS_IDS = {BENIGN: 1, MALIGNANT: 2}
SPLITS = ("train", "val", "test")

# What load_isic accepts: choices, {name: (types, in words)}, and {name: limit}
_CHOICES = {
    "subset": (*SPLITS, None),
    "instances": ("image", "component"),
    "check": DEPTHS,
}
_TYPES = {
    "dataset_dir": (str | PathLike, "a folder"),
    "limit": (Integral | None, "a number of images"),
    "annotators": (str, "text"),
    "mask_values": (list | tuple | set | None, "a list of values or names"),
}
_BELOW = {"val_fraction": 0.5, "min_component_area": 1}

_SHOWN_NOTES = 10
_SHOWN_FOLDERS = 6
_DROPPED_COLUMNS = ["image_id", "file", "reason"]
# Columns of the records that image_info has under the same names; of the others, all
# but _NOT_METADATA are metadata.
_INFO_COLUMNS = [
    *("path", "mask_paths", "outlines", "split"),
    *("label", "label_sources", "label_problem"),
]
_NOT_METADATA = [*_INFO_COLUMNS, *_DROPPED_COLUMNS, "height", "width"]
_NOT_METADATA += ["groups", "orientation"]


class IsicDataset(Dataset):
    """Lesions as benign (class 1) or malignant (class 2), from the source "isic".

        dataset = IsicDataset()
        dataset.load_isic("data/ISIC2017", subset="train")
        dataset.prepare()
        print(dataset.summary())

    Besides id, source and path, each image_info holds: mask_paths (tuple), outlines
    (tuple of polygons.Outlines, or None), label ("benign", "malignant" or None),
    label_sources (tuple of table and column), label_problem (why there is no label),
    class_id (0 without a label), split, height, width (pixels), folder (the resolved
    dataset_dir), metadata {column: value} (age, sex, lesion_id, ...), and the options
    instances, min_component_area, mask_values and annotators of load_isic.

    Attributes:
        dropped: DataFrame of image_id, file, reason: the images that load_isic and
            drop left out.
        unknown_ids: image names in the tables without an image file.
        label_meanings: {label source: what its values mean}.
        notes: list of text: what was ignored in the folder and its tables, and why;
            how the images were split.
    """

    def __init__(
        self, class_map: dict | None = None, max_image_pixels: int = files.MAX_PIXELS
    ):
        super().__init__(class_map, max_image_pixels)
        self.dropped = pd.DataFrame(columns=_DROPPED_COLUMNS)
        self.unknown_ids, self.notes, self.label_meanings = [], [], {}

    def load_isic(
        self,
        dataset_dir: str | PathLike,
        subset: str | None = None,
        val_fraction: float = 0.1,
        seed: int = 0,
        limit: int | None = None,
        instances: str = "image",
        min_component_area: float = 1e-4,
        require_masks: bool = True,
        require_labels: bool = True,
        check: str = "header",
        cache: str | PathLike | None = None,
        may_be_empty: bool = False,
        mask_values: list | tuple | set | None = None,
        annotators: str = "union",
        fold: str | None = None,
        **label_options,
    ) -> None:
        """Add the images of a folder, with masks and labels of any public data set.

        Official splits are read from the folder names. Images without a split are
        assigned by seed; if there is no official val, it is drawn from train. Images of
        one patient or lesion stay in one split; labels are stratified.

        Args:
            dataset_dir: the folder.
            subset: "train", "val", "test", or None for all.
            val_fraction: share of val, and of test, in [0, 0.5).
            seed: of the random split.
            limit: maximum number of images, drawn in proportion to the labels.
            instances: "image" (the union of an image's masks) or "component" (each
                of its connected components).
            min_component_area: share of the image; smaller components are dropped,
                except the largest.
            require_masks, require_labels: drop images without usable mask, or label.
            check: a depth of file_checks; "full" takes about 10 ms per megapixel.
            cache: JSON file of earlier check results, valid until a file changes.
            may_be_empty: accept a subset without images.
            mask_values: pixel values of lesions, for masks that are refused (see
                mask_values.find_foreground), or their names in JSON annotations.
            annotators: how to join several masks of an image: "union", "majority", or
                the name of one annotator as in the file names, such as "2" or "A00".
            fold: "k/n" divides the images of train and val into n folds for a
                cross-validation. The k-th is val, the others are train.
            **label_options: fields of diagnoses.LabelOptions, such as
                label_column="dx", malignant=("mel", "bcc"), for ambiguous tables.

        Raises:
            ValueError: if an argument is invalid, or no image is left.
        """
        _check_arguments(
            dataset_dir=dataset_dir,
            subset=subset,
            val_fraction=val_fraction,
            limit=limit,
            instances=instances,
            min_component_area=min_component_area,
            check=check,
            mask_values=mask_values,
            annotators=annotators,
            fold=fold,
        )
        names = tuple(v for v in mask_values or () if isinstance(v, str))
        values = tuple(v for v in mask_values or () if not isinstance(v, str)) or None
        options = LabelOptions.of(**label_options)
        found = isic_layouts.read_records(dataset_dir, options, names)
        found.attrs["notes"] += split_notes(found, subset, val_fraction, seed, fold)
        found.attrs["notes"] += choose_drawings(found, dataset_dir, annotators)
        found["split"] = assign_splits(found, val_fraction, seed, fold)
        found["file"] = found["path"]
        found["reason"] = self._row_problems(found, require_masks, require_labels)
        records = found if subset is None else found[found["split"] == subset]
        how = require_masks, check, self.max_image_pixels, cache, values
        siblings = found["mask_paths"].explode().dropna()
        records = check_files(records, *how, siblings, annotators)
        usable = self._add_notes(found.attrs, records)
        if usable.empty and not may_be_empty:
            raise ValueError(_nothing_left(dataset_dir, subset, found, records))
        if limit is not None:
            usable = take_stratified(usable, limit, seed)
        own = {"instances": instances, "min_component_area": min_component_area}
        own |= {"mask_values": values, "annotators": annotators}
        self._add_records(usable, Path(dataset_dir).expanduser().resolve(), own)

    def drop(self, table: pd.DataFrame) -> None:
        """Remove images, with a reason, and call prepare().

        Args:
            table: image_id, file and reason of each image, as added to `dropped`;
                file is the image's path.

        Raises:
            ValueError: if no image is left.
        """
        paths = set(table["file"])
        kept = [info for info in self.image_info if info["path"] not in paths]
        if self.image_info and not kept:
            raise ValueError(
                f"all {len(self.image_info)} images were dropped: "
                f"{dict(_count_reasons(table))}"
            )
        self.image_info = kept
        self.dropped = pd.concat([self.dropped, table], ignore_index=True)
        self.prepare()

    def load_mask(self, image_id: int) -> tuple[np.ndarray, np.ndarray]:
        """Read the lesion masks of an image.

        Returns:
            masks: bool [height, width, instances], largest component first.
            class_ids: int32 [instances]. 0 if the image has no label: such masks can
                be used to evaluate a segmentation, not for training.
        """
        info = self.image_info[image_id]
        union = read_union(info, self.max_image_pixels)
        if info["instances"] == "component":
            masks = split_components(union, info["min_component_area"])
        else:
            masks = union[:, :, None][:, :, : int(union.any())]
        return masks, np.full(masks.shape[-1], self.label(image_id), np.int32)

    def image_reference(self, image_id: int) -> str:
        """Return the image's name in its collection, such as "ISIC_0000013"."""
        return self.image_info[image_id]["id"]

    def summary(self) -> str:
        """Describe the data set in lines of text.

        It lists the number of images of each label, the sources of labels and masks,
        and what was dropped or ignored, and why.
        """
        labels = Counter(info["label"] for info in self.image_info)
        without_mask = sum(
            not (info["mask_paths"] or info["outlines"]) for info in self.image_info
        )
        rows = [
            ("images", len(self.image_info)),
            *((f"  {name}", labels[name]) for name in CLASS_IDS),
            ("  without label", labels[None]),
            ("  without mask", without_mask),
            ("rows of tables without image", len(self.unknown_ids)),
            ("dropped or without their mask", len(self.dropped)),
            *(
                (f"  {kind}", count)
                for kind, count in _count_reasons(self.dropped).most_common()
            ),
        ]
        width = max(len(name) for name, _ in rows)
        table = [f"{name:<{width}}{count:>7}" for name, count in rows]
        notes = [f"note: {note}" for note in self.notes[:_SHOWN_NOTES]]
        if len(self.notes) > _SHOWN_NOTES:
            notes.append(f"... and {len(self.notes) - _SHOWN_NOTES} more notes")
        return "\n".join([*table, *self.truth_sources(), *notes])

    def truth_sources(self) -> list[str]:
        """Return a line for each source of labels and masks, with its count."""
        labels, masks = Counter(), Counter()
        for info in self.image_info:
            labels.update(info["label_sources"])
            folder = info["folder"]
            masks.update(_shorter(Path(p).parent, folder) for p in info["mask_paths"])
            masks.update(PurePath(one.source) for one in info["outlines"] or ())
        if len(masks) > _SHOWN_FOLDERS:  # PH2 has one for each image
            masks = Counter(folder.parts[0] for folder in masks.elements())
        return [
            *(
                f"labels from {source} ({self.label_meanings[source]}): {count}"
                for source, count in labels.items()
            ),
            *(f"masks from {folder}: {count}" for folder, count in masks.items()),
        ]

    def _require_size(self, image_id, size):
        """Refuse a file whose size changed after its mask was checked."""
        info = self.image_info[image_id]
        checked = info["height"], info["width"]
        if tuple(size) != checked:
            raise files.UnreadableImage(
                info["path"],
                f"it had the shape {checked} when it was checked, now {tuple(size)}",
            )

    def _add_notes(self, attrs, records):
        """Note what was found and dropped; return the usable records."""
        self.unknown_ids += attrs["unknown_ids"]
        self.label_meanings |= attrs["meanings"]
        self.notes += [note for note in attrs["notes"] if note not in self.notes]
        self.dropped = pd.concat([self.dropped, _dropped(records)], ignore_index=True)
        return records[records["height"].notna()]

    def _add_records(self, records, folder, options):
        for name, class_id in CLASS_IDS.items():
            self.add_class(SOURCE, class_id, name)
        for record in records.to_dict("records"):
            self.add_image(
                SOURCE,
                record["image_id"],
                **{column: record[column] for column in _INFO_COLUMNS},
                is_pseudo_mask=False,  # see training.pseudo_masks
                class_id=CLASS_IDS.get(record["label"], 0),
                height=int(record["height"]),
                width=int(record["width"]),
                folder=folder,
                **options,
                metadata={
                    column: value
                    for column, value in record.items()
                    if column not in _NOT_METADATA and not pd.isna(value)
                },
            )

    def _row_problems(self, records, require_masks, require_labels):
        """Return why each record is dropped before its files are read, or None."""
        ids = records["image_id"]
        # Of an id, the record of the test split is kept, or else a photograph's JPEG
        # rather than a PNG, which may have been drawn from it
        is_jpeg = records["path"].str.lower().str.endswith((".jpg", ".jpeg"))
        order = 2 * records["split"].map(SPLITS.index) + is_jpeg
        order = order.sort_values(ascending=False, kind="stable").index
        twice = ids[order].duplicated().sort_index()
        loaded = {info["id"] for info in self.image_info}
        reasons = pd.Series(None, index=records.index, dtype=object)
        # Later assignments win: the most important reason comes last
        if require_masks:
            none = (records["mask_paths"].map(len) == 0) & records["outlines"].isna()
            reasons[none] = f"no mask: no {MASK_HINT}"
        if require_labels:
            unlabelled = records["label"].isna()
            reasons[unlabelled] = records.loc[unlabelled, "label_problem"]
        reasons[twice | ids.isin(loaded)] = "image id occurs twice"
        pairs = pd.DataFrame({"id": ids, "folder": records["path"].map(dirname)})
        reasons[pairs.duplicated(keep=False)] = (
            "image id occurs twice in a folder: one file may be the mask of the other"
        )
        return reasons


@lru_cache(1024)
def _shorter(path, folder):
    """Return a path relative to a resolved folder, if it is below it."""
    path = path.resolve()
    return path.relative_to(folder) if path.is_relative_to(folder) else path


def _dropped(records):
    return records.loc[records["reason"].notna(), _DROPPED_COLUMNS]


def _nothing_left(dataset_dir, subset, found, records):
    """Return the message of a load without usable images."""
    dropped = _dropped(records)
    splits = dict(Counter(found["split"])) or "none"
    kinds = dict(_count_reasons(dropped)) or "none"
    first = "".join(
        f"; {PurePath(row.file).name}: {row.reason}" for row in dropped[:1].itertuples()
    )
    return (
        f"no usable image for subset {subset!r} in {dataset_dir}. "
        f"Found {len(found)} images, by split: {splits}. "
        f"Dropped from the subset: {kinds}{first}"
        + "".join(f"; {note}" for note in found.attrs["notes"][:_SHOWN_NOTES])
    )


def _count_reasons(dropped):
    """Count the kinds of reasons; a reason reads "kind: details"."""
    return Counter(reason.partition(":")[0] for reason in dropped["reason"])


def _check_arguments(**given):
    """Raise ValueError for an invalid one of load_isic's arguments."""
    for name, choices in _CHOICES.items():
        if given[name] not in choices:
            raise ValueError(f"{name} must be one of {choices}, got {given[name]!r}")
    for name, (types, wanted) in _TYPES.items():
        if not isinstance(given[name], types):
            raise ValueError(f"{name} must be {wanted}, got {given[name]!r}")
    for name, high in _BELOW.items():
        if not (isinstance(given[name], Real) and 0 <= given[name] < high):
            raise ValueError(f"{name} must be in [0, {high}), got {given[name]!r}")
    if given["fold"] is not None:
        parse_fold(given["fold"])
