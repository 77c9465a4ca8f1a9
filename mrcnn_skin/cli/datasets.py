"""Open, check and report the data sets of the commands.

Every file is decoded once; LOGS/checked_files.jsonl remembers the usable ones. Unusable
files are printed with the reason, and listed in dropped.csv.
"""

import hashlib
import os
from pathlib import Path

from ..atomic import write_text
from . import models

DATA_DIR = Path("datasets/isic")
DATA_VARIABLE = "MRCNN_SKIN_DATA"
SYNTHETIC_SEEDS = {"train": 0, "val": 1, "test": 2}
CHECKED_FILES = "checked_files.jsonl"
SHOWN = 20  # dropped files, and rows without an image, that are printed
KNOWN_LAYOUTS = (
    "Supported layouts: the ISIC challenges 2016 to 2020, the ISIC Archive, HAM10000, "
    "BCN20000, PAD-UFES-20 and PH2; a folder per class (benign/, nevus/, ...); and "
    "folders of images, masks and tables (.csv, .tsv, .tab, .xlsx) of any names, or "
    "COCO, labelme and VIA annotations. Tables are joined by image name."
)
# {option: (metavar, help)}
LABEL_OPTIONS = {
    "label_table": (
        "TABLE",
        "name or path of the one table that holds the labels (default: all tables)",
    ),
    "image_column": (
        "COLUMN",
        "the column of image names, in the tables that have it (default: isic_id, "
        "image_id, image_name, img_id, bcn_filename, image, filename, file, path, "
        "name, id, or the one whose cells name images)",
    ),
    "label_column": (
        "COLUMN,...",
        "the column of diagnoses, or one column per diagnosis (default: label, "
        "class, target, diagnosis, diagnostic, dx, diagnosis_1, benign_malignant, "
        "malignancy; malignant or benign with 0 and 1; one column a diagnosis)",
    ),
    "malignant": (
        "VALUE,...",
        "values of the label column that mean malignant, such as mel,bcc,akiec; known "
        "benign diagnoses and all other numbers are benign then, and the rest has no "
        "label (default: the words and codes of mrcnn_skin/data/diagnoses.py)",
    ),
    "benign": (
        "VALUE,...",
        "values that mean benign; with --malignant, values in neither list have no "
        "label",
    ),
    "mask_values": (
        "VALUE,...",
        "pixel values of the masks that mean lesion: grey values, palette indices, or "
        "colours such as 0xff0000; or names of areas in COCO, labelme or VIA "
        "annotations (default: read from the masks where they are unambiguous)",
    ),
    "annotators": (
        "union|majority|NAME",
        "how to combine several masks of one image: their union, the pixels in more "
        "than half of them, or those by one annotator, such as 2 or A00 (default: "
        "union)",
    ),
    "split_column": (
        "COLUMN",
        "the column with train, val or test, which overrides folders (default: split, "
        "or the names of tables such as train.csv and test.csv)",
    ),
    "fold": (
        "K/N",
        "cross-validation: divide the images of train and val into N folds; the K-th "
        "is val, the others are train",
    ),
    "group_column": (
        "COLUMN",
        "rows with the same value stay in one split; so do rows of one lesion_id "
        "(default: patient_id, or folders such as patient7)",
    ),
}


def add_dataset_option(add):
    """Add --dataset; add: the add_argument of a parser."""
    add(
        "--dataset",
        metavar="DIR|synthetic",
        help="folder of images with masks, labels or both, or generated lesions "
        "(default: datasets/isic, $MRCNN_SKIN_DATA, or generated lesions). "
        + KNOWN_LAYOUTS,
    )


def add_label_options(add):
    """Add the options on how tables and masks are read."""
    for name, (metavar, text) in LABEL_OPTIONS.items():
        add("--" + name.replace("_", "-"), metavar=metavar, help=text)


def label_options(args):
    """Return the options of add_label_options that were given, for load_isic.

    Raises ValueError if one of them is empty.
    """
    given = {name: getattr(args, name, None) for name in LABEL_OPTIONS}
    options = {name: text for name, text in given.items() if text is not None}
    for name, text in options.items():
        if not text.strip():
            option = "--" + name.replace("_", "-")
            raise ValueError(f"{option} must name something, got {text!r}")
    for name in {"label_column", "malignant", "benign", "mask_values"} & {*options}:
        parts = filter(None, map(str.strip, options[name].split(",")))
        options[name] = tuple(map(_number, parts) if name == "mask_values" else parts)
    return options


def _number(text):
    """Return a number such as 255 or 0xff0000 as int, and other text unchanged."""
    try:
        return int(text, 0)
    except ValueError:
        return text


def training_options(args, config):
    """Return options of load_isic: the tasks decide what every image must have."""
    return {
        "require_labels": "classify" in config.TASKS,
        "require_masks": bool({"detect", "segment"} & set(config.TASKS)),
        **label_options(args),
    }


def open_isic(folder, split, config, logs, limit=None, extra=(), **options):
    """Read and check images; return a prepared IsicDataset.

    Args:
        folder: of the data set.
        split: train, val or test; None for all images.
        config: a Config; MAX_IMAGE_PIXELS is used.
        logs: folder of checked_files.jsonl.
        limit: number of images of each folder; None for all.
        extra: further folders, all of whose images are read.
        **options: of IsicDataset.load_isic.
    """
    from .. import IsicDataset

    dataset = IsicDataset(max_image_pixels=config.MAX_IMAGE_PIXELS)
    options = {"check": "full", "cache": Path(logs) / CHECKED_FILES, **options}
    for path, part in [(folder, split), *((path, None) for path in extra)]:
        if not Path(path).is_dir():
            raise FileNotFoundError(f"there is no data set folder {path}")
        dataset.load_isic(path, part, limit=limit, **options)
    dataset.prepare()
    return dataset


def open_scored(folder, split, config, args):
    """Open the images of a split (None: of all) that have a mask or a usable label.

    A label is usable if the network classifies. The other images are dropped.
    """
    import pandas as pd

    options = {"require_labels": False, **label_options(args)}
    options["require_masks"] = "classify" not in config.TASKS
    dataset = open_isic(folder, split, config, args.logs, args.limit, **options)
    rows = [
        (info["id"], info["path"], f"no mask, and {info['label_problem']}")
        for info in dataset.image_info
        if not (info["mask_paths"] or info["outlines"] or info["label"])
    ]
    dataset.drop(pd.DataFrame(rows, columns=["image_id", "file", "reason"]))
    return dataset


def open_train_and_val(args, config):
    """Open the training and validation images, without leaks unless --keep-leaks.

    Also returns the dropped images, as report_dropped.
    """
    if args.fold and args.val_dataset:
        raise ValueError("--fold needs val of --dataset, got --val-dataset as well")
    options = training_options(args, config)
    shared = (config, args.logs, args.limit)
    extra = args.extra_train or ()
    outlined = {"require_masks": False} if args.pseudo_masks else {}
    train = open_isic(args.dataset, "train", *shared, extra, **options | outlined)
    folder, split = (
        (args.val_dataset, None) if args.val_dataset else (args.dataset, "val")
    )
    val = open_isic(folder, split, *shared, **options)
    if not args.keep_leaks:
        drop_leaks(train, val, args, config)
    if args.pseudo_masks and options["require_masks"]:
        outline_unmasked(train, args)
    dropped = report_dropped({"train": train, "val": val}, show_all=args.check_only)
    if args.strict and len(dropped):
        raise ValueError(f"--strict: {len(dropped)} images were dropped, see above")
    return train, val, dropped


def outline_unmasked(train, args):
    """Let the network of --pseudo-masks outline the training images without a mask.

    The masks are kept in LOGS/pseudo_masks, in a folder per weight file.
    """
    from .. import MaskRCNN
    from ..training.pseudo_masks import add_pseudo_masks

    path = models.trained_weights(args.pseudo_masks, args.logs).resolve()
    about = f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}"
    name = f"{path.stem}-{hashlib.sha256(about.encode()).hexdigest()[:8]}"
    folder = Path(args.logs, "pseudo_masks", name)
    table = add_pseudo_masks(train, MaskRCNN.from_pretrained(path).detector, folder)
    kept = int((table["mask"] != "").sum())
    print(f"pseudo-masks by {path.name}: {kept} of {len(table)} images without mask")


def write_pseudo_masks(train, folder):
    """Write FOLDER/pseudo_masks.csv: the training images that have a pseudo-mask."""
    import pandas as pd

    rows = [
        {"image_id": info["id"], "file": info["path"], "mask": info["mask_paths"][0]}
        for info in train.image_info
        if info.get("is_pseudo_mask")
    ]
    write_table(pd.DataFrame(rows), Path(folder, "pseudo_masks.csv"))


def drop_leaks(train, val, args, config):
    """Drop training images that are also in val, the test split or --held-out.

    Validation images that are held out are counted and kept, since official splits
    are not changed.
    """
    from ..data.leaks import find_leaks, find_listed

    paths = [Path(path) for path in args.held_out or ()]
    anything = {"check": "header", "may_be_empty": True}
    anything |= {"require_masks": False, "require_labels": False}
    folders = [(args.dataset, "test", {**anything, **label_options(args)})]
    folders += [(path, None, anything) for path in paths if path.is_dir()]
    held_out = [
        open_isic(folder, split, config, args.logs, **given)
        for folder, split, given in folders
    ]
    cache = Path(args.logs) / CHECKED_FILES
    train.drop(find_leaks(train, [val, *held_out], cache))
    shared = len(find_leaks(val, held_out, cache))
    for path in paths:
        if not path.is_dir():
            train.drop(find_listed(train, path))
            shared += len(find_listed(val, path))
    if shared:
        print(f"{shared} validation images are also held out for a test; kept")


def report_dropped(datasets, show_all=False):
    """Print a summary of data sets {split: IsicDataset} and the dropped images.

    Not more than SHOWN, unless show_all. Returns a DataFrame of the dropped images:
    split, image_id, file, reason.
    """
    import pandas as pd

    tables = []
    for split, dataset in datasets.items():
        print(f"{split}:\n{dataset.summary()}")
        tables.append(dataset.dropped.assign(split=split))
        shown = tables[-1] if show_all else tables[-1][:SHOWN]
        for row in shown.itertuples():
            print(f"  dropped {row.file}: {row.reason}")
        if len(shown) < len(dataset.dropped):
            print(f"  ... and {len(dataset.dropped) - len(shown)} more")
    unknown = sorted({i for dataset in datasets.values() for i in dataset.unknown_ids})
    if unknown:
        more = f" and {len(unknown) - SHOWN} more" if len(unknown) > SHOWN else ""
        print(f"rows without an image, skipped: {', '.join(unknown[:SHOWN])}{more}")
    return pd.concat(tables)[["split", "image_id", "file", "reason"]]


def write_dropped(dropped, folder):
    """Write FOLDER/dropped.csv, if any image was dropped."""
    write_table(dropped, Path(folder, "dropped.csv"))


def write_table(table, path):
    """Write a DataFrame as CSV, unless it is empty."""
    if len(table):
        write_text(path, table.to_csv(index=False))


def default_dataset():
    """Return DATA_DIR or $MRCNN_SKIN_DATA, whichever exists, or "synthetic"."""
    for folder in (DATA_DIR, os.environ.get(DATA_VARIABLE)):
        if folder and Path(folder).is_dir():
            return str(folder)
    print(
        f"No --dataset, no {DATA_DIR}, no ${DATA_VARIABLE}: using GENERATED lesions, "
        "not photographs. The result says nothing about real skin."
    )
    return "synthetic"


def open_synthetic(count, side, split):
    """Generate the lesions of a split, which shares none with the other splits."""
    from ..data.synthetic import SyntheticDataset

    dataset = SyntheticDataset(count, (side, side), SYNTHETIC_SEEDS[split])
    print(dataset.summary())
    return dataset
