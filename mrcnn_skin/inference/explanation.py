"""Explain the diagnosis of an image: Grad-CAM of P(malignant).

The heat map shows which places raise the best lesion's probability. It does not show
whether the model is right.
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
FULLY_READ = 0.15  # share of nearby cells; heat fades where fewer were read


class GradCam:
    """Grad-CAM (Selvaraju et al., 2017) on the pyramid levels of the heads.

    A region reads one level of the pyramid, so the maps of all levels are added.

    Args:
        model: the inference graph.
        config: its Config.

    Raises:
        ValueError: without the task "classify" or malignant classes.
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
        """Compute the heat map of an image uint8 [h, w, channels].

        Returns:
            float32 [h, w], with the maximum 1; all 0 if no place raises P(malignant),
            or, with a warning, if values overflow.

        Raises:
            ValueError: for another array (geometry.inputs.as_input).
        """
        image = as_input(image, self.config)
        heat = self._heat(tf.constant(image)).numpy()
        if not np.isfinite(heat).all():
            warnings.warn("the heat map is not finite and set to 0", stacklevel=2)
            return np.zeros_like(heat)
        return heat / max(float(heat.max()), np.finfo(np.float32).tiny)

    def describe(self, case):
        """Return the column heat_inside of a case, for evaluation.scoring."""
        truth = case.truth
        if truth is None:
            return {}
        return {"heat_inside": share_inside(self(case.image), truth)}

    def _heat_graph(self, image):
        canvas = letterbox(image, self.config)
        size = tf.shape(canvas.image)[:2]
        window = norm_boxes(canvas.window, size)
        with tf.GradientTape() as tape:
            # Watching the input records all features
            tape.watch(canvas.image)
            outputs = self._model([canvas.image[None], window[None]], training=False)
            probs = outputs["probs"][0, 0]
            malignant = tf.gather(probs, self.config.MALIGNANT_CLASS_IDS)
            # The gradient of the log odds does not vanish near p = 1
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
    """Sum the channels weighted by their mean gradient; keep positive values.

    Only cells with a gradient count: the head reads no others. features, gradients:
    [1, h, w, channels]. Returns heat and 1 for cells that were read, [1, h, w, 1].
    """
    is_read = tf.reduce_any(gradients != 0, axis=-1, keepdims=True)
    is_read = tf.cast(is_read, tf.float32)
    count = tf.maximum(tf.reduce_sum(is_read), 1.0)
    weights = tf.reduce_sum(gradients, axis=(1, 2), keepdims=True) / count
    heat = tf.reduce_sum(weights * features, axis=-1, keepdims=True)
    return tf.nn.relu(heat) * is_read, is_read


def _smooth(heat, is_read):
    """Average the heat over nearby cells that were read, [1, h, w, 1].

    RoIAlign reads single cells of a large region, so the heat would be a grid of dots.
    """
    for _ in range(2):  # a triangular window
        heat, is_read = (
            tf.nn.avg_pool2d(values, SMOOTHING, 1, "SAME") for values in (heat, is_read)
        )
    return heat / tf.maximum(is_read, FULLY_READ)


def share_inside(heat, mask):
    """Return the share of heat, float [h, w], inside a mask, bool [h, w]; or nan."""
    mask = as_mask(mask, heat.shape)
    total = float(heat.sum(dtype=np.float64))
    return float(heat[mask].sum(dtype=np.float64)) / total if total else float("nan")


@functools.cache
def _colours():
    from matplotlib import colormaps

    return (255 * colormaps["inferno"](np.linspace(0, 1, 256))[:, :3]).astype(np.uint8)


def overlay_heat(image, heat, strength=0.6):
    """Draw a heat map over an image.

    Args:
        image: uint8 [h, w, 3].
        heat: float [h, w], 0 to 1.
        strength: opacity at the maximum, 0 to 1.

    Returns:
        uint8 [h, w, 3].

    Raises:
        ValueError: for other values or sizes.
    """
    image = as_image(image)
    heat = as_probabilities(heat, size=image.shape[:2], name="heat")
    if not 0 <= strength <= 1:
        raise ValueError(f"strength must be 0 to 1, got {strength!r}")
    colour = _colours()[np.round(255 * heat).astype(int)]
    opacity = strength * heat[:, :, None]
    return np.round(image * (1 - opacity) + colour * opacity).astype(np.uint8)
