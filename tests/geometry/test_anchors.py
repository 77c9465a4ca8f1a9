"""Anchors: places and sizes worked by hand, and their order against plain loops."""

import numpy as np
import pytest

from mrcnn_skin.geometry import anchors


def test_backbone_shapes_round_up():
    found = anchors.backbone_shapes((128, 100, 3), [4, 8, 16, 32, 64])
    assert found.tolist() == [[32, 25], [16, 13], [8, 7], [4, 4], [2, 2]]


def test_generate_anchors_by_hand():
    found = anchors.generate_anchors(
        32, [1], (2, 3), feature_stride=16, anchor_stride=1
    )
    assert found.dtype == np.float32
    assert found.tolist() == [
        [-16, -16, 16, 16],
        [-16, 0, 16, 32],
        [-16, 16, 16, 48],
        [0, -16, 32, 16],
        [0, 0, 32, 32],
        [0, 16, 32, 48],
    ]


def test_ratio_is_width_over_height():
    # Ratio 4: half as high, twice as wide as the scale; ratio 1/4 the other way.
    found = anchors.generate_anchors([8], [0.25, 4], (1, 1), 4, 1)
    assert found.tolist() == [[-8, -2, 8, 2], [-2, -8, 2, 8]]


def test_order_is_rows_columns_ratios_scales():
    scales, ratios, stride = [10, 20], [0.5, 1, 2], 4
    expected = []
    for row in range(3):
        for column in range(2):
            for ratio in ratios:
                for scale in scales:
                    height, width = scale / ratio**0.5, scale * ratio**0.5
                    y, x = row * stride, column * stride
                    expected.append(
                        [y - height / 2, x - width / 2, y + height / 2, x + width / 2]
                    )
    found = anchors.generate_anchors(scales, ratios, (3, 2), stride, 1)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_anchor_stride_leaves_cells_out():
    found = anchors.generate_anchors(2, [1], (5, 4), feature_stride=8, anchor_stride=2)
    centers = (found[:, :2] + found[:, 2:]) / 2
    expected = [[y, x] for y in (0, 16, 32) for x in (0, 16)]
    assert centers.tolist() == expected


def test_generate_pyramid_anchors_by_hand():
    # 2 x 2 cells of 8 pixels, then one cell of 16.
    found = anchors.generate_pyramid_anchors(
        (4, 16), [1], [[2, 2], [1, 1]], [8, 16], anchor_stride=1
    )
    assert found.tolist() == [
        [-2, -2, 2, 2],
        [-2, 6, 2, 10],
        [6, -2, 10, 2],
        [6, 6, 10, 10],
        [-8, -8, 8, 8],
    ]


def test_number_of_anchors_of_a_1024_pixel_pyramid():
    strides = [4, 8, 16, 32, 64]
    shapes = anchors.backbone_shapes((1024, 1024), strides)
    found = anchors.generate_pyramid_anchors(
        (32, 64, 128, 256, 512), [0.5, 1, 2], shapes, strides, 1
    )
    assert found.shape == (3 * (256**2 + 128**2 + 64**2 + 32**2 + 16**2), 4)


def test_levels_must_agree():
    with pytest.raises(ValueError, match="got 3, 2 and 2"):
        anchors.generate_pyramid_anchors((1, 2, 3), [1], [[2, 2], [1, 1]], [8, 16], 1)
