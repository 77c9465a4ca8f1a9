"""P(malignant) of an image, from regions whose probabilities are known."""

import keras
import numpy as np
import tensorflow as tf

from mrcnn_skin.layers.diagnosis import Diagnosis

BOX, NONE = [0.1, 0.1, 0.5, 0.5], [0.0] * 4


def diagnose(probs, boxes, malignant=(2,)):
    layer = Diagnosis(malignant)
    return float(layer(tf.constant([probs]), tf.constant([boxes]))[0])


def test_each_region_counts_alike_among_the_classes_that_are_lesions():
    probs = [[0.0, 0.2, 0.8], [0.9, 0.06, 0.04]]  # .8, and .4 of a likely background
    np.testing.assert_allclose(diagnose(probs, [BOX, BOX]), 0.6, atol=1e-6)
    np.testing.assert_allclose(diagnose(probs, [BOX, NONE]), 0.8, atol=1e-6)


def test_several_classes_may_be_malignant():
    probs = [[0.2, 0.2, 0.5, 0.1]]
    np.testing.assert_allclose(diagnose(probs, [BOX], (1, 3)), 0.375, atol=1e-6)


def test_without_a_region_or_a_number_there_is_no_diagnosis():
    assert np.isnan(diagnose([[0.0, 0.0, 0.0]], [NONE]))
    assert np.isnan(diagnose([[1.0, 0.0, 0.0]], [BOX]))  # the rest underflowed


def test_its_gradient_is_finite_beside_padding():
    probs = tf.constant([[[0.0, 0.2, 0.8], [0.0, 0.0, 0.0]], [[0.0] * 3] * 2])
    boxes = tf.constant([[BOX, NONE], [NONE, NONE]])
    with tf.GradientTape() as tape:
        tape.watch(probs)
        p = Diagnosis((2,))(probs, boxes)[0]
    assert np.isfinite(tape.gradient(p, probs)).all()


def test_config_round_trip():
    layer = Diagnosis((1, 3), name="diagnosis")
    twin = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(layer)
    )
    assert twin.malignant_class_ids == (1, 3)
