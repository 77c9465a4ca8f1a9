"""Detect lesions in an image of any size, in one graph.

MaskRCNN.detect() and the export share these functions for letter-boxing, the network
and the pasting of masks.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from ..geometry.inputs import SIDE_MULTIPLE, as_input
from ..graph.folding import Folded
from ..layers.boxes import denorm_boxes, norm_boxes

MASK_THRESHOLD = 0.5


class Canvas(NamedTuple):
    """An image as the network sees it, and the way back.

    Attributes:
        image: float32 [canvas_h, canvas_w, channels].
        window: [4], the part that is not padding, pixels of the canvas.
        scale: float32 [2], canvas pixels per pixel of the image, (y, x).
    """

    image: tf.Tensor
    window: tf.Tensor
    scale: tf.Tensor


def letterbox(image, config):
    """Resize an image [h, w, channels] to a Canvas by Config.IMAGE_RESIZE_MODE.

    As geometry.images.resize_image, but "crop", which is for training, pads like
    "pad64", as does "square" with DETECTION_CANVAS "content".
    """
    size = tf.cast(tf.shape(image)[:2], tf.float32)
    scale = _scale(size, config)
    new_size = tf.cast(tf.maximum(tf.round(size * scale), 1.0), tf.int32)
    if config.IMAGE_RESIZE_MODE == "none":
        canvas = new_size
    elif None not in config.CANVAS_SHAPE:
        canvas = tf.constant(config.CANVAS_SHAPE[:2])
    else:
        canvas = -(-new_size // SIDE_MULTIPLE) * SIDE_MULTIPLE
    resized = tf.image.resize(image, new_size, antialias=True)
    top_left = (canvas - new_size) // 2
    padding = [top_left, canvas - new_size - top_left]
    padding = tf.stack(padding, axis=1)  # [(top, bottom), (left, right)]
    resized = tf.pad(resized, tf.concat([padding, [[0, 0]]], axis=0))
    # Between its first and last pixel, a window of one pixel would be empty
    bottom_right = top_left + tf.maximum(new_size, 2)
    window = tf.cast(tf.concat([top_left, bottom_right], axis=0), tf.float32)
    resized = tf.ensure_shape(resized, config.CANVAS_SHAPE)
    return Canvas(resized, window, tf.cast(new_size, tf.float32) / size)


def _scale(size, config):
    """Return the resize factor: up to IMAGE_MIN_DIM, at most to IMAGE_MAX_DIM."""
    if config.IMAGE_RESIZE_MODE == "none":
        return tf.constant(1.0)
    shorter, longer = tf.reduce_min(size), tf.reduce_max(size)
    scale = tf.maximum(1.0, config.IMAGE_MIN_DIM / shorter)
    scale = tf.maximum(scale, config.IMAGE_MIN_SCALE)
    if config.IMAGE_RESIZE_MODE == "square":
        limit = config.IMAGE_MAX_DIM / longer
        scale = tf.where(tf.round(longer * scale) > config.IMAGE_MAX_DIM, limit, scale)
    return scale


def boxes_on_image(boxes, canvas, shape):
    """Convert boxes [n, 4] from pixels of the canvas to pixels of the image.

    They are clipped to its shape, int [2].
    """
    origin = tf.tile(canvas.window[:2], [2])
    boxes = (boxes - origin) / tf.tile(canvas.scale, [2])
    limit = tf.tile(tf.cast(shape, tf.float32), [2])
    return tf.clip_by_value(boxes, 0.0, limit)


def unmold(detections, masks, canvas, canvas_shape, shape):
    """Convert detections on the canvas to detections in the image.

    Args:
        detections: [n, (y1, x1, y2, x2, ...)], normalised.
        masks: [n, mask_h, mask_w], probabilities, or None.
        canvas: a Canvas.
        canvas_shape, shape: int [2], of the canvas and of the image.

    Returns:
        Boxes [n, 4], pixels of the image, and masks uint8 [n, h, w] or None.
    """
    boxes = denorm_boxes(detections[:, :4], canvas_shape)
    pasted = None if masks is None else paste_masks(masks, boxes, canvas, shape)
    return boxes_on_image(boxes, canvas, shape), pasted


def paste_masks(masks, boxes, canvas, shape):
    """Paste masks of boxes into the whole image: the inverse of the mask targets.

    Cell i of a mask is at row y1 + i (y2 - 1 - y1) / (mask_h - 1) of the canvas; the
    centre of row r of the image is at (r + .5) scale + top - .5. Rows in the box, up to
    half a canvas pixel beyond the outermost cells, get the values of these.

    Args:
        masks: [n, mask_h, mask_w], probabilities.
        boxes: [n, 4], pixels of the canvas.
        canvas: a Canvas.
        shape: int [2], of the image.

    Returns:
        uint8 [n, h, w], 0 or 1.
    """
    origin, size = canvas.window[:2] - 0.5, tf.cast(shape, tf.float32)
    # Rows and columns of the image whose centres are in the box; its edges are half a
    # pixel before its first and after its last pixel
    edges = tf.reshape(boxes, [-1, 2, 2]) - 0.5  # [n, (first, last), (y, x)]
    pixels = tf.math.ceil((edges - origin) / canvas.scale - 0.5)
    pixels = tf.clip_by_value(pixels, 0.0, size)
    # The same in the mask's coordinates, normalised, with a border of one cell
    centers = (pixels + [[0.5], [-0.5]]) * canvas.scale + origin
    extent = tf.maximum(boxes[:, 2:] - 1.0 - boxes[:, :2], 1e-3)
    cells = tf.cast(tf.shape(masks)[1:], tf.float32)
    frame = (centers - boxes[:, None, :2]) / extent[:, None] * (cells - 1.0) + 1.0
    frame = tf.reshape(frame / (cells + 1.0), [-1, 4])
    masks = tf.pad(masks, [[0, 0], [1, 1], [1, 1]], "SYMMETRIC")  # repeat the border

    def paste(one):
        mask, frame, (top_left, bottom_right) = one[0], one[1], tf.unstack(one[2])
        part = tf.image.crop_and_resize(
            mask[None, :, :, None],
            frame[None],
            [0],
            tf.maximum(bottom_right - top_left, 1),
        )[0, : bottom_right[0] - top_left[0], : bottom_right[1] - top_left[1], 0]
        part = tf.cast(part >= MASK_THRESHOLD, tf.uint8)
        return tf.pad(part, tf.stack([top_left, shape - bottom_right], axis=1))

    def paste_all():
        one_mask = tf.TensorSpec([None, None], tf.uint8)
        places = tf.cast(pixels, tf.int32)
        return tf.map_fn(paste, (masks, frame, places), fn_output_signature=one_mask)

    nothing = tf.zeros(tf.concat([[0], shape], axis=0), tf.uint8)
    return tf.cond(tf.shape(masks)[0] > 0, paste_all, lambda: nothing)


def decide(result, config):
    """Choose the class of the best lesion by the Config's operating point.

    It is the most probable malignant class from the threshold on, and the most
    probable other one below it; without a threshold the class of the best region; None
    if nothing is found. result: dict of Detector, with threshold and p_malignant.
    """
    if not len(result["rois"]):
        return None
    if result["threshold"] is None:
        return int(result["class_ids"][0])
    is_malignant = result["p_malignant"] >= result["threshold"]
    malignant = set(config.MALIGNANT_CLASS_IDS)
    side = malignant if is_malignant else {*range(1, config.NUM_CLASSES)} - malignant
    return max(sorted(side), key=lambda i: result["probs"][0][i])


class Detector:
    """Detect lesions with an inference graph (graph.mask_rcnn.build_inference_model).

    The graph is folded and runs in Config.INFERENCE_PRECISION (graph/folding.py). It is
    traced once, for images of any size, and uses the current weights of `model`, also
    after further training.
    """

    def __init__(self, model, config):
        self.model = model
        self.config = config
        self.folded = Folded(model, config.INFERENCE_PRECISION)
        channels = config.IMAGE_CHANNEL_COUNT
        self._detect = tf.function(
            self.detect_graph,
            input_signature=[tf.TensorSpec([None, None, channels], tf.uint8)],
        )

    def detect_graph(self, image):
        """Detect in an image uint8 [h, w, channels]; return tensors.

        They are those of `answer`, rois [n, 4], pixels, and with the task "segment"
        masks uint8 [n, h, w].
        """
        canvas = letterbox(image, self.config)
        outputs = self.run_network(canvas.image[None], canvas.window[None])
        outputs = {name: value[0] for name, value in outputs.items()}
        result, detections, masks = self.answer(outputs)
        canvas_shape, shape = tf.shape(canvas.image)[:2], tf.shape(image)[:2]
        boxes, masks = unmold(detections, masks, canvas, canvas_shape, shape)
        result["rois"] = boxes
        if masks is not None:
            result["masks"] = masks
        return result

    def run_network(self, images, windows):
        """Run the network on canvases; return its outputs by name.

        images: [batch, h, w, channels]; windows: [batch, 4], pixels of the canvas.
        """
        windows = norm_boxes(windows, tf.shape(images)[1:3])
        return self.folded.network([images, windows], training=False)

    def answer(self, outputs):
        """Remove the padding of the outputs of run_network for one image.

        Returns:
            A dict of class_ids int32 [n], scores [n], low_confidence bool, with the
            task "classify" probs [n, classes] and p_malignant, with
            UNFAMILIAR_COMPONENTS unfamiliar bool and unfamiliar_score; and detections
            [n, 6] and masks [n, mask_h, mask_w] or None, for unmold.
        """
        count = outputs["num_detections"]
        detections = outputs["detections"][:count]
        masks = outputs["masks"][:count] if "masks" in outputs else None
        result = {
            "class_ids": tf.cast(detections[:, 4], tf.int32),
            "scores": detections[:, 5],
            "low_confidence": outputs["low_confidence"],
        }
        if "unfamiliar_score" in outputs:
            result["unfamiliar_score"] = outputs["unfamiliar_score"]
            # NaN, as before the statistics are set, is unfamiliar
            result["unfamiliar"] = ~(outputs["unfamiliar_score"] <= 1.0)
        if "probs" in outputs:
            result["probs"] = outputs["probs"][:count]
            if self.config.MALIGNANT_CLASS_IDS:
                result["p_malignant"] = self._p_malignant(outputs["probs"][0])
        return result, detections, masks

    def _p_malignant(self, probs):
        """Return P(malignant) among the best lesion's foreground classes, or NaN."""
        malignant = tf.reduce_sum(tf.gather(probs, self.config.MALIGNANT_CLASS_IDS))
        p = malignant / tf.reduce_sum(probs[1:])
        if self.config.TEMPERATURE == 1.0:
            return p
        # sigmoid(logit(p) / temperature), finite for p of 0 and 1
        logit = tf.math.log(p) - tf.math.log1p(-p)
        return tf.sigmoid(logit / self.config.TEMPERATURE)

    def __call__(self, image):
        """Detect in one image uint8 [h, w, channels].

        Returns:
            The dict of MaskRCNN.detect with NumPy values, and threshold, the operating
            point for p_malignant, or None; predicted_class_id, int or None, see
            `decide`.

        Raises:
            ValueError: for another array (geometry.inputs.as_input).
        """
        image = as_input(image, self.config)
        self.folded.follow()
        tensors = self._detect(tf.constant(image))
        result = {name: value.numpy() for name, value in tensors.items()}
        result["low_confidence"] = bool(result["low_confidence"])
        for name, kind in (("unfamiliar", bool), ("unfamiliar_score", float)):
            result[name] = kind(result[name]) if name in result else None
        if "masks" in result:
            result["masks"] = np.moveaxis(result["masks"].view(bool), 0, -1)
        p_malignant = result.get("p_malignant")
        is_known = p_malignant is not None and len(result["rois"]) > 0
        result["p_malignant"] = float(p_malignant) if is_known else None
        result["threshold"] = self.config.THRESHOLD if is_known else None
        result["predicted_class_id"] = decide(result, self.config)
        return result
