"""From an image of any size to boxes and masks of that size, in one graph.

Letter-boxing, the network and the pasting of masks are TensorFlow functions here,
which MaskRCNN.detect() and the export both call. Weights are loaded elsewhere.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from ..geometry.inputs import SIDE_MULTIPLE, as_input
from ..graph.folding import Folded
from ..layers.boxes import denorm_boxes, norm_boxes

MASK_THRESHOLD = 0.5


class Canvas(NamedTuple):
    """An image as the network sees it, and how to get back.

    image: float32 [canvas_h, canvas_w, channels]; window: [4], pixels of the canvas.
    scale: float32 [2], canvas pixels for one pixel of the image, (y, x).
    """

    image: tf.Tensor
    window: tf.Tensor
    scale: tf.Tensor


def letterbox(image, config):
    """Resize an image into the canvas that Config.IMAGE_RESIZE_MODE asks for.

    image: [h, w, channels], any size. Returns a Canvas. The graph's twin of
    geometry.images.resize_image; "crop", which is for training, pads like "pad64", and
    so does "square" if DETECTION_CANVAS cuts it to the content.
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
    # From its first to its last pixel, a window of one pixel would have no extent, and
    # nothing could be found in it
    bottom_right = top_left + tf.maximum(new_size, 2)
    window = tf.cast(tf.concat([top_left, bottom_right], axis=0), tf.float32)
    resized = tf.ensure_shape(resized, config.CANVAS_SHAPE)
    return Canvas(resized, window, tf.cast(new_size, tf.float32) / size)


def _scale(size, config):
    """Factor of the resize, as in Matterport: up to IMAGE_MIN_DIM, within MAX_DIM."""
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
    """Boxes of the canvas as boxes of the image.

    boxes: [n, 4], pixels of the canvas; shape: int [2], of the image.
    Returns [n, 4], pixels of the image, clipped to it.
    """
    origin = tf.tile(canvas.window[:2], [2])
    boxes = (boxes - origin) / tf.tile(canvas.scale, [2])
    limit = tf.tile(tf.cast(shape, tf.float32), [2])
    return tf.clip_by_value(boxes, 0.0, limit)


def unmold(detections, masks, canvas, canvas_shape, shape):
    """Detections on the canvas as detections in the image.

    detections: [n, (y1, x1, y2, x2, ...)], normalised; masks: [n, mask_h, mask_w],
    probabilities, or None. canvas: a Canvas; canvas_shape, shape: int [2].
    Returns boxes [n, 4], pixels of the image, and masks uint8 [n, h, w] or None.
    """
    boxes = denorm_boxes(detections[:, :4], canvas_shape)
    pasted = None if masks is None else paste_masks(masks, boxes, canvas, shape)
    return boxes_on_image(boxes, canvas, shape), pasted


def paste_masks(masks, boxes, canvas, shape):
    """Paste masks of boxes over the whole image: the inverse of the mask targets.

    masks: [n, mask_h, mask_w], probabilities; boxes: [n, 4], pixels of the canvas.
    shape: int [2], of the image. Returns uint8 [n, h, w], 0/1.

    Cell i of a mask belongs to the point y1 + i (y2 - 1 - y1) / (mask_h - 1) of the
    canvas; the centre of the image's row r lies at (r + .5) scale + top - .5 there.
    Rows that lie in the box but beyond its outermost cells, by half a pixel of the
    canvas, take the value of those cells.
    """
    origin, size = canvas.window[:2] - 0.5, tf.cast(shape, tf.float32)
    # The image's rows and columns whose centres lie in the box, whose edges are half
    # a pixel before its first pixel and behind its last
    edges = tf.reshape(boxes, [-1, 2, 2]) - 0.5  # [n, (first, last), (y, x)]
    pixels = tf.math.ceil((edges - origin) / canvas.scale - 0.5)
    pixels = tf.clip_by_value(pixels, 0.0, size)
    # ... in the mask's coordinates, normalised for one cell more all round
    centers = (pixels + [[0.5], [-0.5]]) * canvas.scale + origin
    extent = tf.maximum(boxes[:, 2:] - 1.0 - boxes[:, :2], 1e-3)
    cells = tf.cast(tf.shape(masks)[1:], tf.float32)
    frame = (centers - boxes[:, None, :2]) / extent[:, None] * (cells - 1.0) + 1.0
    frame = tf.reshape(frame / (cells + 1.0), [-1, 4])
    masks = tf.pad(masks, [[0, 0], [1, 1], [1, 1]], "SYMMETRIC")  # repeats the rim

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

    Args:
        result: dict of Detector, with threshold and p_malignant.
        config: names the malignant classes.

    Returns:
        The most probable malignant class from the threshold on, and the most probable
        other one below it; without a threshold the class of the best region. None if
        nothing is found.
    """
    if not len(result["rois"]):
        return None
    if result["threshold"] is None:
        return int(result["class_ids"][0])
    is_malignant = result["p_malignant"] >= result["threshold"]
    sides = [
        i
        for i in range(1, config.NUM_CLASSES)
        if (i in config.MALIGNANT_CLASS_IDS) == is_malignant
    ]
    return max(sides, key=lambda i: result["probs"][0][i])


class Detector:
    """Detect lesions with an inference graph (graph.mask_rcnn.build_inference_model).

    It runs the graph folded, in Config.INFERENCE_PRECISION (graph/folding.py). It is
    traced once for images of any size and always uses the current weights of `model`,
    also after further training.
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
        """Tensors of the detections in one image.

        image: uint8 [h, w, channels]. Returns the dict of `answer` with rois [n, 4],
        pixels, and, with the task "segment", masks uint8 [n, h, w].
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
        """Outputs of the network for canvases of one size, as the graph names them.

        images: [batch, h, w, channels]; windows: [batch, 4], pixels of the canvas.
        """
        windows = norm_boxes(windows, tf.shape(images)[1:3])
        return self.folded.network([images, windows], training=False)

    def answer(self, outputs):
        """The network's outputs for one image, without their padding.

        outputs: of run_network, one image's. Returns
        result: a dict: class_ids int32 [n]; scores [n]; low_confidence bool; with the
        task "classify" probs [n, classes] and p_malignant; with UNFAMILIAR_COMPONENTS
        unfamiliar bool and unfamiliar_score.
        detections: [n, 6] and masks [n, mask_h, mask_w] or None: what unmold takes.
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
            # So that what is no number, as before the statistics are set, is not known
            result["unfamiliar"] = ~(outputs["unfamiliar_score"] <= 1.0)
        if "probs" in outputs:
            result["probs"] = outputs["probs"][:count]
            if self.config.MALIGNANT_CLASS_IDS:
                result["p_malignant"] = self._p_malignant(outputs["probs"][0])
        return result, detections, masks

    def _p_malignant(self, probs):
        """P(malignant) among the foreground classes of the best lesion; NaN if none."""
        malignant = tf.reduce_sum(tf.gather(probs, self.config.MALIGNANT_CLASS_IDS))
        p = malignant / tf.reduce_sum(probs[1:])
        if self.config.TEMPERATURE == 1.0:
            return p
        # sigmoid(logit(p) / temperature), finite for p of 0 and 1
        logit = tf.math.log(p) - tf.math.log1p(-p)
        return tf.sigmoid(logit / self.config.TEMPERATURE)

    def __call__(self, image):
        """Detect in one image uint8 [h, w, channels].

        Returns a dict of NumPy values: rois float32 [n, (y1, x1, y2, x2)], pixels;
        class_ids int32 [n]; scores float32 [n], best first; masks bool [h, w, n];
        probs [n, classes]; p_malignant float, or None if nothing is found or the model
        gives no diagnosis; threshold, of the operating point that p_malignant is held
        against, None without one; predicted_class_id int or None, see `decide`;
        low_confidence bool; unfamiliar bool and unfamiliar_score float, or None without
        UNFAMILIAR_COMPONENTS. "masks" is absent without the task "segment", "probs"
        without "classify".
        Raises ValueError for any other array (geometry.inputs.as_input).
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
