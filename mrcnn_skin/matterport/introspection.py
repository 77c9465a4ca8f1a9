"""Matterport's methods that look into the network: step by step, layer by layer.

MaskRCNN inherits them; notebooks and debugging use them. detect() takes another,
faster way through the same functions (inference/detector.py).
"""

import collections

import keras
import numpy as np
import tensorflow as tf

from ..geometry.anchors import backbone_shapes, generate_pyramid_anchors
from ..geometry.boxes import norm_boxes
from ..geometry.inputs import as_inputs, require_count
from ..graph.common import leaf_layers
from ..inference.detector import Canvas, letterbox, unmold
from .molding import compose_image_meta, parse_image_meta, subtract_mean


class Introspection:
    """Base of MaskRCNN, whose mode, config, keras_model and ready_detector it uses."""

    def mold_inputs(self, images):
        """Resize images to the network's size and subtract the mean.

        images: list of uint8 [h, w, channels]; in the modes of IMAGE_RESIZE_MODE that
        do not give squares, of sizes that come out the same.
        Returns molded_images float32 [n, canvas_h, canvas_w, channels]; image_metas
        [n, IMAGE_META_SIZE]; windows [n, (y1, x1, y2, x2)], pixels.
        Raises ValueError as geometry.inputs.as_inputs does.
        """
        active = np.zeros([self.config.NUM_CLASSES])
        molded, metas = [], []
        for image in as_inputs(images, self.config):
            canvas = letterbox(tf.constant(image), self.config)
            molded.append(subtract_mean(canvas.image, self.config))
            window, scale = canvas.window.numpy(), canvas.scale.numpy().mean()
            shapes = image.shape, molded[-1].shape
            metas.append(compose_image_meta(0, *shapes, window, scale, active))
        if not molded:
            raise ValueError("images must be a list of at least one image, got none")
        _require_one_shape(molded)
        metas = np.stack(metas)
        return np.stack(molded), metas, parse_image_meta(metas)["window"]

    def unmold_detections(
        self, detections, mrcnn_mask, original_image_shape, image_shape, window
    ):
        """Turn one image's detections on the canvas into those of the image.

        detections: [D, (y1, x1, y2, x2, class_id, score)], normalised, padded with
        zeros; mrcnn_mask: [D, mask_h, mask_w], of each detection's class, or of all
        classes, [D, mask_h, mask_w, classes], or None. "detections" and "masks" of the
        inference graph are such.
        original_image_shape, image_shape: of the image and of the canvas. window:
        (y1, x1, y2, x2), pixels.
        Returns rois [n, 4], pixels; class_ids int32 [n]; scores [n]; masks bool
        [h, w, n] or None.
        """
        detections = np.asarray(detections, np.float32)
        count = np.count_nonzero(detections[:, 4])
        window = tf.cast(window, tf.float32)
        shape = tf.cast(original_image_shape[:2], tf.int32)
        scale = (window[2:] - window[:2]) / tf.cast(shape, tf.float32)
        canvas = Canvas(None, window, scale)
        detections = detections[:count]
        class_ids = detections[:, 4].astype(np.int32)
        masks = None if mrcnn_mask is None else np.asarray(mrcnn_mask)[:count]
        if masks is not None:
            require_count(count, of="detection", mrcnn_mask=masks)
            if masks.ndim == 4:
                masks = masks[np.arange(count), :, :, class_ids]
        boxes, masks = unmold(detections, masks, canvas, image_shape[:2], shape)
        if masks is not None:
            masks = np.moveaxis(masks.numpy().astype(bool), 0, -1)
        return boxes.numpy(), class_ids, detections[:, 5], masks

    def detect_molded(self, molded_images, image_metas, verbose=0):
        """Detect in images that are molded already, as mold_inputs returns them.

        verbose: 1 prints a line an image.
        Returns a list of dicts as `detect` does, with rois, class_ids, scores and
        masks in pixels of the molded images; masks is None without the task "segment".
        """
        outputs = self._outputs(self.ready_detector().model, molded_images, image_metas)
        every_mask = outputs.get("masks", [None] * len(molded_images))
        results = []
        for image, rows, masks in zip(
            molded_images, outputs["detections"], every_mask, strict=True
        ):
            window = 0, 0, *image.shape[:2]
            values = self.unmold_detections(
                rows, masks, image.shape, image.shape, window
            )
            names = "rois", "class_ids", "scores", "masks"
            results.append(dict(zip(names, values, strict=True)))
            if verbose:
                print(f"{image.shape}, {len(values[0])} detections")
        return results

    def run_graph(self, images, outputs, image_metas=None):
        """Compute outputs of any layers for some images.

        images: as for `detect`, or molded ones with their image_metas.
        outputs: list of (name, tensor), such as ("C2",
        model.keras_model.get_layer("res2c_out").output).
        Returns {name: array}. Raises ValueError if the model is not in mode
        "inference": the training graph wants the truth as well.
        """
        if self.mode != "inference":
            raise ValueError(
                f"run_graph() needs a model in mode 'inference', got {self.mode!r}"
            )
        if image_metas is None:
            images, image_metas, _ = self.mold_inputs(images)
        model = keras.Model(self.keras_model.inputs, dict(outputs))
        values = self._outputs(model, images, image_metas)
        return {name: np.asarray(value) for name, value in values.items()}

    def _outputs(self, model, molded_images, image_metas):
        """Call a graph with the inputs of the inference graph on molded images."""
        molded_images = np.asarray(molded_images)
        channels = self.config.IMAGE_CHANNEL_COUNT
        is_batch = molded_images.ndim == 4 and molded_images.shape[3] == channels
        if molded_images.dtype.kind != "f" or not is_batch:
            raise ValueError(
                f"molded images must be float [n, h, w, {channels}] with the mean "
                f"subtracted, as of mold_image, got {molded_images.dtype} "
                f"{list(molded_images.shape)}"
            )
        images = molded_images + np.asarray(self.config.MEAN_PIXEL, np.float32)
        windows = parse_image_meta(image_metas)["window"]
        require_count(len(images), of="image", image_metas=windows)
        return model([images, norm_boxes(windows, images.shape[1:3])], training=False)

    def get_anchors(self, image_shape):
        """Anchors of an image of the network's size: [anchors, 4], normalised.

        image_shape: (height, width, ...), pixels.
        """
        strides = self.config.RPN_STRIDES
        anchors = generate_pyramid_anchors(
            self.config.RPN_ANCHOR_SCALES,
            self.config.RPN_ANCHOR_RATIOS,
            backbone_shapes(image_shape, strides),
            strides,
            self.config.RPN_ANCHOR_STRIDE,
        )
        return norm_boxes(anchors, image_shape)

    def ancestor(self, tensor, name):
        """The nearest of the tensors that `tensor` is computed from with this name.

        tensor: of keras_model. name: of a layer, or of the tensor itself.
        Returns a KerasTensor, `tensor` itself included; None if there is none.
        """
        queue, seen = collections.deque([tensor]), {id(tensor)}
        while queue:
            tensor = queue.popleft()
            operation, node, _ = tensor._keras_history
            if name in (operation.name, tensor.name):
                return tensor
            for parent in operation._inbound_nodes[node].input_tensors:
                if id(parent) not in seen:
                    seen.add(id(parent))
                    queue.append(parent)
        return None

    def find_trainable_layer(self, layer):
        """The layer that holds the weights: of a Keras Wrapper the one within it.

        This package wraps none; a backbone of the user's own may.
        """
        while isinstance(layer, keras.layers.Wrapper):
            layer = layer.layer
        return layer

    def get_trainable_layers(self):
        """The layers that have weights, those of the RPN included."""
        return [layer for layer in leaf_layers(self.keras_model) if layer.weights]


def log(text, array=None):
    """Print a text, and of an array its shape, extremes and type."""
    if array is not None:
        array = np.asarray(array)
        extremes = (
            f"min: {array.min():10.5f}  max: {array.max():10.5f}"
            if array.size
            else f"min: {'':10}  max: {'':10}"
        )
        text = f"{text:25}shape: {array.shape!s:20}  {extremes}  {array.dtype}"
    print(text)


def _require_one_shape(arrays):
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        raise ValueError(
            f"all images must come out in one size, got {sorted(shapes)}; set "
            "IMAGE_RESIZE_MODE 'square', or use detect()"
        )
