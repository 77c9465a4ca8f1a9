"""From a Dataset to batches of the training graph's inputs, with tf.data.

Every example has a position in an endless, seeded order and its own seed, so that a run
can resume at any position, and threads do not change the result.
"""

import functools
import re
import warnings

import numpy as np
import pandas as pd
import tensorflow as tf

from ..geometry.masks import FULL_COVERAGE, shrink_masks
from .augment import AUGMENTATIONS, augment, require_augmenter
from .dataset import require_dataset
from .files import UnreadableImage
from .resize_cache import load_resized

# More unreadable files in a row mean that the disk or the whole folder is missing
MAX_UNREADABLE = 8
THREADS = tf.data.AUTOTUNE  # that load examples


class ExampleOrder:
    """The image at each position of an endless order.

    Args:
        groups: list of int arrays; positions alternate between them. One group per
            class gives every class equally often.
        seed: int.
        shuffle: whether each pass over a group has a new order.
    """

    def __init__(self, groups, seed, shuffle=True):
        self.groups = [np.asarray(group) for group in groups if len(group)]
        self.seed = seed
        self.shuffle = shuffle
        if not self.groups:
            raise ValueError("a data set must hold at least one image, got none")

    def __call__(self, position):
        """Image id at a position, an int of at least 0."""
        turn, group = divmod(int(position), len(self.groups))
        number, offset = divmod(turn, len(self.groups[group]))
        return int(self._pass(group, number)[offset])

    @functools.lru_cache(maxsize=64)  # noqa: B019 - lives as long as the pipeline
    def _pass(self, group, number):
        images = self.groups[group]
        if not self.shuffle:
            return images
        return np.random.default_rng([self.seed, group, number]).permutation(images)


def load_example(dataset, config, image_id, augmenter=None, seed=0):
    """Load, resize and augment one image with its ground truth.

    Instances that vanish and those beyond MAX_GT_INSTANCES are dropped. If "classify"
    is the only task, an image with a diagnosis and no instance is one whole instance.

    Args:
        dataset: a prepared Dataset.
        config: a Config.
        image_id: index of image_info.
        augmenter: imgaug augmenter, or None.
        seed: int, of augmentation and crop.

    Returns:
        an Example.

    Raises:
        ValueError: if load_mask returns unusable instances.
    """
    require_dataset(dataset)
    example = load_resized(dataset, config, image_id, seed)
    if config.TASKS == ("classify",) and not len(example.class_ids):
        example = _whole_frame(example, dataset.label(image_id))
    if augmenter is not None:
        image, masks = augment(augmenter, example.image, example.masks, seed)
        example = example._replace(image=image, masks=masks)
    there = np.flatnonzero(example.boxes[:, 2])[: config.MAX_GT_INSTANCES]
    return example._replace(
        class_ids=example.class_ids[there], masks=example.masks[..., there]
    )


def _whole_frame(example, label):
    """If the image has a diagnosis, make all of it but the padding one instance."""
    if not label:
        return example
    top, left, bottom, right = example.window
    masks = np.zeros((*example.image.shape[:2], 1), bool)
    masks[top:bottom, left:right] = True
    return example._replace(masks=masks, class_ids=np.array([label], np.int32))


def input_specs(config):
    """Inputs of the training graph for one image: {name: tf.TensorSpec}.

    gt_* are padded with zeros to MAX_GT_INSTANCES; class ids of crowds are negative;
    boxes are pixels of the image; masks cover their instance's box (USE_MINI_MASK) or
    the whole image, each pixel from 0 to 255 by how much of it belongs to the lesion;
    `seed` makes the random sampling of anchors and RoIs repeatable, image by image.
    """
    instances = config.MAX_GT_INSTANCES
    mask = config.MINI_MASK_SHAPE if config.USE_MINI_MASK else config.IMAGE_SHAPE[:2]
    return {
        "input_image": tf.TensorSpec(config.IMAGE_SHAPE, tf.uint8),
        "input_gt_class_ids": tf.TensorSpec([instances], tf.int32),
        "input_gt_boxes": tf.TensorSpec([instances, 4], tf.float32),
        "input_gt_masks": tf.TensorSpec([instances, *mask], tf.uint8),
        "input_active_class_ids": tf.TensorSpec([config.NUM_CLASSES], tf.int32),
        "input_seed": tf.TensorSpec([2], tf.int32),
    }


def example_arrays(dataset, config, image_id, augmenter=None, seed=0):
    """Inputs of the training graph for one image: {name: array}, see input_specs.

    The arguments are those of load_example.
    Without the task "classify" every instance is of class 1, one without label too.
    Raises ValueError for an instance without label if the labels are trained on.
    """
    example = load_example(dataset, config, image_id, augmenter, seed)
    masks, class_ids = example.masks, example.class_ids
    if "classify" not in config.TASKS:
        class_ids = np.where(class_ids < 0, -1, 1).astype(np.int32)
    elif not class_ids.all():
        raise ValueError(
            f"image {dataset.image_reference(image_id)} must have class ids of 1 or "
            f"more to train the task classify, got {class_ids.tolist()}"
        )
    if config.USE_MINI_MASK:
        masks = shrink_masks(example.boxes, masks, config.MINI_MASK_SHAPE)
    else:
        masks = masks * np.uint8(FULL_COVERAGE)
    masks = np.moveaxis(masks, -1, 0)  # [n, mask_h, mask_w]
    room = config.MAX_GT_INSTANCES - len(class_ids)
    boxes = example.boxes.astype(np.float32)
    return {
        "input_image": example.image,
        "input_gt_class_ids": np.pad(class_ids, [[0, room]]),
        "input_gt_boxes": np.pad(boxes, [[0, room], [0, 0]]),
        "input_gt_masks": np.pad(masks, [[0, room], [0, 0], [0, 0]]),
        "input_active_class_ids": dataset.active_class_ids(image_id).astype(np.int32),
        "input_seed": np.array([config.SEED, seed], np.int32),
    }


def readable_example(
    dataset, config, order, position, augmenter_of=lambda image_id: None
):
    """Load the example at a position of an order, as (image id, example_arrays).

    A file that became unreadable after the check of the data set is replaced by the
    next image of its group, with a warning.

    Args:
        dataset: a prepared Dataset.
        config: a Config.
        order: an ExampleOrder.
        position: int.
        augmenter_of: function from an image id to its imgaug augmenter, or None;
            unless given, no image is augmented.

    Raises:
        UnreadableImage: after MAX_UNREADABLE unreadable images in a row.
    """
    sequence = np.random.SeedSequence([config.SEED, int(position)])
    seed = int(sequence.generate_state(1)[0] >> 1)  # fits int32
    for attempt in range(MAX_UNREADABLE):
        image_id = order(position + attempt * len(order.groups))
        try:
            augmenter = augmenter_of(image_id)
            return image_id, example_arrays(dataset, config, image_id, augmenter, seed)
        except (UnreadableImage, FileNotFoundError) as error:
            problem = error
            warnings.warn(f"{error}; another image is used instead", stacklevel=1)
    raise UnreadableImage(
        dataset.source_image_link(image_id),
        f"{MAX_UNREADABLE} images in a row cannot be read, the last: {problem}",
    )


def training_order(dataset, config):
    """Return the order of a training run.

    BALANCE_CLASSES and BALANCE_FOLDERS make one group of each class, each folder that
    was loaded, or each class of each folder.
    """
    infos = [dataset.image_info[image_id] for image_id in dataset.image_ids]
    images = pd.DataFrame({"image": dataset.image_ids, "class": 0, "folder": ""})
    if config.BALANCE_CLASSES:
        images["class"] = dataset.labels()
    if config.BALANCE_FOLDERS:
        images["folder"] = [str(info.get("folder", info["source"])) for info in infos]
    groups = images.groupby(["folder", "class"])["image"].apply(np.array)
    return ExampleOrder(groups, config.SEED)


def require_classes(dataset, config):
    """Raise ValueError unless a data set has the classes of a Config."""
    if dataset.num_classes != config.NUM_CLASSES:
        raise ValueError(
            f"NUM_CLASSES is {config.NUM_CLASSES}, but the data set has "
            f"{dataset.num_classes} classes: {', '.join(dataset.class_names)}"
        )


def require_trainable(dataset, config, augmentation=None, no_augmentation_sources=()):
    """Raise ValueError for arguments that training_batches cannot use."""
    require_classes(dataset, config)
    ExampleOrder([dataset.image_ids], config.SEED)
    if augmentation is not None:
        require_augmenter(augmentation)
    sources, known = no_augmentation_sources, {i["source"] for i in dataset.image_info}
    is_list = np.iterable(sources) and not isinstance(sources, str)
    if not is_list or not known.union(dataset.sources).issuperset(sources):
        raise ValueError(
            "no_augmentation_sources must be a list of sources of the data set, "
            f"{sorted(known)}, got {sources!r}"
        )


def training_batches(
    dataset,
    config,
    start=0,
    augmentation=None,
    no_augmentation_sources=(),
    shard=(0, 1),
):
    """Return endless batches for training, one per device and step.

    Args:
        dataset: a prepared Dataset.
        config: a Config.
        start: position of the first example (completed steps * BATCH_SIZE).
        augmentation: an imgaug augmenter; None uses Config.AUGMENTATION if AUGMENT.
        no_augmentation_sources: sources whose images are not augmented.
        shard: (i, n): process i of n loads the i-th part of each step's BATCH_SIZE
            positions, in batches of IMAGES_PER_GPU for its devices in turn.

    Returns:
        A tf.data.Dataset of (image ids int32 [batch], {name: input of input_specs}).
    """
    require_trainable(dataset, config, augmentation, no_augmentation_sources)
    if augmentation is None and config.AUGMENT:
        # Images of no fixed size ("none", "pad64") are about as large as the paper's
        side = config.IMAGE_SHAPE[0] or 1024
        augmentation = AUGMENTATIONS[config.AUGMENTATION](side)
    order = training_order(dataset, config)

    def augmenter_of(image_id):
        source = dataset.image_info[image_id]["source"]
        return None if source in no_augmentation_sources else augmentation

    index, count = shard
    positions = tf.data.Dataset.range(start, np.iinfo(np.int64).max)
    positions = positions.batch(config.BATCH_SIZE // count).shard(count, index)
    positions = positions.unbatch()
    load = functools.partial(readable_example, augmenter_of=augmenter_of)
    return _batches(dataset, config, order, positions, config.IMAGES_PER_GPU, load)


def validation_batches(dataset, config, count):
    """Return batches of the first `count` images in order, without augmentation.

    The last batch is filled with images from the start of the data set.
    """
    order = ExampleOrder([dataset.image_ids], config.SEED, shuffle=False)
    count = -(-count // config.BATCH_SIZE) * config.BATCH_SIZE
    positions = tf.data.Dataset.range(count)
    return _batches(
        dataset, config, order, positions, config.BATCH_SIZE, readable_example
    )


def iterate(batches):
    """Iterate over batches of the functions above, distributed ones too.

    Raises OSError for an UnreadableImage, and ValueError for other unusable images and
    masks, with the original message instead of TensorFlow's traceback of the thread.
    """
    iterator = iter(batches)
    while True:
        try:
            batch = next(iterator)
        except StopIteration:
            return
        except tf.errors.OpError as error:
            cause = re.search(r"\b(UnreadableImage|ValueError): (.*)", error.message)
            if cause is None:
                raise
            kind = ValueError if cause[1] == "ValueError" else OSError
            raise kind(cause[2]) from error
        yield batch


def _batches(dataset, config, order, positions, size, load):
    """Batches of the examples that `load`, a readable_example, finds at positions."""
    require_classes(dataset, config)
    specs = input_specs(config)
    types = [tf.int32, *(spec.dtype for spec in specs.values())]

    def values(position):
        image_id, arrays = load(dataset, config, order, position)
        return np.int32(image_id), *(arrays[name] for name in specs)

    def example(position):
        # An example depends on its position alone. Unsaid, deterministic runs would
        # load one at a time.
        image_id, *arrays = tf.numpy_function(values, [position], types, stateful=False)
        return tf.ensure_shape(image_id, []), {
            name: tf.ensure_shape(array, specs[name].shape)
            for name, array in zip(specs, arrays, strict=True)
        }

    examples = positions.map(example, num_parallel_calls=THREADS, deterministic=True)
    return examples.batch(size, drop_remainder=True).prefetch(2)
