"""Score a model, compare it, and write tables, pictures and report.

The commands evaluate and train share these functions.
"""

import itertools
import json
from pathlib import Path
from typing import Any, NamedTuple

from . import models, results
from .trained_images import warn_of_trained_images

SHOWN_CASES = 3  # pictures per heading
CASE_WIDTH = 420  # pixels
SHEET = 24  # pictures on a contact sheet
CELL_WIDTH = 320  # pixels of each


class Scored(NamedTuple):
    """The result of `score`.

    Attributes:
        per_image: DataFrame of per_image.csv.
        metrics: dict of metrics.json.
        detector: the detector that was scored.
        grad_cam: inference.explanation.GradCam, or None without --explain.
    """

    per_image: Any
    metrics: dict
    detector: Any
    grad_cam: Any


def read_other(path):
    """Read the per_image.csv of another model; None without a path."""
    if path is None:
        return None
    import pandas as pd

    from ..evaluation.summary import SEGMENTATION

    if not Path(path).is_file():
        raise FileNotFoundError(f"--compare: there is no file {path}")
    table = pd.read_csv(path, dtype={"image": str})
    if "true_class" not in table:  # before version 0.2
        table = table.rename(columns={"label": "true_class"})
    needed = "image", "true_class", "p_malignant", "low_confidence", "unfamiliar"
    missing = {*needed, "box_iou", *SEGMENTATION} - {*table}
    if missing:
        raise ValueError(
            f"--compare must be a per_image.csv, but {path} lacks {sorted(missing)}"
        )
    return table


def require_shared_images(other, dataset):
    """Raise ValueError if none of the images is in the table to compare with.

    Returns warnings if only some are.
    """
    if other is None:
        return []
    ids = {str(dataset.image_info[i]["id"]) for i in dataset.image_ids}
    if ids.isdisjoint(other["image"]):
        raise ValueError(
            "--compare must hold images that are scored here, got none of them: "
            f"{_some(other['image'])} there, {_some(ids)} here"
        )
    shared = len(ids & set(other["image"]))
    if shared == len(ids):
        return []
    return [f"--compare has {shared} of the {len(ids)} images; the others do not count"]


def refuse_shared_images(calibration, dataset):
    """Raise ValueError if an image is in both sets: scores would be too good."""

    def names(images):
        return {images.image_reference(i) for i in images.image_ids}

    shared = names(calibration) & names(dataset)
    if shared:
        raise ValueError(
            "--calibration-split must share no image with --split, got "
            f"{len(shared)} of both, such as {min(shared)}"
        )


def _some(names):
    return f"{len(names)} such as {min(map(str, names), default='none')!r}"


def training_warnings(folder, args):
    """Return warnings if images that should be new to the network were trained on.

    folder: of images, or "synthetic".
    """
    weights = models.trained_weights(args.weights, args.logs)
    splits = {args.split, args.calibration_split} - {None}
    warnings = warn_of_trained_images(weights, folder, splits, args)
    if args.calibration_split in ("train", "val") and warnings:
        warnings.append(
            "a network is overconfident on training images, so that temperature and "
            "thresholds that were chosen on them do not hold for other images"
        )
    return warnings


def save_operating_points(model, metrics, path):
    """Write a model's weights with the temperature and thresholds of `metrics`.

    The threshold for 90 % sensitivity becomes the default one.
    """
    from ..evaluation.calibration import apply_temperature

    if "operating_points" not in metrics:
        raise ValueError(f"{path} is not written: no image has a diagnosis to score")
    temperature = metrics["calibration"]["temperature"]
    points = [
        (point["target"], float(apply_temperature(point["threshold"], temperature)))
        for point in metrics["operating_points"]
    ]
    # P(malignant) was already divided by the temperature that the Config had
    model.config = model.config.replace(
        TEMPERATURE=temperature * model.config.TEMPERATURE,
        OPERATING_POINTS=points,
        SENSITIVITY=0.9,
    )
    model.save_weights(path)
    listed = ", ".join(f"{cut:.3f} for {target:.0%}" for target, cut in points)
    print(f"{path}: temperature {temperature:.2f}; thresholds by sensitivity: {listed}")


def score(model, dataset, calibration, other, out, args, warnings=()):
    """Score a dataset as the options of evaluate ask for it.

    Args:
        model: a MaskRCNN that is ready to detect.
        dataset, calibration: prepared Datasets; calibration may be None.
        other: per_image table of another model, or None.
        out: folder for the masks.
        args: options of the command.
        warnings: texts for metrics.json.

    Returns:
        A Scored.
    """
    from ..evaluation import coco
    from ..evaluation.corruptions import CORRUPTIONS
    from ..evaluation.robustness import robustness_table
    from ..evaluation.scoring import score_images
    from ..evaluation.statistics import analyse
    from ..evaluation.subgroups import describe
    from ..evaluation.tta import AugmentedDetector

    detector = AugmentedDetector(model.detector) if args.tta else model.detector
    details, grad_cam = [describe], None
    if args.explain:
        from ..inference.explanation import GradCam

        grad_cam = GradCam(model.detector.model, model.config)
        details.append(grad_cam.describe)
    coco_scorer = None
    if coco.is_installed():
        coco_scorer = coco.CocoScorer("classify" in model.config.TASKS)
        details.append(coco_scorer)
    passes = 1 + bool(calibration) + args.tta + args.robustness * len(CORRUPTIONS)
    numbers = itertools.count(1)

    def title(what):
        return f"pass {next(numbers)} of {passes}, {what}"

    per_image, unreadable = score_images(
        detector, dataset, out, title("images"), details=details
    )
    chosen_on = plain = robustness = None
    if calibration:
        chosen_on, _ = score_images(
            detector, calibration, progress=title("calibration images")
        )
    if args.tta:
        plain, _ = score_images(
            model.detector, dataset, progress=title("without augmentation")
        )
    sampling = args.bootstrap, args.seed
    if args.robustness:
        robustness = robustness_table(detector, dataset, per_image, *sampling, title)
    metrics = analyse(
        per_image,
        chosen_on,
        other,
        *sampling,
        unreadable=unreadable,
        coco=coco_scorer and coco_scorer.scores(),
        plain=plain,
        robustness=robustness,
        warnings=warnings,
    )
    return Scored(per_image, metrics, detector, grad_cam)


def draw_cases(scored, dataset):
    """Draw the most informative cases, {heading: list of (caption lines, pixels)}."""
    from ..evaluation.statistics import choose_cases
    from ..visualize.overlays import scale_to_width

    cases = {}
    for heading, rows in choose_cases(scored.per_image, SHOWN_CASES).items():
        pictures = cases[heading] = []
        for image_id, lines, picture in _draw(rows, scored, dataset, CASE_WIDTH):
            pictures.append((lines, picture))
            if scored.grad_cam:
                from ..inference.explanation import overlay_heat

                image = dataset.load_image(image_id)
                heat = overlay_heat(image, scored.grad_cam(image))
                lines = [lines[0], "Grad-CAM: regions that raise P(malignant)"]
                pictures.append((lines, scale_to_width(heat, CASE_WIDTH)))
    return cases


def write_contact_sheet(path, scored, dataset):
    """Draw SHEET images, evenly spread over their ranking, the worst outline first."""
    import numpy as np

    from .. import visualize

    ranked = scored.per_image.dropna(subset=["JA"]).sort_values("JA")
    if len(ranked):
        places = np.linspace(0, len(ranked) - 1, min(SHEET, len(ranked))).round()
        rows = ranked.iloc[places.astype(int)].to_dict("records")
        colors = (255, 255, 255), visualize.TRUTH_COLOR, visualize.PREDICTION_COLOR
        drawn = _draw(rows, scored, dataset, CELL_WIDTH, colors)
        sheet = visualize.contact_sheet([d[-1] for d in drawn], width=CELL_WIDTH)
        visualize.save_image(sheet, path)


def _draw(rows, scored, dataset, width, colors=()):
    """Yield image id, caption lines and picture; with colors, the lines are in it."""
    from ..visualize import draw_prediction

    ids = results.image_ids_of(dataset, [row["image"] for row in rows])
    for row, image_id in zip(rows, ids, strict=True):
        lines = results.describe_case(row)
        shown = list(zip(lines, colors, strict=False))
        picture = draw_prediction(dataset, image_id, scored.detector, shown, width)
        yield image_id, lines, picture


def write_results(folder, title, known, scored, dataset):
    """Write tables, contact sheet, report.html and model_card.md to a folder.

    title: of report and model card; known: of `facts`; scored: of `score`.
    """
    from ..evaluation.html_report import write_page
    from ..evaluation.model_card import write_model_card
    from ..evaluation.scoring import write_tables

    write_tables(folder, scored.per_image, scored.metrics)
    write_contact_sheet(folder / "contact_sheet.png", scored, dataset)
    parts = title, known, scored.metrics, scored.per_image
    write_page(folder / "report.html", *parts, draw_cases(scored, dataset))
    write_model_card(folder / "model_card.md", *parts)


def facts(model, dataset, folder, dropped, args):
    """Describe the evaluation, {name: text}, for report.html and model_card.md."""
    import keras
    import tensorflow as tf

    from ..evaluation import coco

    config = model.config
    weights = models.trained_weights(args.weights, args.logs)
    generated = folder == "synthetic"
    images = "generated lesions, no photographs" if generated else folder
    listed = "; they are listed in dropped.csv" if len(dropped) else ""
    backbone = getattr(config.BACKBONE, "__name__", config.BACKBONE)
    is_fold = args.fold and args.split in ("train", "val")
    split = f"{args.split} of fold {args.fold}" if is_fold else args.split
    known = {
        "model": f"Mask R-CNN for skin lesions, {config.NAME}",
        "data": f"{images}, split {split}, {dataset.num_images} images",
        "synthetic": f"{'All images' if generated else 'None'} are generated.",
        "split": f"Evaluated on {split}; temperature and thresholds: "
        f"{args.calibration_split or 'not chosen'}.",
        "skipped": f"{len(dropped)} images were skipped{listed}.",
        "network": f"{backbone}, {config.IMAGE_MAX_DIM} px, tasks "
        f"{', '.join(config.TASKS)}.",
        "losses": f"Region proposals (RPN): {config.RPN_CLASS_LOSS}; classes: "
        f"{config.CLASS_LOSS}; masks: {config.MASK_LOSS}.",
        "imbalance": "Benign and malignant images were drawn equally often in training."
        if config.BALANCE_CLASSES
        else "No measures.",
        "weights": weights.name,
        "training": _training(weights.with_name("run.json")),
        "test-time augmentation": "four mirror images" if args.tta else "none",
        "software": f"mrcnn_skin on TensorFlow {tf.__version__}, Keras "
        f"{keras.__version__}; evaluated by mrcnn-skin evaluate.",
    }
    if not coco.is_installed():
        known["COCO's average precision"] = (
            'not computed: it needs pip install "mrcnn_skin[coco]"'
        )
    return {name: text for name, text in known.items() if text}


def _training(run_file):
    """Describe the training, from the run.json of the weights; None without one."""
    if not run_file.is_file():
        return None
    options = json.loads(run_file.read_text(encoding="utf-8"))
    shown = [f"{k} {options[k]}" for k in ("weights", "stages", "seed") if k in options]
    return f"Trained with {', '.join(shown)}."
