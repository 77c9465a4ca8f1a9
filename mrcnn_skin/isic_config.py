"""Settings for lesions in dermoscopy images: the paper's, and a light network's."""

from .config import Config


class IsicConfig(Config):
    """Benign or malignant lesions in dermoscopy images: the paper's settings."""

    NAME = "isic"
    NUM_CLASSES = 3
    CLASS_NAMES = ("BG", "benign", "malignant")
    MALIGNANT_CLASS_IDS = (2,)
    BACKBONE = "resnet50"
    IMAGES_PER_GPU = 2
    STEPS_PER_EPOCH = 0
    VALIDATION_STEPS = 0
    IMAGE_MIN_DIM = 1024  # small images are enlarged to fill the square
    MAX_GT_INSTANCES = 8
    # One or a few large lesions an image: coarser anchors than COCO's
    RPN_ANCHOR_SCALES = (64, 128, 256, 512, 1024)
    # ... and far fewer regions to look at than a street scene has
    POST_NMS_ROIS_TRAINING = 1000
    POST_NMS_ROIS_INFERENCE = 300
    TRAIN_ROIS_PER_IMAGE = 32
    DETECTION_MAX_INSTANCES = 10
    DETECTION_MIN_CONFIDENCE = 0.5
    DETECTION_SCORE = "lesion"
    DETECTION_KEEP_BEST = True
    MONITOR = "val_score"


class IsicLiteConfig(IsicConfig):
    """The same task with a fraction of the arithmetic, for machines without a GPU.

    Not of the paper. Made for the ImageNet weights of EfficientNet-Lite; RPN, pyramid
    and heads are new and narrow, and learn as from random weights.
    """

    NAME = "isic_lite"
    BACKBONE = "efficientnet_lite0"
    MEAN_PIXEL = (127, 127, 127)  # what its ImageNet weights were trained with
    HEAD_NORM = "group"
    GROUP_NORM_GROUPS = 8  # divides every width of the backbone, too
    IMAGES_PER_GPU = 8
    IMAGE_MIN_DIM = 256
    IMAGE_MAX_DIM = 256
    RPN_ANCHOR_SCALES = (16, 32, 64, 128, 256)
    TOP_DOWN_PYRAMID_SIZE = 96
    RPN_WIDTH = 96
    FPN_CLASSIF_FC_LAYERS_SIZE = 256
    MASK_HEAD_WIDTH = 96
    PRE_NMS_LIMIT = 2000
    POST_NMS_ROIS_TRAINING = 300
    POST_NMS_ROIS_INFERENCE = 100
    DIAGNOSIS = "image"  # on ISIC 2017, AP .73 where the best region's is .61
    RPN_REG_WEIGHT = 1.0  # the paper's 10 would drown the heads at first
    OPTIMIZER = "adamw"
    LEARNING_RATE_SCHEDULE = "cosine"
    WARMUP_STEPS = 100
