"""Distances from the training images by hand."""

import numpy as np

from mrcnn_skin.layers.familiarity import LesionDoubt, Unfamiliarity


def test_distance_by_hand():
    layer = Unfamiliarity(1)
    layer.build((None, 2))
    weights = [1.0, 2.0], [2.0, 0.5], [[0.6], [0.8]]  # mean, scale, factors
    layer.set_weights([np.array(values) for values in weights])
    # (2, 4) becomes x = (2, 1): |x|^2 = 5, (x . factor)^2 = (1.2 + .8)^2 = 4
    np.testing.assert_allclose(layer(np.array([[2.0, 4.0], [1.0, 2.0]])), [1.0, 0.0])


def test_nothing_is_familiar_before_the_statistics_are_set():
    scores = np.asarray(
        Unfamiliarity(2)(np.array([[0.0, 1.0, -1.0], [0.0, 0.0, 0.01]]))
    )
    assert not (scores <= 1.0).any()


def test_the_statistics_do_not_learn():
    layer = Unfamiliarity(1)
    layer.build((None, 2))
    assert len(layer.weights) == 3 and not layer.trainable_weights
    layer.trainable = True
    assert not layer.trainable_weights


def test_doubt_is_that_of_the_best_region():
    layer = LesionDoubt()
    probs = np.array(
        [
            [[0.3, 0.7, 0.0], [0.2, 0.1, 0.7], [0.0, 1.0, 0.0]],
            [[0.9, 0.1, 0.0], [0.0, 0.5, 0.5], [0.0, 0.5, 0.5]],
        ]
    )
    real, none = [0.1, 0.1, 0.9, 0.9], [0.0, 0.0, 0.0, 0.0]
    rois = np.array([[real, real, none], [none, none, none]])
    np.testing.assert_allclose(layer(probs, rois), [0.2, 1.0])
    layer.set_weights([np.array([0.1])])
    np.testing.assert_allclose(layer(probs, rois), [2.0, 10.0], rtol=1e-6)
