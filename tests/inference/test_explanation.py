"""Grad-CAM: where heat may lie, its share in a mask, and what it refuses."""

import numpy as np
import pytest
from tiny import tiny_config

from mrcnn_skin import MaskRCNN
from mrcnn_skin.data.lesion_painter import synthetic_lesion
from mrcnn_skin.inference.explanation import (
    GradCam,
    _activation_map,
    _smooth,
    overlay_heat,
    share_inside,
)


def test_share_inside_by_hand():
    heat = np.array([[1.0, 0.5], [0.5, 0.0]], np.float32)
    assert share_inside(heat, np.array([[True, False], [True, True]])) == 0.75
    assert np.isnan(share_inside(np.zeros((2, 2)), np.ones((2, 2), bool)))


def test_activation_map_by_hand():
    features = np.zeros((1, 2, 2, 2), np.float32)
    features[0, :, :, 0] = [[1, 2], [3, 4]]
    features[0, :, :, 1] = [[4, 3], [2, 1]]
    gradients = np.zeros_like(features)
    gradients[0, 1, 0], gradients[0, 1, 1] = (2, -4), (4, -2)
    # The head read the lower two places: mean gradients 3 and -3.
    # 3 * f0 - 3 * f1 = [[-9, -3], [3, 9]]
    heat, is_read = (a.numpy()[0, ..., 0] for a in _activation_map(features, gradients))
    assert heat.tolist() == [[0, 0], [3, 9]] and is_read.tolist() == [[0, 0], [1, 1]]
    # Were the upper place read too, its own heat would be negative, so none.
    gradients[0, 0, 0] = 0.1, 0.0
    heat = _activation_map(features, gradients)[0].numpy()[0, ..., 0]
    assert heat[0].tolist() == [0, 0] and (heat[1] > 0).all()


def test_heat_of_every_second_cell_has_no_grid():
    is_read = np.zeros((1, 40, 40, 1), np.float32)
    is_read[:, 10:30:2, 10:30:2] = 1
    heat = _smooth(3 * is_read, is_read).numpy()[0, ..., 0]
    np.testing.assert_allclose(heat[15:25, 15:25], 3, rtol=1e-5)
    assert not heat[:6].any() and not heat[:, 34:].any()  # far from what was read


def test_overlay_keeps_cold_places():
    image = np.full((2, 2, 3), 100, np.uint8)
    shown = overlay_heat(image, np.array([[0, 1], [0, 0]], float))
    assert (shown[1] == 100).all() and (shown[0, 1] != 100).any()


@pytest.mark.parametrize(
    "heat, words",
    [
        (np.full((2, 2), np.nan), "heat must be .* got float64 from nan"),
        (np.full((2, 2), 1.5), "heat must be .* from 1.5"),
        (np.full((2, 2), -0.5), "heat must be .* from -0.5"),
        (
            np.zeros((3, 2)),
            r"heat must be as large as its image, \(2, 2\), got \(3, 2\)",
        ),
        (np.zeros((2, 2, 1)), r"heat must be a mask \[height, width\]"),
        (None, "heat must be .* got None"),
    ],
)
def test_what_is_no_heat_is_refused(heat, words):
    with pytest.raises(ValueError, match=words):
        overlay_heat(np.full((2, 2, 3), 100, np.uint8), heat)


@pytest.mark.parametrize("strength", [-0.1, 1.5, float("nan")])
def test_strength_is_a_share(strength):
    with pytest.raises(ValueError, match="strength must be 0 to 1, got"):
        overlay_heat(np.full((2, 2, 3), 100, np.uint8), np.ones((2, 2)), strength)


@pytest.fixture(scope="module")
def model():
    return MaskRCNN("inference", tiny_config(SEED=3))


@pytest.fixture(scope="module")
def grad_cam(model):
    return GradCam(model.keras_model, model.config)


def test_heat_has_the_size_of_the_image(grad_cam):
    image, _, _ = synthetic_lesion(1, (70, 90))
    heat = grad_cam(image)
    assert heat.shape == (70, 90) and heat.dtype == np.float32
    assert heat.min() >= 0 and heat.max() in (0, pytest.approx(1))


def test_heat_follows_the_probability(model, grad_cam):
    """Raising the features where it is hot raises the odds: checked by the weights.

    With the class head's malignant and benign rows exchanged, the odds and so all
    gradients change their sign; heat may then remain only where there was none.
    """
    image, _, _ = synthetic_lesion(1, (64, 64))
    before = grad_cam(image)
    layer = model.keras_model.get_layer("mrcnn_class_logits")
    kernel, bias = layer.get_weights()
    exchanged = [0, 2, 1]
    layer.set_weights([kernel[:, exchanged], bias[exchanged]])
    after = grad_cam(image)
    layer.set_weights([kernel, bias])
    assert before.any() or after.any()
    assert not np.allclose(before, after)


def test_heat_that_overflows_is_said_and_not_shown(model, grad_cam):
    """Features beyond float32, in a pyramid that the probabilities survive."""
    image, _, _ = synthetic_lesion(1, (64, 64))
    layer = model.keras_model.get_layer("fpn_p2")
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel, np.full_like(bias, np.inf)])
    with pytest.warns(UserWarning, match="heat map is not finite"):
        heat = grad_cam(image)
    layer.set_weights([kernel, bias])
    assert heat.shape == (64, 64) and not heat.any()
    assert (overlay_heat(image, heat) == image).all()


def test_a_model_without_diagnosis_is_refused(model):
    config = tiny_config(TASKS=("detect", "segment"))
    with pytest.raises(ValueError, match="classifies"):
        GradCam(model.keras_model, config)
