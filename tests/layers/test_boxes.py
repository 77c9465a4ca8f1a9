"""Box arithmetic on tensors by hand; its NumPy twins are tested in tests/geometry."""

import numpy as np
import pytest
import tensorflow as tf

from mrcnn_skin.geometry import boxes as boxes_np
from mrcnn_skin.layers import boxes


def test_deltas_by_hand():
    box = tf.constant([[1.0, 2.0, 3.0, 6.0]])  # centre (2, 4), 2 high, 4 wide
    # Half a height down, a quarter of a width left, twice as high, half as wide
    deltas = tf.constant([[0.5, -0.25, np.log(2), np.log(0.5)]], tf.float32)
    expected = [[1.0, 2.0, 5.0, 4.0]]  # centre (3, 3), 4 high, 2 wide
    np.testing.assert_allclose(boxes.apply_box_deltas(box, deltas), expected, rtol=1e-6)
    np.testing.assert_allclose(boxes.box_refinement(box, expected), deltas, rtol=1e-6)
    # As batches have them
    box, deltas, expected = (
        np.tile(np.float32(x), (5, 6, 1)) for x in (box, deltas, expected)
    )
    np.testing.assert_allclose(boxes.apply_box_deltas(box, deltas), expected, rtol=1e-6)
    np.testing.assert_allclose(boxes.box_refinement(box, expected), deltas, rtol=1e-6)


def test_overlaps_by_hand():
    first = tf.constant([[0, 0, 2, 2], [5, 5, 5, 5]], tf.float32)
    second = tf.constant([[0, 0, 2, 2], [1, 1, 3, 3], [2, 2, 3, 3], [5, 5, 5, 5]])
    # 1; 1 / (4 + 4 - 1); touching; a box without area overlaps nothing, itself included
    expected = [[1, 1 / 7, 0, 0], [0, 0, 0, 0]]
    iou = boxes.overlaps(first, tf.cast(second, tf.float32))
    np.testing.assert_allclose(iou, expected, rtol=1e-6)
    assert boxes.overlaps(first, tf.zeros([0, 4])).shape == (2, 0)


def test_box_arithmetic_equals_its_numpy_twin():
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 50, (20, 2, 2)).astype(np.float32)
    first = np.concatenate([corners[:, 0], corners[:, 0] + 5 + corners[:, 1]], axis=1)
    second = np.roll(first, 1, axis=0)
    np.testing.assert_allclose(
        boxes.overlaps(first, second),
        boxes_np.compute_overlaps(first, second),
        atol=1e-5,
    )
    deltas = boxes.box_refinement(first, second)
    np.testing.assert_allclose(
        deltas, boxes_np.box_refinement(first, second), atol=1e-5
    )
    np.testing.assert_allclose(boxes.apply_box_deltas(first, deltas), second, atol=1e-3)


def test_clip_boxes_by_a_window_of_each_image():
    box = tf.constant([[[-1.0, 0.2, 0.5, 3.0]], [[-1.0, 0.2, 0.5, 3.0]]])
    window = tf.constant([[0.0, 0.0, 1.0, 1.0], [0.1, 0.3, 0.4, 0.9]])
    clipped = boxes.clip_boxes(box, window[:, None])
    expected = [[[0.0, 0.2, 0.5, 1.0]], [[0.1, 0.3, 0.4, 0.9]]]
    np.testing.assert_allclose(clipped, expected)


def test_norm_and_denorm_equal_their_numpy_twins():
    pixels = np.array([[0, 0, 100, 200], [10, 20, 31, 41]], np.float32)
    normalised = boxes.norm_boxes(pixels, (100, 200))
    np.testing.assert_allclose(normalised[0], [0, 0, 1, 1])
    expected = boxes_np.norm_boxes(pixels, (100, 200))
    np.testing.assert_allclose(normalised, expected, rtol=1e-6)
    np.testing.assert_array_equal(
        boxes_np.denorm_boxes(normalised.numpy(), (100, 200)), pixels
    )
    denormalised = boxes.denorm_boxes(normalised, (100, 200))
    np.testing.assert_allclose(denormalised, pixels, atol=1e-4)


@pytest.mark.parametrize("side, size", [(8, 14), (32, 7), (56, 28), (256, 14)])
def test_boxes_that_touch_the_far_border_keep_their_last_samples(side, size):
    top_left = np.random.default_rng(0).uniform(0, 0.6, (200, 2)).astype(np.float32)
    far = np.concatenate([top_left, np.ones_like(top_left)], axis=1)
    far[0] = [0, 0, 1, 1]
    index = tf.zeros([200], tf.int32)
    crops = boxes.crop_and_resize(tf.ones([1, side, side, 1]), far, index, (size, size))
    np.testing.assert_allclose(crops, np.ones((200, size, size, 1)), atol=1e-4)


def test_a_crop_shows_its_part_of_its_image():
    """Samples lie on the box's corners and evenly between: pixels 2..6 and 0..4."""
    ramp = np.arange(9.0)[:, None] + 10 * np.arange(9.0)
    images = np.stack([np.zeros_like(ramp), ramp])[..., None].astype(np.float32)
    box = tf.constant([[2 / 8, 0, 6 / 8, 4 / 8]])
    crop = boxes.crop_and_resize(images, box, tf.constant([1]), (5, 3))
    expected = np.arange(2, 7)[:, None] + 10 * np.array([0, 2, 4])
    np.testing.assert_allclose(crop[0, ..., 0], expected, atol=1e-3)


def test_sample_is_uniform_without_repetition_and_differs_by_seed():
    mask = tf.constant([True, False, True, True, True])
    counts = np.zeros(5)
    for step in range(200):
        index, chosen = boxes.sample(mask, 2, tf.constant([7, step]))
        assert chosen.numpy().all() and len(set(index.numpy())) == 2
        counts[index.numpy()] += 1
    assert counts[1] == 0
    # Each of the four is drawn in half of the steps: 100 +- 5 standard deviations
    assert np.all(np.abs(counts[[0, 2, 3, 4]] - 100) < 5 * np.sqrt(200 * 0.25))


def test_sample_takes_no_more_than_there_are_and_repeats():
    seed = tf.constant([3, 5])
    mask = tf.constant([False, True, True, False, True])
    index, chosen = boxes.sample(mask, 8, seed)
    assert sorted(index.numpy()[chosen.numpy()]) == [1, 2, 4]
    few, chosen_few = boxes.sample(mask, 2, seed)
    assert chosen_few.numpy().all() and set(few.numpy()) < {1, 2, 4}
    np.testing.assert_array_equal(few, boxes.sample(mask, 2, seed)[0])


def test_sample_of_nothing():
    for mask in (tf.zeros([3], tf.bool), tf.zeros([0], tf.bool)):
        index, chosen = boxes.sample(mask, 2, tf.constant([1, 2]))
        assert index.shape == (2,) and not chosen.numpy().any()


def test_geometry_layers_stay_in_float32_and_off_xla():
    layer = boxes.GeometryLayer(dtype="mixed_bfloat16")
    assert layer.compute_dtype == "float32" and not layer.supports_jit
