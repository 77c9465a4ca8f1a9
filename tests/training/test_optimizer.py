"""Learning rates, weight decay and the optimizers, against numbers worked by hand."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import tiny_config

from mrcnn_skin.training.optimizer import (
    add_l2_gradients,
    l2_loss,
    make_optimizer,
    schedule,
)


def rates(steps, **overrides):
    """Learning rate of each step of a stage whose rate is 0.1."""
    rate = schedule(tiny_config(**overrides), 0.1, steps)
    if not callable(rate):
        return [rate] * steps
    return [float(rate(step)) for step in range(steps)]


def test_constant():
    assert rates(3) == [0.1, 0.1, 0.1]


@pytest.mark.parametrize("rate", [1, np.float32(0.5), np.int64(1)])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_rate_may_be_any_number(rate, optimizer):
    made = make_optimizer(tiny_config(OPTIMIZER=optimizer), rate, 10)
    assert float(made.learning_rate) == rate


def test_constant_after_a_linear_warm_up():
    wanted = [0.025, 0.04375, 0.0625, 0.08125, 0.1, 0.1]
    np.testing.assert_allclose(rates(6, WARMUP_STEPS=4), wanted, rtol=1e-6)


def test_cosine():
    wanted = [0.05 * (1 + math.cos(math.pi * step / 8)) for step in range(8)]
    got = rates(8, LEARNING_RATE_SCHEDULE="cosine")
    np.testing.assert_allclose(got, wanted, rtol=1e-5)
    assert got[0] == pytest.approx(0.1) and got[4] == pytest.approx(0.05)


def test_cosine_after_a_linear_warm_up():
    got = rates(10, LEARNING_RATE_SCHEDULE="cosine", WARMUP_STEPS=2)
    wanted = [0.05 * (1 + math.cos(math.pi * step / 8)) for step in range(8)]
    np.testing.assert_allclose(got[2:], wanted, rtol=1e-5)
    assert got[0] < got[1] < got[2] == pytest.approx(0.1)
    assert got[1] == pytest.approx(0.05)


@pytest.mark.parametrize("kind", ["constant", "cosine"])
@pytest.mark.parametrize("steps", [1, 3])
def test_warm_up_longer_than_the_stage(kind, steps):
    got = rates(steps, LEARNING_RATE_SCHEDULE=kind, WARMUP_STEPS=100)
    assert np.isfinite(got).all() and max(got) == pytest.approx(0.1)


def variable(name, values):
    return keras.Variable(values, name=name, dtype="float32")


def test_l2_loss_by_hand():
    """Mean squares 2.5, 9 and 4; gamma and beta do not count."""
    variables = [
        variable("kernel", [[1.0, 2.0]]),
        variable("kernel", [3.0]),
        variable("bias", [2.0]),
        variable("gamma", [100.0]),
        variable("beta", [100.0]),
    ]
    assert float(l2_loss(variables, 0.1)) == pytest.approx(1.55)
    assert float(l2_loss(variables[3:], 0.1)) == 0.0


def test_l2_gradients_by_hand():
    """Decay .5 pulls at a kernel of two by 2 * .5 * w / 2; gamma is left alone."""
    variables = [variable("kernel", [1.0, 2.0]), variable("gamma", [100.0])]
    gradients = [tf.constant([10.0, 20.0]), tf.constant([30.0])]
    loss, (kernel, gamma) = add_l2_gradients(gradients, variables, 0.5)
    assert float(loss) == pytest.approx(1.25)
    np.testing.assert_allclose(kernel, [10.5, 21.0])
    np.testing.assert_allclose(gamma, [30.0])


def test_sgd_with_momentum_by_hand():
    """Gradient 1 twice at rate .1: a step of .1, then one of .1 + .9 * .1."""
    optimizer = make_optimizer(tiny_config(LEARNING_MOMENTUM=0.9), 0.1, 10)
    weight = variable("kernel", [1.0])
    optimizer.build([weight])
    for wanted in (0.9, 0.71):
        optimizer.apply([tf.constant([1.0])], [weight])
        assert float(weight[0]) == pytest.approx(wanted)


def test_adamw_decays_kernels_only():
    """Without a gradient a kernel shrinks by the rate times the decay."""
    config = tiny_config(OPTIMIZER="adamw", WEIGHT_DECAY=0.5)
    optimizer = make_optimizer(config, 0.1, 10)
    names = ("kernel", "bias", "gamma", "beta")
    variables = [variable(name, [2.0]) for name in names]
    optimizer.build(variables)
    optimizer.apply([tf.constant([0.0])] * 4, variables)
    got = {v.name: float(v[0]) for v in variables}
    wanted = {"kernel": 2.0 - 0.1 * 0.5 * 2.0, "bias": 2.0, "gamma": 2.0, "beta": 2.0}
    assert got == pytest.approx(wanted)


def test_optimizer_counts_the_steps_of_its_own_stage():
    config = tiny_config(LEARNING_RATE_SCHEDULE="cosine")
    optimizer = make_optimizer(config, 0.1, 2)
    weight = variable("kernel", [1.0])
    optimizer.build([weight])
    optimizer.apply([tf.constant([0.0])], [weight])
    assert float(optimizer.learning_rate) == pytest.approx(0.05)
