"""Write predictions in the format of an ISIC challenge submission.

Each image has a mask of its size, one region without holes; all images have a table of
probabilities.
"""

import io
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, PngImagePlugin
from skimage.measure import label, regionprops

from ..atomic import write_text, written_whole
from ..data.files import PREDICTION_MARK
from ..geometry.inputs import as_mask


def official_mask(mask):
    """Return the largest connected component of a mask, with holes filled (ISIC 2018).

    Args:
        mask: bool [height, width].

    Returns:
        bool [height, width], of 8-connected pixels; empty for an empty mask.
    """
    mask = as_mask(mask)
    official = np.zeros(mask.shape, bool)
    regions = regionprops(label(mask))
    if regions:
        largest = max(regions, key=lambda region: region.area)
        official[largest.slice] = largest.image_filled
    return official


def mask_png(mask):
    """Encode a predicted mask, bool [height, width], as a grey PNG, 0 or 255.

    The file is marked as a prediction, so that it is never read as ground truth.
    """
    buffer, text = io.BytesIO(), PngImagePlugin.PngInfo()
    text.add_text("Software", PREDICTION_MARK)
    image = Image.fromarray(as_mask(mask).astype(np.uint8) * 255)
    image.save(buffer, format="PNG", pnginfo=text)
    return buffer.getvalue()


def write_mask(path, mask):
    """Write mask_png(mask) to a file; make its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as partial:
        partial.write_bytes(mask_png(mask))


def mask_path(folder, image):
    """Return the path of an image's mask; the scorer finds it by the digits."""
    return Path(folder, "masks", f"{image}_segmentation.png")


def write_classification(path, images, p_malignant):
    """Write the table of probabilities, with the columns image and malignant."""
    rows = pd.DataFrame({"image": list(images), "malignant": list(p_malignant)})
    # The scorer refuses columns of integers, so every number has a point
    write_text(path, rows.to_csv(index=False, float_format="%.12f"))
