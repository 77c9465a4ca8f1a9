"""Data sets of generated lesions, in memory or in the layout of a challenge.

The images of lesion_painter.py are meant for tests, tutorials and smoke runs; scores on
them say nothing about patients.
"""

import functools
import os
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from .dataset import Dataset
from .lesion_painter import synthetic_lesion


class SyntheticDataset(Dataset):
    """Generated lesions with the classes of IsicDataset, painted on demand.

    Image i depends on (seed, i) and its class alone: data sets of different seeds
    share no lesion, and a longer one starts like a shorter one.
    """

    def __init__(self, count, size=(128, 128), seed=0, malignant_fraction=0.5):
        """Register the images and call prepare().

        Args:
            count: number of images, at least 1.
            size: (height, width), pixels.
            seed: int >= 0.
            malignant_fraction: 0 to 1; round(count * malignant_fraction) are malignant.

        Raises:
            ValueError: if count or malignant_fraction is out of range.
        """
        super().__init__()
        if count < 1:
            raise ValueError(f"count must be 1 or more, got {count}")
        if not 0 <= malignant_fraction <= 1:
            raise ValueError(
                f"malignant_fraction must be in [0, 1], got {malignant_fraction}"
            )
        self.size = tuple(size)
        self.seed = seed
        self.add_class("isic", 1, "benign")
        self.add_class("isic", 2, "malignant")
        so_far = [round(i * malignant_fraction) for i in range(count + 1)]
        for i, malignant in enumerate(np.diff(so_far)):
            self.add_image("isic", f"SYN_{i:07d}", None, class_id=1 + int(malignant))
        self.prepare()

    def image_reference(self, image_id):
        """Return a description of the image, which has no file."""
        return f"generated, seed {self.seed}, image {image_id}"

    def load_image(self, image_id):
        """Return the image, uint8 [h, w, 3], RGB."""
        return self._paint(image_id)[0].copy()

    def load_mask(self, image_id):
        """Return the one lesion's mask bool [h, w, 1] and class id int32 [1]."""
        mask = self._paint(image_id)[1]
        class_id = self.image_info[image_id]["class_id"]
        return mask[:, :, None].copy(), np.array([class_id], np.int32)

    def summary(self):
        """Describe the number of images of each class."""
        malignant = sum(info["class_id"] == 2 for info in self.image_info)
        h, w = self.size
        return (
            f"{self.num_images} generated images of {h} x {w} pixels, no photographs: "
            f"{self.num_images - malignant} benign, {malignant} malignant "
            f"(seed {self.seed})"
        )

    def _paint(self, image_id):
        malignant = self.image_info[image_id]["class_id"] == 2
        return _remembered_lesion(self.seed, int(image_id), self.size, malignant)


@functools.lru_cache(maxsize=16)
def _remembered_lesion(seed, index, size, malignant):
    """Paint a lesion once for load_image and load_mask."""
    # A spawn key, unlike a longer entropy, never equals another (seed, index).
    sequence = np.random.SeedSequence(seed, spawn_key=(index,))
    return synthetic_lesion(sequence, size, malignant)


def write_synthetic_isic(
    folder, count, size=(128, 128), seed=0, validation=0, test=0, malignant_fraction=0.5
):
    """Write generated images in the layout of the ISIC 2017 challenge.

    About one benign lesion in six is labelled seborrheic keratosis; it looks the same.
    The comment of every JPEG says that it is generated.

    Args:
        folder: created here, completely or not at all.
        count, validation, test: number of images in each part; empty parts are omitted.
        size, seed, malignant_fraction: as in SyntheticDataset.

    Returns:
        the folder as a Path.

    Raises:
        FileExistsError: if the folder exists and is not empty.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"folder must be new or empty, got {folder}")
    total = count + validation + test
    dataset = SyntheticDataset(total, size, seed, malignant_fraction)
    parts = np.split(dataset.image_ids, [count, count + validation])
    names = ("Training", "Validation", "Test_v2")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        whole = Path(scratch) / "whole"
        for name, image_ids in zip(names, parts, strict=True):
            if len(image_ids):
                _write_part(dataset, image_ids, whole, f"ISIC-2017_{name}")
        os.replace(whole, folder)
    return folder


def _write_part(dataset, image_ids, folder, prefix):
    images = folder / f"{prefix}_Data"
    masks = folder / f"{prefix}_Part1_GroundTruth"
    images.mkdir(parents=True)
    masks.mkdir()
    rows = []
    for i in image_ids:
        name = f"ISIC_{i:07d}"
        image = Image.fromarray(dataset.load_image(i))
        comment = "generated by mrcnn_skin, not a photograph"
        image.save(images / f"{name}.jpg", quality=92, comment=comment)
        mask, class_ids = dataset.load_mask(i)
        mask_image = Image.fromarray(mask[:, :, 0]).convert("L")  # 0 or 255
        mask_image.save(masks / f"{name}_segmentation.png")
        melanoma = class_ids[0] == 2
        rows.append((name, float(melanoma), float(not melanoma and i % 6 == 0)))
    columns = ["image_id", "melanoma", "seborrheic_keratosis"]
    table = pd.DataFrame(rows, columns=columns)
    table.to_csv(folder / f"{prefix}_Part3_GroundTruth.csv", index=False)
