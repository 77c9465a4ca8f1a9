"""Export a SavedModel for TensorFlow Serving that does the same as detect().

Decoding, letter-boxing, the network and pasting of masks are all in the graph. The
server's other files are written by serving/server_files.py.
"""

from pathlib import Path

import keras
import tensorflow as tf

from ..atomic import folder_written_whole
from ..geometry.inputs import SIDE_MULTIPLE, SIDES
from ..inference.detector import letterbox, unmold
from ..inference.image_decoding import decode_image
from .server_files import next_version, write_warmup

FROM_BYTES = "serving_default"
FROM_PIXELS = "pixels"


def export_saved_model(model, model_dir, version=None, warmup=()):
    """Write a model as model_dir/version for TensorFlow Serving.

    The folder is written whole or not at all, so no server loads half a model.

    Signatures, with the batch in dimension 0:
    serving_default: image_bytes, strings, JPEG or PNG files of any size;
    pixels: images, uint8 [batch, h, w, 3], RGB.

    Outputs of both, with D = DETECTION_MAX_INSTANCES, padded with zeros or empty
    strings:
    num_detections: int32 [batch];
    boxes: [batch, D, (y1, x1, y2, x2)], pixels of the image;
    class_ids: int32 [batch, D];
    scores: [batch, D], best first;
    class_names: strings [batch, classes], the background first;
    predicted_class: strings [batch], of the best lesion, empty without one;
    low_confidence: bool [batch];
    error: strings [batch], why an image cannot be read (decode_image), or its sides do
    not fit IMAGE_RESIZE_MODE "none"; else empty. Such images have no detections;
    probs: [batch, D, classes], with the task "classify";
    p_malignant: [batch], with the task "classify"; NaN without a lesion;
    threshold: [batch], which decides on predicted_class; NaN without a lesion or
    without an operating point (SENSITIVITY);
    mask_png_bytes: strings [batch, D], with the task "segment": a grey PNG of the
    image's size for each detection, 255 is lesion;
    unfamiliar, unfamiliar_score: bool and float [batch], with UNFAMILIAR_COMPONENTS;
    the score is NaN for images with an error.

    Args:
        model: a MaskRCNN of mode "inference" with its weights.
        model_dir: BASE/NAME.
        version: a whole number of at least 1; None for the next one.
        warmup: bytes of JPEG or PNG files that the server analyses on loading; they
            need the package tensorflow-serving-api.

    Returns:
        The path of the version.

    Raises:
        ValueError: for another mode, a version below 1, or images without three
            channels.
        FileExistsError: if the version exists already.
    """
    if model.mode != "inference":
        raise ValueError(
            f"export needs a model of mode 'inference', got {model.mode!r}"
        )
    channels = model.config.IMAGE_CHANNEL_COUNT
    if channels != 3:
        raise ValueError(f"export needs IMAGE_CHANNEL_COUNT 3, got {channels}")
    version = next_version(model_dir) if version is None else version
    if version < 1:
        raise ValueError(f"version must be at least 1, got {version}")
    path = Path(model_dir) / str(version)
    with folder_written_whole(path) as partial:
        _archive(model).write_out(partial, verbose=False)
        extra = partial / "assets.extra"
        extra.mkdir()
        model.config.to_json(extra / "config.json")
        if warmup:
            write_warmup(extra, path.parent.name, FROM_BYTES, warmup)
    return path


def _archive(model):
    """Trace both signatures.

    ExportArchive.track is not needed, and would write every weight twice.
    """
    model.detector.folded.follow()
    batches = BatchDetector(model.detector)
    archive = keras.export.ExportArchive()
    image_bytes = tf.TensorSpec([None], tf.string, name="image_bytes")
    archive.add_endpoint(FROM_BYTES, batches.from_bytes, [image_bytes])
    images = tf.TensorSpec([None, None, None, 3], tf.uint8, name="images")
    archive.add_endpoint(FROM_PIXELS, batches.from_pixels, [images])
    return archive


class BatchDetector:
    """A Detector's graph for batches: the network per batch, the rest per image.

    Images are processed one after the other, so that a batch of large ones needs the
    memory of one. If the canvas has no fixed size, this includes the network.
    """

    def __init__(self, detector):
        self.detector = detector
        self.config = detector.config

    def from_bytes(self, image_bytes):
        """Detect in files: the signature serving_default of export_saved_model."""
        limit = self.config.MAX_IMAGE_PIXELS
        return self._detect_all(image_bytes, lambda one: decode_image(one, limit))

    def from_pixels(self, images):
        """Detect in pixels: the signature `pixels` of export_saved_model."""
        return self._detect_all(images, lambda one: (one, tf.constant("")))

    def _detect_all(self, inputs, read):
        if None not in self.config.CANVAS_SHAPE:
            return self._detect_batch(inputs, read)

        def detect_one(one):
            answers = self._detect_batch(one[None], read)
            return {name: value[0] for name, value in answers.items()}

        return _map(detect_one, inputs)

    def _detect_batch(self, inputs, read):
        """Detect in inputs [batch, ...]; `read` returns image and error of one."""

        def prepare(one):
            image, error = self._fit(*read(one))
            return letterbox(image, self.config), tf.shape(image)[:2], error

        canvases, *rest = _map(prepare, inputs)
        outputs = self.detector.run_network(canvases.image, canvases.window)
        return _map(lambda one: self._answer(*one), (outputs, canvases, *rest))

    def _fit(self, image, error):
        """Replace an image whose sides do not fit the network, and set its error."""
        if self.config.IMAGE_RESIZE_MODE != "none":
            return image, error
        is_fit = tf.reduce_all(tf.shape(image)[:2] % SIDE_MULTIPLE == 0)
        blank = tf.zeros([SIDE_MULTIPLE, SIDE_MULTIPLE, 3], tf.uint8)
        image = tf.cond(is_fit, lambda: image, lambda: blank)
        return image, tf.where(is_fit | (error != ""), error, SIDES)

    def _answer(self, outputs, canvas, shape, error):
        """Return the outputs of export_saved_model for one image."""
        is_read = tf.equal(error, "")
        outputs = {
            name: tf.where(is_read, value, tf.zeros_like(value))
            for name, value in outputs.items()
        }
        result, detections, masks = self.detector.answer(outputs)

        def on_image(detections, masks=None):
            return unmold(detections, masks, canvas, tf.shape(canvas.image)[:2], shape)

        answer = {
            "num_detections": outputs["num_detections"],
            "boxes": self._padded(on_image(detections)[0]),
            "class_ids": self._padded(result["class_ids"]),
            "scores": self._padded(result["scores"]),
            "class_names": tf.constant(self.config.CLASS_NAMES),
            "predicted_class": self._predicted_class(result),
            "low_confidence": result["low_confidence"] | ~is_read,
            "error": error,
        }
        if "unfamiliar" in result:
            answer["unfamiliar"] = result["unfamiliar"] | ~is_read
            score = result["unfamiliar_score"]
            answer["unfamiliar_score"] = tf.where(is_read, score, float("nan"))
        if "probs" in result:
            answer["probs"] = self._padded(result["probs"])
        if "p_malignant" in result:
            answer["p_malignant"] = result["p_malignant"]
            threshold = self.config.THRESHOLD
            is_decided = (outputs["num_detections"] > 0) & (threshold is not None)
            answer["threshold"] = tf.where(is_decided, threshold or 0.0, float("nan"))
        if masks is not None:
            # One after the other, to save memory

            def png(one):
                detection, mask = one
                _, pasted = on_image(detection[None], mask[None])
                return tf.io.encode_png(255 * pasted[0][..., None])

            pngs = _map(png, (detections, masks))
            answer["mask_png_bytes"] = self._padded(pngs)
        return answer

    def _predicted_class(self, result):
        """Return the name of the best lesion's class, as inference.detector.decide."""
        config = self.config
        ids = result["class_ids"][:1]
        if config.THRESHOLD is not None and "p_malignant" in result:
            p_malignant = tf.cast(result["p_malignant"], tf.float64)  # as in Python
            is_malignant = p_malignant >= config.THRESHOLD
            classes = range(config.NUM_CLASSES)
            kinds = tf.constant([i in config.MALIGNANT_CLASS_IDS for i in classes])
            side = tf.equal(kinds, is_malignant) & (tf.range(config.NUM_CLASSES) > 0)
            ids = tf.argmax(tf.where(side, result["probs"][:1], -1.0), axis=-1)
        return tf.strings.reduce_join(tf.gather(config.CLASS_NAMES, ids))

    def _padded(self, values):
        """Pad rows [n, ...] with zeros or empty strings to [D, ...]."""
        count = self.config.DETECTION_MAX_INSTANCES
        shape = tf.concat([[count - tf.shape(values)[0]], tf.shape(values)[1:]], axis=0)
        padded = tf.concat([values, tf.zeros(shape, values.dtype)], axis=0)
        return tf.ensure_shape(padded, [count, *values.shape[1:]])


def _map(function, inputs):
    """Apply a function to the elements of tensors, one after the other.

    inputs: a structure of tensors [batch, ...]. Returns that of the function, batched.
    """

    def spec(x, axis=0):
        return tf.TensorSpec(x.shape[axis:], x.dtype)

    one = tf.nest.map_structure(lambda x: spec(x, 1), inputs)
    traced = tf.function(function).get_concrete_function(one).structured_outputs
    specs = tf.nest.map_structure(spec, traced)
    return tf.map_fn(function, inputs, fn_output_signature=specs, parallel_iterations=1)
