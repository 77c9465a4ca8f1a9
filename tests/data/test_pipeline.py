"""What the training graph is fed: seeds, and images that fit their truth."""

import numpy as np
import pytest
import tensorflow as tf
from tiny import tiny_config

from mrcnn_skin.data.dataset import Dataset
from mrcnn_skin.data.files import UnreadableImage
from mrcnn_skin.data.pipeline import (
    ExampleOrder,
    example_arrays,
    input_specs,
    iterate,
    load_example,
    readable_example,
    training_batches,
    training_order,
    validation_batches,
)


class Blocks(Dataset):
    """Black images with bright rectangles, one instance each."""

    def __init__(self, images):
        """images: list of (height, width, [(class_id, (y1, x1, y2, x2)), ...])."""
        super().__init__()
        self.add_class("isic", 1, "benign")
        self.add_class("isic", 2, "malignant")
        for number, (height, width, blocks) in enumerate(images):
            self.add_image(
                "isic", f"blocks{number}", None, shape=(height, width), blocks=blocks
            )
        self.prepare()

    def image_reference(self, image_id):
        return self.image_info[image_id]["id"]

    def load_image(self, image_id):
        info = self.image_info[image_id]
        image = np.zeros([*info["shape"], 3], np.uint8)
        for _, (y1, x1, y2, x2) in info["blocks"]:
            image[y1:y2, x1:x2] = 200
        return image

    def load_mask(self, image_id):
        info = self.image_info[image_id]
        if not info["blocks"]:
            return super().load_mask(image_id)
        masks = np.zeros([*info["shape"], len(info["blocks"])], bool)
        for i, (_, (y1, x1, y2, x2)) in enumerate(info["blocks"]):
            masks[y1:y2, x1:x2, i] = True
        return masks, np.array([class_id for class_id, _ in info["blocks"]], np.int32)


def ids_of(batches, count):
    """Image ids of the first batches, one after the other."""
    return np.concatenate([ids for ids, _ in batches.take(count).as_numpy_iterator()])


def test_balanced_classes_come_equally_often():
    block = (4, 4, 20, 20)
    dataset = Blocks([(64, 64, [(1, block)])] * 9 + [(64, 64, [(2, block)])])
    labels = dataset.labels()
    for balance, malignant in ((False, 2), (True, 10)):
        order = training_order(dataset, tiny_config(BALANCE_CLASSES=balance))
        drawn = [labels[order(position)] for position in range(20)]
        assert drawn.count(2) == malignant


def test_balanced_folders_come_equally_often():
    """Folder a has 1 malignant image of 2, folder b 2 of 12."""
    block = (4, 4, 20, 20)
    classes = [1, 2, *[1] * 10, 2, 2]
    dataset = Blocks([(64, 64, [(class_id, block)]) for class_id in classes])
    for info, folder in zip(dataset.image_info, "aa" + 12 * "b", strict=True):
        info["folder"] = folder
    for balance, sizes in ((False, [2, 12]), (True, [1, 1, 10, 2])):
        config = tiny_config(BALANCE_FOLDERS=True, BALANCE_CLASSES=balance)
        order = training_order(dataset, config)
        drawn = [dataset.image_info[order(i)]["folder"] for i in range(24)]
        assert drawn.count("a") == drawn.count("b") == 12
        assert [len(group) for group in order.groups] == sizes


def test_square_image_with_boxes_and_masks_by_hand():
    """32 x 16 pixels are doubled to 64 x 32 and get 16 columns on either side."""
    dataset = Blocks([(32, 16, [(2, (4, 2, 20, 10)), (1, (24, 8, 30, 14))])])
    example = load_example(dataset, tiny_config(), 0)
    image = example.image
    assert image.shape == (64, 64, 3) and image.dtype == np.uint8
    np.testing.assert_array_equal(example.class_ids, [2, 1])
    np.testing.assert_array_equal(example.boxes, [[8, 20, 40, 36], [48, 32, 60, 44]])
    wanted = np.zeros([64, 64, 2], bool)
    wanted[8:40, 20:36, 0] = True
    wanted[48:60, 32:44, 1] = True
    np.testing.assert_array_equal(example.masks, wanted)
    assert example.original_shape == (32, 16, 3)
    assert example.window == (0, 16, 64, 48) and example.scale == 2
    np.testing.assert_array_equal(image[:, [0, 15, 48, 63]], 0)
    inside = image[10:38, 22:34]
    np.testing.assert_array_equal(inside, np.full_like(inside, 200))


def test_mini_masks_cover_their_box():
    dataset = Blocks([(64, 64, [(1, (8, 8, 40, 24))])])
    dataset.load_mask = lambda _: (half_empty_box(), np.array([1], np.int32))
    arrays = example_arrays(dataset, tiny_config(), 0)
    masks = arrays["input_gt_masks"]
    np.testing.assert_array_equal(arrays["input_gt_boxes"][0], [8, 8, 40, 24])
    assert masks.shape == (2, 28, 28)
    assert masks[0, :, :13].all() and not masks[0, 1:-1, 15:].any()


def half_empty_box():
    """Left half of a box full, of the right half only two opposite corners."""
    mask = np.zeros([64, 64, 1], bool)
    mask[8:40, 8:16] = True
    mask[8, 23] = mask[39, 23] = True
    return mask


def test_image_without_a_lesion():
    dataset = Blocks([(64, 64, [])])
    for mini in (True, False):
        config = tiny_config(USE_MINI_MASK=mini)
        arrays = example_arrays(dataset, config, 0)
        side = 28 if mini else 64
        assert arrays["input_gt_masks"].shape == (2, side, side)
        assert not any(arrays[name].any() for name in arrays if "_gt_" in name)
        np.testing.assert_array_equal(arrays["input_active_class_ids"], [1, 1, 1])


def test_masks_of_another_size_are_refused_not_dropped():
    dataset = Blocks([(64, 64, [(1, (8, 8, 40, 24))])])
    dataset.load_mask = lambda _: (np.ones([32, 32, 1], bool), np.array([1], np.int32))
    with pytest.raises(ValueError, match=r"image blocks0 .*\(64, 64\), got \(32, 32\)"):
        load_example(dataset, tiny_config(), 0)


def test_instances_beyond_the_maximum_and_vanished_ones_are_left_out():
    blocks = [(1, (0, 0, 10, 10)), (2, (5, 5, 5, 9)), (2, (20, 20, 30, 30))]
    dataset = Blocks([(64, 64, [*blocks, (1, (40, 40, 60, 60))])])
    example = load_example(dataset, tiny_config(), 0)
    np.testing.assert_array_equal(example.class_ids, [1, 2])  # one has no pixel
    np.testing.assert_array_equal(example.boxes, [[0, 0, 10, 10], [20, 20, 30, 30]])
    assert example.masks.shape == (64, 64, 2)


def test_padding_of_the_arrays_and_their_types():
    dataset = Blocks([(64, 64, [(2, (8, 16, 40, 24))])])
    config = tiny_config(SEED=5)
    arrays = example_arrays(dataset, config, 0, seed=77)
    masks, boxes = arrays["input_gt_masks"], [[8, 16, 40, 24], [0, 0, 0, 0]]
    np.testing.assert_array_equal(arrays["input_gt_class_ids"], [2, 0])
    np.testing.assert_array_equal(arrays["input_gt_boxes"], boxes)
    assert masks[0].all() and not masks[1].any()
    np.testing.assert_array_equal(arrays["input_seed"], [5, 77])
    assert {
        name: tf.TensorSpec(array.shape, array.dtype) for name, array in arrays.items()
    } == input_specs(config)


def test_crop_keeps_image_and_masks_together():
    dataset = Blocks([(64, 256, [(1, (0, 0, 64, 200))])])
    config = tiny_config(IMAGE_RESIZE_MODE="crop")
    edges = set()
    for seed in range(8):
        example = load_example(dataset, config, 0, seed=seed)
        assert example.image.shape == (64, 64, 3)
        painted = example.masks[..., 0] * np.uint8(200)
        np.testing.assert_array_equal(painted, example.image[..., 0])
        edges.add(int(example.boxes[0, 3]))
    assert len(edges) > 1, "the crop must move with the seed"


def test_augmentation_moves_image_and_masks_together(iaa):
    dataset = Blocks([(64, 64, [(1, (8, 16, 40, 24))])])
    flip = iaa.Fliplr(1.0)
    example = load_example(dataset, tiny_config(), 0, flip)
    np.testing.assert_array_equal(example.boxes, [[8, 40, 40, 48]])
    painted = example.masks[..., 0] * np.uint8(200)
    np.testing.assert_array_equal(painted, example.image[..., 0])


def test_masks_may_be_numbers_as_in_many_data_sets_for_matterport(iaa):
    dataset = Blocks([(64, 64, [])])
    mask = np.zeros([64, 64, 1])
    mask[8:40, 16:24] = 1.0
    dataset.load_mask = lambda _: (mask, [2])
    example = load_example(dataset, tiny_config(), 0, iaa.Fliplr())
    assert example.masks.dtype == bool and example.class_ids.tolist() == [2]


def test_sources_that_are_not_augmented(iaa):
    blocks = [(64, 64, [(1, (8, 16, 40, 24))])] * 4
    dataset = Blocks(blocks)
    dataset.image_info[1]["source"] = dataset.image_info[2]["source"] = "drawn"
    dataset.source_class_ids["drawn"] = dataset.source_class_ids["isic"]
    flip = iaa.Fliplr(1.0)
    batches = training_batches(
        dataset, tiny_config(), augmentation=flip, no_augmentation_sources=["drawn"]
    )
    for image_ids, inputs in batches.take(2).as_numpy_iterator():
        for image_id, boxes in zip(image_ids, inputs["input_gt_boxes"], strict=True):
            x1 = 16 if image_id in (1, 2) else 40
            np.testing.assert_array_equal(boxes[0], [8, x1, 40, x1 + 8])


@pytest.fixture(scope="module")
def ten_blocks():
    return Blocks([(64, 64, [(1 + i % 2, (i, i, 40 + i, 30))]) for i in range(10)])


def test_batches_can_resume_at_any_position(ten_blocks):
    config = tiny_config(AUGMENT=True)
    through = list(training_batches(ten_blocks, config).take(8).as_numpy_iterator())
    for steps in (1, 5):
        resumed = training_batches(ten_blocks, config, steps * config.BATCH_SIZE)
        for wanted, got in zip(
            through[steps:], resumed.as_numpy_iterator(), strict=False
        ):
            assert_equal_batches(wanted, got)


@pytest.mark.parametrize("name", ["paper", "strong"])
def test_the_number_of_threads_changes_nothing(ten_blocks, name, monkeypatch):
    config = tiny_config(AUGMENT=True, AUGMENTATION=name)

    def batches(threads):
        monkeypatch.setattr("mrcnn_skin.data.pipeline.THREADS", threads)
        return training_batches(ten_blocks, config).take(6)

    one, four = batches(1), batches(4)
    for wanted, got in zip(
        one.as_numpy_iterator(), four.as_numpy_iterator(), strict=True
    ):
        assert_equal_batches(wanted, got)


def test_config_chooses_the_augmentation(ten_blocks):
    batches = [
        next(iter(training_batches(ten_blocks, tiny_config(**settings))))
        for settings in (
            {"AUGMENT": False},
            {"AUGMENT": True},
            {"AUGMENT": True, "AUGMENTATION": "strong"},
        )
    ]
    plain, paper, strong = (inputs["input_image"].numpy() for _, inputs in batches)
    assert (plain != strong).any() and (paper != strong).any()


def test_processes_share_every_step_without_overlap_or_loss(ten_blocks):
    """Two processes of two devices; a step ends one pass and begins the next."""
    config = tiny_config(GPU_COUNT=4, IMAGES_PER_GPU=1)
    shares = [
        list(training_batches(ten_blocks, config, 4, shard=(i, 2)).take(8))
        for i in range(2)
    ]
    order = training_order(ten_blocks, config)
    wanted = [order(position) for position in range(4, 20)]
    got = []
    for step in range(4):
        for share in shares:
            got += [int(ids[0]) for ids, _ in share[2 * step : 2 * step + 2]]
    assert got == wanted
    batches = [inputs for share in shares for _, inputs in share]
    seeds = {tuple(inputs["input_seed"][0].numpy()) for inputs in batches}
    assert len(seeds) == 16


def assert_equal_batches(wanted, got):
    np.testing.assert_array_equal(wanted[0], got[0])
    assert set(wanted[1]) == set(got[1])
    for name, value in wanted[1].items():
        np.testing.assert_array_equal(value, got[1][name])


def test_every_example_has_a_seed_of_its_own(ten_blocks):
    batches = training_batches(ten_blocks, tiny_config()).take(15).as_numpy_iterator()
    seeds = np.concatenate([inputs["input_seed"] for _, inputs in batches])
    assert len(np.unique(seeds[:, 1])) == 30
    assert (seeds >= 0).all()


def test_augment_off_gives_the_plain_image(ten_blocks):
    ids, inputs = next(training_batches(ten_blocks, tiny_config()).as_numpy_iterator())
    for image_id, image in zip(ids, inputs["input_image"], strict=True):
        np.testing.assert_array_equal(image, ten_blocks.load_image(image_id))


def test_validation_batches_are_in_order_and_filled_up(ten_blocks):
    config = tiny_config(IMAGES_PER_GPU=4, AUGMENT=True)
    batches = list(validation_batches(ten_blocks, config, 10).as_numpy_iterator())
    ids = np.concatenate([ids for ids, _ in batches])
    np.testing.assert_array_equal(ids, [*range(10), 0, 1])
    image = batches[0][1]["input_image"][3]
    np.testing.assert_array_equal(image, ten_blocks.load_image(3))


def test_static_shapes_are_known(ten_blocks):
    _, inputs = training_batches(ten_blocks, tiny_config()).element_spec
    assert {name: tuple(spec.shape) for name, spec in inputs.items()} == {
        "input_image": (2, 64, 64, 3),
        "input_gt_class_ids": (2, 2),
        "input_gt_boxes": (2, 2, 4),
        "input_gt_masks": (2, 2, 28, 28),
        "input_active_class_ids": (2, 3),
        "input_seed": (2, 2),
    }


def test_a_data_set_of_other_classes_is_refused(ten_blocks):
    config = tiny_config(NUM_CLASSES=4, CLASS_NAMES=())
    with pytest.raises(ValueError, match="NUM_CLASSES is 4, but the data set has 3"):
        training_batches(ten_blocks, config)


def test_pad64_gives_each_image_a_canvas_of_its_own():
    dataset = Blocks([(64, 100, [(1, (0, 0, 64, 100))]), (70, 64, [])])
    config = tiny_config(IMAGE_RESIZE_MODE="pad64", IMAGES_PER_GPU=1)
    shapes = {
        int(ids[0]): inputs["input_image"].shape
        for ids, inputs in validation_batches(dataset, config, 2).as_numpy_iterator()
    }
    assert shapes == {0: (1, 64, 128, 3), 1: (1, 128, 64, 3)}


class Damaged(Blocks):
    """Of whose images some have become unreadable since they were checked."""

    bad = frozenset()

    def load_image(self, image_id):
        if image_id in self.bad:
            raise UnreadableImage(f"{image_id}.jpg", "image file is truncated")
        return super().load_image(image_id)


@pytest.fixture
def damaged():
    return Damaged([(64, 64, [(1 + i % 2, (8, 8, 40, 30))]) for i in range(12)])


def test_an_unreadable_image_is_replaced(damaged):
    damaged.bad = {3}
    config = tiny_config(AUGMENT=False)
    with pytest.warns(UserWarning, match="3.jpg.*truncated.*another image"):
        batches = list(validation_batches(damaged, config, 12).as_numpy_iterator())
    ids = np.concatenate([ids for ids, _ in batches])
    np.testing.assert_array_equal(ids, [0, 1, 2, 4, 4, 5, 6, 7, 8, 9, 10, 11])
    labels = [inputs["input_gt_class_ids"][:, 0] for _, inputs in batches]
    np.testing.assert_array_equal(np.concatenate(labels), damaged.labels()[ids])


def test_the_other_image_is_of_the_same_class_where_classes_are_balanced(damaged):
    damaged.bad = {1, 5}
    order = training_order(damaged, tiny_config(BALANCE_CLASSES=True))
    with pytest.warns(UserWarning, match="another image"):
        for position in range(12):
            image_id, _ = readable_example(damaged, tiny_config(), order, position)
            assert image_id not in damaged.bad
            assert image_id % 2 == position % 2


def test_a_vanished_disk_is_an_error_that_names_a_file(damaged):
    damaged.bad = range(12)
    order = ExampleOrder([damaged.image_ids], seed=0, shuffle=False)
    damaged.source_image_link = lambda image_id: f"disk/{image_id}.jpg"
    with (
        pytest.warns(UserWarning),
        pytest.raises(UnreadableImage, match="disk/7.jpg: 8 images in a row.*7.jpg"),
    ):
        readable_example(damaged, tiny_config(), order, 0)


def test_batches_raise_the_original_message(damaged):
    damaged.bad = range(12)
    damaged.source_image_link = lambda image_id: f"disk/{image_id}.jpg"
    with (
        pytest.warns(UserWarning),
        pytest.raises(OSError, match=r"^cannot read image disk/\d+.jpg: 8 images.*jpg"),
    ):
        list(iterate(validation_batches(damaged, tiny_config(), 12)))


def test_program_errors_are_not_treated_as_bad_files(damaged):
    damaged.load_mask = lambda _: (np.ones([9, 9, 1], bool), np.array([1], np.int32))
    order = ExampleOrder([damaged.image_ids], seed=0)
    with pytest.raises(ValueError, match=r"image blocks\d+ must be as large"):
        readable_example(damaged, tiny_config(), order, 0)
    with pytest.raises(ValueError, match="^the masks that load_mask .* blocks0"):
        list(iterate(validation_batches(damaged, tiny_config(), 1)))


def test_an_instance_without_label_is_trained_on_only_without_classify():
    blocks = [(0, (8, 8, 24, 24)), (-2, (30, 30, 60, 60))]  # the second is a crowd
    unlabelled = Blocks([(64, 64, blocks)])
    with pytest.raises(ValueError, match="image blocks0 must have class ids of 1"):
        example_arrays(unlabelled, tiny_config(), 0)
    config = tiny_config(TASKS=("detect", "segment"), IMAGES_PER_GPU=1)
    arrays = example_arrays(unlabelled, config, 0)
    assert arrays["input_gt_class_ids"].tolist() == [1, -1]
    [(_, inputs)] = validation_batches(unlabelled, config, 1)
    assert inputs["input_gt_class_ids"].numpy().tolist() == [[1, -1]]


def test_an_image_with_a_diagnosis_alone_is_one_whole_instance_for_classify_alone():
    """The image is 32 x 64 in a square of 64: 16 rows of padding above and below."""
    dataset = Blocks([(32, 64, [])])
    dataset.image_info[0]["class_id"] = 2
    example = load_example(dataset, tiny_config(TASKS=("classify",)), 0)
    assert example.class_ids.tolist() == [2]
    assert example.boxes.tolist() == [[16, 0, 48, 64]]
    assert example.masks.sum() == 32 * 64
    assert not len(load_example(dataset, tiny_config(), 0).class_ids)
    dataset.image_info[0]["class_id"] = 0
    assert not len(load_example(dataset, tiny_config(TASKS=("classify",)), 0).class_ids)
