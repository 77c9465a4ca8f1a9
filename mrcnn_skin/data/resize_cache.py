"""Load images and ground truth at the network's size, with an optional cache.

This is the part of loading before augmentation, which is the same in every epoch.
"""

import functools
import hashlib
import json
import os
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..atomic import written_whole
from ..geometry.boxes import extract_bboxes
from ..geometry.images import choose_scale, resize_image, resize_mask
from ..geometry.inputs import as_input
from .dataset import load_instances

_FORMAT = 2  # of the cache's files; another number makes all of them anew


class Example(NamedTuple):
    """One image with its truth, resized.

    image: uint8 [h, w, channels]. class_ids: int32 [n], negative for crowds. masks:
    bool [h, w, n]. window: (y1, x1, y2, x2), pixels, the part of the image that is not
    padding. scale: of the resize. original_shape: of the image before it.
    """

    image: np.ndarray
    class_ids: np.ndarray
    masks: np.ndarray
    window: tuple
    scale: float
    original_shape: tuple

    @property
    def boxes(self):
        """int32 [n, (y1, x1, y2, x2)], pixels; zeros for an empty mask."""
        return extract_bboxes(self.masks)


def load_resized(dataset, config, image_id, seed=0):
    """Load and resize one image with its truth; returns an Example.

    If Config.CACHE_DIR is set, the result is read from there, or written to it.
    seed: of the crop, with IMAGE_RESIZE_MODE "crop".
    Raises ValueError if the image or the masks are unusable or differ in size.
    """
    if not config.CACHE_DIR or not dataset.image_info[image_id]["path"]:
        return _load(dataset, config, image_id, seed)
    path = Path(config.CACHE_DIR) / f"{_key(dataset, config, image_id)}.npz"
    resized = _read(path)
    if resized is None:
        resized = _load(dataset, config, image_id, seed)
        _write(path, resized)
    return resized


def _load(dataset, config, image_id, seed):
    size = _size(config)
    scale_of = functools.partial(choose_scale, **size)
    name = f"image {dataset.image_reference(image_id)}"
    image, whole_shape = dataset.load_reduced_image(image_id, scale_of)
    image = as_input(image, config, name)
    whole_shape = (*whole_shape[:2], image.shape[2])
    masks, class_ids = load_instances(dataset, image_id, whole_shape[:2])
    rng = np.random.default_rng(seed)
    image, window, scale, padding, crop = resize_image(
        image, **size, rng=rng, whole_shape=whole_shape
    )
    masks = resize_mask(masks, scale, padding, crop)
    return Example(image, class_ids, masks, window, scale, whole_shape)


def _size(config):
    """Config's arguments of geometry.images.resize_image."""
    return {
        "min_dim": config.IMAGE_MIN_DIM,
        "max_dim": config.IMAGE_MAX_DIM,
        "min_scale": config.IMAGE_MIN_SCALE,
        "mode": config.IMAGE_RESIZE_MODE,
    }


def _key(dataset, config, image_id):
    """Return a hash of all that a resized image depends on: info, options, files."""
    info = dataset.image_info[image_id]
    stats = [os.stat(path) for path in (info["path"], *info.get("mask_paths", ()))]
    parts = {
        "format": _FORMAT,
        "dataset": f"{type(dataset).__module__}.{type(dataset).__qualname__}",
        "classes": [list(dataset.class_names), dataset.class_map],
        "info": info,
        "files": [(stat.st_size, stat.st_mtime_ns) for stat in stats],
        "size": _size(config),
    }
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _read(path):
    """Read an Example; None if there is none, or none that is whole."""
    try:
        with np.load(path, allow_pickle=False) as file:
            values = {name: file[name] for name in file.files}
        shape = values["image"].shape[:2]
        bits = values.pop("mask_bits")
        masks = np.unpackbits(bits, axis=1, count=shape[1]).view(bool)
        values["window"] = tuple(values["window"].tolist())
        values["original_shape"] = tuple(values["original_shape"].tolist())
        return Example(**{**values, "scale": float(values["scale"]), "masks": masks})
    except FileNotFoundError:
        return None
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return None  # a truncated file, which is written again


def _write(path, resized):
    """Write an Example whole or not at all, whoever else writes the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = resized._asdict()
    values["mask_bits"] = np.packbits(values.pop("masks"), axis=1)
    with written_whole(path) as partial, open(partial, "wb") as file:
        np.savez(file, **values)
