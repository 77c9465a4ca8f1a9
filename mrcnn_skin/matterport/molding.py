"""Images as Matterport's scripts hand them around: molded, with meta data and targets.

Adapters of the pipeline and of the network's layers. Training and detect() do not
come through here: the network subtracts the mean itself.
"""

import numpy as np

from ..data.pipeline import load_example
from ..geometry.boxes import norm_boxes
from ..geometry.inputs import as_input, as_inputs
from ..geometry.masks import minimize_mask
from ..layers.rpn_targets import RPNTargets

# {value: (its place in a row of meta data, its type)}
META = {
    "image_id": (slice(0, 1), np.int32),
    "original_image_shape": (slice(1, 4), np.int32),
    "image_shape": (slice(4, 7), np.int32),
    "window": (slice(7, 11), np.int32),
    "scale": (slice(11, 12), np.float32),
    "active_class_ids": (slice(12, None), np.int32),
}


def load_image_gt(dataset, config, image_id, augmentation=None, use_mini_mask=False):
    """Load an image with its truth, resized to the network's size.

    dataset: a prepared Dataset. augmentation: an imgaug augmenter, or None. It and
    the crop of IMAGE_RESIZE_MODE "crop" are random; np.random.seed repeats them.
    use_mini_mask: cut the masks to their boxes, in MINI_MASK_SHAPE.
    Returns image uint8 [h, w, channels]; image_meta [IMAGE_META_SIZE]; class_ids
    int32 [n]; bbox int32 [n, (y1, x1, y2, x2)], pixels; mask bool [h, w, n].
    """
    seed = np.random.randint(2**31)
    example = load_example(dataset, config, image_id, augmentation, seed)
    mask = example.masks
    if use_mini_mask:
        mask = minimize_mask(example.boxes, mask, config.MINI_MASK_SHAPE)
    image_meta = compose_image_meta(
        image_id,
        example.original_shape,
        example.image.shape,
        example.window,
        example.scale,
        dataset.active_class_ids(image_id),
    )
    return example.image, image_meta, example.class_ids, example.boxes, mask


def mold_image(images, config):
    """Subtract Config.MEAN_PIXEL from one image or a batch of one size.

    images: uint8 [h, w, channels] or [n, h, w, channels]. Returns float32.
    Raises ValueError as geometry.inputs.as_input does.
    """
    if np.ndim(images) == 4:
        return subtract_mean(np.stack(as_inputs(images, config)), config)
    return subtract_mean(as_input(images, config), config)


def subtract_mean(pixels, config):
    """pixels: [..., channels], 0..255, of any type. Returns float32."""
    return np.asarray(pixels, np.float32) - np.asarray(config.MEAN_PIXEL, np.float32)


def unmold_image(normalized_images, config):
    """The inverse of mold_image, as uint8."""
    pixels = normalized_images + np.asarray(config.MEAN_PIXEL, np.float32)
    return np.clip(np.round(pixels), 0, 255).astype(np.uint8)


def compose_image_meta(
    image_id, original_image_shape, image_shape, window, scale, active_class_ids
):
    """Write what is known of an image into one row of IMAGE_META_SIZE numbers.

    original_image_shape, image_shape: (height, width, channels), before and after
    the resize. window: (y1, x1, y2, x2), pixels, the part that is not padding.
    scale: of the resize. active_class_ids: [classes], 0 or 1.
    """
    parts = image_id, original_image_shape, image_shape, window, scale, active_class_ids
    return np.concatenate([np.ravel(part) for part in parts]).astype(np.float64)


def parse_image_meta(meta):
    """Read rows of compose_image_meta.

    meta: [batch, IMAGE_META_SIZE].
    Returns a dict by the names of its arguments: image_id and scale [batch], the
    shapes [batch, 3], window [batch, 4], active_class_ids [batch, classes].
    Raises ValueError for another shape, such as one row alone.
    """
    meta = np.asarray(meta)
    if meta.ndim != 2 or meta.shape[1] <= META["active_class_ids"][0].start:
        raise ValueError(
            "image meta data must be [batch, IMAGE_META_SIZE], got "
            f"{list(meta.shape)}: meta[None] makes a batch of one row"
        )
    values = {name: meta[:, place].astype(kind) for name, (place, kind) in META.items()}
    for name in ("image_id", "scale"):
        values[name] = values[name][:, 0]
    return values


def build_rpn_targets(image_shape, anchors, gt_class_ids, gt_boxes, config):
    """What the RPN is to say about an image's anchors (layers.rpn_targets).

    image_shape: (height, width, ...); anchors: [anchors, 4] and gt_boxes: [n, (y1,
    x1, y2, x2)], pixels; gt_class_ids: int [n], negative for crowds. np.random.seed
    repeats the sampling.
    Returns rpn_match int32 [anchors], 1 positive, -1 negative, 0 not sampled; and
    rpn_bbox float32 [RPN_TRAIN_ANCHORS_PER_IMAGE, 4], deltas of the positive anchors
    in their order, in standard deviations, padded with zeros.
    """
    layer = RPNTargets(config.RPN_TRAIN_ANCHORS_PER_IMAGE, config.RPN_BBOX_STD_DEV)
    index, match, deltas = layer(
        norm_boxes(anchors, image_shape),
        np.asarray(gt_class_ids, np.int32)[None],
        norm_boxes(gt_boxes, image_shape)[None],
        np.random.randint(2**31, size=[1, 2], dtype=np.int32),
    )
    index, match, deltas = (value.numpy()[0] for value in (index, match, deltas))
    rpn_match = np.zeros(len(anchors), np.int32)
    rpn_match[index[match != 0]] = match[match != 0]
    positive = np.flatnonzero(match == 1)
    positive = positive[np.argsort(index[positive])]
    rpn_bbox = np.zeros([config.RPN_TRAIN_ANCHORS_PER_IMAGE, 4], np.float32)
    rpn_bbox[: len(positive)] = deltas[positive]
    return rpn_match, rpn_bbox
