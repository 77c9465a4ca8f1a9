"""Measure how much the scores drop on corrupted images.

The corruptions of an image depend on the seed only, not on the model.
"""

import numpy as np
import pandas as pd

from ..data.dataset import load_instances
from ..geometry.inputs import as_image
from .bootstrap import compare
from .corruptions import CORRUPTIONS
from .scoring import score_images

SHOWN = [
    ("segmentation", "JA"),
    ("segmentation", "DI"),
    ("classification", "AUC"),
    ("classification", "SE"),
    ("classification", "SP"),
]


class CorruptedDataset:
    """A prepared dataset whose images are corrupted by a name of CORRUPTIONS."""

    def __init__(self, dataset, name, seed=0):
        self._dataset, self._name, self._seed = dataset, name, seed

    def __getattr__(self, name):
        return getattr(self._dataset, name)

    def load_image(self, image_id):
        """Return the corrupted image, uint8 [h, w, 3]."""
        image = as_image(self._dataset.load_image(image_id))
        return CORRUPTIONS[self._name](image, self._rng(image_id))

    def load_mask(self, image_id):
        """Return masks and class ids of the corrupted image."""
        masks, class_ids = load_instances(self._dataset, image_id)
        if self._name == "rotation":
            masks = CORRUPTIONS[self._name](masks, self._rng(image_id))
        return masks, class_ids

    def _rng(self, image_id):
        kind = list(CORRUPTIONS).index(self._name)
        return np.random.default_rng([self._seed, kind, int(image_id)])


def robustness_table(detector, dataset, per_image, resamples, seed=0, progress=True):
    """Score a detector on every corruption, compared with the clean images.

    Args:
        detector, dataset: see scoring.score_images.
        per_image: DataFrame of scoring.score_images for the clean images.
        resamples: of the bootstrap.
        seed: of corruptions and bootstrap.
        progress: whether to show progress bars, or a function of a corruption's name
            that returns the title of its bar.

    Returns:
        DataFrame, one row per corruption and metric of SHOWN: corruption, metric,
        clean, value, drop (clean - value), low and high (its paired 95 % interval),
        images.
    """
    tables = []
    for name in CORRUPTIONS:
        title = progress(name) if callable(progress) else progress
        images = CorruptedDataset(dataset, name, seed)
        corrupted, _ = score_images(detector, images, progress=title)
        rows = compare(per_image, corrupted, resamples, seed)
        keys = list(zip(rows["task"], rows["metric"], strict=True))
        rows = rows[[key in SHOWN for key in keys]]
        rows = rows.rename(
            columns={"value": "clean", "other": "value", "difference": "drop"}
        )
        tables.append(rows.drop(columns=["task", "p"]).assign(corruption=name))
    columns = ["corruption", "metric", "clean", "value", "drop", "low", "high"]
    return pd.concat(tables, ignore_index=True)[[*columns, "images"]]
