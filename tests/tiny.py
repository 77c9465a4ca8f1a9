"""A network of a few thousand weights a layer, for tests that train or detect.

Same graphs, names and code paths as the real one at 64 px; only the backbone and the
widths that the Config sets are small.
"""

import keras
import numpy as np
from keras import layers, ops

from mrcnn_skin import IsicConfig
from mrcnn_skin.graph.common import norm
from mrcnn_skin.graph.mask_rcnn import training_inputs

SIDE = 64


def tiny_backbone(images, config):
    """[C2, C3, C4, C5] of strides 4..32, one convolution a stage, ResNet's names."""
    x = _block(images, 8, "conv1", "bn_conv1", config)
    stages = []
    for stage, width in ((2, 8), (3, 8), (4, 16), (5, 16)):
        name = f"{stage}a_branch2a"
        x = _block(x, width, f"res{name}", f"bn{name}", config)
        stages.append(x)
    return stages


def _block(x, width, conv_name, norm_name, config):
    x = layers.Conv2D(width, 3, 2, padding="same", name=conv_name)(x)
    return layers.ReLU(name=f"{conv_name}_relu")(norm(x, norm_name, config))


def tiny_config(**overrides):
    """An IsicConfig for 64 px images and `tiny_backbone`."""
    values = {
        "BACKBONE": tiny_backbone,
        "NORM": "group",
        "GROUP_NORM_GROUPS": 8,
        "TOP_DOWN_PYRAMID_SIZE": 16,
        "FPN_CLASSIF_FC_LAYERS_SIZE": 32,
        "MASK_HEAD_WIDTH": 32,
        "RPN_WIDTH": 32,
        "IMAGE_MIN_DIM": SIDE,
        "IMAGE_MAX_DIM": SIDE,
        "RPN_ANCHOR_SCALES": (8, 16, 24, 32, 48),
        "RPN_TRAIN_ANCHORS_PER_IMAGE": 32,
        "PRE_NMS_LIMIT": 200,
        "POST_NMS_ROIS_TRAINING": 30,
        "POST_NMS_ROIS_INFERENCE": 20,
        "TRAIN_ROIS_PER_IMAGE": 9,
        "MAX_GT_INSTANCES": 2,
        "DETECTION_MAX_INSTANCES": 3,
        "MINI_MASK_SHAPE": (28, 28),
        "AUGMENT": False,
        "CHECKPOINT_STEPS": 0,
        "MONITOR": "val_loss",
    }
    return IsicConfig(**{**values, **overrides})


def lean_config(**overrides):
    """As tiny_config, with one level of the pyramid: half the operations to trace."""
    values = {"RPN_LEVELS": (4,), "RPN_ANCHOR_SCALES": (24,), "ROI_LEVELS": (4,)}
    return tiny_config(**{**values, **overrides})


def toy_training_model(config):
    """A training graph in inputs and loss terms alone: a layer for each term.

    For tests of what the loop does with any graph; it is built and traced in a tenth
    of the time of the smallest network.
    """
    inputs = training_inputs(config)
    x = layers.Rescaling(1 / 255)(inputs["input_image"])
    x = _block(x, 8, "conv1", "bn_conv1", config)
    x = layers.GlobalAveragePooling2D()(x)
    has_lesion = ops.cast(inputs["input_gt_class_ids"][:, :1] > 0, "float32")
    terms = {}
    for name in config.LOSS_NAMES:
        said = layers.Dense(1, name=name.removesuffix("_loss"))(x)
        terms[name] = ops.mean(ops.square(said - has_lesion))
    for value in inputs.values():
        ops.cast(value, "float32")  # Keras 3.12 refuses an input that nothing takes
    return keras.Model(inputs, terms)


def training_batch(config, class_ids=(2, 0)):
    """Inputs of the training graph by name: random images of one lesion each.

    class_ids: one an image, 0 for no lesion.
    """
    inputs = {
        name: np.zeros((len(class_ids), *tensor.shape[1:]), tensor.dtype)
        for name, tensor in training_inputs(config).items()
    }
    image, lesions = inputs["input_image"], np.flatnonzero(class_ids)
    image[:] = np.random.default_rng(0).uniform(0, 255, image.shape)
    inputs["input_gt_class_ids"][:, 0] = class_ids
    inputs["input_gt_boxes"][lesions, 0] = [10, 12, 50, 40]
    inputs["input_gt_masks"][lesions, 0, 5:20, 5:20] = 255
    inputs["input_active_class_ids"][:] = 1
    inputs["input_seed"][:] = np.arange(2 * len(class_ids)).reshape(-1, 2)
    return inputs
