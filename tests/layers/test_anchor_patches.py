"""Patches by hand; that they serve the RPN is tested in graph/test_rpn.py."""

import numpy as np
import tensorflow as tf

from mrcnn_skin.layers.anchor_patches import AnchorPatches


def test_patches_of_two_levels_by_hand():
    # One anchor a cell: 0..11 on the fine level of 3 x 4 cells, 12 and 13 on the other
    fine = tf.reshape(tf.range(1.0, 13.0), [1, 3, 4, 1])
    coarse = tf.constant([50.0, 60.0], shape=[1, 1, 2, 1])
    patches = AnchorPatches(1)([fine, coarse], tf.constant([[0, 6, 11, 13]]))
    expected = [
        [[0, 0, 0], [0, 1, 2], [0, 5, 6]],
        [[2, 3, 4], [6, 7, 8], [10, 11, 12]],
        [[7, 8, 0], [11, 12, 0], [0, 0, 0]],
        [[0, 0, 0], [50, 60, 0], [0, 0, 0]],
    ]
    np.testing.assert_array_equal(patches[..., 0], expected)


def test_anchors_of_one_cell_share_a_patch_and_images_do_not():
    level = tf.reshape(tf.range(8.0), [2, 2, 2, 1])
    patches = AnchorPatches(3)([level], tf.constant([[9, 11], [9, 2]]))
    last = np.array([[0, 1, 0], [2, 3, 0], [0, 0, 0]])
    np.testing.assert_array_equal(patches[0, ..., 0], last)
    np.testing.assert_array_equal(patches[1], patches[0])
    inside = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 0]])
    np.testing.assert_array_equal(patches[2, ..., 0], last + 4 * inside)
    first = [[0, 0, 0], [0, 4, 5], [0, 6, 7]]
    np.testing.assert_array_equal(patches[3, ..., 0], first)


def test_with_a_stride_the_kernel_lies_where_same_padding_puts_it():
    # Stride 2 over 4 x 4 cells pads one row below and one column to the right only:
    # the kernel of the first anchor has its middle at (1, 1)
    level = tf.reshape(tf.range(16.0), [1, 4, 4, 1])
    patches = AnchorPatches(1, 2)([level], tf.constant([[0]]))
    expected = np.arange(16).reshape(4, 4)[:3, :3]
    np.testing.assert_array_equal(patches[0, ..., 0], expected)
