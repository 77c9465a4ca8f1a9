"""What evaluate and train do with a model and images: score, compare, draw, report.

The figures come from mrcnn_skin.evaluation; this module decides which are asked for.
"""

import itertools
import json
from pathlib import Path
from typing import Any, NamedTuple

from . import models, results

SHOWN_CASES = 3  # pictures a heading
CASE_WIDTH = 420  # pixels


class Scored(NamedTuple):
    """What `score` found, and with what.

    per_image: DataFrame. metrics: dict of metrics.json. detector: that was scored.
    grad_cam: mrcnn_skin.inference.explanation.GradCam, or None if it was not asked for.
    """

    per_image: Any
    metrics: dict
    detector: Any
    grad_cam: Any


def read_other(path):
    """The table of another model's evaluation, None without a path.

    Raises FileNotFoundError, or ValueError for a file of other columns.
    """
    if path is None:
        return None
    import pandas as pd

    from ..evaluation.summary import SEGMENTATION

    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no table to compare with: {path}")
    table = pd.read_csv(path, dtype={"image": str})
    if "true_class" not in table:  # before version 0.2
        table = table.rename(columns={"label": "true_class"})
    needed = "image", "true_class", "p_malignant", "low_confidence", "unfamiliar"
    missing = {*needed, "box_iou", *SEGMENTATION} - {*table}
    if missing:
        raise ValueError(f"{path} must be a per_image.csv; it lacks {sorted(missing)}")
    return table


def refuse_shared_images(calibration, dataset):
    """Raise ValueError if an image is in both sets: thresholds would flatter."""

    def names(images):
        return {images.image_reference(i) for i in images.image_ids}

    shared = names(calibration) & names(dataset)
    if shared:
        raise ValueError(
            "--calibration-split must share no image with --split, got "
            f"{len(shared)} of both, such as {min(shared)}"
        )


def calibration_warnings(folder, args):
    """Say so if the calibration images are those that the network was trained on.

    folder: of the images, or "synthetic". The run.json beside the weights tells what
    the network was trained on; without one, nobody knows. Returns a list of texts.
    """
    if args.calibration_split != "train":
        return []
    run_file = models.trained_weights(args.weights, args.logs).with_name("run.json")
    doubt = "if the network was trained on them, as on most training splits, "
    if run_file.is_file():
        options = json.loads(run_file.read_text(encoding="utf-8"))
        trained_on = [options.get("dataset"), *(options.get("extra_train") or ())]
        if not any(_same_folder(folder, other) for other in trained_on):
            return []
        doubt = "the network was trained on them: "
    return [
        f"--calibration-split=train: {doubt}it is surer of them than of other images, "
        "and temperature and thresholds do not hold for those; use val"
    ]


def save_operating_points(model, metrics, path):
    """Write a model's weights with the temperature and thresholds of an evaluation.

    metrics: of `score`, with calibration images. Without diagnoses to choose them on
    nothing is written, which is an error. The first point that reaches 90 % decides.

    Raises ValueError if the evaluation chose no operating points.
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
    told = ", ".join(f"{target:.0%} from {cut:.3f}" for target, cut in points)
    print(f"{path}: temperature {temperature:.2f}; sensitivity {told}")


def _same_folder(folder, other):
    if "synthetic" in (folder, other):
        return folder == other
    return other is not None and Path(folder).resolve() == Path(other).resolve()


def score(model, dataset, calibration, other, out, args, warnings=()):
    """Score the dataset with all that args ask for. Returns a Scored.

    out: folder for the masks. warnings: texts for metrics.json.
    """
    from ..evaluation import coco
    from ..evaluation.robustness import robustness_table
    from ..evaluation.scoring import score_images
    from ..evaluation.statistics import analyse
    from ..evaluation.subgroups import describe
    from ..evaluation.tta import AugmentedDetector

    detector = AugmentedDetector(model.detector) if args.tta else model.detector
    details, grad_cam = [describe], None
    if args.explain:
        from ..inference.explanation import GradCam, HeatShare

        grad_cam = GradCam(model.detector.model, model.config)
        details.append(HeatShare(grad_cam))
    coco_scorer = None
    if coco.is_installed():
        coco_scorer = coco.CocoScorer("classify" in model.config.TASKS)
        details.append(coco_scorer)
    title = _pass_titles(calibration, args)
    per_image, unreadable = score_images(
        detector, dataset, out, title("images"), details=details
    )
    chosen_on = None
    if calibration:
        titled = title("calibration images")
        chosen_on = score_images(detector, calibration, progress=titled)[0]

    plain = robustness = None
    if args.tta:
        titled = title("without augmentation")
        plain = score_images(model.detector, dataset, progress=titled)[0]
    if args.robustness:
        robustness = robustness_table(
            detector, dataset, per_image, args.bootstrap, args.seed, title
        )
    metrics = analyse(
        per_image,
        chosen_on,
        other,
        args.bootstrap,
        args.seed,
        unreadable=unreadable,
        coco=coco_scorer and coco_scorer.scores(),
        plain=plain,
        robustness=robustness,
        warnings=warnings,
    )
    return Scored(per_image, metrics, detector, grad_cam)


def _pass_titles(calibration, args):
    """A function that numbers the passes over images: title of a progress bar."""
    from ..evaluation.corruptions import CORRUPTIONS

    passes = 1 + bool(calibration) + args.tta + args.robustness * len(CORRUPTIONS)
    numbers = itertools.count(1)
    return lambda what: f"pass {next(numbers)} of {passes}, {what}"


def draw_cases(scored, dataset):
    """Pictures of the cases that tell most, {heading: list of (captions, pixels)}.

    captions: list of text lines.
    """
    from ..evaluation.statistics import choose_cases
    from ..visualize import draw_prediction

    drawn = {}
    for heading, rows in choose_cases(scored.per_image, SHOWN_CASES).items():
        pictures = drawn[heading] = []
        ids = results.image_ids_of(dataset, [row["image"] for row in rows])
        for row, image_id in zip(rows, ids, strict=True):
            detector, lines = scored.detector, results.describe_case(row)
            picture = draw_prediction(dataset, image_id, detector, (), CASE_WIDTH)
            pictures.append((lines, picture))
            if scored.grad_cam:
                from ..inference.explanation import overlay_heat
                from ..visualize.overlays import scale_to_width

                image = dataset.load_image(image_id)
                seen = overlay_heat(image, scored.grad_cam(image))
                lines = [row["image"], "Grad-CAM: what raised P(malignant)"]
                pictures.append((lines, scale_to_width(seen, CASE_WIDTH)))
    return drawn


def write_results(folder, title, known, scored, dataset):
    """Write tables, contact sheet, report.html and model_card.md into a folder.

    known: of `facts`; scored: of `score`.
    """
    from ..evaluation.html_report import write_page
    from ..evaluation.model_card import write_model_card
    from ..evaluation.scoring import write_tables

    write_tables(folder, scored.per_image, scored.metrics)
    results.write_contact_sheet(scored.detector, dataset, folder)
    parts = title, known, scored.metrics, scored.per_image
    write_page(folder / "report.html", *parts, draw_cases(scored, dataset))
    write_model_card(folder / "model_card.md", *parts)


def facts(model, dataset, folder, dropped, args):
    """What was evaluated, {name: text}, for report.html and model_card.md."""
    import keras
    import tensorflow as tf

    from ..evaluation import coco

    config = model.config
    weights = models.trained_weights(args.weights, args.logs)
    generated = folder == "synthetic"
    images = "generated lesions, no photographs" if generated else str(folder)
    known = {
        "model": f"Mask R-CNN for skin lesions, {config.NAME}",
        "data": f"{images}, split {args.split}, {dataset.num_images} images",
        "synthetic": "All images are generated."
        if generated
        else "None are generated.",
        "split": f"Evaluated on {args.split}; temperature and thresholds: "
        f"{args.calibration_split or 'not chosen'}.",
        "left out": f"{len(dropped)} images were left out"
        + ("; dropped.csv names them." if len(dropped) else "."),
        "network": f"{_name(config.BACKBONE)}, {config.IMAGE_MAX_DIM} px, tasks "
        f"{', '.join(config.TASKS)}.",
        "losses": f"Region proposals (RPN): {config.RPN_CLASS_LOSS}; classes: "
        f"{config.CLASS_LOSS}; masks: {config.MASK_LOSS}.",
        "imbalance": "Benign and malignant images were drawn equally often in training."
        if config.BALANCE_CLASSES
        else "Nothing was done about it.",
        "weights": weights.name,
        "training": _training(weights.with_name("run.json")),
        "test-time augmentation": "four mirror images" if args.tta else "none",
        "software": f"mrcnn_skin on TensorFlow {tf.__version__}, Keras "
        f"{keras.__version__}; mrcnn-skin evaluate repeats this evaluation.",
    }
    if not coco.is_installed():
        known["COCO's average precision"] = (
            'not computed: it needs pip install "mrcnn_skin[coco]"'
        )
    return {name: text for name, text in known.items() if text}


def _training(run_file):
    """How the weights were trained, from the run.json beside them, if any."""
    if not run_file.is_file():
        return None
    options = json.loads(run_file.read_text(encoding="utf-8"))
    told = [f"{k} {options[k]}" for k in ("weights", "stages", "seed") if k in options]
    return f"Trained with {', '.join(told)}."


def _name(backbone):
    return backbone if isinstance(backbone, str) else backbone.__name__
