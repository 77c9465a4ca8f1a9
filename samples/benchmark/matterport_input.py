"""What Matterport's data_generator does with one image, written anew from its steps.

Not its code: the same steps with the same libraries, so that the time can be measured
on today's versions. Read by scikit-image, resized in floating point, the mask zoomed
by SciPy, augmented by imgaug, minimised by scikit-image; then the anchors' targets in
NumPy and the image molded, both of which this package's network does itself.
"""

import numpy as np
from scipy import ndimage
from skimage import io, transform

from mrcnn_skin.geometry.anchors import backbone_shapes, generate_pyramid_anchors
from mrcnn_skin.geometry.boxes import compute_overlaps, extract_bboxes

# Augmenters that masks follow, in its load_image_gt
MASK_AUGMENTERS = {
    *("Sequential", "SomeOf", "OneOf", "Sometimes"),
    *("Fliplr", "Flipud", "CropAndPad", "Affine", "PiecewiseAffine"),
}


def make_anchors(config):
    """Anchors in pixels, made once for all images as by its generator."""
    shapes = backbone_shapes(config.IMAGE_SHAPE, config.RPN_STRIDES)
    return generate_pyramid_anchors(
        config.RPN_ANCHOR_SCALES,
        config.RPN_ANCHOR_RATIOS,
        shapes,
        config.RPN_STRIDES,
        config.RPN_ANCHOR_STRIDE,
    )


def load_inputs(info, config, augmenter, anchors):
    """The arrays that one image adds to a batch.

    info: of IsicDataset.image_info. Returns the molded image, mini masks, boxes, and
    the anchors' matches and deltas.
    """
    image = io.imread(info["path"])
    mask = io.imread(info["mask_paths"][0])[:, :, None] > 128
    image, mask = resize(image, mask, config.IMAGE_MAX_DIM)
    fixed = augmenter.to_deterministic()
    image = fixed.augment_image(image)
    from imgaug import HooksImages  # once mrcnn_skin is imported

    hooks = HooksImages(
        activator=lambda _, a, parents, default: type(a).__name__ in MASK_AUGMENTERS
    )
    mask = fixed.augment_image(mask.astype(np.uint8), hooks=hooks).astype(bool)
    boxes = extract_bboxes(mask)
    targets = rpn_targets(anchors, boxes, config)
    mini = minimize(mask, boxes, config.MINI_MASK_SHAPE)
    return image.astype(np.float32) - config.MEAN_PIXEL, mini, boxes, *targets


def resize(image, mask, side):
    """Scale to a longer side of `side`, bilinear without averaging; pad to a square."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    size = round(height * scale), round(width * scale)
    image = transform.resize(
        image, size, order=1, mode="constant", preserve_range=True, anti_aliasing=False
    ).astype(np.uint8)
    mask = ndimage.zoom(mask, [scale, scale, 1], order=0)
    top_left = [(side - length) // 2 for length in size]
    padding = [
        (before, side - length - before)
        for before, length in zip(top_left, size, strict=True)
    ]
    return np.pad(image, [*padding, (0, 0)]), np.pad(mask, [*padding, (0, 0)])


def minimize(mask, boxes, shape):
    """Cut each mask to its box, and resize it."""
    mini = np.zeros((*shape, mask.shape[2]), bool)
    for i, (y1, x1, y2, x2) in enumerate(boxes):
        if y2 > y1 and x2 > x1:
            crop = mask[y1:y2, x1:x2, i].astype(float)
            mini[:, :, i] = transform.resize(crop, shape, order=1).round()
    return mini


def rpn_targets(anchors, boxes, config):
    """Match anchors to boxes and sample them: its build_rpn_targets, in NumPy."""
    overlaps = compute_overlaps(anchors, boxes)
    best = overlaps.max(axis=1)
    match = np.zeros(len(anchors), np.int32)
    match[best < 0.3] = -1
    match[np.argmax(overlaps, axis=0)] = 1
    match[best >= 0.7] = 1
    half = config.RPN_TRAIN_ANCHORS_PER_IMAGE // 2
    drop_all_but(match, 1, half)
    positive = np.flatnonzero(match == 1)
    drop_all_but(match, -1, 2 * half - len(positive))
    deltas = np.zeros((2 * half, 4))
    for row, index in enumerate(positive):
        box, anchor = boxes[overlaps[index].argmax()].astype(float), anchors[index]
        size, anchor_size = box[2:] - box[:2], anchor[2:] - anchor[:2]
        shift = (box[:2] + size / 2 - anchor[:2] - anchor_size / 2) / anchor_size
        deltas[row] = [*shift, *np.log(size / anchor_size)]
    deltas /= config.RPN_BBOX_STD_DEV
    return match, deltas


def drop_all_but(match, value, count):
    """Set a random rest of the entries of a value to 0, so that `count` stay."""
    places = np.flatnonzero(match == value)
    if len(places) > count:
        match[np.random.choice(places, len(places) - count, replace=False)] = 0
