"""Train the multi-task network on ISIC images, evaluate it, and draw what it learned.

Everything goes into one run folder, LOGS/RUN: config.json and run.json, checkpoints/,
log.csv, tensorboard/, losses.png, the weights of the last and of the best epoch as
.h5, and evaluation/ with metrics.json, per_image.csv, masks and contact_sheet.png, the
predictions beside the truth from the worst to the best. Files that cannot serve are
printed with the reason, listed in dropped.csv, and passed over.

    python samples/isic/train.py --weights=coco
    python samples/isic/train.py --dataset=DIR --weights=none --image-size=256
    python samples/isic/train.py --dataset=synthetic --weights=none --quick
    python samples/isic/train.py --weights=last          goes on where a run stopped
    python samples/isic/train.py --dataset=DIR --check-only      looks at the data only

Exit status: 0 done; 1 a fault of the system; 2 a mistake in the options or the data,
with --strict any image dropped.
"""

import argparse
import json
from pathlib import Path

import common
import isic_data

STAGES = {
    "pretrained": "heads:20:1e-3,all:20:1e-4",
    "none": "all:40:3e-4",  # random layers cannot stay frozen
}
# From random weights: group norm needs no statistics, AdamW no tuned rate. The boxes'
# losses, sums over four deltas and by the paper's rho = 10 more, would drown the
# diagnosis, which is the slowest to learn.
FROM_SCRATCH = {
    "RPN_REG_WEIGHT": 1.0,
    "LOSS_WEIGHTS": {
        "rpn_class_loss": 1.0,
        "rpn_bbox_loss": 0.25,
        "mrcnn_class_loss": 3.0,
        "mrcnn_bbox_loss": 0.25,
        "mrcnn_mask_loss": 1.0,
    },
    "NORM": "group",
    "OPTIMIZER": "adamw",
    "LEARNING_RATE_SCHEDULE": "cosine",
    "WARMUP_STEPS": 100,
}
QUICK = {
    "image_size": 128,
    "images_per_device": 8,
    "steps_per_epoch": 100,
    "stages": "all:6:1e-3",
}
QUICK_CONFIG = {
    "BACKBONE": "resnet26",
    "TOP_DOWN_PYRAMID_SIZE": 64,
    "RPN_WIDTH": 128,
    "FPN_CLASSIF_FC_LAYERS_SIZE": 256,
    "MASK_HEAD_WIDTH": 64,
    "AUGMENT": False,  # an image is seen two or three times only
    # Many images a step rather than many regions of a few: the diagnosis needs them
    "RPN_TRAIN_ANCHORS_PER_IMAGE": 64,
    "POST_NMS_ROIS_TRAINING": 100,
    "TRAIN_ROIS_PER_IMAGE": 8,
}
SYNTHETIC_COUNTS = {"train": 2000, "val": 60, "test": 100}


def main():
    given = vars(make_parser().parse_args())
    stored, run_dir = stored_options(given)
    options = {**DEFAULTS, **(QUICK if given.get("quick") else {}), **stored, **given}
    args = argparse.Namespace(**options)

    from mrcnn_skin import MaskRCNN
    from mrcnn_skin.training.checkpoint import CheckpointFolder
    from mrcnn_skin.training.stages import parse_stages

    resuming = args.weights == "last"
    args.dataset = args.dataset or common.default_dataset()
    args.weights = stored.get("weights", args.weights)
    scratch = args.weights == "none"
    args.stages = args.stages or STAGES["none" if scratch else "pretrained"]
    stages = parse_stages(args.stages)
    config = make_config(args)
    if args.check_only:
        open_datasets(args, config)
        return
    begun = resuming and CheckpointFolder(run_dir).latest
    weight_file = None if begun else find_weights(args.weights)
    train, val, test, dropped = open_datasets(args, config)

    model = MaskRCNN("training", config, args.logs)
    run_dir = model.set_log_dir(run_dir.name if resuming else args.run)
    if not resuming:
        start_folder(run_dir, args)
    isic_data.write_dropped(dropped, run_dir)
    if weight_file:
        model.load_weights(weight_file)
    print(f"run folder: {run_dir.resolve()}")
    model.train(train, val, stages=stages, custom_callbacks=[loss_curves(run_dir)])
    report(model, test, run_dir, chosen_by_them=test is val)


# What an option is where neither the command line nor the run's own run.json says
DEFAULTS = {
    "dataset": None,
    "val_dataset": None,
    "logs": "logs",
    "run": None,
    "backbone": None,
    "image_size": None,
    "stages": None,
    "images_per_device": None,
    "devices": 1,
    "steps_per_epoch": None,
    "limit": None,
    "seed": 0,
    "set": None,
    "quick": False,
    "held_out": None,
    "keep_leaks": False,
    "strict": False,
    "check_only": False,
}


def make_parser():
    parser = common.Parser(description=__doc__, argument_default=argparse.SUPPRESS)
    add_data_options(parser.add_argument)
    add_run_options(parser.add_argument)
    common.add_config_options(parser)
    return parser


def add_data_options(add):
    """Options on what is trained on; add: of the parser."""
    add(
        "--dataset",
        metavar="DIR|synthetic",
        help="folder of ISIC images in any of the known layouts, or generated lesions; "
        "default: datasets/isic, $MRCNN_SKIN_DATA, or generated lesions",
    )
    add(
        "--val-dataset",
        metavar="DIR",
        help="folder of validation images; default: the val split of --dataset",
    )
    add("--limit", type=int, metavar="N", help="use so many images of each split only")
    add(
        "--held-out",
        action="append",
        metavar="PATH",
        help="a folder of images, or a table of image names, never to train on, such "
        "as an official test set; may be repeated. The validation and test splits "
        "are held out anyway",
    )
    add(
        "--keep-leaks",
        action="store_true",
        help="also train on images that share their id, patient, lesion or looks with "
        "held-out ones",
    )
    add(
        "--strict",
        action="store_true",
        help="a file or row that has to be dropped is an error",
    )
    add(
        "--check-only",
        action="store_true",
        help="say what the data hold and what would be dropped and why, and stop",
    )


def add_run_options(add):
    """Options on where a run starts, what it does and where it goes; add: as above."""
    add(
        "--weights",
        default="coco",
        metavar="coco|imagenet|last|none|PATH",
        help="weights to start from: coco and imagenet are downloaded into weights/; "
        "last goes on with the run --run, or the newest in --logs (default: coco)",
    )
    add("--logs", metavar="DIR", help="folder of all runs (default: logs)")
    add("--run", metavar="NAME", help="the run folder in --logs (default: dated)")
    add(
        "--stages",
        metavar="LAYERS:EPOCHS:RATE,...",
        help="what is trained, for how long, how fast; LAYERS is heads, 3+, 4+, 5+, "
        "all or a regular expression; paper is heads, 4+, all by Matterport's recipe "
        f"(default: {STAGES['pretrained']}; from random weights {STAGES['none']})",
    )
    add(
        "--images-per-device",
        type=int,
        metavar="N",
        help=f"images per device and step (default: 2; 8 with {common.LITE_BACKBONE})",
    )
    add(
        "--devices",
        type=int,
        metavar="N",
        help="GPUs, or logical CPUs where there is none (default: 1)",
    )
    add(
        "--steps-per-epoch",
        type=int,
        metavar="N",
        help="default: one pass over the training images",
    )
    add("--seed", type=int, help="of every random choice (default: 0)")
    add(
        "--quick",
        action="store_true",
        help="a small network at 128 px for 6 epochs: a trial of a few minutes",
    )


def stored_options(given):
    """Options and folder of the run that --weights=last goes on with; else {}, None.

    Options given again on the command line overrule the stored ones.
    """
    if given["weights"] != "last":
        return {}, None
    from mrcnn_skin.training.checkpoint import find_last_run

    logs = Path(given.get("logs", DEFAULTS["logs"]))
    run_dir = logs / given["run"] if "run" in given else find_last_run(logs)
    path = run_dir / "run.json"
    if not path.exists():
        raise FileNotFoundError(
            f"{run_dir} holds no run to go on with, {path} is absent"
        )
    return json.loads(path.read_text(encoding="utf-8")), run_dir


def start_folder(run_dir, args):
    """Make the folder of a new run, with the options in run.json for --weights=last.

    Raises FileExistsError if a run is there already.
    """
    from mrcnn_skin.atomic import written_whole

    if (run_dir / "run.json").exists():
        raise FileExistsError(
            f"{run_dir} already holds a run: go on with --weights=last "
            f"--run={run_dir.name}, or choose another --run"
        )
    run_dir.mkdir(parents=True, exist_ok=True)
    names = (*DEFAULTS, "weights")
    kept = {name: getattr(args, name) for name in names if name != "check_only"}
    with written_whole(run_dir / "run.json") as partial:
        partial.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


def make_config(args):
    """The settings that the options ask for; --set has the last word.

    Raises ValueError for weights of another backbone.
    """
    if args.backbone == common.LITE_BACKBONE and args.weights in ("coco", "imagenet"):
        raise ValueError(
            f"--weights={args.weights} is a ResNet's: with --backbone={args.backbone} "
            "it must be none or the file of samples/convert_efficientnet_lite.py"
        )
    overrides = dict(FROM_SCRATCH) if args.weights == "none" else {}
    if args.quick:
        overrides |= QUICK_CONFIG
    if args.weights == "coco":
        overrides["BACKBONE"] = "resnet101"  # the network in the file
    for name, value in (
        ("GPU_COUNT", args.devices),
        ("IMAGES_PER_GPU", args.images_per_device),
        ("STEPS_PER_EPOCH", args.steps_per_epoch),
        ("SEED", args.seed),
    ):
        if value is not None:
            overrides[name] = value
    overrides |= common.config_overrides(args)
    return common.default_config(args).replace(**overrides)


def find_weights(weights):
    """Path of the file to start from, downloaded if need be; None for "none"."""
    from mrcnn_skin.downloads import fetch_coco_weights, fetch_imagenet_weights

    if weights == "none":
        return None
    if weights == "coco":
        return fetch_coco_weights(common.WEIGHTS_DIR)
    if weights == "imagenet":
        return fetch_imagenet_weights(common.WEIGHTS_DIR)
    return common.trained_weights(weights, logs=None)


def open_datasets(args, config):
    """Data sets to train, validate and report on, and what was dropped of them."""
    if args.dataset != "synthetic":
        train, val, dropped = isic_data.open_train_and_val(args, config)
        return train, val, val, dropped
    side = config.IMAGE_MAX_DIM
    train, val, test = (
        common.open_synthetic(min(count, args.limit or count), side, split)
        for split, count in SYNTHETIC_COUNTS.items()
    )
    return train, val, test, ()


def loss_curves(run_dir):
    """A callback that draws losses.png anew after every epoch."""
    import keras

    from mrcnn_skin.visualize import plot_losses, save_figure

    def draw(epoch, logs):
        save_figure(plot_losses(run_dir / "log.csv"), run_dir / "losses.png")

    return keras.callbacks.LambdaCallback(on_epoch_end=draw)


def report(model, dataset, run_dir, chosen_by_them):
    """Evaluate the best weights, draw predictions beside the truth, say where it is.

    chosen_by_them: whether the images of `dataset` told which epoch is the best.
    """
    from mrcnn_skin.evaluation.report import evaluate, format_metrics

    best = common.trained_weights(next(run_dir.glob("*_best.h5")), logs=None)
    model.load_weights(best)
    out = run_dir / "evaluation"
    detector = model.ready_detector()
    metrics = evaluate(detector, dataset, out)
    common.write_contact_sheet(detector, dataset, out)
    limit = ", but the best epoch was chosen by them" if chosen_by_them else ""
    print(f"\n{best.name} on {dataset.num_images} images, not trained on{limit}:")
    print(format_metrics(metrics))
    print(f"\nEverything is in {run_dir.resolve()}:")
    for path in sorted(run_dir.iterdir()):
        print(f"  {path.name}{'/' if path.is_dir() else ''}")


if __name__ == "__main__":
    common.run(main)
