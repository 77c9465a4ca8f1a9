"""Files in the form that the ISIC challenges take, ready for their scorer.

One mask of one region without holes for each image, at the image's own size, and one
table of probabilities. Nothing is scored here.
"""

import io
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, PngImagePlugin
from skimage.measure import label, regionprops

from ..atomic import written_whole
from ..data.files import PREDICTION_MARK
from ..geometry.inputs import as_mask


def official_mask(mask):
    """Give a mask the form that ISIC 2018 asks for: one region without holes.

    mask: bool [height, width].
    Returns bool [height, width]: its largest connected component (8 neighbours), holes
    filled; empty when the mask is.
    """
    mask = as_mask(mask)
    official = np.zeros(mask.shape, bool)
    regions = regionprops(label(mask))
    if regions:
        largest = max(regions, key=lambda region: region.area)
        official[largest.slice] = largest.image_filled
    return official


def mask_png(mask):
    """Return a predicted mask, bool [height, width], as a grey PNG, 0 or 255.

    The file says that it is a prediction, so that it is never read as ground truth.
    """
    buffer, text = io.BytesIO(), PngImagePlugin.PngInfo()
    text.add_text("Software", PREDICTION_MARK)
    image = Image.fromarray(as_mask(mask).astype(np.uint8) * 255)
    image.save(buffer, format="PNG", pnginfo=text)
    return buffer.getvalue()


def write_mask(path, mask):
    """Write mask_png(mask) to a file, whole or not at all; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as partial:
        partial.write_bytes(mask_png(mask))


def mask_path(folder, image):
    """Where the mask of an image belongs; the scorer finds it by the digits."""
    return Path(folder, "masks", f"{image}_segmentation.png")


def write_classification(path, images, p_malignant):
    """Write the table of probabilities: columns image and malignant."""
    rows = pd.DataFrame({"image": list(images), "malignant": list(p_malignant)})
    with written_whole(path) as partial:
        # The scorer takes a column of bare integers for a mistake: always a point.
        rows.to_csv(partial, index=False, float_format="%.12f")
