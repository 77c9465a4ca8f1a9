"""The rules for the fields of a Config: single fields and combinations."""

import math
import numbers
import os


def is_whole(value):
    """Whether a value is a whole number; True and False are none."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def is_number(value):
    """Whether a value is a finite number; True and False are none."""
    is_real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return is_real and math.isfinite(value)


def _whole(low, high=None):
    wanted = f"a whole number of at least {low}"
    if high is not None:
        wanted += f" and at most {high}"
    return (
        lambda v: is_whole(v) and v >= low and (high is None or v <= high),
        wanted,
    )


def _number(low, high=float("inf"), above=False):
    wanted = f"above {low}" if above else f"at least {low}"
    if high != float("inf"):
        wanted += f" and at most {high}"
    return (
        lambda v: is_number(v) and (v > low if above else v >= low) and v <= high,
        f"a number {wanted}",
    )


def _one_of(*values):
    return (lambda v: v in values, f"one of {', '.join(map(repr, values))}")


def _numbers(count=None, low=0.0, kind="numbers"):
    types = int if kind == "whole numbers" else (int, float)

    def accepts(value):
        return (
            isinstance(value, tuple)
            and (len(value) == count if count else len(value) > 0)
            and all(is_number(item) and item > low for item in value)
            and all(isinstance(item, types) for item in value)
        )

    many = f"{count} {kind}" if count else kind
    return accepts, f"a list of {many} above {low:g}"


def _levels(first, last):
    def accepts(value):
        return (
            isinstance(value, tuple)
            and len(value) > 0
            and all(_whole(first, last)[0](level) for level in value)
            and value == tuple(range(value[0], value[0] + len(value)))
        )

    return accepts, f"successive levels within {first}..{last}, such as ({first}, 3)"


CALLABLE = "callable "  # in JSON, the prefix of the name of a user's BACKBONE
FIXED_SHAPE_MODES = ("square", "crop")
MAX_PILLOW_PIXELS = 178_956_970  # Pillow refuses images with more
_FLAG = _one_of(True, False)
_NAME = (lambda v: isinstance(v, str), "a name")  # losses.py checks it
_TASKS = ("classify", "detect", "segment")
LOSS_TERMS = (
    "rpn_class_loss",
    "rpn_bbox_loss",
    "mrcnn_class_loss",
    "mrcnn_bbox_loss",
    "mrcnn_mask_loss",
)

# {field: (function that accepts a value, what is wanted in words)}
RULES = {
    "NAME": (
        lambda v: isinstance(v, str) and v.strip(".") and os.path.basename(v) == v,
        "a name without slashes",
    ),
    "GPU_COUNT": _whole(1),
    "IMAGES_PER_GPU": _whole(1),
    "STEPS_PER_EPOCH": _whole(0),
    "VALIDATION_STEPS": _whole(0),
    "NUM_CLASSES": _whole(1),
    "CLASS_NAMES": (
        lambda v: isinstance(v, tuple) and all(isinstance(n, str) for n in v),
        "a list of names",
    ),
    "MALIGNANT_CLASS_IDS": (
        lambda v: isinstance(v, tuple) and all(map(is_whole, v)),
        "a list of class ids",
    ),
    "MEAN_PIXEL": _numbers(low=-1),
    "TASKS": (
        lambda v: isinstance(v, tuple) and v and set(v) <= set(_TASKS),
        f"a list of at least one of {_TASKS}",
    ),
    "BACKBONE": (
        lambda v: callable(v) or (isinstance(v, str) and not v.startswith(CALLABLE)),
        "the name of a backbone or a callable",
    ),
    "BACKBONE_STRIDES": _numbers(5, kind="whole numbers"),
    "BACKBONE_DILATION": _one_of(1, 2),
    "TOP_DOWN_PYRAMID_SIZE": _whole(8),
    "FPN_ATTENTION": _one_of("", "se", "cbam"),
    "NORM": _one_of("batch", "group"),
    "HEAD_NORM": _one_of("same", "batch", "group"),
    "TRAIN_BN": _FLAG,
    "GROUP_NORM_GROUPS": _whole(1),
    "IMAGE_RESIZE_MODE": _one_of("none", "square", "pad64", "crop"),
    "IMAGE_MIN_DIM": _whole(0),
    "IMAGE_MAX_DIM": _whole(0),
    "IMAGE_MIN_SCALE": _number(0),
    "IMAGE_CHANNEL_COUNT": _whole(1),
    "MAX_IMAGE_PIXELS": _whole(1, MAX_PILLOW_PIXELS),
    "DETECTION_CANVAS": _one_of("padded", "content"),
    "CACHE_DIR": (lambda v: isinstance(v, str), "the path of a folder, or empty"),
    "RPN_WIDTH": _whole(1),
    "RPN_LEVELS": _levels(2, 6),
    "RPN_ANCHOR_SCALES": _numbers(),
    "RPN_ANCHOR_RATIOS": _numbers(),
    "RPN_ANCHOR_STRIDE": _whole(1),
    "RPN_NMS_THRESHOLD": _number(0, 1),
    "RPN_TRAIN_ANCHORS_PER_IMAGE": _whole(2),
    "RPN_BBOX_STD_DEV": _numbers(4),
    "PRE_NMS_LIMIT": _whole(1),
    "POST_NMS_ROIS_TRAINING": _whole(1),
    "POST_NMS_ROIS_INFERENCE": _whole(1),
    "ROI_LEVELS": _levels(2, 5),
    "FPN_CLASSIF_FC_LAYERS_SIZE": _whole(1),
    "CLASSIFY_CONTEXT": _whole(0),
    "MASK_HEAD_WIDTH": _whole(1),
    "POOL_SIZE": _whole(1),
    "MASK_POOL_SIZE": _whole(1),
    "MASK_SHAPE": _numbers(2, kind="whole numbers"),
    "USE_MINI_MASK": _FLAG,
    "MINI_MASK_SHAPE": _numbers(2, kind="whole numbers"),
    "TRAIN_ROIS_PER_IMAGE": _whole(1),
    "ROI_POSITIVE_RATIO": _number(0, 1, above=True),
    "BBOX_STD_DEV": _numbers(4),
    "MAX_GT_INSTANCES": _whole(1),
    "DETECTION_MAX_INSTANCES": _whole(1),
    "DETECTION_MIN_CONFIDENCE": _number(0, 1),
    "DETECTION_NMS_THRESHOLD": _number(0, 1),
    "DETECTION_SCORE": _one_of("class", "lesion"),
    "DETECTION_KEEP_BEST": _FLAG,
    "DIAGNOSIS": _one_of("region", "image"),
    "TEMPERATURE": _number(0, above=True),
    "OPERATING_POINTS": (
        lambda v: (
            isinstance(v, tuple)
            and all(_numbers(2, low=-1)[0](point) and max(point) <= 1 for point in v)
        ),
        "a list of pairs (sensitivity, threshold) within 0..1",
    ),
    "SENSITIVITY": _number(0, 1),
    "UNFAMILIAR_COMPONENTS": _whole(0),
    "INFERENCE_PRECISION": _one_of("float32", "bfloat16"),
    "RPN_CLASS_LOSS": _NAME,
    "CLASS_LOSS": _NAME,
    "BOX_LOSS": _NAME,
    "MASK_LOSS": _NAME,
    "FOCAL_ALPHA": _number(0, 1),
    "FOCAL_BETA": _number(0),
    "RPN_REG_WEIGHT": _number(0),
    "JACCARD_DELTA": _number(0, above=True),
    "JACCARD_SCALE": _number(0),
    "JACCARD_WEIGHT": _number(0),
    "LOSS_WEIGHTS": (
        lambda v: (
            isinstance(v, dict)
            and set(v) == set(LOSS_TERMS)
            and all(is_number(weight) and weight >= 0 for weight in v.values())
        ),
        f"a number of at least 0 for each of {', '.join(LOSS_TERMS)}",
    ),
    "TRAINING_PRECISION": _one_of("float32", "bfloat16"),
    "OPTIMIZER": _one_of("sgd", "adamw"),
    "LEARNING_RATE": _number(0, above=True),
    "LEARNING_MOMENTUM": _number(0, 1),
    "WEIGHT_DECAY": _number(0),
    "GRADIENT_CLIP_NORM": _number(0, above=True),
    "LEARNING_RATE_SCHEDULE": _one_of("constant", "cosine"),
    "WARMUP_STEPS": _whole(0),
    "AUGMENT": _FLAG,
    "AUGMENTATION": _one_of("paper", "strong"),
    "BALANCE_CLASSES": _FLAG,
    "BALANCE_FOLDERS": _FLAG,
    "MONITOR": _one_of("val_loss", "val_JA", "val_AUC", "val_score"),
    "EARLY_STOPPING_PATIENCE": _whole(0),
    "CHECKPOINT_STEPS": _whole(0),
    "SEED": _whole(0),
}

# {Matterport's field that does not exist here: (the only valid value, reason)}
DROPPED = {
    "COMPUTE_BACKBONE_SHAPE": (
        None,
        "the sizes of the feature maps follow from BACKBONE_STRIDES",
    ),
    "IMAGE_PADDING": (
        True,
        "IMAGE_RESIZE_MODE 'square' and 'pad64' pad images, 'none' does not",
    ),
    "USE_RPN_ROIS": (
        True,
        "the heads are trained on the RPN's proposals and the true boxes; to train the "
        "RPN alone, use layers='rpn_.*'",
    ),
}


def combinations(config):
    """Yield (condition, error message) on combinations of fields of a Config.

    Conditions may rely on those before them.
    """
    yield from _pyramid_combinations(config)
    yield from _image_combinations(config)
    yield from _head_combinations(config)


def _pyramid_combinations(config):
    levels, first = len(config.BACKBONE_STRIDES), config.BACKBONE_STRIDES[0]
    yield (
        config.BACKBONE_STRIDES == tuple(first * 2**level for level in range(levels)),
        "BACKBONE_STRIDES must double from level to level, got "
        f"{config.BACKBONE_STRIDES!r}",
    )
    yield (
        len(config.RPN_ANCHOR_SCALES) == len(config.RPN_LEVELS),
        f"RPN_ANCHOR_SCALES must have {len(config.RPN_LEVELS)} values, one for each "
        f"of RPN_LEVELS, got {config.RPN_ANCHOR_SCALES!r}",
    )


def _image_combinations(config):
    mode = config.IMAGE_RESIZE_MODE
    side = "MIN" if mode in ("crop", "pad64") else "MAX"
    value = getattr(config, f"IMAGE_{side}_DIM")
    yield (
        mode == "none" or (value and value % 64 == 0),
        f"IMAGE_{side}_DIM must be a multiple of 64 with IMAGE_RESIZE_MODE "
        f"{mode!r}, got {value!r}",
    )
    yield (
        not config.IMAGE_MAX_DIM or config.IMAGE_MIN_DIM <= config.IMAGE_MAX_DIM,
        f"IMAGE_MIN_DIM must be at most IMAGE_MAX_DIM ({config.IMAGE_MAX_DIM}), "
        f"got {config.IMAGE_MIN_DIM}",
    )
    yield (
        mode in FIXED_SHAPE_MODES or config.IMAGES_PER_GPU == 1,
        f"IMAGE_RESIZE_MODE {mode!r} gives images of different "
        f"sizes: IMAGES_PER_GPU must be 1, got {config.IMAGES_PER_GPU}",
    )
    yield (
        not config.CACHE_DIR or mode != "crop",
        "CACHE_DIR must be empty with IMAGE_RESIZE_MODE 'crop', whose images "
        f"differ from epoch to epoch, got {config.CACHE_DIR!r}",
    )
    yield (
        config.IMAGE_CHANNEL_COUNT == 3
        or not config.AUGMENT
        or config.AUGMENTATION != "strong",
        "AUGMENTATION 'strong' changes hues, so IMAGE_CHANNEL_COUNT must be 3, got "
        f"{config.IMAGE_CHANNEL_COUNT}: set AUGMENTATION 'paper'",
    )
    yield (
        len(config.MEAN_PIXEL) == config.IMAGE_CHANNEL_COUNT,
        f"MEAN_PIXEL must have {config.IMAGE_CHANNEL_COUNT} values, one for each "
        f"channel, got {config.MEAN_PIXEL!r}",
    )


def _head_combinations(config):
    yield (
        not config.CLASS_NAMES or len(config.CLASS_NAMES) == config.NUM_CLASSES,
        f"CLASS_NAMES must be empty or have {config.NUM_CLASSES} names, got "
        f"{config.CLASS_NAMES!r}",
    )
    yield (
        all(0 < i < config.NUM_CLASSES for i in config.MALIGNANT_CLASS_IDS),
        f"MALIGNANT_CLASS_IDS must be in 1..{config.NUM_CLASSES - 1}, got "
        f"{config.MALIGNANT_CLASS_IDS!r}",
    )
    known = [sensitivity for sensitivity, _ in config.OPERATING_POINTS]
    yield (
        config.SENSITIVITY in (0, *known),
        f"SENSITIVITY must be 0 or one of OPERATING_POINTS ({known or 'none'}), got "
        f"{config.SENSITIVITY!r}; `mrcnn-skin evaluate --calibration-split=val "
        "--save-operating-points=NEW.h5` chooses them",
    )
    scale = config.MASK_SHAPE[0] // config.MASK_POOL_SIZE
    yield (
        config.MASK_SHAPE == (config.MASK_POOL_SIZE * scale,) * 2 and scale in (2, 4),
        f"MASK_SHAPE must be 2 or 4 times MASK_POOL_SIZE ({config.MASK_POOL_SIZE}) "
        f"on both sides, got {config.MASK_SHAPE!r}",
    )
    widths = _group_norm_widths(config)
    yield (
        all(width % config.GROUP_NORM_GROUPS == 0 for width in widths),
        f"GROUP_NORM_GROUPS must divide the layers' widths {sorted(widths)}, got "
        f"{config.GROUP_NORM_GROUPS}",
    )


def _group_norm_widths(config):
    """Return the widths of the layers before GroupNorm that a Config sets."""
    widths = set()
    if config.NORM == "group":
        widths.add(64)  # of ResNet's first layers
    head_norm = config.NORM if config.HEAD_NORM == "same" else config.HEAD_NORM
    if head_norm == "group":
        if "segment" in config.TASKS:
            widths.add(config.MASK_HEAD_WIDTH)
        if "classify" in config.TASKS or "detect" in config.TASKS:
            widths.add(config.FPN_CLASSIF_FC_LAYERS_SIZE)
        if "classify" in config.TASKS and config.CLASSIFY_CONTEXT:
            widths.add(config.CLASSIFY_CONTEXT)
    return widths
