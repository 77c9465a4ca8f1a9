"""Masks cut to their box, shrunk, and pasted back at full size.

A small mask is stretched over its box with the corners aligned: its first and last
pixels lie on the box's first and last pixels. tf.image.crop_and_resize samples so
too (with boxes from norm_boxes), hence what the mask head learns from, what it
predicts and what is pasted here agree. Resizing with the image is in images.py.
"""

import numpy as np
from scipy import sparse

from .inputs import as_boxes, as_mask, as_probabilities

THRESHOLD = 0.5
FULL_COVERAGE = 255  # of a pixel of shrink_masks


def minimize_mask(bbox, mask, mini_shape):
    """Cut each mask to its box and shrink it, to save memory.

    bbox: int [N, (y1, x1, y2, x2)], pixels.
    mask: [height, width, N], as of inputs.as_mask.
    mini_shape: (height, width) of the result.
    Returns bool [mini height, mini width, N]; all False for a box without area.
    Raises ValueError if a box leaves the image, or as as_mask and as_boxes do.
    """
    return shrink_masks(bbox, mask, mini_shape) >= THRESHOLD * FULL_COVERAGE


def shrink_masks(bbox, mask, mini_shape):
    """Cut each mask to its box and shrink it, keeping how far each pixel is covered.

    Targets are sampled from the result: samples between two pixels of a mask without
    grey levels would all move to the nearer one.

    bbox, mask, mini_shape: as for minimize_mask, which also has the errors.
    Returns uint8 [mini height, mini width, N], 0 to FULL_COVERAGE.
    """
    bbox = as_boxes(bbox, whole=True, name="bbox")
    mask = as_mask(mask, ndim=3, count=len(bbox))
    mini = np.zeros((*mini_shape, len(bbox)), dtype=np.uint8)
    for i, (y1, x1, y2, x2) in enumerate(bbox):
        _check_inside((y1, x1, y2, x2), mask.shape)
        crop = mask[y1:y2, x1:x2, i].astype(np.float32)
        if crop.size:
            covered = _stretch(crop, mini_shape, antialias=True)
            mini[:, :, i] = np.rint(FULL_COVERAGE * covered)
    return mini


def expand_mask(bbox, mini_mask, image_shape):
    """Paste shrunken masks back into the image; the inverse of minimize_mask.

    bbox: int [N, (y1, x1, y2, x2)], pixels.
    mini_mask: [mini height, mini width, N], as of inputs.as_mask.
    image_shape: (height, width, ...), pixels.
    Returns bool [height, width, N]. What shrinking lost does not come back.
    Raises ValueError if a box leaves the image.
    """
    bbox = as_boxes(bbox, whole=True, name="bbox")
    mini_mask = as_probabilities(mini_mask, ndim=3, name="mini_mask", count=len(bbox))
    mask = np.zeros((*image_shape[:2], len(bbox)), dtype=bool)
    for i, box in enumerate(bbox):
        mask[:, :, i] = unmold_mask(mini_mask[:, :, i], box, image_shape)
    return mask


def unmold_mask(mask, bbox, image_shape):
    """Paste one predicted mask into its box in the image (Matterport's unmold_mask).

    mask: [mask height, mask width], probabilities, or as of inputs.as_mask.
    bbox: int (y1, x1, y2, x2), pixels.
    image_shape: (height, width, ...), pixels.
    Returns bool [height, width], True where the probability is at least 0.5.
    Raises ValueError if the box leaves the image, or as as_mask does.
    """
    mask = as_probabilities(mask)
    (bbox,) = as_boxes([bbox], whole=True, name="bbox")
    _check_inside(bbox, image_shape)
    y1, x1, y2, x2 = bbox
    full = np.zeros(image_shape[:2], dtype=bool)
    if y2 > y1 and x2 > x1:
        stretched = _stretch(mask, (y2 - y1, x2 - x1))
        full[y1:y2, x1:x2] = stretched >= THRESHOLD
    return full


def trim_zeros(x):
    """Rows of x [rows, columns] that are not all zero, as padded boxes are."""
    x = np.asarray(x)
    if x.ndim != 2:
        raise ValueError(f"x must be [rows, columns], got {list(x.shape)}")
    return x[(x != 0).any(axis=1)]


def _stretch(values, shape, antialias=False):
    """Bilinear resize of [height, width] to shape, corners aligned.

    antialias: average over all pixels where it shrinks, as Pillow and TensorFlow do.
    """
    rows, columns = (
        _weights(size, count, antialias)
        for size, count in zip(values.shape, shape, strict=True)
    )
    return rows @ values @ columns.T


def _weights(size, count, antialias):
    """Weights [count, size] of an axis' pixels in `count` samples, corners aligned.

    They are sparse: few are not 0, and a dense product would run in threads of NumPy's
    BLAS, which take ten times as long where training keeps all processors busy.
    """
    if count == 1:
        samples = np.array([(size - 1) / 2])
    else:
        samples = np.arange(count) * (size - 1) / (count - 1)
    reach = max(1.0, (size - 1) / max(count - 1, 1)) if antialias else 1.0
    distance = abs(np.arange(size) - samples[:, None]) / reach
    weights = np.maximum(1.0 - distance, 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    return sparse.csr_array(weights.astype(np.float32))


def _check_inside(bbox, image_shape):
    y1, x1, y2, x2 = bbox
    height, width = image_shape[:2]
    if not (0 <= y1 <= y2 <= height and 0 <= x1 <= x2 <= width):
        raise ValueError(
            f"box must lie in the image of {height} x {width} pixels, "
            f"got (y1, x1, y2, x2) = {tuple(int(v) for v in bbox)}"
        )
