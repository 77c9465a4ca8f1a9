"""Optimizers of a stage, and the weight decay of Matterport."""

import keras
import tensorflow as tf

NO_DECAY = ("gamma", "beta", "bias")


def make_optimizer(config, learning_rate, steps):
    """Make the optimizer of one stage.

    learning_rate: of the stage; steps: of the stage, for the cosine schedule.
    Returns SGD with Config.LEARNING_MOMENTUM, or AdamW with Config.WEIGHT_DECAY.
    The global gradient norm is clipped by the loop.
    """
    rate = schedule(config, float(learning_rate), steps)
    if config.OPTIMIZER == "sgd":
        return keras.optimizers.SGD(rate, momentum=config.LEARNING_MOMENTUM)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=config.WEIGHT_DECAY)
    optimizer.exclude_from_weight_decay(var_names=NO_DECAY)
    return optimizer


def schedule(config, learning_rate, steps):
    """Learning rate by the step of the stage: a number or a Keras schedule."""
    warmup = min(config.WARMUP_STEPS, steps - 1)
    if config.LEARNING_RATE_SCHEDULE == "cosine":
        return keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0 if warmup else learning_rate,
            decay_steps=steps - warmup,
            warmup_target=learning_rate if warmup else None,
            warmup_steps=warmup,
        )
    if warmup:
        return keras.optimizers.schedules.PolynomialDecay(
            learning_rate / warmup, warmup, learning_rate
        )
    return learning_rate


def l2_loss(variables, weight_decay):
    """Matterport's regularizer: the mean square of every kernel and bias, added up.

    The division by the tensor's size keeps large layers from ruling it; gamma and
    beta are left alone.
    """
    decayed = [v for v in variables if v.name not in ("gamma", "beta")]
    terms = [tf.reduce_mean(tf.square(tf.cast(v, tf.float32))) for v in decayed]
    return weight_decay * tf.add_n(terms) if terms else tf.constant(0.0)


def add_l2_gradients(gradients, variables, weight_decay):
    """Add the gradients of l2_loss; returns the loss and all gradients, in order."""
    with tf.GradientTape() as tape:
        loss = l2_loss(variables, weight_decay)
    pulls = tape.gradient(loss, variables)  # None for gamma and beta
    pairs = zip(gradients, pulls, strict=True)
    return loss, [g if pull is None else g + pull for g, pull in pairs]
