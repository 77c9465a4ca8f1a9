"""The inference graph against numpy_network, from the same file of weights."""

import h5py
import keras
import numpy as np
import numpy_network as truth
import pytest
import tensorflow as tf
from tiny import tiny_config

from mrcnn_skin.graph.mask_rcnn import build_inference_model
from mrcnn_skin.layers.roi_align import PyramidROIAlign
from mrcnn_skin.weights_io.by_name import named_weights, save_h5

SHAPE = (192, 256)  # oblong, and large enough for regions of three pyramid levels
WINDOW = np.array([0.0, 0.1, 0.9, 1.0])
CONFIG = tiny_config(
    BACKBONE="resnet26",
    NORM="batch",
    IMAGE_RESIZE_MODE="pad64",
    IMAGES_PER_GPU=1,
    RPN_ANCHOR_SCALES=(80, 144, 192, 224, 256),
    RPN_ANCHOR_RATIOS=(0.5, 1, 2),
    PRE_NMS_LIMIT=1500,
    POST_NMS_ROIS_INFERENCE=100,
    DETECTION_MAX_INSTANCES=40,
    DETECTION_MIN_CONFIDENCE=0.4,
    DETECTION_NMS_THRESHOLD=0.3,
    DETECTION_SCORE="class",
    DETECTION_KEEP_BEST=False,
)


def fill(model, seed):
    """Random weights that keep the features near 1, no two statistics alike."""
    rng = np.random.default_rng(seed)
    for name, variable in named_weights(model).items():
        shape = variable.shape
        if name.endswith("kernel"):
            value = rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape)
        elif name.endswith("gamma"):
            low = 1.2 if name.startswith("mrcnn_mask") else 0.4
            value = rng.uniform(low, low + 0.4, shape)
        elif name.endswith("moving_variance"):
            value = rng.uniform(0.5, 1.5, shape)
            value *= 2e4 if name.startswith("bn_conv1") else 1  # of pixels
        else:
            value = rng.normal(0, 0.1, shape)
        variable.assign(value)


@pytest.fixture(scope="module")
def model():
    model = build_inference_model(CONFIG)
    # A seed without near ties in NMS, which float32 might settle the other way
    fill(model, seed=3)
    return model


@pytest.fixture(scope="module")
def weights(model, tmp_path_factory):
    """{"layer/tensor": array} of the file that the model's weights are saved to."""
    path = tmp_path_factory.mktemp("truth") / "weights.h5"
    save_h5(model, path)
    weights = {}
    with h5py.File(path) as file:

        def read(place, item):
            if isinstance(item, h5py.Dataset):
                name = "/".join(place.removesuffix(":0").split("/")[-2:])
                weights[name] = item[()].astype("float64")

        file.visititems(read)
    path.unlink()
    return weights


@pytest.fixture(scope="module")
def image():
    """RGB noise of several grains, [h, w, 3], 0..255."""
    rng = np.random.default_rng(1)
    image = np.zeros((*SHAPE, 3))
    for grain in (1, 8, 64):
        coarse = rng.uniform(0, 85, (SHAPE[0] // grain, SHAPE[1] // grain, 3))
        image += coarse.repeat(grain, axis=0).repeat(grain, axis=1)
    return image.astype("float32")


@pytest.fixture(scope="module")
def actual(model, image):
    """What the graph computes on the way, without the batch axis, by name."""
    names = {f"C{stage}": f"res{stage}b_out" for stage in range(2, 6)}
    names |= {f"P{level}": f"fpn_p{level}" for level in range(2, 7)}
    names |= {
        "rois": "ROI",
        "pooled": "roi_align_classifier",
        "probs": "mrcnn_class",
        "deltas": "mrcnn_bbox",
        "pooled for masks": "roi_align_mask",
    }
    outputs = {key: model.get_layer(name).output for key, name in names.items()}
    outputs["rois"] = outputs["rois"][0]
    outputs |= zip(
        ("rpn probs", "rpn deltas", "anchors"),
        model.get_layer("ROI").input,
        strict=True,
    )
    outputs |= {key: model.output[key] for key in ("detections", "masks")}
    values = keras.Model(model.input, outputs)(
        [tf.constant(image[None]), tf.constant(WINDOW[None], "float32")]
    )
    folded = ("pooled", "deltas", "pooled for masks", "anchors")
    return {k: v.numpy() if k in folded else v.numpy()[0] for k, v in values.items()}


@pytest.fixture(scope="module")
def expected(weights, image):
    """The same by numpy_network, from the image on."""
    stages = truth.resnet(image - [123.7, 116.8, 103.9], weights, (2, 2, 2, 2))
    pyramid = truth.fpn(stages, weights)
    values = {f"C{number}": stage for number, stage in enumerate(stages, start=2)}
    values |= {f"P{number}": level for number, level in enumerate(pyramid, start=2)}

    probs, deltas = truth.rpn(pyramid, weights)
    anchors = truth.anchors(
        SHAPE, CONFIG.RPN_ANCHOR_SCALES, CONFIG.RPN_ANCHOR_RATIOS, (4, 8, 16, 32, 64)
    )
    rois = truth.propose(probs, deltas, anchors, CONFIG)
    values |= {"rpn probs": probs, "rpn deltas": deltas, "anchors": anchors}

    pooled = truth.roi_align(rois, pyramid, 7, SHAPE)
    heads = [truth.classify(region, weights) for region in pooled]
    probs, deltas = (np.stack(values) for values in zip(*heads, strict=True))
    values |= {"rois": rois, "pooled": pooled, "probs": probs, "deltas": deltas}

    detections = truth.detect(rois, probs, deltas, WINDOW, CONFIG)
    pooled = truth.roi_align(detections[:, :4], pyramid, 14, SHAPE)
    masks = [
        truth.segment(region, weights)[..., int(class_id)]
        for region, class_id in zip(pooled, detections[:, 4], strict=True)
    ]
    values |= {"detections": detections, "pooled for masks": pooled}
    return {**values, "masks": np.stack(masks)}


def test_every_step_agrees(actual, expected):
    """To 1e-4 of each one's largest value; the network itself is float32."""
    assert set(actual) == set(expected)
    for name, value in expected.items():
        tolerance = 1e-4 * np.abs(value).max()
        np.testing.assert_allclose(actual[name], value, atol=tolerance, err_msg=name)


def test_the_comparison_says_something(expected):
    """No part of it is trivial: features vary, and no step keeps all or nothing."""
    for number in range(2, 6):
        for name in (f"C{number}", f"P{number}"):
            assert 0.1 < expected[name].std() < 10, name
    foreground, scores = expected["rpn probs"][:, 1], expected["detections"][:, 5]
    assert foreground.std() > 0.1 and expected["masks"].std() > 0.05
    # float32 makes probabilities near 1 equal, and their order one of chance
    assert foreground.max() < 1 - 1e-5 and scores.max() < 1 - 1e-5
    assert {truth.pyramid_level(roi, SHAPE) for roi in expected["rois"]} == {2, 3, 4}
    # Both classes, a score below the confidence, and RoIs suppressed in each step
    assert set(expected["detections"][:, 4]) == {0, 1, 2}
    assert expected["probs"][:, 1:].max(axis=1).min() < CONFIG.DETECTION_MIN_CONFIDENCE
    assert expected["rois"].any(axis=1).all() and not scores.all()


def test_roi_align_of_all_levels():
    """Regions of a few to 640 pixels of an oblong image, some touching its border.

    The layer keeps its samples a millionth off the far border: up to 1.6e-4 of the
    160 cells of P2.
    """
    rng = np.random.default_rng(2)
    shape = (512, 640)
    pyramid = [
        rng.uniform(size=(shape[0] // stride, shape[1] // stride, 3))
        for stride in (4, 8, 16, 32)
    ]
    sides = np.exp(rng.uniform(np.log(0.01), 0, (200, 2)))
    corners = rng.uniform(size=(200, 2)) * (1 - sides)
    rois = np.concatenate([corners, corners + sides], axis=1)
    rois = np.concatenate([rois, [[0, 0, 1, 1], [0.5, 0.5, 1, 1]]])
    levels = [truth.pyramid_level(roi, shape) for roi in rois]
    assert min(levels.count(level) for level in (2, 3, 4, 5)) >= 3
    pooled = PyramidROIAlign((7, 7))(
        tf.constant(rois[None], "float32"),
        [tf.constant(level[None], "float32") for level in pyramid],
    )
    expected = truth.roi_align(rois, pyramid, 7, shape)
    np.testing.assert_allclose(pooled, expected, atol=3e-4)
