"""What the notebooks of this folder share: images and a model, each by one line.

Without data or weights they show generated lesions and a network that learns from them
for a minute; nothing is downloaded.
"""

import argparse
from pathlib import Path

import common
import isic_data
import train

from mrcnn_skin import IsicConfig, MaskRCNN
from mrcnn_skin.data.synthetic import SyntheticDataset
from mrcnn_skin.training.stages import Stage

LOGS = common.ROOT / "logs"
SHIPPED = common.WEIGHTS_DIR / "mrcnn_skin_lite_isic.h5"
SHAPE = (192, 256)  # of generated images: wider than high, as photographs are
SMALL_SIDE = 128
SMALL_RUN = "notebook"


def small_config():
    """Settings of a network that learns generated lesions in a minute."""
    return IsicConfig(
        **train.FROM_SCRATCH,
        **train.QUICK_CONFIG,
        **common.image_size_overrides(SMALL_SIDE),
    ).replace(IMAGES_PER_GPU=8, STEPS_PER_EPOCH=60, WARMUP_STEPS=10, CHECKPOINT_STEPS=0)


def open_images(folder, split, config, limit=40):
    """The first images of a split of a folder of ISIC images, or "synthetic" ones.

    limit: so many images at most. Returns a prepared Dataset; prints what it holds.
    """
    if folder == "synthetic":
        dataset = SyntheticDataset(limit, SHAPE, common.SYNTHETIC_SEEDS[split])
    else:
        check = {"check": "header"}
        dataset = isic_data.open_isic(folder, split, config, LOGS, limit, **check)
    print(dataset.summary())
    return dataset


def open_model(weights=None):
    """A MaskRCNN that detects.

    weights: path of a trained .h5 file, with its config beside it; "last", the best
    of the newest run in LOGS; or None, the shipped file where there is one, else a
    small network, which is trained here the first time.
    """
    if weights is None:
        weights = SHIPPED if SHIPPED.exists() else _small_weights()
    nothing_set = dict.fromkeys(("backbone", "image_size", "set"))
    options = argparse.Namespace(logs=LOGS, **nothing_set)
    return common.load_model(weights, options)


def _small_weights():
    """Path of the small network's weights; trained unless they are there."""
    config = small_config()
    path = LOGS / SMALL_RUN / f"mask_rcnn_{config.NAME}_last.h5"
    if not path.exists():
        print(f"training a small network on generated lesions, into {path.parent}")
        model = MaskRCNN("training", config, LOGS)
        model.set_log_dir(SMALL_RUN)
        side = config.IMAGE_MAX_DIM
        images = SyntheticDataset(config.STEPS_PER_EPOCH * 8, (side, side))
        model.train(images, None, stages=[Stage("all", 1, 1e-3)], verbose=2)
    return Path(path)
