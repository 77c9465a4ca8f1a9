"""From the image to the canvas and back, against NumPy calculations of its own."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from tiny import tiny_config

from mrcnn_skin import Config
from mrcnn_skin.geometry.images import resize_image
from mrcnn_skin.graph.common import leaf_layers
from mrcnn_skin.graph.mask_rcnn import build_inference_model
from mrcnn_skin.inference.detector import (
    Canvas,
    Detector,
    boxes_on_image,
    decide,
    letterbox,
    paste_masks,
)
from mrcnn_skin.layers.boxes import denorm_boxes
from mrcnn_skin.weights_io.by_name import copy_weights


def smooth_image(height, width, seed=0):
    """Waves of some pixels' length, whose resize has no lucky roundings."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    channels = [
        127 + 60 * np.sin(y / a) + 60 * np.cos(x / b)
        for a, b in rng.uniform(2, 9, (3, 2))
    ]
    return np.stack(channels, axis=-1).astype(np.uint8)


@pytest.mark.parametrize("mode", ["square", "pad64", "none"])
@pytest.mark.parametrize(
    "size", [(64, 64), (128, 192), (100, 37), (37, 100), (20, 11), (131, 97), (1, 50)]
)
def test_letterbox_is_the_twin_of_resize_image(size, mode):
    if mode == "none":
        size = size[0] * 64, size[1] * 64
        if max(size) > 640:
            size = 64, 128
    batch = 1 if mode != "square" else 2
    config = tiny_config(IMAGE_RESIZE_MODE=mode, IMAGES_PER_GPU=batch)
    image = smooth_image(*size)
    wanted, window, scale, _, _ = resize_image(image, 64, 64, 0, mode)
    canvas = letterbox(tf.constant(image), config)
    assert canvas.image.shape == wanted.shape
    difference = np.abs(canvas.image.numpy() - wanted)
    assert difference.max() <= 1.0
    height, width = window[2] - window[0], window[3] - window[1]
    # Two pixels at least, for a window of one has no extent when it is normalised
    far_corner = window[0] + max(height, 2), window[1] + max(width, 2)
    np.testing.assert_array_equal(canvas.window, [*window[:2], *far_corner])
    np.testing.assert_allclose(
        canvas.scale, [height / size[0], width / size[1]], rtol=1e-6
    )
    np.testing.assert_allclose(canvas.scale, scale, atol=0.5 / min(size))


def test_letterbox_enlarges_to_min_dim_and_scales_at_least_by_min_scale():
    config = tiny_config(IMAGE_MIN_DIM=32, IMAGE_MIN_SCALE=1.5)
    for size, wanted in (
        ((16, 16), 32),  # doubled, to MIN_DIM
        ((40, 40), 60),  # MIN_SCALE
        ((60, 60), 64),  # MIN_SCALE would leave the canvas
    ):
        y1, x1, y2, x2 = letterbox(tf.constant(smooth_image(*size)), config).window
        assert (y2 - y1, x2 - x1) == (wanted, wanted)


def test_crops_are_for_training_detection_sees_all():
    config = tiny_config(IMAGE_RESIZE_MODE="crop")
    canvas = letterbox(tf.constant(smooth_image(64, 100)), config)
    assert canvas.image.shape == (64, 128, 3)
    np.testing.assert_array_equal(canvas.window, [0, 14, 64, 114])


@pytest.mark.parametrize(
    "size, canvas, window",
    [
        ((128, 192), (128, 192), [0, 0, 128, 192]),  # 2:3 at its own size
        ((40, 100), (128, 192), [25, 0, 102, 192]),  # 1.92 times: 77 rows
        ((400, 100), (192, 64), [0, 8, 192, 56]),  # 0.48 times
        ((192, 192), (192, 192), [0, 0, 192, 192]),
    ],
)
def test_a_canvas_cut_to_the_content(size, canvas, window):
    config = tiny_config(
        IMAGE_MIN_DIM=128, IMAGE_MAX_DIM=192, DETECTION_CANVAS="content"
    )
    image = smooth_image(*size)
    cut = letterbox(tf.constant(image), config)
    assert cut.image.shape == (*canvas, 3)
    np.testing.assert_array_equal(cut.window, window)
    square = letterbox(tf.constant(image), config.replace(DETECTION_CANVAS="padded"))
    np.testing.assert_array_equal(content(cut), content(square))
    np.testing.assert_array_equal(cut.scale, square.scale)


def content(canvas):
    y1, x1, y2, x2 = canvas.window.numpy().astype(int)
    return canvas.image.numpy()[y1:y2, x1:x2]


def test_a_cut_canvas_has_the_padded_ones_anchors_with_the_same_scores():
    """With kernels that see one pixel each: else the padding is seen from inside."""
    keras.utils.set_random_seed(0)
    image = tf.constant(smooth_image(64, 192))  # on 192 x 192, 64 rows below the top
    config = tiny_config(
        BACKBONE=pointwise_backbone, NORM="batch", IMAGE_MAX_DIM=192, TASKS=("detect",)
    )
    answers, weights = [], None
    for canvas in ("padded", "content"):
        config = config.replace(DETECTION_CANVAS=canvas)
        model = build_inference_model(config)
        if weights is None:
            see_one_pixel(model)
            weights = model
        copy_weights(weights, model)
        names = "anchors", "rpn_class", "rpn_bbox"
        outputs = [model.get_layer(name).output for name in names]
        pixels = letterbox(image, config).image
        anchors, probs, deltas = keras.Model(model.inputs[0], outputs)(pixels[None])
        anchors = denorm_boxes(anchors, pixels.shape[:2])
        answers.append(np.c_[anchors, probs[0], deltas[0]])
    padded, cut = answers
    for stride in (4, 8, 16, 32, 64):
        side, count = 192 // stride, 64 // stride  # cells, and rows that are content
        below, padded = np.split(padded, [side * side * 3])
        level, cut = np.split(cut, [count * side * 3])
        below = below.reshape(side, side * 3, -1)[count : 2 * count]
        level = level.reshape(count, side * 3, -1) + [64, 0, 64, 0, *[0] * 6]
        np.testing.assert_allclose(level, below, rtol=1e-4, atol=1e-3)
    assert len(cut) == 0


def pointwise_backbone(images, config):
    """[C2, C3, C4, C5], averages of 4 x 4, 8 x 8 ... pixels in random mixtures."""
    stages = []
    for stage in (2, 3, 4, 5):
        mean = keras.layers.AveragePooling2D(2**stage, name=f"mean{stage}")(images)
        mix = keras.layers.Conv2D(16, 1, activation="relu", name=f"mix{stage}")
        stages.append(mix(mean))
    return stages


def see_one_pixel(model):
    """Keep of every kernel of pyramid and RPN its middle."""
    for layer in leaf_layers(model):
        if layer.name.startswith(("fpn_p", "rpn_conv")) and layer.weights:
            kernel = np.zeros(layer.kernel.shape, np.float32)
            kernel[1, 1] = layer.kernel[1, 1]
            layer.kernel.assign(kernel)


def canvas_of(window, scale):
    """A Canvas without an image."""
    return Canvas(None, tf.constant(window, tf.float32), tf.constant(scale, tf.float32))


def test_boxes_on_image_by_hand():
    """40 x 100 pixels at scale 1/2 are 20 x 50, put at (22, 7) of the canvas."""
    canvas = canvas_of([22, 7, 42, 57], [0.5, 0.5])
    boxes = [[22, 7, 42, 57], [27, 17, 32, 37], [0, 0, 64, 64]]
    got = boxes_on_image(tf.constant(boxes, tf.float32), canvas, tf.constant([40, 100]))
    np.testing.assert_allclose(
        got, [[0, 0, 40, 100], [10, 20, 20, 60], [0, 0, 40, 100]], atol=1e-5
    )


def paste_pixel_by_pixel(mask, box, window, scale, shape):
    """Probability under the centre of every pixel of the image, and 0 off the box.

    NaN on the very edge of the box, where rounding decides.
    """
    pasted = np.zeros(shape)
    last = np.array(mask.shape) - 1
    for row, column in np.ndindex(*shape):
        on_canvas = (np.array([row, column]) + 0.5) * scale + window[:2] - 0.5
        to_edges = np.concatenate([on_canvas - box[:2], box[2:] - on_canvas]) + (
            0.5,
            0.5,
            -0.5,
            -0.5,
        )
        if np.abs(to_edges).min() < 1e-4:
            pasted[row, column] = np.nan
            continue
        if to_edges.min() < 0:
            continue
        extent = np.array([box[2] - 1 - box[0], box[3] - 1 - box[1]])
        y, x = np.clip((on_canvas - box[:2]) / extent * last, 0, last)
        top, left = min(int(y), last[0] - 1), min(int(x), last[1] - 1)
        dy, dx = y - top, x - left
        pasted[row, column] = (
            mask[top, left] * (1 - dy) * (1 - dx)
            + mask[top, left + 1] * (1 - dy) * dx
            + mask[top + 1, left] * dy * (1 - dx)
            + mask[top + 1, left + 1] * dy * dx
        )
    return pasted


@pytest.mark.parametrize(
    "window, scale, shape",
    [
        ([0, 0, 64, 64], [1.0, 1.0], (64, 64)),
        ([22, 7, 42, 57], [0.5, 0.5], (40, 100)),
        ([0, 16, 64, 48], [4.0, 4.0], (16, 8)),
        ([10, 0, 54, 64], [44 / 63, 64 / 91], (63, 91)),
    ],
)
def test_paste_masks_pixel_by_pixel(window, scale, shape):
    rng = np.random.default_rng(1)
    masks = rng.random((3, 7, 9)).astype(np.float32)
    boxes = np.array([[24, 20, 40, 45], [0, 0, 64, 64], [30.3, 18.7, 37.9, 29.2]])
    got = paste_masks(
        tf.constant(masks),
        tf.constant(boxes, tf.float32),
        canvas_of(window, scale),
        tf.constant(shape),
    )
    assert got.dtype == tf.uint8 and got.shape == (3, *shape)
    for mask, box, pasted in zip(masks, boxes, got.numpy(), strict=True):
        wanted = paste_pixel_by_pixel(mask, box, window, scale, shape)
        settled = np.abs(wanted - 0.5) > 1e-3  # not so where NaN
        np.testing.assert_array_equal(pasted[settled], wanted[settled] >= 0.5)
        assert settled.mean() > 0.9 and pasted[settled].any()


def test_a_box_between_two_pixel_centres_pastes_nothing():
    pasted = paste_masks(
        tf.ones([2, 28, 28]),
        tf.constant([[9.0, 9, 10, 10], [9, 9, 14, 14]]),
        canvas_of([0, 0, 64, 64], [4.0, 4.0]),  # centres at 1.5, 5.5, 9.5, 13.5
        tf.constant([16, 16]),
    ).numpy()
    assert not pasted[0].any()
    np.testing.assert_array_equal(np.argwhere(pasted[1]), [[2, 2]])


def test_paste_without_detections():
    got = paste_masks(
        tf.zeros([0, 28, 28]),
        tf.zeros([0, 4]),
        canvas_of([0, 0, 64, 64], [1.0, 1.0]),
        tf.constant([50, 70]),
    )
    assert got.shape == (0, 50, 70)


def ellipse(height, width):
    """A tilted ellipse in the middle, bool [height, width]."""
    y, x = np.mgrid[:height, :width]
    y, x = (y - 0.45 * height) / height, (x - 0.55 * width) / width
    return (y + 0.4 * x) ** 2 / 0.09 + (x - 0.4 * y) ** 2 / 0.05 < 1


@pytest.mark.parametrize("size", [(64, 64), (50, 30), (200, 300), (701, 450)])
def test_a_mask_target_comes_back_at_the_size_of_the_image(size):
    """What the mask head is told to say, pasted, is the lesion it was cut from."""
    config = tiny_config(IMAGE_MIN_DIM=128, IMAGE_MAX_DIM=128)
    truth = ellipse(*size)
    image = np.repeat(truth[:, :, None] * np.uint8(255), 3, axis=-1)
    canvas = letterbox(tf.constant(image), config)
    on_canvas = canvas.image.numpy()[..., 0] >= 127.5
    rows, columns = on_canvas.any(axis=1), on_canvas.any(axis=0)
    y1, x1 = rows.argmax(), columns.argmax()
    y2, x2 = 128 - rows[::-1].argmax(), 128 - columns[::-1].argmax()
    target = tf.image.crop_and_resize(
        on_canvas[None, :, :, None].astype(np.float32),
        [[y1 / 127, x1 / 127, (y2 - 1) / 127, (x2 - 1) / 127]],
        [0],
        [28, 28],
    )
    box = tf.constant([[y1, x1, y2, x2]], tf.float32)
    pasted = paste_masks(tf.round(target[..., 0]), box, canvas, tf.constant(size))[0]
    pasted = pasted.numpy().astype(bool)
    assert (pasted & truth).sum() / (pasted | truth).sum() > 0.95
    moment = [np.argwhere(mask).mean(axis=0) for mask in (pasted, truth)]
    shift = np.abs(moment[0] - moment[1]) * canvas.scale.numpy()
    assert shift.max() < 0.25, "the mask must not drift, in pixels of the canvas"


class FixedDetections(keras.layers.Layer):
    """Gives the same answer for any image: two lesions, the first of class 2."""

    def __init__(self, count):
        super().__init__()
        self.count = count

    def call(self, image, window):
        # The window itself, and its upper left quarter
        y1, x1, y2, x2 = ops.split(window[0], 4)
        quarter = [y1, x1, (y1 + y2) / 2, (x1 + x2) / 2]
        boxes = ops.stack([ops.concatenate(quarter), window[0], 0 * window[0]])
        rest = ops.convert_to_tensor([[2.0, 0.9], [1.0, 0.6], [0.0, 0.0]])
        probs = ops.convert_to_tensor([[0.1, 0.3, 0.6], [0.4, 0.5, 0.1], [0, 0, 0.0]])
        keep = ops.cast(ops.arange(3) < self.count, "float32")[:, None]
        return {
            "detections": (keep * ops.concatenate([boxes, rest], axis=1))[None],
            "num_detections": ops.convert_to_tensor([self.count]),
            "low_confidence": ops.convert_to_tensor([self.count == 0]),
            "probs": (keep * probs)[None],
            "masks": ops.ones([1, 3, 28, 28]) + 0.0 * image[0, 0, 0, 0],
        }


def fixed_model(count, without=()):
    image = keras.Input([64, 64, 3])
    window = keras.Input([4])
    outputs = FixedDetections(count)(image, window)
    outputs = {name: x for name, x in outputs.items() if name not in without}
    return keras.Model([image, window], outputs)


def test_detector_answers_in_pixels_of_the_image():
    detector = Detector(fixed_model(2), tiny_config())
    for height, width in ((64, 64), (128, 100), (32, 50)):
        result = detector(np.zeros([height, width, 3], np.uint8))
        wanted = [[0, 0, height / 2, width / 2], [0, 0, height, width]]
        # The quarter of the normalised window is up to half a canvas pixel larger
        pixel = max(height, width) / 64
        np.testing.assert_allclose(result["rois"][0], wanted[0], atol=0.51 * pixel)
        np.testing.assert_allclose(result["rois"][1], wanted[1], atol=1e-3)
        np.testing.assert_array_equal(result["class_ids"], [2, 1])
        assert result["class_ids"].dtype == np.int32
        np.testing.assert_allclose(result["scores"], [0.9, 0.6], rtol=1e-6)
        assert result["masks"].shape == (height, width, 2)
        assert result["masks"].dtype == bool
        first, second = np.moveaxis(result["masks"], -1, 0)
        assert first[1 : height // 2 - 2, 1 : width // 2 - 2].all()
        assert not first[height // 2 + 2 :].any()
        assert second[1:-1, 1:-1].all()
        # .6 of .3 + .6, without the background's part
        assert result["p_malignant"] == pytest.approx(2 / 3)
        assert result["low_confidence"] is False


def test_the_temperature_divides_the_logit():
    image = np.zeros([64, 64, 3], np.uint8)
    result = Detector(fixed_model(2), tiny_config(TEMPERATURE=2.0))(image)
    # Odds 2 : 1 become sqrt(2) : 1
    assert result["p_malignant"] == pytest.approx(2**0.5 / (1 + 2**0.5))


@pytest.mark.parametrize(
    "p_malignant, threshold, wanted",
    [(0.6, 0.5, 3), (0.5, 0.5, 3), (0.4, 0.5, 2), (0.4, 0.3, 3), (0.9, None, 2)],
)
def test_the_operating_point_decides_between_the_sides(p_malignant, threshold, wanted):
    config = Config(NUM_CLASSES=5, MALIGNANT_CLASS_IDS=(3, 4))
    result = {"rois": np.ones((1, 4)), "class_ids": [2], "threshold": threshold}
    result |= {"p_malignant": p_malignant, "probs": [[0.1, 0.1, 0.3, 0.25, 0.25]]}
    assert decide(result, config) == wanted
    assert decide(result | {"rois": np.zeros((0, 4))}, config) is None


def test_detector_without_a_detection():
    result = Detector(fixed_model(0), tiny_config())(np.zeros([40, 50, 3], np.uint8))
    assert result["rois"].shape == (0, 4)
    assert result["masks"].shape == (40, 50, 0)
    assert result["probs"].shape == (0, 3)
    assert result["p_malignant"] is None
    assert result["low_confidence"] is True


def test_detector_leaves_out_what_the_model_does_not_do():
    image = np.zeros([64, 64, 3], np.uint8)
    result = Detector(fixed_model(2, without=("masks", "probs")), tiny_config())(image)
    assert result["p_malignant"] is None
    assert not {"masks", "probs"} & set(result)
    result = Detector(fixed_model(2), tiny_config(MALIGNANT_CLASS_IDS=()))(image)
    assert result["p_malignant"] is None and len(result["probs"]) == 2


def test_detector_follows_its_weights():
    """The traced graph reads the weights of the moment, not those of its tracing."""
    image, window = keras.Input([64, 64, 3]), keras.Input([4])
    score = keras.layers.Dense(1, use_bias=False, name="score")
    outputs = FixedDetections(2)(image, window)
    detections = ops.concatenate(
        [outputs["detections"][..., :5], score(outputs["detections"][..., 5:])], axis=-1
    )
    outputs = {**outputs, "detections": detections}
    detector = Detector(keras.Model([image, window], outputs), tiny_config())
    for weight in (1.0, 0.5):
        score.kernel.assign([[weight]])
        result = detector(np.zeros([64, 64, 3], np.uint8))
        np.testing.assert_allclose(
            result["scores"], [0.9 * weight, 0.6 * weight], rtol=1e-6
        )


def test_detector_is_traced_once_for_all_sizes():
    detector = Detector(fixed_model(2), tiny_config())
    for height, width in ((64, 64), (30, 90), (100, 20)):
        detector(np.zeros([height, width, 3], np.uint8))
    assert detector._detect.experimental_get_tracing_count() == 1


def test_a_full_mask_fills_its_box_to_the_edge():
    """A lesion that touches the border of the image keeps its outermost pixels."""
    pasted = paste_masks(
        tf.ones([2, 28, 28]),
        tf.constant([[0.0, 0, 64, 64], [10, 20, 30, 50]]),
        canvas_of([0, 0, 64, 64], [0.5, 0.5]),
        tf.constant([128, 128]),
    ).numpy()
    assert pasted[0].all()
    expected = np.zeros((128, 128))
    expected[20:60, 40:100] = 1
    np.testing.assert_array_equal(pasted[1], expected)


def test_a_detector_in_bfloat16_says_nearly_the_same():
    keras.utils.set_random_seed(0)
    # One detection: an untrained network ranks the others by rounding
    config = tiny_config(
        NORM="batch", DETECTION_MIN_CONFIDENCE=0.0, DETECTION_MAX_INSTANCES=1
    )
    model = build_inference_model(config)
    image = smooth_image(90, 70)
    plain = Detector(model, config)(image)
    fast = Detector(model, config.replace(INFERENCE_PRECISION="bfloat16"))(image)
    assert plain["rois"].shape == fast["rois"].shape == (1, 4)
    np.testing.assert_allclose(fast["rois"], plain["rois"], atol=0.5)
    np.testing.assert_allclose(fast["probs"], plain["probs"], atol=0.02)
    assert (fast["masks"] == plain["masks"]).mean() > 0.97
    assert not np.array_equal(fast["probs"], plain["probs"])
