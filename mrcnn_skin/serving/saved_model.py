"""A SavedModel for TensorFlow Serving that does all that detect() does, in the graph.

Decoding, letter-boxing, the network and the masks at the image's own size run without
Python. What a server wants beside the model is in serving/server_files.py.
"""

from pathlib import Path

import keras
import tensorflow as tf

from ..atomic import folder_written_whole
from ..geometry.inputs import SIDE_MULTIPLE, SIDES
from ..inference.detector import Canvas, letterbox, unmold
from ..inference.image_decoding import decode_image
from .server_files import next_version, write_warmup

FROM_BYTES = "serving_default"
FROM_PIXELS = "pixels"


def export_saved_model(model, model_dir, version=None, warmup=()):
    """Write a model as model_dir/version for TensorFlow Serving.

    model: a MaskRCNN of mode "inference" with its weights. model_dir: BASE/NAME, made
    if need be. version: a whole number of at least 1; the one after the highest there
    if None. warmup: bytes of JPEG or PNG files, which a server analyses on loading;
    they need the package tensorflow-serving-api.

    The folder is written whole or not at all: no server ever loads half a model.
    Returns its path. Raises ValueError for another mode, a version below 1 or images
    without three channels, FileExistsError if the version is there already.

    Signatures, with the batch in dimension 0 of everything:
    serving_default: image_bytes, strings, JPEG or PNG of any sizes.
    pixels: images, uint8 [batch, h, w, 3], RGB.
    Both give, with D = DETECTION_MAX_INSTANCES and padded with zeros or empty strings,
    num_detections int32 [batch]; boxes [batch, D, (y1, x1, y2, x2)], pixels of the
    image; class_ids int32 [batch, D]; scores [batch, D], best first; class_names,
    strings [batch, classes], the background first; predicted_class, strings [batch],
    of the best lesion, empty where nothing is found; low_confidence bool [batch];
    error, strings [batch], empty where all is well. With the task "classify" probs
    [batch, D, classes], and p_malignant [batch] with the threshold [batch] that decides
    on predicted_class: NaN where nothing is found, and the threshold also where
    SENSITIVITY chooses no operating point; with the task "segment" mask_png_bytes,
    strings [batch, D]: for each detection a grey PNG of the image's size, 255 is
    lesion; with UNFAMILIAR_COMPONENTS unfamiliar bool [batch] and unfamiliar_score
    [batch], NaN where there is an error.
    An image that cannot be read (decoding.decode_image), or whose sides do not fit
    IMAGE_RESIZE_MODE "none" (geometry.inputs.SIDES), has its reason in `error`,
    no detections, and no influence on the others.
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
    """Both signatures, traced.

    Without ExportArchive.track, which would write every weight a second time: the
    signatures know the weights that they use.
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
    """A Detector's graph for batches: the network once, all else image by image.

    One image is worked on after the other, so that a batch of large photographs needs
    the memory of one. Where the canvas has no fixed size, the network does so, too.
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

        return _map(detect_one, inputs, self._answer_specs())

    def _detect_batch(self, inputs, read):
        """Detect in inputs [batch, ...]; `read` gives image and error of one."""

        def prepare(one):
            image, error = self._fit(*read(one))
            return letterbox(image, self.config), tf.shape(image)[:2], error

        canvas = Canvas(*map(tf.TensorSpec, (self.config.CANVAS_SHAPE, [4], [2])))
        shape, error = tf.TensorSpec([2], tf.int32), tf.TensorSpec([], tf.string)
        prepared = _map(prepare, inputs, (canvas, shape, error))
        canvases = prepared[0]
        outputs = self.detector.run_network(canvases.image, canvases.window)
        return _map(
            lambda one: self._answer(*one), (outputs, *prepared), self._answer_specs()
        )

    def _fit(self, image, error):
        """Replace an image of sides that the network cannot take, and say so."""
        if self.config.IMAGE_RESIZE_MODE != "none":
            return image, error
        is_fit = tf.reduce_all(tf.shape(image)[:2] % SIDE_MULTIPLE == 0)
        blank = tf.zeros([SIDE_MULTIPLE, SIDE_MULTIPLE, 3], tf.uint8)
        image = tf.cond(is_fit, lambda: image, lambda: blank)
        return image, tf.where(is_fit | (error != ""), error, SIDES)

    def _answer(self, outputs, canvas, shape, error):
        """The signatures' outputs for one image, of the specs _answer_specs."""
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
            # One after the other: all at once they outgrow the photograph itself

            def png(one):
                detection, mask = one
                _, pasted = on_image(detection[None], mask[None])
                return tf.io.encode_png(255 * pasted[0][..., None])

            pngs = _map(png, (detections, masks), tf.TensorSpec([], tf.string))
            answer["mask_png_bytes"] = self._padded(pngs)
        return answer

    def _predicted_class(self, result):
        """Name of the best lesion's class; the twin of inference.detector.decide."""
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
        """Rows [n, ...] and as many zeros or empty strings as make D."""
        missing = self.config.DETECTION_MAX_INSTANCES - tf.shape(values)[0]
        shape = tf.concat([[missing], tf.shape(values)[1:]], axis=0)
        return tf.concat([values, tf.zeros(shape, values.dtype)], axis=0)

    def _answer_specs(self):
        """{name: tf.TensorSpec} of the answer for one image."""
        count = self.config.DETECTION_MAX_INSTANCES
        specs = {
            "num_detections": tf.TensorSpec([], tf.int32),
            "boxes": tf.TensorSpec([count, 4]),
            "class_ids": tf.TensorSpec([count], tf.int32),
            "scores": tf.TensorSpec([count]),
            "class_names": tf.TensorSpec([len(self.config.CLASS_NAMES)], tf.string),
            "predicted_class": tf.TensorSpec([], tf.string),
            "low_confidence": tf.TensorSpec([], tf.bool),
            "error": tf.TensorSpec([], tf.string),
        }
        outputs = self.detector.model.output
        if "unfamiliar_score" in outputs:
            specs["unfamiliar"] = tf.TensorSpec([], tf.bool)
            specs["unfamiliar_score"] = tf.TensorSpec([])
        if "probs" in outputs:
            specs["probs"] = tf.TensorSpec([count, outputs["probs"].shape[-1]])
            if self.config.MALIGNANT_CLASS_IDS:
                specs["p_malignant"] = specs["threshold"] = tf.TensorSpec([])
        if "masks" in outputs:
            specs["mask_png_bytes"] = tf.TensorSpec([count], tf.string)
        return specs


def _map(function, inputs, specs):
    return tf.map_fn(function, inputs, fn_output_signature=specs, parallel_iterations=1)
