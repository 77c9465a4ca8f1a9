"""Where in an image the diagnosis comes from: Grad-CAM of P(malignant).

Heat shows which places of the pyramid moved the probability of the best lesion up; it
says nothing on whether the model is right, nor what it saw there.
"""

import functools
import warnings

import keras
import numpy as np
import tensorflow as tf

from ..geometry.inputs import as_image, as_input, as_mask, as_probabilities
from ..layers.boxes import norm_boxes
from .detector import letterbox

SMOOTHING = 3  # cells of a pyramid level, the side of the window
FULLY_READ = 0.15  # share of the cells near; heat fades out where fewer were read


class GradCam:
    """Grad-CAM (Selvaraju et al., 2017) on ROI_LEVELS, which the heads look at.

    model: the inference graph; config: its Config. A region reads one level of the
    pyramid, so the maps of all are added, each at its own gradient's weights.
    Raises ValueError for a model without the task "classify" or malignant classes.
    """

    def __init__(self, model, config):
        if "classify" not in config.TASKS or not config.MALIGNANT_CLASS_IDS:
            raise ValueError(
                "Grad-CAM needs a model that classifies and MALIGNANT_CLASS_IDS, got "
                f"TASKS {config.TASKS} and {config.MALIGNANT_CLASS_IDS}"
            )
        self.config = config
        self._levels = [f"fpn_p{number}" for number in config.ROI_LEVELS]
        features = {name: model.get_layer(name).output for name in self._levels}
        self._model = keras.Model(
            model.inputs, features | {"probs": model.output["probs"]}
        )
        self._heat = tf.function(
            self._heat_graph,
            input_signature=[
                tf.TensorSpec([None, None, config.IMAGE_CHANNEL_COUNT], tf.uint8)
            ],
        )

    def __call__(self, image):
        """Heat of P(malignant), for an image uint8 [h, w, channels].

        Returns float32 [h, w], 0 to 1, the hottest place 1; all 0 where nothing
        speaks for malignancy, as in an image without a region. Warns, and gives 0, if
        the network's numbers overflow, as those of an untrained one may. Raises
        ValueError for any other array (geometry.inputs.as_input).
        """
        image = as_input(image, self.config)
        heat = self._heat(tf.constant(image)).numpy()
        if not np.isfinite(heat).all():
            warnings.warn("heat is not finite, so none is shown", stacklevel=2)
            return np.zeros_like(heat)
        return heat / max(float(heat.max()), np.finfo(np.float32).tiny)

    def _heat_graph(self, image):
        canvas = letterbox(image, self.config)
        size = tf.shape(canvas.image)[:2]
        window = norm_boxes(canvas.window, size)
        with tf.GradientTape() as tape:
            # Features depend on the input alone, so watching it records them all.
            tape.watch(canvas.image)
            outputs = self._model([canvas.image[None], window[None]], training=False)
            probs = outputs["probs"][0, 0]
            malignant = tf.gather(probs, self.config.MALIGNANT_CLASS_IDS)
            # The logarithm of the odds: its gradient does not fade where p is near 1.
            malignant = tf.reduce_sum(malignant)
            benign = tf.reduce_sum(probs[1:]) - malignant
            odds = tf.math.log(malignant + 1e-7) - tf.math.log(benign + 1e-7)
        features = [outputs[name] for name in self._levels]
        gradients = tape.gradient(odds, features, unconnected_gradients="zero")
        maps = [
            tf.image.resize(_smooth(*_activation_map(*pair)), size)
            for pair in zip(features, gradients, strict=True)
        ]
        total = tf.add_n(maps)[0]  # [canvas_h, canvas_w, 1]
        y1, x1, y2, x2 = tf.unstack(tf.cast(canvas.window, tf.int32))
        return tf.image.resize(total[y1:y2, x1:x2], tf.shape(image)[:2])[..., 0]


def _activation_map(features, gradients):
    """Sum of the channels, each weighted by its mean gradient, where positive.

    Only cells that the head read count, those with a gradient: what lies outside of
    the region does not influence its diagnosis.

    Args:
        features, gradients: [1, h, w, channels].

    Returns:
        The heat, and 1 where a cell was read, else 0; both [1, h, w, 1].
    """
    is_read = tf.reduce_any(gradients != 0, axis=-1, keepdims=True)
    is_read = tf.cast(is_read, tf.float32)
    count = tf.maximum(tf.reduce_sum(is_read), 1.0)
    weights = tf.reduce_sum(gradients, axis=(1, 2), keepdims=True) / count
    heat = tf.reduce_sum(weights * features, axis=-1, keepdims=True)
    return tf.nn.relu(heat) * is_read, is_read


def _smooth(heat, is_read):
    """Average the heat of the cells near each cell, of those that were read.

    RoIAlign reads single cells of a large region, a few apart: without this, heat is a
    grid of dots. heat, is_read: of _activation_map. Returns [1, h, w, 1].
    """
    for _ in range(2):  # a triangular window
        heat, is_read = (
            tf.nn.avg_pool2d(values, SMOOTHING, 1, "SAME") for values in (heat, is_read)
        )
    return heat / tf.maximum(is_read, FULLY_READ)


def share_inside(heat, mask):
    """The share of the heat, float [h, w], that lies in a mask, bool [h, w].

    Returns a float; nan without any heat.
    """
    mask = as_mask(mask, heat.shape)
    total = float(heat.sum(dtype=np.float64))
    return float(heat[mask].sum(dtype=np.float64)) / total if total else float("nan")


class HeatShare:
    """Detail of evaluation.scoring.score_images: column heat_inside.

    grad_cam: a GradCam. An image without true mask has no such column.
    """

    def __init__(self, grad_cam):
        self._grad_cam = grad_cam

    def __call__(self, case):
        truth = case.truth
        if truth is None:
            return {}
        return {"heat_inside": share_inside(self._grad_cam(case.image), truth)}


@functools.cache
def _colours():
    from matplotlib import colormaps

    return (255 * colormaps["inferno"](np.linspace(0, 1, 256))[:, :3]).astype(np.uint8)


def overlay_heat(image, heat, strength=0.6):
    """Lay heat, float [h, w] of 0 to 1, over an image uint8 [h, w, 3].

    strength: opacity of the hottest place, 0 to 1. Returns uint8 [h, w, 3].
    Raises ValueError for other numbers, or heat of another size.
    """
    image = as_image(image)
    heat = as_probabilities(heat, size=image.shape[:2], name="heat")
    if not 0 <= strength <= 1:
        raise ValueError(f"strength must be 0 to 1, got {strength!r}")
    colour = _colours()[np.round(255 * heat).astype(int)]
    opacity = strength * heat[:, :, None]
    return np.round(image * (1 - opacity) + colour * opacity).astype(np.uint8)
