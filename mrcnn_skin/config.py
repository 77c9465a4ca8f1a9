"""Settings of a model and of its training, as upper-case class attributes.

Override them in a subclass, as in Matterport's Mask R-CNN, or for one object:
`IsicConfig(IMAGE_MAX_DIM=512)`. A Config is checked when it is made.
"""

import ast
import copy
import difflib
import json

from .atomic import written_whole
from .config_fields import (
    ComputedField,
    as_plain,
    computed_fields,
    computed_from,
    fits_json,
    function_name,
    settable_fields,
)
from .config_rules import CALLABLE, DROPPED, LOSS_TERMS, RULES, combinations

# Fields of training and its data; the others change the results of a trained network
TRAINING_FIELDS = frozenset(
    (
        *("NAME", "GPU_COUNT", "IMAGES_PER_GPU", "STEPS_PER_EPOCH", "VALIDATION_STEPS"),
        *("MAX_IMAGE_PIXELS", "CACHE_DIR", "RPN_TRAIN_ANCHORS_PER_IMAGE"),
        *("POST_NMS_ROIS_TRAINING", "USE_MINI_MASK", "MINI_MASK_SHAPE", "TRAIN_BN"),
        *("TRAIN_ROIS_PER_IMAGE", "ROI_POSITIVE_RATIO", "MAX_GT_INSTANCES"),
        *("RPN_CLASS_LOSS", "CLASS_LOSS", "BOX_LOSS", "MASK_LOSS"),
        *("FOCAL_ALPHA", "FOCAL_BETA"),
        *("RPN_REG_WEIGHT", "JACCARD_DELTA", "JACCARD_SCALE", "JACCARD_WEIGHT"),
        *("LOSS_WEIGHTS", "TRAINING_PRECISION", "OPTIMIZER", "LEARNING_RATE"),
        *("LEARNING_MOMENTUM", "WEIGHT_DECAY", "GRADIENT_CLIP_NORM", "WARMUP_STEPS"),
        *("LEARNING_RATE_SCHEDULE", "AUGMENT", "AUGMENTATION"),
        *("BALANCE_CLASSES", "BALANCE_FOLDERS"),
        *("MONITOR", "EARLY_STOPPING_PATIENCE", "CHECKPOINT_STEPS", "SEED"),
        *("UNFAMILIAR_COMPONENTS", "SENSITIVITY"),  # they do not change P(malignant)
    )
)


class Config:
    """Matterport's fields with Matterport's values, and the fields of the paper.

    `Config(**overrides)` sets fields of one object. A subclass that wants a field
    of its own declares it with an annotation (`MY_FIELD: int = 3`); an unknown
    upper-case name without one is taken for a typing error.

    Raises ValueError for an unknown name, a computed one, a wrong value or an
    impossible combination.
    """

    NAME = "lesion"  # names the run folder and the weight files

    # Devices and length of an epoch
    GPU_COUNT = 1  # devices: GPUs, or logical CPUs without a GPU
    IMAGES_PER_GPU = 2  # per step; as many as fit into memory
    STEPS_PER_EPOCH = 1000  # 0: one pass over the images
    VALIDATION_STEPS = 50  # batches after each epoch, fewer save time; 0: all images

    # Classes; class 0 is the background
    NUM_CLASSES = 1  # the background included
    CLASS_NAMES = ()  # () or one name per class, the background included
    MALIGNANT_CLASS_IDS = ()  # P(malignant) is the sum of their probabilities

    # Which heads are built: "classify", "detect", "segment" (single-task variants)
    TASKS = ("classify", "detect", "segment")

    # Backbone and pyramid
    BACKBONE = "resnet101"  # a name in graph.backbones.BACKBONES, or a callable
    BACKBONE_STRIDES = (4, 8, 16, 32, 64)  # of P2 to P6
    # 2: dilated convolutions instead of the last stage's stride, so that C5 is as large
    # as C4. The pyramid keeps its strides, but P4 and below gain finer features
    BACKBONE_DILATION = 1
    TOP_DOWN_PYRAMID_SIZE = 256  # channels of each pyramid level
    # After each of P2 to P5: "se" weights channels, "cbam" channels and positions
    FPN_ATTENTION = ""
    NORM = "batch"  # "group" to train from random weights, in small batches
    # Of box and mask head; "same": as NORM. "group" for new heads on a trained
    # backbone, since a frozen BatchNorm would keep statistics of other features
    HEAD_NORM = "same"
    TRAIN_BN = False  # True: BatchNorm uses batch statistics, which need large batches
    GROUP_NORM_GROUPS = 32  # as in the GroupNorm paper

    # Images
    IMAGE_RESIZE_MODE = "square"  # none, square, pad64, crop, as in Matterport
    IMAGE_MIN_DIM = 800  # smaller images are enlarged to it
    IMAGE_MAX_DIM = 1024  # side of the square
    IMAGE_MIN_SCALE = 0.0  # lowest scale of the resize; 0: none
    IMAGE_CHANNEL_COUNT = 3
    MEAN_PIXEL = (123.7, 116.8, 103.9)  # R, G, B of ImageNet, which is subtracted
    # Larger files are refused without decoding. The largest dermoscopy image known has
    # 6688 x 6780 pixels, 45 million.
    MAX_IMAGE_PIXELS = 80_000_000
    # In detect() with IMAGE_RESIZE_MODE "square": "padded" to the square, as in
    # training, or cut to the "content", rounded up to 64 pixels, which saves time
    DETECTION_CANVAS = "padded"
    # Folder for the resized training images, 3.3 MB each at 1024 px, so that large
    # files are decoded in the first epoch only. "": none
    CACHE_DIR = ""

    # Anchors and the region proposal network
    RPN_WIDTH = 512  # channels of its shared convolution
    # Pyramid levels, P2 to P6. Lesions that fill their image do not need P2, which
    # takes three quarters of the RPN's arithmetic.
    RPN_LEVELS = (2, 3, 4, 5, 6)
    RPN_ANCHOR_SCALES = (32, 64, 128, 256, 512)  # pixels, one for each of RPN_LEVELS
    RPN_ANCHOR_RATIOS = (0.5, 1, 2)  # width / height
    RPN_ANCHOR_STRIDE = 1  # cells; 2: anchors at every second one, which saves time
    RPN_NMS_THRESHOLD = 0.7  # IoU; higher: more proposals remain
    RPN_TRAIN_ANCHORS_PER_IMAGE = 256  # sampled, at most half of them positive
    RPN_BBOX_STD_DEV = (0.1, 0.1, 0.2, 0.2)  # scales the deltas to a similar size
    PRE_NMS_LIMIT = 6000  # best anchors before NMS, which limits its time
    POST_NMS_ROIS_TRAINING = 2000  # proposals after NMS
    POST_NMS_ROIS_INFERENCE = 1000

    # Heads. COCO weights need these widths of RPN and mask head
    ROI_LEVELS = (2, 3, 4, 5)  # pyramid levels of the heads' features
    FPN_CLASSIF_FC_LAYERS_SIZE = 1024  # units of the box head's two layers
    # The Classify subnet also sees the whole image: the mean of the backbone's last
    # stage, in this number of channels. 0: the region only, as in the paper
    CLASSIFY_CONTEXT = 0
    MASK_HEAD_WIDTH = 256  # channels of the mask head's convolutions
    POOL_SIZE = 7  # cells of RoIAlign, for the box head
    MASK_POOL_SIZE = 14  # the same for the mask head
    MASK_SHAPE = (28, 28)  # or (56, 56): one more up-sampling layer
    USE_MINI_MASK = True  # masks cut to their boxes and resized, to save memory
    MINI_MASK_SHAPE = (56, 56)
    TRAIN_ROIS_PER_IMAGE = 200  # sampled for the heads
    ROI_POSITIVE_RATIO = 0.33  # share of positives among them
    BBOX_STD_DEV = (0.1, 0.1, 0.2, 0.2)  # as RPN_BBOX_STD_DEV
    MAX_GT_INSTANCES = 100  # of an image; further ones are dropped

    # Detection
    DETECTION_MAX_INSTANCES = 100
    DETECTION_MIN_CONFIDENCE = 0.7  # lower scores are discarded
    DETECTION_NMS_THRESHOLD = 0.3  # IoU; low, since lesions hardly overlap
    # "class": the score is that of the class, and classes do not suppress each other,
    # as in Matterport. "lesion": it is 1 - P(background), with all classes together.
    DETECTION_SCORE = "class"
    DETECTION_KEEP_BEST = False  # return the best region even below the confidence
    # "region": each region has its own class. "image": all proposals vote on one class
    # for all regions, for images of one lesion
    DIAGNOSIS = "region"
    # From P(malignant) to a decision, chosen on calibration images (mrcnn-skin evaluate
    # --save-operating-points). The temperature divides the logit of P(malignant) (Guo
    # et al., 2017).
    TEMPERATURE = 1.0
    OPERATING_POINTS = ()  # ((sensitivity, threshold of P(malignant)), ...)
    SENSITIVITY = 0.0  # chooses one of OPERATING_POINTS; 0: the most probable class
    # detect() measures how unlike the training images an image is, by so many principal
    # components of their features and by its doubt that there is a lesion.
    # familiarity.fit_familiarity sets it, and the weights; 0: not measured
    UNFAMILIAR_COMPONENTS = 0
    # Of the convolutions in detect(): "bfloat16" halves the time on processors with
    # instructions for it (AVX512_BF16, AMX; GPUs since Ampere), and is slower on others
    INFERENCE_PRECISION = "float32"

    # Losses (paper, eqs. of the RPN, of the focal loss and of the Segment subnet), by
    # their names in losses.RPN_CLASS_LOSSES, CLASS_LOSSES, BOX_LOSSES and MASK_LOSSES
    RPN_CLASS_LOSS = "focal"  # or "cross_entropy"
    CLASS_LOSS = "cross_entropy"  # or "focal"
    BOX_LOSS = "sum"  # of smooth L1 over the four deltas, or "mean" as in Matterport
    MASK_LOSS = "bce+jaccard"  # or "bce"
    FOCAL_ALPHA = 0.25  # weight of the foreground
    FOCAL_BETA = 2.0  # higher: easy examples count less
    RPN_REG_WEIGHT = 10.0  # rho of the paper
    JACCARD_DELTA = 100.0  # smooths the Jaccard distance of small masks
    JACCARD_SCALE = 1.0  # factor of the Jaccard distance, delta in keras-contrib
    JACCARD_WEIGHT = 1.0  # relative to the cross-entropy
    LOSS_WEIGHTS = dict.fromkeys(LOSS_TERMS, 1.0)

    # Of the convolutions in training; weights and losses stay in float32. "bfloat16" is
    # faster on processors with instructions for it (AVX512_BF16, AMX; GPUs since
    # Ampere), and slower on others
    TRAINING_PRECISION = "float32"

    # Optimisation
    OPTIMIZER = "sgd"  # or "adamw", for random weights
    LEARNING_RATE = 0.001  # of train() without `learning_rate`
    LEARNING_MOMENTUM = 0.9
    WEIGHT_DECAY = 0.0001
    GRADIENT_CLIP_NORM = 5.0  # of the global norm, against exploding gradients
    LEARNING_RATE_SCHEDULE = "constant"  # or "cosine", within each stage
    WARMUP_STEPS = 0  # linear warm-up at the start of each stage
    AUGMENT = True
    # "paper": up to two of its five augmentations per image. "strong": every image is
    # rotated, scaled, shifted and recoloured, for data sets of a few thousand images
    AUGMENTATION = "paper"
    BALANCE_CLASSES = False  # draw all classes equally often
    BALANCE_FOLDERS = False  # draw from all folders, such as --extra-train, alike
    MONITOR = "val_loss"  # chooses the best epoch; or val_JA, val_AUC, val_score
    EARLY_STOPPING_PATIENCE = 0  # epochs without a better MONITOR; 0: off
    CHECKPOINT_STEPS = 200  # save within an epoch after this number of steps; 0: off
    SEED = 0  # of all random choices

    def __init__(self, **overrides):
        self._set(overrides)

    def __setattr__(self, name, value):
        if name.isupper():
            self._require_known(name)
        super().__setattr__(name, value)

    def _set(self, values):
        """Set fields, store lists as tuples, and check the whole."""
        for name, value in values.items():
            setattr(self, name, value)
        for name in settable_fields(type(self)):
            if isinstance(getattr(type(self), name, None), property):
                raise ValueError(
                    f"{name} must be a value, got a property of {type(self).__name__}: "
                    "set it in __init__, before super().__init__()"
                )
            value = getattr(self, name)
            if getattr(value, "__self__", None) is self:
                value = value.__func__  # a subclass's BACKBONE is no method of it
            setattr(self, name, as_plain(value))
        self.validate()

    # Computed fields

    @computed_from("IMAGES_PER_GPU", "GPU_COUNT")
    def BATCH_SIZE(self):
        """Images in a step, over all devices."""
        return self.IMAGES_PER_GPU * self.GPU_COUNT

    @computed_from(
        "IMAGE_RESIZE_MODE", "IMAGE_MIN_DIM", "IMAGE_MAX_DIM", "IMAGE_CHANNEL_COUNT"
    )
    def IMAGE_SHAPE(self):
        """(height, width, channels) that the network sees; None where it varies."""
        if self.IMAGE_RESIZE_MODE == "square":
            side = self.IMAGE_MAX_DIM
        elif self.IMAGE_RESIZE_MODE == "crop":
            side = self.IMAGE_MIN_DIM
        else:
            side = None
        return (side, side, self.IMAGE_CHANNEL_COUNT)

    @computed_from(
        "IMAGE_RESIZE_MODE", "IMAGE_MAX_DIM", "IMAGE_CHANNEL_COUNT", "DETECTION_CANVAS"
    )
    def CANVAS_SHAPE(self):
        """Shape of the network's input in detect(); None where it varies."""
        if self.IMAGE_RESIZE_MODE == "crop" or self.DETECTION_CANVAS == "content":
            return (None, None, self.IMAGE_CHANNEL_COUNT)
        return self.IMAGE_SHAPE

    @computed_from("BACKBONE_STRIDES", "RPN_LEVELS")
    def RPN_STRIDES(self):
        """Pixels of the image for one cell of each of RPN_LEVELS."""
        return tuple(self.BACKBONE_STRIDES[level - 2] for level in self.RPN_LEVELS)

    @computed_from("NUM_CLASSES")
    def IMAGE_META_SIZE(self):
        """Length of an image's meta data (molding.compose_image_meta)."""
        return 12 + self.NUM_CLASSES

    @computed_from("NUM_CLASSES", "TASKS")
    def HEAD_CLASSES(self):
        """Number of classes of the heads: without "classify", lesion or not."""
        return self.NUM_CLASSES if "classify" in self.TASKS else 2

    @computed_from("OPERATING_POINTS", "SENSITIVITY")
    def THRESHOLD(self):
        """Lowest P(malignant) of a malignant image; None if not chosen."""
        return dict(self.OPERATING_POINTS).get(self.SENSITIVITY)

    @computed_from("TASKS")
    def LOSS_NAMES(self):
        """Names of the loss terms that the chosen tasks have, in log order."""
        names = ["rpn_class_loss", "rpn_bbox_loss"]
        for task, name in (
            ("classify", "mrcnn_class_loss"),
            ("detect", "mrcnn_bbox_loss"),
            ("segment", "mrcnn_mask_loss"),
        ):
            if task in self.TASKS:
                names.append(name)
        return names

    def replace(self, **overrides):
        """Return a copy with some fields changed, and check it."""
        twin = copy.copy(self)
        twin._set(overrides)
        return twin

    def parse_overrides(self, assignments):
        """Turn "NAME=VALUE" strings into a dict for `replace`.

        Values are Python literals ("56,56", "True", "0.25"), or else words; words of
        a field that is a list part at commas ("classify,detect"). Raises ValueError
        for an unknown name or a missing "=".
        """
        overrides = {}
        for assignment in assignments:
            name, equals, text = assignment.partition("=")
            if not equals:
                raise ValueError(f"a setting must be NAME=VALUE, got {assignment!r}")
            self._require_known(name)
            try:
                overrides[name] = ast.literal_eval(text)
            except (ValueError, SyntaxError):
                words = tuple(text.split(","))
                is_list = isinstance(getattr(self, name), tuple)
                overrides[name] = words if is_list else text
        return overrides

    def to_dict(self):
        """Return {field: value} of all fields that can be set, by name."""
        return {name: getattr(self, name) for name in settable_fields(type(self))}

    def to_json(self, path=None):
        """Return the fields as JSON text; write it to `path` if one is given."""
        values = self.to_dict()
        if callable(self.BACKBONE):
            values["BACKBONE"] = CALLABLE + function_name(self.BACKBONE)
        text = json.dumps(values, indent=2) + "\n"
        if path is not None:
            with written_whole(path) as partial:
                partial.write_text(text, encoding="utf-8")
        return text

    @classmethod
    def from_json(cls, path):
        """Read a Config written by `to_json`; raises ValueError naming the file."""
        try:
            with open(path, encoding="utf-8") as handle:
                return cls.from_dict(json.load(handle))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path} is not a configuration: {error}") from error

    @classmethod
    def from_dict(cls, values):
        """Make a Config of {field: value}; lists stand for tuples.

        Raises ValueError for anything else, such as another kind of JSON.
        """
        if not isinstance(values, dict) or not values:
            raise ValueError(f"fields must be in a dict, got {str(values)[:40]!r}")
        for name in values:
            if not (isinstance(name, str) and name.isupper()):
                raise ValueError(f"{name!r} is no name of a field")
        config = cls.__new__(cls)  # a subclass's __init__ may take no fields
        config._set(values)
        return config

    def differences(self, values):
        """Compare the fields that change what a trained network answers.

        values: {field: value} of another Config, as read from JSON. Returns {field:
        (value here, other value)} of those that differ; unknown fields do not count.
        """
        own = json.loads(self.to_json())
        names = [n for n in own if n in values and n not in TRAINING_FIELDS]
        return {n: (own[n], values[n]) for n in names if own[n] != values[n]}

    def display(self):
        """Print every field and computed value, one a line."""
        print("\nConfigurations:")
        for name in sorted(
            [*settable_fields(type(self)), *computed_fields(type(self))]
        ):
            print(f"{name:30} {getattr(self, name)}")
        print()

    def validate(self):
        """Raise ValueError for the first field, or combination, that cannot work."""
        known = set(settable_fields(type(self))) | computed_fields(type(self))
        known -= {n for n, f in COMPUTED.items() if getattr(type(self), n) is not f}
        for name in (n for c in type(self).__mro__ for n in vars(c) if n.isupper()):
            if name not in known:
                self._require_known(name)
        for name, (only, why) in DROPPED.items():
            value = getattr(self, name, only)
            if value is not only:
                raise ValueError(f"{name} must be {only}, got {value!r}: {why}")
        for name, (accepts, wanted) in RULES.items():
            value = getattr(self, name)
            if not accepts(value):
                raise ValueError(f"{name} must be {wanted}, got {value!r}")
        for name in settable_fields(type(self)):
            if name not in RULES and not fits_json(getattr(self, name)):
                raise ValueError(
                    f"{name} must be a number, text, True, False, None, or a list or "
                    "dict of these, since weight files store it as JSON, got "
                    f"{getattr(self, name)!r}"
                )
        for holds, message in combinations(self):
            if not holds:
                raise ValueError(message)

    def _require_known(self, name):
        if name in COMPUTED:
            sources = ", ".join(COMPUTED[name].sources)
            raise ValueError(f"{name} is computed: set {sources} instead")
        fields = settable_fields(type(self))
        if name not in fields and name not in DROPPED:
            close = difflib.get_close_matches(name, fields, n=1)
            meant = f"did you mean {close[0]}? Otherwise " if close else ""
            raise ValueError(
                f"{type(self).__name__} has no setting {name!r}; {meant}declare a "
                f"field of your own with its type, {name}: int = 3"
            )


COMPUTED = {n: v for n, v in vars(Config).items() if isinstance(v, ComputedField)}


class MatterportConfig(Config):
    """Matterport's losses, and no augmentation but the one that train() is given.

    For subclasses written for Matterport's Config, whose fields have its values here:
    `from mrcnn_skin.config import MatterportConfig as Config`.
    """

    RPN_CLASS_LOSS = "cross_entropy"
    RPN_REG_WEIGHT = 1.0
    BOX_LOSS = "mean"
    MASK_LOSS = "bce"
    AUGMENT = False
