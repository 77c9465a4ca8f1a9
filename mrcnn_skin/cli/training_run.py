"""What train.py and ablation.py share: options, settings, weights, data, scores.

Each command adds options of its own. What a run does is mrcnn_skin's affair.
"""

from . import datasets, models, options

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
# What an option is where neither the command line nor the run's own run.json says
DEFAULTS = {
    "dataset": None,
    "extra_train": None,
    "val_dataset": None,
    "pseudo_masks": None,
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
    **dict.fromkeys(datasets.LABEL_OPTIONS),
}


def add_data_options(add):
    """Options on what is trained on; add: of the parser."""
    add(
        "--dataset",
        metavar="DIR|synthetic",
        help="folder of images with masks, labels or both, or generated lesions; "
        "default: datasets/isic, $MRCNN_SKIN_DATA, or generated lesions. "
        + datasets.KNOWN_LAYOUTS,
    )
    add(
        "--extra-train",
        action="append",
        metavar="DIR",
        help="a further folder, of which all images are trained on; may be repeated",
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
    datasets.add_label_options(add)


def add_recipe_options(add):
    """Options on how a run trains; add: as above."""
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
        help="images per device and step (default: 2; 8 with an EfficientNet-Lite)",
    )
    add(
        "--devices",
        type=int,
        metavar="N",
        help="GPUs, or logical CPUs where there is none, over all processes; several "
        "are started with the same options, --run among them, and TF_CONFIG "
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
    """The settings that the options ask for; --set has the last word.

    Raises ValueError for weights of another backbone.
    """
    if args.backbone in options.LITE_BACKBONES and args.weights in ("coco", "imagenet"):
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
    overrides |= options.config_overrides(args)
    return options.default_config(args).replace(**overrides)


def find_weights(weights):
    """Path of the file to start from, downloaded if need be; None for "none"."""
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
    """Data sets to train, validate and report on, and what was dropped of them."""
    if args.dataset == "synthetic" and args.extra_train:
        raise ValueError("--extra-train needs a folder as --dataset, got synthetic")
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
    """What is trained when, in the words of --stages or the default for the weights."""
    return args.stages or STAGES["none" if args.weights == "none" else "pretrained"]


def require_stages(args, config):
    """Raise ValueError unless the network can be trained in the stages asked for."""
    from ..graph.mask_rcnn import build_training_model
    from ..training import stages

    wanted = stages.parse_stages(find_stages(args))
    stages.require_stages(build_training_model(config), wanted)


def score_best(model, dataset, run_dir):
    """Load the weights of the best epoch, and write RUN/evaluation.

    Returns the weights' path and the metrics of mrcnn_skin.evaluation.scoring.evaluate.
    """
    from ..evaluation.scoring import evaluate

    best = models.trained_weights(next(run_dir.glob("*_best.h5")), logs=None)
    model.load_weights(best)
    return best, evaluate(model.ready_detector(), dataset, run_dir / "evaluation")
