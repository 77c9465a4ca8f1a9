"""Anchors by hand, against the NumPy twin, and in the order of the RPN's answers."""

import numpy as np
import pytest
import tensorflow as tf

from mrcnn_skin.geometry import anchors as anchors_np
from mrcnn_skin.geometry import boxes as boxes_np
from mrcnn_skin.graph.rpn import build_rpn_model
from mrcnn_skin.layers.anchors import Anchors, NormBoxes

SCALES, RATIOS, STRIDES = (16, 32, 64, 128, 256), (0.5, 1, 2), (4, 8, 16, 32, 64)


def test_two_cells_by_hand():
    # 32 x 64 pixels, stride 32: cells at (0, 0) and (0, 32). Ratio 4 is twice as wide
    # as the scale and half as high: 8 x 32 for the scale 16.
    result = Anchors((16,), (1, 4), (32,))(tf.zeros([1, 32, 64, 3]))
    pixels = result * [31.0, 63.0, 31.0, 63.0] + [0.0, 0.0, 1.0, 1.0]
    expected = [[-8, -8, 8, 8], [-4, -16, 4, 16], [-8, 24, 8, 40], [-4, 16, 4, 48]]
    np.testing.assert_allclose(pixels, expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(128, 192), (192, 64), (100, 70)])
@pytest.mark.parametrize("anchor_stride", [1, 2])
def test_anchors_equal_their_numpy_twin(shape, anchor_stride):
    cells = anchors_np.backbone_shapes(shape, STRIDES)
    pixels = anchors_np.generate_pyramid_anchors(
        SCALES, RATIOS, cells, STRIDES, anchor_stride
    )
    result = Anchors(SCALES, RATIOS, STRIDES, anchor_stride)(tf.zeros([2, *shape, 3]))
    expected = boxes_np.norm_boxes(pixels, shape)
    np.testing.assert_allclose(result, expected, atol=1e-5)


def test_the_size_may_be_unknown_when_the_graph_is_traced():
    layer = Anchors((16,), (1,), (32,))

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3])])
    def trace(image):
        return layer(image)

    assert trace(tf.zeros([1, 64, 96, 3])).shape == (6, 4)
    assert trace(tf.zeros([1, 32, 32, 3])).shape == (1, 4)


@pytest.mark.parametrize("anchor_stride", [1, 2])
def test_the_rpn_answers_in_the_order_of_the_anchors(anchor_stride):
    # Let the RPN report, per anchor of a cell, where the cell lies: the shared
    # convolution passes the row and the column on, the last adds the anchor's number.
    height, width, per_cell = 3, 5, 2
    grid = np.stack(np.mgrid[:height, :width], axis=-1)[None].astype(np.float32)
    model = build_rpn_model(anchor_stride, per_cell, depth=2)
    shared = model.get_layer("rpn_conv_shared")
    kernel = np.zeros(shared.kernel.shape)
    # With stride 2, "same" padding is even on odd sizes: the middle tap stays in place
    kernel[1, 1, 0, 0] = kernel[1, 1, 1, 1] = 1
    shared.set_weights([kernel, np.zeros(512)])
    last = model.get_layer("rpn_bbox_pred")
    kernel, bias = np.zeros(last.kernel.shape), np.zeros(4 * per_cell)
    for anchor in range(per_cell):
        kernel[0, 0, 0, 4 * anchor] = kernel[0, 0, 1, 4 * anchor + 1] = 1
        bias[4 * anchor + 2] = anchor
    last.set_weights([kernel, bias])
    deltas = model(tf.constant(grid))[2].numpy()[0]

    stride, ratios = 10, (1, 4)
    anchors = anchors_np.generate_anchors(
        16, ratios, (height, width), stride, anchor_stride
    )
    centers = (anchors[:, :2] + anchors[:, 2:]) / 2 / stride
    is_wide = (anchors[:, 3] - anchors[:, 1]) > 20
    np.testing.assert_allclose(deltas[:, :2], centers, atol=1e-5)
    np.testing.assert_array_equal(deltas[:, 2], is_wide)


def test_norm_boxes_layer():
    image = tf.zeros([1, 101, 51, 3])
    result = NormBoxes()(tf.constant([[[10.0, 10.0, 51.0, 26.0]]]), image)
    np.testing.assert_allclose(result, [[[0.1, 0.2, 0.5, 0.5]]], atol=1e-6)
