"""Warn if images that should be new to a network were trained on.

The run.json of a run says what it was trained on and which weights it started from.
"""

import json
from pathlib import Path

from . import datasets


def warn_of_trained_images(weights, folder, splits, args):
    """Return warnings if a network was, or may have been, trained on some images.

    Args:
        weights: path of its weights.
        folder: of the images, or "synthetic".
        splits: set of train, val, test and all: parts of the folder that should be new.
        args: with the options of datasets.LABEL_OPTIONS, which decide what val is.
    """
    from ..weights_io.pretrained import PRETRAINED

    for name, known in PRETRAINED.items():
        if Path(weights).name == known.file and folder != "synthetic":
            is_new = splits == {"val"} and args.fold == known.fold
            return [] if is_new else [_shipped(name, known)]
    runs = list(_runs(weights))
    if not runs and "train" in splits:
        return ["the network may have been trained on images of --dataset"]
    warnings = (_of_run(run, folder, splits, args) for run in runs)
    return list(dict.fromkeys(w for w in warnings if w))


def _shipped(name, known):
    return (
        f"{name} was trained on {known.images}: scores of such images are too good; "
        f"--split=val --fold={known.fold} takes those of ISIC 2017 that are new to it"
    )


def _runs(weights):
    """Yield the options of the run that wrote weights, and of those before it."""
    path, seen = Path(weights), set()
    while path.is_file() and path.resolve() not in seen:
        seen.add(path.resolve())
        if not path.with_name("run.json").is_file():
            return
        options = json.loads(path.with_name("run.json").read_text(encoding="utf-8"))
        yield options
        path = Path(options.get("weights") or "none")


def _of_run(run, folder, splits, args):
    """Return the warning that one run gives, or None."""
    if any(_same_folder(folder, other) for other in run.get("extra_train") or ()):
        return f"the network was trained on all images of {folder}"
    if not _same_folder(folder, run.get("dataset")):
        return None
    if splits & {"train", "all"}:
        return f"the network was trained on the training images of {folder}"
    if "val" not in splits or folder == "synthetic":
        return None
    differ = [n for n in datasets.LABEL_OPTIONS if run.get(n) != getattr(args, n, None)]
    has = "may have"  # other labels may give other folds
    if "fold" in differ:
        differ, has = ["fold"], "has"
    elif not args.fold:
        return None
    trained, scored = (
        " ".join(_named(name, values.get(name)) for name in differ)
        for values in (run, vars(args))
    )
    return differ and (
        f"the network was trained with {trained}; val, chosen with {scored}, {has} "
        "images that were trained on"
    )


def _named(name, value):
    option = "--" + name.replace("_", "-")
    return f"no {option}" if value is None else f"{option}={value}"


def _same_folder(folder, other):
    if "synthetic" in (folder, other):
        return folder == other
    return other is not None and Path(folder).resolve() == Path(other).resolve()
