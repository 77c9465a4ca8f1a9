"""How much worse the scores get when the same images are spoiled.

Image by image and corruption by corruption, seeded: the same seed spoils the same
image alike, for any model. What spoils is in corruptions.py.
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
    """A dataset whose images are spoiled in one way as they are loaded.

    dataset: a prepared Dataset. name: of CORRUPTIONS. Whatever is not loaded, labels
    and image_info among it, is the dataset's own.
    """

    def __init__(self, dataset, name, seed=0):
        self._dataset, self._name, self._seed = dataset, name, seed

    def __getattr__(self, name):
        return getattr(self._dataset, name)

    def load_image(self, image_id):
        """uint8 [h, w, 3], spoiled."""
        image = as_image(self._dataset.load_image(image_id))
        return CORRUPTIONS[self._name](image, self._rng(image_id))

    def load_mask(self, image_id):
        """As of the dataset, turned as the image is."""
        masks, class_ids = load_instances(self._dataset, image_id)
        if self._name == "rotation":
            masks = CORRUPTIONS[self._name](masks, self._rng(image_id))
        return masks, class_ids

    def _rng(self, image_id):
        kind = list(CORRUPTIONS).index(self._name)
        return np.random.default_rng([self._seed, kind, int(image_id)])


def robustness_table(
    detector, dataset, per_image, resamples, seed=0, progress=True, image_ids=None
):
    """Score a detector on every corruption, against its scores on the clean images.

    detector, dataset, image_ids: as of scoring.score_images. per_image: what that
    returned for the clean images. progress: whether to show progress bars, or a
    function of a corruption's name that returns the title of its bar.

    Returns a DataFrame, a row a corruption and metric of SHOWN: corruption, metric,
    clean, value, drop (clean - value), low and high (its paired 95 % interval), images.
    """
    tables = []
    for name in CORRUPTIONS:
        spoiled, _ = score_images(
            detector,
            CorruptedDataset(dataset, name, seed),
            progress=progress(name) if callable(progress) else progress,
            image_ids=image_ids,
        )
        rows = compare(per_image, spoiled, resamples, seed)
        keys = list(zip(rows["task"], rows["metric"], strict=True))
        rows = rows[[key in SHOWN for key in keys]]
        rows = rows.rename(
            columns={"value": "clean", "other": "value", "difference": "drop"}
        )
        tables.append(rows.drop(columns=["task", "p"]).assign(corruption=name))
    columns = ["corruption", "metric", "clean", "value", "drop", "low", "high"]
    return pd.concat(tables, ignore_index=True)[[*columns, "images"]]
