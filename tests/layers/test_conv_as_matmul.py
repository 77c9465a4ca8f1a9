"""A convolution as a matrix product gives what TensorFlow's convolution gives."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mrcnn_skin.layers.conv_as_matmul import WholeConv2D, whole_convolution


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (2, 5)])
@pytest.mark.parametrize("use_bias", [True, False])
def test_results_and_gradients_are_those_of_a_conv2d(size, use_bias):
    x = tf.random.stateless_normal([6, *size, 4], [1, 2])
    settings = {"use_bias": use_bias, "bias_initializer": "ones", "activation": "relu"}
    plain = keras.layers.Conv2D(5, size, **settings)
    whole = WholeConv2D(5, size, **settings)
    results = []
    for layer in (plain, whole):
        layer.build(x.shape)
        layer.set_weights(plain.get_weights())
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            loss = tf.reduce_sum(y**2)
        results.append([y, *tape.gradient(loss, [x, *layer.trainable_variables])])
    for wanted, got in zip(*results, strict=True):
        assert got.shape == wanted.shape
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


def test_it_is_a_conv2d_by_its_configuration_and_weights():
    layer = WholeConv2D.from_config(WholeConv2D(5, 3, name="conv").get_config())
    layer.build([None, 3, 3, 4])
    assert layer.compute_output_shape((None, 3, 3, 4)) == (None, 1, 1, 5)
    assert [w.path for w in layer.weights] == ["conv/kernel", "conv/bias"]


def test_a_kernel_of_one_cell_takes_rows_too():
    layer = keras.layers.Conv2D(2, 1)
    layer.build([None, 1, 1, 3])
    rows = tf.ones([4, 3])
    wanted = layer(rows[:, None, None])[:, 0, 0]
    np.testing.assert_allclose(whole_convolution(layer, rows), wanted, rtol=1e-6)
