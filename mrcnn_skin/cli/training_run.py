"""What the commands train and ablation share: options, Config, weights and data."""

import json

from ..atomic import write_text
from . import datasets, models, options

STAGES = {
    "pretrained": "heads:20:1e-3,all:20:1e-4",
    "none": "all:40:3e-4",  # random layers must not be frozen
}
# From random weights: group normalization needs no statistics, AdamW no tuned rate. The
# box losses are sums over four deltas, and the paper weights one by rho = 10: they
# would hide the diagnosis, which is the slowest to learn.
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
    "AUGMENT": False,  # every image is seen two or three times only
    # Many images per step rather than many regions: the diagnosis needs them
    "RPN_TRAIN_ANCHORS_PER_IMAGE": 64,
    "POST_NMS_ROIS_TRAINING": 100,
    "TRAIN_ROIS_PER_IMAGE": 8,
}
SYNTHETIC_COUNTS = {"train": 2000, "val": 60, "test": 100}
# Defaults of options that neither the command line nor run.json sets
DEFAULTS = {
    **dict.fromkeys(("dataset", "extra_train", "val_dataset", "pseudo_masks", "limit")),
    **dict.fromkeys(("run", "backbone", "image_size", "stages", "set", "held_out")),
    **dict.fromkeys(("images_per_device", "steps_per_epoch", *datasets.LABEL_OPTIONS)),
    **dict.fromkeys(("quick", "keep_leaks", "strict", "check_only"), False),
    **{"logs": "logs", "devices": 1, "seed": 0},
}


def read_options(path):
    """Read the options of a run or study from JSON."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_options(path, args, names):
    """Write the options `names` of a run or study as JSON; make its folder."""
    text = json.dumps({name: getattr(args, name) for name in names}, indent=2)
    write_text(path, text + "\n")


def add_data_options(add):
    """Add the options on the training data; add: the add_argument of a parser."""
    datasets.add_dataset_option(add)
    add(
        "--extra-train",
        action="append",
        metavar="DIR",
        help="a further folder; all its images are trained on; may be repeated",
    )
    add(
        "--val-dataset",
        metavar="DIR",
        help="folder of validation images; default: the val split of --dataset",
    )
    add(
        "--pseudo-masks",
        metavar="WEIGHTS",
        help="let this network outline the training images that have no mask, such as "
        "those of ISIC 2019; only confident outlines are trained on, and nothing is "
        "scored against them (pretrained, last or a .h5 file)",
    )
    add("--limit", type=int, metavar="N", help="use only N images of each split")
    add(
        "--held-out",
        action="append",
        metavar="PATH",
        help="a folder of images, or a table of image names, that is never trained on, "
        "such as an official test set; may be repeated. The validation and test "
        "splits are always held out",
    )
    add(
        "--keep-leaks",
        action="store_true",
        help="also train on images that share id, patient, lesion or content with "
        "held-out ones",
    )
    add("--strict", action="store_true", help="treat dropped files and rows as errors")
    add(
        "--check-only",
        action="store_true",
        help="check options and data, list what would be dropped, and stop",
    )
    datasets.add_label_options(add)


def add_recipe_options(add):
    """Add the options on the course of training."""
    add(
        "--stages",
        metavar="LAYERS:EPOCHS:RATE,...",
        help="layers to train, number of epochs, learning rate; LAYERS is heads, 3+, "
        "4+, 5+, all or a regular expression; paper is Matterport's recipe heads, 4+, "
        f"all (default: {STAGES['pretrained']}; from random weights {STAGES['none']})",
    )
    add(
        "--images-per-device",
        type=int,
        metavar="N",
        help="images per device and step (default: 2; 8 with an EfficientNet-Lite)",
    )
    add(
        "--devices",
        type=int,
        metavar="N",
        help="number of GPUs, or of logical CPUs without a GPU, over all processes; "
        "start each process with the same options, --run included, and TF_CONFIG "
        "(default: 1)",
    )
    add(
        "--steps-per-epoch",
        type=int,
        metavar="N",
        help="default: one pass over the training images",
    )
    add(
        "--quick",
        action="store_true",
        help="a small network at 128 px for 6 epochs: a trial of a few minutes",
    )


def make_config(args):
    """Return the Config that the options set; --set overrides the others."""
    if args.backbone in options.LITE_BACKBONES and args.weights in ("coco", "imagenet"):
        raise ValueError(
            f"--weights={args.weights} has a ResNet's weights: --backbone="
            f"{args.backbone} needs none, or the file that "
            "samples/convert_efficientnet_lite.py writes"
        )
    overrides = dict(FROM_SCRATCH) if args.weights == "none" else {}
    if args.quick:
        overrides |= QUICK_CONFIG
    if args.weights == "coco":
        overrides["BACKBONE"] = "resnet101"  # the network in the file
    given = {
        "GPU_COUNT": args.devices,
        "IMAGES_PER_GPU": args.images_per_device,
        "STEPS_PER_EPOCH": args.steps_per_epoch,
        "SEED": args.seed,
    }
    overrides |= {name: x for name, x in given.items() if x is not None}
    overrides |= options.config_overrides(args)
    return options.default_config(args).replace(**overrides)


def find_weights(weights):
    """Return the weight file to start from, downloaded if needed; None for "none"."""
    from ..weights_io.downloads import fetch_coco_weights, fetch_imagenet_weights
    from ..weights_io.pretrained import download_folder

    if weights == "none":
        return None
    if weights == "coco":
        return fetch_coco_weights(download_folder())
    if weights == "imagenet":
        return fetch_imagenet_weights(download_folder())
    return models.trained_weights(weights, logs=None)


def open_datasets(args, config):
    """Open the training, validation and test images; also return what was dropped."""
    if args.dataset == "synthetic" and (args.extra_train or args.fold):
        name = "--extra-train" if args.extra_train else "--fold"
        raise ValueError(f"{name} needs a folder as --dataset, got synthetic")
    if args.dataset != "synthetic":
        train, val, dropped = datasets.open_train_and_val(args, config)
        return train, val, val, dropped
    side = config.IMAGE_MAX_DIM
    train, val, test = (
        datasets.open_synthetic(min(count, args.limit or count), side, split)
        for split, count in SYNTHETIC_COUNTS.items()
    )
    return train, val, test, ()


def find_stages(args):
    """Return --stages, or the default for the weights, as text."""
    return args.stages or STAGES["none" if args.weights == "none" else "pretrained"]


def make_model(config, args, logs):
    """Return the network to train and its stages, which must fit it."""
    from .. import MaskRCNN
    from ..training.stages import parse_stages, require_stages

    stages = parse_stages(find_stages(args))
    model = MaskRCNN("training", config, logs)
    require_stages(model.keras_model, stages)  # now, not after hours of the first
    return model, stages


def load_best(model, run_dir):
    """Load the weights of the best epoch; return their path."""
    best = next(run_dir.glob("*_best.h5"))
    model.load_weights(best)
    return best
