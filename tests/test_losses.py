"""Every loss against numbers worked by hand."""

import functools
import math

import numpy as np
import pytest
import tensorflow as tf

from mrcnn_skin import losses

LN2 = math.log(2)


def logit(p):
    """The logit of probabilities; of 0 and 1 a large one."""
    p = np.clip(np.asarray(p, np.float64), 1e-30, 1 - 1e-16)
    return tf.constant(np.log(p) - np.log1p(-p), tf.float32)


@pytest.mark.parametrize(
    "p, positive, expected",
    [
        # .25 (1 - .5)^2 ln 2 = .0625 ln 2
        (0.5, 1, 0.0625 * LN2),
        # .75 .5^2 ln 2 = .1875 ln 2
        (0.5, 0, 0.1875 * LN2),
        # .25 (1 - .9)^2 -ln .9
        (0.9, 1, 0.25 * 0.01 * -math.log(0.9)),
        # .75 .9^2 -ln .1: a confident mistake
        (0.9, 0, 0.75 * 0.81 * -math.log(0.1)),
    ],
)
def test_focal_loss_with_the_papers_constants(p, positive, expected):
    loss = losses.focal_loss(logit([p]), tf.constant([positive]))
    np.testing.assert_allclose(loss, [expected], rtol=1e-5)


def test_focal_loss_without_focus_is_weighted_cross_entropy():
    loss = losses.focal_loss(logit([0.2, 0.2]), tf.constant([1, 0]), 0.5, 0.0)
    expected = [-0.5 * math.log(0.2), -0.5 * math.log(0.8)]
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


GAPS = [0.0, 1.0, 5.0, 12.0, 16.0, 17.0, 30.0, 60.0]


def value_and_gradient(loss, x):
    x = tf.constant(x, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = loss(x)
    return np.squeeze(value), np.squeeze(tape.gradient(value, x))


def focal_of_a_gap(gap, alpha, beta):
    """-alpha (1-p)^beta log p, p = 1 / (1 + e^-gap), and its derivative; float64."""
    log_p, log_q = -np.logaddexp(0, -gap), -np.logaddexp(0, gap)
    p, focus = np.exp(log_p), alpha * np.exp(beta * log_q)
    return -focus * log_p, focus * (beta * p * log_p - np.exp(log_q))


@pytest.mark.parametrize("gap", [*GAPS, *(-gap for gap in GAPS)])
def test_losses_of_a_confident_mistake_are_those_of_float64(gap):
    """The truth's logit minus the other's is `gap`; no gradient may vanish below 0."""
    truth = np.array([1])
    value, slope = focal_of_a_gap(gap, alpha=1.0, beta=0.0)
    focal_value, focal_slope = focal_of_a_gap(gap, alpha=0.25, beta=2.0)
    if gap < -5:
        assert slope == pytest.approx(-1, abs=1e-2)
        assert focal_slope == pytest.approx(-0.25, abs=1e-2)
    exact = {"rtol": 1e-5, "atol": 1e-20}
    for loss, expected in (
        (losses.cross_entropy, (value, slope)),
        (losses.focal_loss, (focal_value, focal_slope)),
    ):
        found = value_and_gradient(lambda x, f=loss: f(x, truth), [gap])
        np.testing.assert_allclose(found, expected, **exact)
        found = value_and_gradient(lambda x, f=loss: f(-x, 1 - truth), [gap])
        weight = 3.0 if loss is losses.focal_loss else 1.0  # (1 - alpha) / alpha
        np.testing.assert_allclose(found, np.multiply(expected, weight), **exact)
    exact = {"rtol": 1e-5, "atol": 1e-7}  # a softmax of three is less exact near 0
    for loss, expected in (
        (losses.categorical_cross_entropy, (value, slope)),
        (losses.categorical_focal_loss, (focal_value, focal_slope)),
    ):
        found, gradient = value_and_gradient(
            lambda x, f=loss: f(x, truth), [[3.0, 3.0 + gap, -90.0]]
        )
        np.testing.assert_allclose(found, expected[0], **exact)
        np.testing.assert_allclose(gradient[:2], [-expected[1], expected[1]], **exact)
    found = value_and_gradient(
        lambda x: losses.binary_cross_entropy(tf.ones([1, 1, 1]), x), [[[gap]]]
    )
    np.testing.assert_allclose(found, (value, slope), rtol=1e-5, atol=1e-20)


def test_rpn_class_loss_divides_by_the_sampled_anchors():
    p = logit([[0.5, 0.5, 0.9, 0.1]])
    match = tf.constant([[1, -1, 0, 0]])  # the last two are not sampled
    loss = losses.rpn_class_loss(p, match)
    np.testing.assert_allclose(loss, (0.0625 + 0.1875) * LN2 / 2, rtol=1e-5)
    plain = losses.rpn_class_loss(p, match, "cross_entropy")
    np.testing.assert_allclose(plain, LN2, rtol=1e-5)


@pytest.mark.parametrize(
    "x, expected", [(0.0, 0.0), (0.5, 0.125), (-0.5, 0.125), (1.0, 0.5), (-3.0, 2.5)]
)
def test_smooth_l1(x, expected):
    np.testing.assert_allclose(losses.smooth_l1(tf.constant([x])), [expected])


def test_box_loss_sums_the_deltas_and_divides_by_the_positives():
    deltas = tf.constant([[[0.5, 2.0, 0, 0], [1.0, 0, 0, 0], [9.0, 9, 9, 9]]])
    target = tf.zeros([1, 3, 4])
    positive = tf.constant([[True, True, False]])
    # (.125 + 1.5) + .5 over two positives
    loss = losses.box_loss(deltas, target, positive)
    np.testing.assert_allclose(loss, 2.125 / 2, rtol=1e-6)


def test_binary_cross_entropy_is_the_mean_over_the_pixels():
    target = tf.constant([[[1.0, 0.0]]])
    mask = logit([[[0.5, 0.25]]])
    expected = (LN2 - math.log(0.75)) / 2
    np.testing.assert_allclose(
        losses.binary_cross_entropy(target, mask), [expected], rtol=1e-5
    )


def test_jaccard_distance_smoothed_by_100():
    target = tf.constant([[[1.0, 1.0], [0.0, 0.0]]])
    mask = tf.constant([[[1.0, 0.0], [1.0, 0.0]]])
    # I = 1, U = 2 + 2 - 1 = 3: 1 - 101 / 103
    np.testing.assert_allclose(
        losses.jaccard_distance(target, mask), [2 / 103], rtol=1e-4
    )
    # delta = 1, times 10: 10 (1 - 2 / 4)
    np.testing.assert_allclose(
        losses.jaccard_distance(target, mask, delta=1.0, scale=10.0), [5.0], rtol=1e-6
    )
    # Soft masks: I = .5, U = 1 + .5 - .5 = 1, delta = 1: 1 - 1.5 / 2
    soft = losses.jaccard_distance(
        tf.constant([[[1.0]]]), tf.constant([[[0.5]]]), delta=1.0
    )
    np.testing.assert_allclose(soft, [0.25], rtol=1e-6)


def test_jaccard_distance_of_equal_masks_and_of_empty_ones_is_zero():
    mask = tf.constant([[[1.0, 0.0]], [[0.0, 0.0]]])
    np.testing.assert_allclose(losses.jaccard_distance(mask, mask), [0, 0], atol=1e-7)


def test_mask_loss_adds_both_terms_over_the_positives_alone():
    target = tf.constant([[[1.0]], [[0.0]]])
    mask = logit([[[0.5]], [[0.9]]])
    positive = tf.constant([True, False])
    plain = losses.mask_loss(target, mask, positive, "bce")
    np.testing.assert_allclose(plain, LN2, rtol=1e-5)
    both = losses.mask_loss(target, mask, positive, delta=1.0, weight=2.0)
    np.testing.assert_allclose(both, LN2 + 2 * 0.25, rtol=1e-5)


def test_categorical_losses():
    logits = tf.math.log(tf.constant([[0.5, 0.25, 0.25], [0.2, 0.8, 1e-30]])) + 7.0
    class_ids = tf.constant([0, 1])
    np.testing.assert_allclose(
        losses.categorical_cross_entropy(logits, class_ids),
        [LN2, -math.log(0.8)],
        rtol=1e-5,
    )
    # Background: .75 .5^2 ln 2; class 1: .25 .2^2 -ln .8
    np.testing.assert_allclose(
        losses.categorical_focal_loss(logits, class_ids),
        [0.1875 * LN2, 0.25 * 0.04 * -math.log(0.8)],
        rtol=1e-4,
    )


def test_active_logits_leave_out_classes_the_source_does_not_label():
    logits = tf.constant([[0.0, 0.0, 50.0]])
    probs = tf.nn.softmax(losses.active_logits(logits, tf.constant([[1, 1, 0]])))
    np.testing.assert_allclose(probs, [[0.5, 0.5, 0.0]], atol=1e-6)


def test_a_term_over_nothing_is_zero_and_has_no_gradient():
    p = logit([[0.3, 0.6]])
    with tf.GradientTape() as tape:
        tape.watch(p)
        loss = losses.rpn_class_loss(p, tf.zeros([1, 2], tf.int32))
    assert float(loss) == 0
    np.testing.assert_array_equal(tape.gradient(loss, p), [[0, 0]])
    nothing = tf.zeros([1, 2], tf.bool)
    assert float(losses.box_loss(tf.ones([1, 2, 4]), tf.zeros([1, 2, 4]), nothing)) == 0


def test_a_box_or_mask_term_over_nothing_has_no_gradient():
    nothing = tf.zeros([2], tf.bool)
    deltas, masks = tf.ones([2, 4]), tf.fill([2, 2, 2], 0.3)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([deltas, masks])
        box = losses.box_loss(deltas, tf.zeros([2, 4]), nothing)
        mask = losses.mask_loss(tf.ones([2, 2, 2]), masks, nothing)
    assert float(box) == 0 and float(mask) == 0
    np.testing.assert_array_equal(tape.gradient(box, deltas), np.zeros((2, 4)))
    np.testing.assert_array_equal(tape.gradient(mask, masks), np.zeros((2, 2, 2)))


def test_mask_loss_of_no_mask_at_all_is_zero():
    none = tf.zeros([0, 2, 2])
    assert float(losses.mask_loss(none, none, tf.zeros([0], tf.bool))) == 0


def test_numbers_that_do_not_count_may_be_nan():
    values = tf.constant([1.0, np.nan, 3.0])
    assert float(losses.mean_where(values, tf.constant([1, 0, 1]))) == 2


def test_mask_loss_with_the_papers_delta_and_with_its_factor():
    target = tf.constant([[[1.0, 1.0], [0.0, 0.0]]])
    mask = tf.zeros([1, 2, 2])  # probabilities of .5
    positive = tf.constant([True])
    # BCE ln 2; I = 1, U = 2 + 2 - 1 = 3, delta = 100: 1 - 101 / 103
    np.testing.assert_allclose(
        losses.mask_loss(target, mask, positive), LN2 + 2 / 103, rtol=1e-5
    )
    # As in keras-contrib, times delta; and the term's weight .5
    scaled = losses.mask_loss(target, mask, positive, scale=100.0, weight=0.5)
    np.testing.assert_allclose(scaled, LN2 + 0.5 * 200 / 103, rtol=1e-4)


def test_jaccard_gradient_pulls_each_pixel_to_its_target():
    target = tf.constant([[[1.0, 0.0]]])
    mask = tf.constant([[[0.5, 0.5]]])
    with tf.GradientTape() as tape:
        tape.watch(mask)
        loss = losses.jaccard_distance(target, mask, delta=1.0)
    # I = .5, U = 1.5. Inside, dI = 1 and dU = 0: -1 / 2.5; outside, dI = 0 and dU = 1:
    # 1.5 / 2.5^2
    np.testing.assert_allclose(tape.gradient(loss, mask), [[[-0.4, 0.24]]], rtol=1e-5)


def test_inactive_classes_have_no_gradient():
    logits = tf.constant([[0.3, 0.1, 2.0]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        active = losses.active_logits(logits, tf.constant([[1, 1, 0]]))
        loss = losses.categorical_cross_entropy(active, tf.constant([1]))
    gradient = tape.gradient(loss, logits).numpy()[0]
    # Softmax minus one-hot, over the two active classes
    p = 1 / (1 + math.exp(0.1 - 0.3))
    np.testing.assert_allclose(gradient, [p, -p, 0], atol=1e-6)


def test_categorical_focal_loss_of_two_classes_is_the_focal_loss():
    p = np.array([0.2, 0.7])
    logits, class_ids = np.log(np.stack([1 - p, p], axis=-1)), tf.constant([1, 0])
    np.testing.assert_allclose(
        losses.categorical_focal_loss(logits.astype(np.float32), class_ids, 0.3, 1.5),
        losses.focal_loss(logit(p), class_ids, 0.3, 1.5),
        rtol=1e-5,
    )


def half_precision_cases():
    """(name, loss of float tensors, their values), each at gaps that matter."""
    gaps = [0.0, 5.0, -5.0, 40.0, -40.0, 500.0, -500.0]
    logits = np.stack([np.zeros(7), gaps, np.full(7, -300.0)], -1)  # [7, classes]
    pixels = np.tile(np.reshape(gaps, [7, 1, 1]), [1, 64, 64])  # sums beyond float16
    ones = np.ones([7], np.int32)
    for name in losses.RPN_CLASS_LOSSES:
        loss = functools.partial(losses.rpn_class_loss, match=ones, loss=name)
        yield f"rpn {name}", loss, [gaps]
        yield name, lambda x, f=losses.RPN_CLASS_LOSSES[name]: f(x, ones), [gaps]
    for name, loss in losses.CLASS_LOSSES.items():
        yield f"class {name}", lambda x, f=loss: f(x, ones), [logits]
    yield "smooth_l1", losses.smooth_l1, [gaps]
    yield (
        "box",
        lambda x, y: losses.box_loss(x, y, ones[:2]),
        [[[0, 9, 400, -400]] * 2] * 2,
    )
    for name in losses.MASK_LOSSES:
        loss = functools.partial(losses.mask_loss, is_positive=ones, loss=name)
        yield f"mask {name}", loss, [np.ones_like(pixels), pixels]
    active = np.array([[1, 1, 0]])
    yield "active", lambda x: tf.nn.softmax(losses.active_logits(x, active)), [logits]
    yield "mean", lambda x: losses.mean_where(x, tf.ones_like(x)), [np.full(9000, 60.0)]


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16])
@pytest.mark.parametrize(
    "loss, values",
    [pytest.param(*rest, id=name) for name, *rest in half_precision_cases()],
)
def test_half_precision_gives_the_loss_and_gradient_of_float32(dtype, loss, values):
    half = [tf.constant(value, dtype) for value in values]
    found = value_and_gradients(loss, half)
    expected = value_and_gradients(loss, [tf.cast(x, tf.float32) for x in half])
    assert found[0].dtype == tf.float32 and np.isfinite(found[0]).all()
    np.testing.assert_array_equal(found[0], expected[0])
    for gradient, wanted in zip(found[1:], expected[1:], strict=True):
        assert gradient.dtype == dtype
        np.testing.assert_array_equal(gradient, tf.cast(wanted, dtype))
        assert np.isfinite(tf.cast(gradient, tf.float32)).all()


def value_and_gradients(loss, tensors):
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = loss(*tensors)
    return [value, *tape.gradient(value, tensors)]
