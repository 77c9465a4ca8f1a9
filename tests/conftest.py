"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data():
    """The folder of real dermoscopy images; skips the test where it is absent."""
    default = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
    folder = Path(os.environ.get("MRCNN_SKIN_REAL_DATA", default)).resolve()
    if not folder.is_dir():
        pytest.skip(f"no real images in {folder}; MRCNN_SKIN_REAL_DATA may name them")
    return folder


def tiny_backbone(images, config):
    """Four strided convolutions under the names of a ResNet's stages."""
    from keras import layers

    x = layers.Conv2D(8, 3, 2, padding="same", activation="relu", name="conv1")(images)
    stages = []
    for stage in range(2, 6):
        name = f"res{stage}a_branch2a"
        x = layers.Conv2D(8, 3, 2, padding="same", activation="relu", name=name)(x)
        stages.append(x)
    return stages


@pytest.fixture(scope="session")
def tiny_config():
    """A function that makes an IsicConfig of a network that trains in seconds."""
    from mrcnn_skin import IsicConfig

    def make(**overrides):
        settings = {
            "BACKBONE": tiny_backbone,
            "NORM": "group",
            "GROUP_NORM_GROUPS": 8,
            "TOP_DOWN_PYRAMID_SIZE": 16,
            "FPN_CLASSIF_FC_LAYERS_SIZE": 32,
            "IMAGE_MIN_DIM": 64,
            "IMAGE_MAX_DIM": 64,
            "RPN_ANCHOR_SCALES": (8, 16, 24, 32, 48),
            "RPN_TRAIN_ANCHORS_PER_IMAGE": 32,
            "PRE_NMS_LIMIT": 200,
            "POST_NMS_ROIS_TRAINING": 20,
            "POST_NMS_ROIS_INFERENCE": 20,
            "TRAIN_ROIS_PER_IMAGE": 8,
            "DETECTION_MAX_INSTANCES": 3,
            "MAX_GT_INSTANCES": 3,
            "MINI_MASK_SHAPE": (28, 28),
            "OPTIMIZER": "adamw",
        }
        return IsicConfig(**settings | overrides)

    return make
