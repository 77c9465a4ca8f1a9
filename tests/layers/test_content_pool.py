"""The mean of a feature map over what is not padding."""

import numpy as np

from mrcnn_skin.layers.content_pool import ContentPool


def test_cells_count_by_their_share_of_pixels_by_hand():
    image = np.zeros((3, 4, 4, 3), np.float32)
    image[0, :, :2] = 9.0  # the left cells only
    image[1, :2] = 9.0  # the upper cells, and half of the lower
    image[1, 2:, ::2, 1] = 1.0  # one channel is enough
    features = np.array([[[1.0], [2.0]], [[3.0], [10.0]]], np.float32)
    features = np.stack([features, features, features])
    pooled = ContentPool(2)(features, image)
    # Image 0: (1 + 3) / 2; 1: (1 + 2 + (3 + 10) / 2) / 3; 2: nothing is there
    np.testing.assert_allclose(pooled, [[2.0], [9.5 / 3.0], [0.0]], rtol=1e-6)


def test_padding_changes_nothing():
    rng = np.random.default_rng(0)
    image = rng.uniform(1, 255, (1, 8, 16, 3)).astype(np.float32)
    features = rng.normal(size=(1, 2, 4, 5)).astype(np.float32)
    around = [(0, 0), (4, 4), (0, 0), (0, 0)]
    padded = np.pad(features, [(0, 0), (1, 1), (0, 0), (0, 0)], constant_values=7.0)
    pool = ContentPool(4)
    whole = pool(features, image)
    np.testing.assert_allclose(whole, features.mean(axis=(1, 2)), rtol=1e-5)
    np.testing.assert_allclose(pool(padded, np.pad(image, around)), whole, rtol=1e-5)
