"""The functions of Matterport's utils.py under its names, for scripts that use them.

Everything is defined elsewhere, in geometry/, evaluation/ and data/; only what has
another form there is adapted here.
"""

import numpy as np
import skimage.transform

from .data.dataset import Dataset
from .evaluation.detection_metrics import (
    compute_ap,
    compute_ap_range,
    compute_matches,
    compute_recall,
)
from .geometry import images
from .geometry.anchors import generate_anchors, generate_pyramid_anchors
from .geometry.boxes import (
    apply_box_deltas,
    box_refinement,
    compute_iou,
    compute_overlaps,
    compute_overlaps_masks,
    denorm_boxes,
    extract_bboxes,
    non_max_suppression,
    norm_boxes,
)
from .geometry.images import resize_mask
from .geometry.masks import expand_mask, minimize_mask, trim_zeros, unmold_mask
from .weights_io.downloads import COCO_SIZE, COCO_URL, download

__all__ = [
    "Dataset",
    "apply_box_deltas",
    "box_refinement",
    "compute_ap",
    "compute_ap_range",
    "compute_iou",
    "compute_matches",
    "compute_overlaps",
    "compute_overlaps_masks",
    "compute_recall",
    "denorm_boxes",
    "download_trained_weights",
    "expand_mask",
    "extract_bboxes",
    "generate_anchors",
    "generate_pyramid_anchors",
    "minimize_mask",
    "non_max_suppression",
    "norm_boxes",
    "resize",
    "resize_image",
    "resize_mask",
    "trim_zeros",
    "unmold_mask",
]


def resize_image(image, min_dim=None, max_dim=None, min_scale=None, mode="square"):
    """Resize as geometry.images.resize_image does; mode "crop" cuts anywhere.

    np.random.seed makes the place of the crop repeat.
    """
    rng = np.random.default_rng(np.random.randint(2**31))
    return images.resize_image(image, min_dim, max_dim, min_scale, mode, rng)


def resize(
    image,
    output_shape,
    order=1,
    mode="constant",
    cval=0,
    clip=True,
    preserve_range=False,
    anti_aliasing=False,
    anti_aliasing_sigma=None,
):
    """skimage.transform.resize with the defaults of Matterport's function.

    Raises ValueError for bool, which cannot be interpolated, and for integers of 32
    bits and more, which become a fraction of their type's range, unless they are kept
    by preserve_range.
    """
    dtype = np.asarray(image).dtype
    if dtype.kind in "iu" and dtype.itemsize >= 4 and not preserve_range:
        raise ValueError(
            f"image must be uint8, uint16 or float, got {dtype}: convert it, or keep "
            "its values with preserve_range=True"
        )
    return skimage.transform.resize(
        image,
        output_shape,
        order,
        mode,
        cval,
        clip,
        preserve_range,
        anti_aliasing,
        anti_aliasing_sigma,
    )


def download_trained_weights(coco_model_path, verbose=1):
    """Download Matterport's COCO weights to a path, unless they are there.

    verbose: 1 shows a progress bar. Returns the path. Raises downloads.DownloadError.
    """
    return download(COCO_URL, coco_model_path, size=COCO_SIZE, progress=verbose > 0)
