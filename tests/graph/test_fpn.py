"""The pyramid's sums on numbers that show where each came from."""

import keras
import numpy as np
import tensorflow as tf
from tiny import tiny_config

from mrcnn_skin.graph.fpn import fpn


def test_every_level_is_its_stage_and_all_coarser_ones():
    # C5 is 1 on the left and 2 on the right; C4, C3, C2 are 10, 100, 1000 throughout
    sizes = {"c2": (8, 16), "c3": (4, 8), "c4": (2, 4), "c5": (1, 2)}
    inputs = [keras.Input([*size, 1]) for size in sizes.values()]
    model = keras.Model(inputs, fpn(inputs, tiny_config()))
    for level in range(2, 6):
        lateral = model.get_layer(f"fpn_c{level}p{level}")
        lateral.kernel.assign(tf.ones_like(lateral.kernel))
        smooth = model.get_layer(f"fpn_p{level}")
        kernel = np.zeros(smooth.kernel.shape)
        kernel[1, 1] = np.eye(kernel.shape[-1])
        smooth.kernel.assign(kernel)
    stages = [
        np.full((1, *size, 1), value, np.float32)
        for size, value in zip(sizes.values(), (1000, 100, 10, 1), strict=True)
    ]
    stages[-1][:, :, 1] = 2
    for output, below, size in zip(
        model(stages), (1110, 110, 10, 0), sizes.values(), strict=False
    ):
        half = size[1] // 2
        expected = below + np.repeat([[1, 2]], half, axis=1) * np.ones((size[0], 1))
        np.testing.assert_allclose(output[0, :, :, 0], expected)
    np.testing.assert_allclose(model(stages)[4][0, :, :, 0], [[1]])  # P6
