"""RoIAlign on ramps whose samples are known."""

import numpy as np
import tensorflow as tf

from mrcnn_skin.layers.roi_align import PyramidROIAlign


def ramp(size, offset=0.0):
    """A feature map [1, size, size, 1] whose value is row + column / 100 + offset."""
    grid = np.arange(size)[:, None] + np.arange(size)[None] / 100 + offset
    return tf.constant(grid[None, :, :, None], tf.float32)


def test_samples_of_a_5x5_ramp():
    rois = tf.constant([[[0.25, 0.0, 0.75, 1.0]]])
    pooled = PyramidROIAlign((3, 3))(rois, [ramp(5)])
    # Rows 1, 2, 3 and columns 0, 2, 4 of the map
    expected = [[1.0, 1.02, 1.04], [2.0, 2.02, 2.04], [3.0, 3.02, 3.04]]
    np.testing.assert_allclose(pooled[0, :, :, 0], expected, atol=1e-5)


def test_level_by_equation_1_of_the_fpn_paper():
    layer = PyramidROIAlign((7, 7))
    side = np.array([8, 112, 158, 159, 224, 316, 317, 448, 1024]) / 1024
    rois = tf.constant(np.stack([0 * side, 0 * side, side, side], axis=1), tf.float32)
    # round(4 + log2(side / 224)), kept in 2..5, as an index from P2
    expected = [0, 1, 1, 2, 2, 2, 3, 3, 3]
    np.testing.assert_array_equal(
        layer.levels(rois, tf.constant([256, 256]), 4), expected
    )


def test_small_rois_take_the_first_level_there_is():
    layer = PyramidROIAlign((2, 2), stride=8, first_level=3)
    side = np.array([8, 159, 317, 1024]) / 1024  # P2, P4, P5, P5 by the equation
    rois = tf.constant(np.stack([0 * side, 0 * side, side, side], axis=1), tf.float32)
    levels = layer.levels(rois, tf.constant([128, 128]), 3)
    np.testing.assert_array_equal(levels, [0, 1, 2, 2])
    pyramid = [ramp(size, level * 1000) for level, size in ((3, 128), (4, 64), (5, 32))]
    pooled = layer(rois[None], pyramid)[:, 0, 0, 0]
    np.testing.assert_allclose(pooled, [3000, 4000, 5000, 5000])


def test_rows_keep_their_order_across_levels_and_images():
    pyramid = [
        tf.concat([ramp(size, level * 1000), ramp(size, level * 1000 + 100)], axis=0)
        for level, size in enumerate((256, 128, 64, 32), start=2)
    ]
    large, small = [0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.02, 0.02]
    rois = tf.constant([[large, small], [small, large]])
    pooled = PyramidROIAlign((2, 2))(rois, pyramid)[:, 0, 0, 0]
    np.testing.assert_allclose(pooled, [5000, 2000, 2100, 5100])


def test_keep_leaves_rows_out():
    rois = tf.tile(tf.constant([[[0.0, 0, 1, 1]]]), [2, 3, 1])
    pyramid = [tf.concat([ramp(5), ramp(5, 100)], axis=0)]
    keep = tf.constant([[False, False, True], [True, False, False]])
    pooled = PyramidROIAlign((2, 2))(rois, pyramid, keep=keep)
    np.testing.assert_allclose(pooled[:, 0, 0, 0], [0, 100])


def test_gradient_reaches_the_features_and_not_the_rois():
    features, rois = ramp(5), tf.constant([[[0.25, 0.25, 0.75, 0.75]]])
    with tf.GradientTape() as tape:
        tape.watch([features, rois])
        total = tf.reduce_sum(PyramidROIAlign((3, 3))(rois, [features]))
    to_features, to_rois = tape.gradient(total, [features, rois])
    assert to_rois is None
    expected = np.zeros((5, 5))
    expected[1:4, 1:4] = 1  # the samples lie on these nine cells
    np.testing.assert_allclose(to_features[0, :, :, 0], expected, atol=1e-5)


def test_samples_between_the_cells_are_bilinear():
    rois = tf.constant([[[0.125, 0.1, 0.625, 0.6]]])
    pooled = PyramidROIAlign((2, 2))(rois, [ramp(5)])
    # Rows .5 and 2.5, columns .4 and 2.4
    expected = [[0.504, 0.524], [2.504, 2.524]]
    np.testing.assert_allclose(pooled[0, :, :, 0], expected, atol=1e-5)


def test_the_level_depends_on_the_image_in_pixels_and_the_stride():
    rois = tf.constant([[0.0, 0.0, 1.0, 1.0]])
    # A map of 28 x 56 cells: 112 x 224 pixels at stride 4, twice that at stride 8.
    # sqrt(112 * 224) = 158.4: log2 = -.5, just above; at stride 8 just above .5
    for stride, level in ((4, 2), (8, 3)):
        layer = PyramidROIAlign((7, 7), stride)
        shape = tf.constant([29, 56])
        np.testing.assert_array_equal(layer.levels(rois, shape, 4), [level])


def test_no_region_at_all_gives_no_rows():
    keep = tf.zeros([1, 2], tf.bool)
    pooled = PyramidROIAlign((2, 3))(tf.zeros([1, 2, 4]), [ramp(5)], keep=keep)
    assert pooled.shape == (0, 2, 3, 1)


def test_half_precision_features_are_cut_in_float32():
    layer = PyramidROIAlign((2, 2))
    features = tf.cast(ramp(5), tf.bfloat16)
    rois = tf.constant([[[0.0, 0.0, 1.0, 1.0]]])
    pooled = layer(rois, [features])
    assert pooled.dtype == tf.float32
    np.testing.assert_allclose(pooled[0, :, :, 0], [[0, 0.04], [4, 4.04]], atol=0.02)
