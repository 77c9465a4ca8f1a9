"""BatchNorm obeys its own switch, not the model's."""

import keras
import numpy as np
import tensorflow as tf

from mrcnn_skin.layers.normalization import BatchNorm


def test_batch_norm_keeps_its_statistics_in_training_unless_told():
    x = tf.constant(np.random.default_rng(0).normal(5, 3, (8, 4)), tf.float32)
    frozen, learning = BatchNorm(), BatchNorm(train_bn=True)
    for layer in (frozen, learning):
        inputs = keras.Input([4])
        model = keras.Model(inputs, layer(inputs))
        model(x, training=True)
    np.testing.assert_array_equal(frozen.moving_mean, [0] * 4)
    np.testing.assert_allclose(
        learning.moving_mean, 0.01 * x.numpy().mean(axis=0), rtol=1e-4
    )


def test_frozen_statistics_are_those_that_normalise():
    layer = BatchNorm(epsilon=0.0)
    layer.build((None, 1))
    layer.moving_mean.assign([2.0])
    layer.moving_variance.assign([4.0])
    x = tf.constant([[2.0], [6.0]])
    for training in (True, False):
        np.testing.assert_allclose(layer(x, training=training), [[0.0], [2.0]])


def test_a_learning_one_normalises_by_the_batch_in_training_only():
    layer = BatchNorm(train_bn=True, epsilon=0.0)
    x = tf.constant([[2.0], [6.0]])  # mean 4, standard deviation 2
    np.testing.assert_allclose(layer(x, training=True), [[-1.0], [1.0]], rtol=1e-5)
    mean, variance = layer.moving_mean.numpy()[0], layer.moving_variance.numpy()[0]
    expected = (x.numpy() - mean) / np.sqrt(variance)
    np.testing.assert_allclose(layer(x, training=False), expected, rtol=1e-5)


def test_gamma_and_beta_learn_though_the_statistics_do_not():
    layer = BatchNorm()
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(layer(tf.constant([[1.0], [2.0]]), training=True) ** 2)
    assert [v.name for v in layer.trainable_variables] == ["gamma", "beta"]
    gradients = tape.gradient(total, layer.trainable_variables)
    assert all(abs(float(g[0])) > 0.1 for g in gradients)
