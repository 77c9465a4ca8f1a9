"""IsicDataset: dermoscopy images with a diagnosis and lesion masks, from a folder.

It splits what isic_layouts finds into train, val and test, drops what file_checks
finds unusable, with a reason, and loads the masks. What is in the folder is found by
isic_layouts; copies of a photograph under another id are found by leaks.
"""

from collections import Counter
from functools import lru_cache
from numbers import Integral, Real
from os import PathLike
from pathlib import Path, PurePath

import numpy as np
import pandas as pd
from skimage import measure

from . import files, isic_layouts
from .annotators import MAJORITY, choose_all, join_masks
from .dataset import Dataset
from .diagnoses import BENIGN, MALIGNANT, LabelOptions
from .file_checks import DEPTHS, check_files, inverted_note
from .file_names import MASK_HINT
from .polygons import draw_outlines, outline_problem
from .splits import assign_splits, split_notes, take_stratified

SOURCE = "isic"
CLASS_IDS = {BENIGN: 1, MALIGNANT: 2}
SPLITS = ("train", "val", "test")

_SHOWN_NOTES = 10
_SHOWN_FOLDERS = 6
_DROPPED_COLUMNS = ["image_id", "file", "reason"]
# Columns of the records that image_info holds under names of their own.
_NOT_METADATA = [
    *("image_id", "path", "mask_paths", "label", "label_problem", "label_sources"),
    *("split", "file", "reason", "outlines"),
]


class IsicDataset(Dataset):
    """Lesions as benign (class 1) or malignant (class 2), from the source "isic".

        dataset = IsicDataset()
        dataset.load_isic("data/ISIC2017", subset="train")
        dataset.prepare()
        print(dataset.summary())

    Each image_info holds, besides id, source and path: mask_paths (tuple), outlines
    (tuple of polygons.Outlines, or None), label ("benign", "malignant" or None),
    label_sources (tuple of table and column), label_problem (why there is no label),
    class_id (0 without a label), split, height, width (pixels), folder (the
    dataset_dir, resolved), instances, min_component_area, mask_values and annotators
    (as load_isic was asked), and metadata {column: value} (age, sex, lesion_id, ...).

    dropped: DataFrame of image_id, file, reason; what load_isic and drop left out.
    unknown_ids: what the tables name, but no image file has; set by load_isic.
    label_meanings: {label source: what its values mean}. notes: list of what was not
    read of the tables and why, and how the images were split.
    """

    def __init__(self, class_map=None, max_image_pixels=files.MAX_PIXELS):
        super().__init__(class_map, max_image_pixels)
        self.dropped = pd.DataFrame(columns=_DROPPED_COLUMNS)
        self.unknown_ids, self.notes, self.label_meanings = [], [], {}

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
        cache=None,
        may_be_empty=False,
        mask_values=None,
        annotators="union",
        **label_options,
    ):
        """Add the images of a folder laid out as one of isic_layouts.LAYOUTS.

        Official splits are used where the folder names show them. Images without
        one are split by seed: val_fraction each for val and test, the rest train.
        Where there is no official val, it is taken from train. Images of one
        patient or one lesion stay together; labels are stratified.

        subset: "train", "val", "test", or None for all of them.
        limit: take at most so many images, in the proportions of the labels.
        instances: "image", the union of an image's masks is one instance; or
            "component", each connected component is one.
        min_component_area: components below this share of the image's area are
            specks and dropped; the largest component always stays.
        require_masks, require_labels: drop images without. If masks are not
            required, a missing or unusable one leaves the image in, without mask. If
            neither is, images that have neither stay too.
        check: "header" reads file headers, and masks so small on disk that they
            may be blank; "full" decodes every file (some 10 ms a megapixel and core).
        cache: JSON file that remembers, by path, size and time of change, which
            files were found good.
        may_be_empty: whether a subset without images is no error.
        mask_values: which pixel values of the masks are lesion, where they do not say
            it themselves, as of mask_values.find_foreground; and the names of those
            areas in JSON annotations that are lesions.
        annotators: what to do with several masks of one image, or outlines of several
            files: "union"; "majority", what more than half of them have; or the
            name of one annotator, such as "2" or "A00", as files or folders give it.
        label_options: fields of diagnoses.LabelOptions, such as
            label_column="dx", malignant=("mel", "bcc"); they say how the tables are
            to be read where these do not say it themselves.
        Raises ValueError for a wrong argument, for label values that no image has, or
        when no image is left.
        """
        if not isinstance(dataset_dir, str | PathLike):
            raise ValueError(f"dataset_dir must be a folder, got {dataset_dir!r}")
        _check_choice("subset", subset, (*SPLITS, None))
        _check_choice("instances", instances, ("image", "component"))
        _check_choice("check", check, DEPTHS)
        _check_range("val_fraction", val_fraction, 0, 0.5)
        _check_range("min_component_area", min_component_area, 0, 1)
        if not (limit is None or isinstance(limit, Integral)):
            raise ValueError(f"limit must be a number of images, got {limit!r}")
        if not isinstance(annotators, str):
            raise ValueError(f"annotators must be text, got {annotators!r}")
        if not isinstance(mask_values, list | tuple | set | None):
            raise ValueError(
                f"mask_values must be a list of values or names, got {mask_values!r}"
            )
        for name, class_id in CLASS_IDS.items():
            self.add_class(SOURCE, class_id, name)

        options = LabelOptions.of(**label_options)
        values = tuple(v for v in mask_values or () if not isinstance(v, str)) or None
        names = tuple(v for v in mask_values or () if isinstance(v, str)) or None
        found = isic_layouts.read_records(dataset_dir, options, names)
        told = found.attrs
        self.unknown_ids += told["unknown_ids"]
        self.label_meanings |= told["meanings"]
        notes = [*told["notes"], *split_notes(found, subset, val_fraction, seed)]
        notes += _choose_drawings(found, dataset_dir, annotators)
        self.notes += [note for note in notes if note not in self.notes]
        found["split"] = assign_splits(found, val_fraction, seed)
        found["reason"] = self._row_problems(found, require_masks, require_labels)
        found["file"] = found["path"]
        records = found if subset is None else found[found["split"] == subset]
        records = check_files(
            records, require_masks, check, self.max_image_pixels, cache, values
        )
        records = _check_drawings(records, require_masks, annotators, values)

        dropped = records.loc[records["reason"].notna(), _DROPPED_COLUMNS]
        usable = records[records["height"].notna()]
        inverted = inverted_note(usable["mask_paths"], self.max_image_pixels, values)
        self.notes = inverted + self.notes
        if usable.empty and not may_be_empty:
            raise ValueError(_nothing_left(dataset_dir, subset, found, dropped, notes))
        if limit is not None:
            usable = take_stratified(usable, limit, seed)
        self.dropped = pd.concat([self.dropped, dropped], ignore_index=True)
        for record in usable.to_dict("records"):
            self._add_record(
                record,
                folder=Path(dataset_dir).expanduser().resolve(),
                instances=instances,
                min_component_area=min_component_area,
                mask_values=values,
                annotators=annotators,
            )

    def drop(self, table):
        """Take images out, with a reason, and number the others anew.

        table: DataFrame of image_id, file, reason, added to `dropped`; file is the
            image's path.
        Raises ValueError when no image is left.
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
        if info["mask_paths"]:
            options = (shape, self.max_image_pixels, info["mask_values"])
            options += (info["is_pseudo_mask"],)
            masks = [files.read_mask(path, *options) for path in info["mask_paths"]]
            union = join_masks(masks, info["annotators"])
        elif info["outlines"]:
            masks = [draw_outlines(outlines, shape) for outlines in info["outlines"]]
            union = join_masks(masks, info["annotators"])
        if info["instances"] == "component":
            masks = split_components(union, info["min_component_area"])
        else:
            masks = union[:, :, None] if union.any() else np.zeros((*shape, 0), bool)
        class_id = self.label(image_id)
        return masks, np.full(masks.shape[-1], class_id, np.int32)

    def image_reference(self, image_id):
        """Return the image's name in its collection, such as "ISIC_0000013"."""
        return self.image_info[image_id]["id"]

    def summary(self):
        """Return, in lines of text, what there is, where it came from, what is not.

        The images of each label, the sources of labels and masks, and what was dropped
        or not read, and why.
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
        table = [f"{name:<32}{count:>7}" for name, count in rows]
        notes = [f"note: {note}" for note in self.notes[:_SHOWN_NOTES]]
        if len(self.notes) > _SHOWN_NOTES:
            notes.append(f"... and {len(self.notes) - _SHOWN_NOTES} more notes")
        return "\n".join([*table, *self.truth_sources(), *notes])

    def truth_sources(self):
        """Return in one line each where labels and masks came from, and how many."""
        labels, masks = Counter(), Counter()
        for info in self.image_info:
            labels.update(info["label_sources"])
            folders = (Path(path).parent for path in info["mask_paths"])
            masks.update(_shorter(folder, info["folder"]) for folder in folders)
            masks.update(PurePath(one.source) for one in info["outlines"] or ())
        if len(masks) > _SHOWN_FOLDERS:  # PH2 has one an image
            tops = Counter()
            for folder, count in masks.items():
                tops[folder.parts[0]] += count
            masks = tops
        return [
            *(
                f"labels from {source} ({self.label_meanings[source]}): {count}"
                for source, count in labels.items()
            ),
            *(f"masks from {folder}: {count}" for folder, count in masks.items()),
        ]

    def _require_size(self, image_id, size):
        """Refuse a file that was exchanged since its mask was found to fit."""
        info = self.image_info[image_id]
        checked = info["height"], info["width"]
        if tuple(size) != checked:
            raise files.UnreadableImage(
                info["path"],
                f"it had the shape {checked} when it was checked, now {tuple(size)}",
            )

    def _add_record(self, record, **options):
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
            is_pseudo_mask=False,  # see training.pseudo_masks
            outlines=record["outlines"],
            label=record["label"],
            label_sources=record["label_sources"],
            label_problem=record["label_problem"],
            class_id=CLASS_IDS.get(record["label"], 0),
            split=record["split"],
            height=height,
            width=width,
            **options,
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
            none = (records["mask_paths"].map(len) == 0) & records["outlines"].isna()
            reasons[none] = f"no mask: no {MASK_HINT}"
        if require_labels:
            unlabelled = records["label"].isna()
            reasons[unlabelled] = records.loc[unlabelled, "label_problem"]
        reasons[twice | ids.isin(loaded)] = "image id occurs twice"
        return reasons


def _choose_drawings(records, dataset_dir, annotators):
    """Keep the masks, or else the outlines, by the annotators; return notes."""
    notes, files_of = [], []
    both = (records["mask_paths"].map(len) > 0) & records["outlines"].notna()
    records.loc[both, "outlines"] = None
    if both.any():
        notes.append(f"{both.sum()} images have masks and outlines: masks are taken")
    root = Path(dataset_dir).expanduser()
    for paths, outlines in zip(records["mask_paths"], records["outlines"], strict=True):
        names = [Path(path).relative_to(root).as_posix() for path in paths]
        files_of.append(names + [one.source for one in outlines or ()])
    chosen, done = choose_all(files_of, annotators)
    for column in ("mask_paths", "outlines"):
        records[column] = [
            tuple(one for one, is_it in zip(drawings, own, strict=True) if is_it)
            if drawings
            else drawings
            for drawings, own in zip(records[column], chosen, strict=True)
        ]
    records["outlines"] = [outlines or None for outlines in records["outlines"]]
    return notes + [done] * bool(done)


def _majority_problem(record, shape, mask_values):
    """Return why the majority of an image's drawings is no mask, or None."""
    masks = [draw_outlines(one, shape) for one in record["outlines"] or ()]
    try:
        for path in record["mask_paths"]:
            masks.append(files.read_mask(path, shape, values=mask_values))
    except files.UnreadableImage as error:
        return f"unreadable mask: {error.reason}"
    has_any = join_masks(masks, MAJORITY).any()
    return None if has_any else "empty mask: no pixel is in more than half of its masks"


def _check_drawings(records, require_masks, annotators, mask_values):
    """Judge the outlines and majorities of images that are usable so far.

    Arguments and result are those of file_checks.check_files.
    """
    records = records.copy()
    judged = records["outlines"].notna()
    judged |= (annotators == MAJORITY) & (records["mask_paths"].map(len) > 1)
    for index, record in records[judged & records["height"].notna()].iterrows():
        shape = record["height"], record["width"]
        problems = (outline_problem(one, shape) for one in record["outlines"] or ())
        problem = next(filter(None, problems), None)
        if not problem and annotators == MAJORITY:
            problem = _majority_problem(record, shape, mask_values)
        if problem:
            records.at[index, "reason"] = problem
            records.at[index, "outlines"], records.at[index, "mask_paths"] = None, ()
            if require_masks:
                records.at[index, "height"] = None
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


@lru_cache(1024)
def _shorter(path, folder):
    """Return a path relative to a folder, which is resolved, if it is below it."""
    path = path.resolve()
    return path.relative_to(folder) if path.is_relative_to(folder) else path


def _nothing_left(dataset_dir, subset, found, dropped, notes):
    """Return the message that says what was looked for and what was found."""
    layouts = ", ".join(layout.name for layout in isic_layouts.LAYOUTS)
    splits = dict(Counter(found["split"])) or "none"
    kinds = dict(_count_reasons(dropped)) or "none"
    first = "".join(
        f"; {PurePath(row.file).name}: {row.reason}" for row in dropped[:1].itertuples()
    )
    return (
        f"no usable image for subset {subset!r} in {dataset_dir}. "
        f"Looked for: {layouts}. Found {len(found)} images, by split: {splits}. "
        f"Dropped from the subset: {kinds}{first}"
        + "".join(f"; {note}" for note in notes[:_SHOWN_NOTES])
    )


def _count_reasons(dropped):
    """Count the kinds of reasons; a reason reads "kind: details"."""
    return Counter(reason.partition(":")[0] for reason in dropped["reason"])


def _check_choice(name, value, choices):
    if value not in choices:
        raise ValueError(f"{name} must be one of {choices}, got {value!r}")


def _check_range(name, value, low, high):
    if not (isinstance(value, Real) and low <= value < high):
        raise ValueError(f"{name} must be in [{low}, {high}), got {value!r}")
