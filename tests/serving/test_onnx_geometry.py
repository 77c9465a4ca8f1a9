"""Geometry in ONNX's operators, beside the TensorFlow that it replaces."""
# ruff: noqa: E402 - imports wait until it is known that the extra "onnx" is there

import numpy as np
import pytest
import tensorflow as tf
from tiny import tiny_config

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

from onnx_run import nchw, run_graph

from mrcnn_skin.inference.detector import letterbox, paste_masks
from mrcnn_skin.layers.anchors import Anchors
from mrcnn_skin.layers.content_pool import ContentPool
from mrcnn_skin.layers.detection import DetectionLayer
from mrcnn_skin.layers.diagnosis import SharedDiagnosis
from mrcnn_skin.layers.proposal import ProposalLayer
from mrcnn_skin.layers.roi_align import PyramidROIAlign
from mrcnn_skin.serving.onnx import geometry
from mrcnn_skin.serving.onnx.geometry import Map
from mrcnn_skin.serving.onnx.image import Canvas

STD = (0.1, 0.1, 0.2, 0.2)


def random_boxes(rng, *shape):
    corners = rng.uniform(0, 1, (*shape, 2, 2)).astype(np.float32)
    low, high = corners.min(-2), corners.max(-2)
    return np.concatenate([low, high + 0.01], axis=-1).clip(0, 1)


def random_probs(rng, *shape):
    logits = rng.normal(0, 2, shape)
    return (np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)).astype(np.float32)


def assert_equal(ours, theirs, atol=1e-5):
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert one.shape == tuple(other.shape)
        np.testing.assert_allclose(one, np.asarray(other), rtol=0, atol=atol)


@pytest.mark.parametrize("step", [1, 2])
def test_anchors(step):
    layer = Anchors((20, 50), (0.5, 1, 2), (4, 64), step)
    image = np.zeros([1, 128, 192, 3], np.float32)
    ours = run_graph(
        lambda op, x: geometry.make_anchors(op, layer, Map(x)), nchw(image)
    )
    assert_equal(ours, [layer(image)])


def test_roi_align_samples_the_same_points_of_the_same_level():
    rng = np.random.default_rng(0)
    layer = PyramidROIAlign((7, 5), stride=8, first_level=3)
    maps = [rng.normal(size=(2, s, s + 8, 6)).astype(np.float32) for s in (64, 32, 16)]
    rois = random_boxes(rng, 2, 40)
    rois[0, 0], rois[0, 1], rois[1, -3:] = (0, 0, 1, 1), (0.9, 0.9, 1, 1), 0
    levels = layer.levels(rois.reshape(-1, 4), tf.constant([64, 72]), 3)
    assert set(levels.numpy()) == {0, 1, 2}
    ours = run_graph(
        lambda op, rois, *maps: geometry.roi_align(
            op, layer, rois, [Map(features) for features in maps]
        ),
        rois,
        *map(nchw, maps),
    )
    assert_equal(ours, [nchw(layer(rois, maps))], atol=1e-3)


@pytest.mark.parametrize("limit", [15, 200])
def test_proposals(limit):
    rng = np.random.default_rng(1)
    layer = ProposalLayer(20, 0.5, limit, STD)
    anchors = random_boxes(rng, 100)
    probs = random_probs(rng, 2, 100, 2)
    deltas = rng.normal(0, 1, (2, 100, 4)).astype(np.float32)
    ours = run_graph(
        lambda op, *x: geometry.propose(op, layer, *x), probs, deltas, anchors
    )
    theirs = layer(probs, deltas, anchors)
    assert (np.asarray(theirs[1]) == 0).any() == (limit == 15), "padding in one case"
    assert_equal(ours, theirs)


@pytest.mark.parametrize("score", ["class", "lesion"])
@pytest.mark.parametrize("keep_best", [False, True])
@pytest.mark.parametrize("min_confidence", [0.3, 0.97, 1.0])
def test_detections(score, keep_best, min_confidence):
    rng = np.random.default_rng(2)
    layer = DetectionLayer(6, min_confidence, 0.3, STD, score, keep_best)
    rois, probs = random_boxes(rng, 3, 30), random_probs(rng, 3, 30, 4)
    rois[0, 20:], rois[2] = 0, 0  # padding; and an image without a region
    deltas = rng.normal(0, 1, (3, 30, 4, 4)).astype(np.float32)
    window = np.array([[0, 0, 1, 1], [0.1, 0, 0.8, 1], [0, 0, 1, 1]], np.float32)
    inputs = rois, probs, deltas, window
    ours = run_graph(lambda op, *x: geometry.detect(op, layer, *x), *inputs)
    theirs = layer(*inputs)
    assert_equal(ours, theirs)
    if min_confidence == 1.0:
        assert list(ours[2]) == ([1, 1, 0] if keep_best else [0, 0, 0])


def test_content_pool():
    rng = np.random.default_rng(6)
    image = rng.integers(1, 256, (2, 64, 96, 3)).astype(np.float32)
    image[0, :22], image[1] = 0, 0  # a black rim; and all black
    features = rng.normal(size=(2, 8, 12, 5)).astype(np.float32)
    layer = ContentPool(8)
    ours = run_graph(
        lambda op, *x: geometry.pool_content(op, layer, *map(Map, x)),
        nchw(features),
        nchw(image),
    )
    assert_equal(ours, [layer(features, image)])


def test_shared_diagnosis():
    rng = np.random.default_rng(3)
    rois, probs = random_boxes(rng, 2, 9), random_probs(rng, 2, 9, 3)
    rois[0, 5:], probs[1, 0] = 0, (1, 0, 0)
    layer = SharedDiagnosis()
    ours = run_graph(
        lambda op, *x: geometry.share_diagnosis(op, layer, *x), probs, rois
    )
    assert_equal(ours, [layer(probs, rois)])


RESIZING = [
    {},
    {"IMAGE_MIN_DIM": 32},
    {"DETECTION_CANVAS": "content"},
    {"IMAGE_RESIZE_MODE": "pad64", "IMAGE_MIN_SCALE": 1.5, "IMAGES_PER_GPU": 1},
    {"IMAGE_RESIZE_MODE": "none", "IMAGES_PER_GPU": 1},
]


@pytest.mark.parametrize("settings", RESIZING, ids=str)
@pytest.mark.parametrize("size", [(64, 64), (128, 192), (131, 57), (9, 40), (1, 1)])
def test_letterbox(settings, size):
    config = tiny_config(**settings)
    image = np.random.default_rng(4).integers(0, 256, (*size, 3), np.uint8)

    def write(op, images):
        canvas = Canvas(op, images, config)
        return canvas.images, canvas.window, canvas.scale

    if config.IMAGE_RESIZE_MODE == "none" and any(side % 64 for side in size):
        with pytest.raises(Exception, match="both sides must be multiples of 64"):
            run_graph(write, image[None])
        return
    ours = run_graph(write, image[None])
    canvas = letterbox(image, config)
    theirs = nchw(canvas.image[None]), canvas.window, canvas.scale
    assert_equal(ours, theirs, atol=0.01)  # of 255


@pytest.mark.parametrize("count", [0, 4])
def test_pasted_masks(count):
    rng = np.random.default_rng(5)
    image = np.zeros([90, 131, 3], np.uint8)
    masks = rng.uniform(0, 1, (count, 28, 28)).astype(np.float32)
    boxes = [[10, 2, 40.3, 60], [-5, 20, 70, 64], [30, 30, 31, 31], [12, 5, 12, 50]]
    boxes = np.array(boxes[:count], np.float32).reshape(-1, 4)
    config = tiny_config()

    def write(op, images, masks, boxes):
        return Canvas(op, images, config).paste_masks(op, masks, boxes, (28, 28))

    (ours,) = run_graph(write, image[None], masks, boxes)
    canvas = letterbox(image, config)
    theirs = paste_masks(tf.constant(masks), boxes, canvas, image.shape[:2]).numpy()
    assert ours.shape == theirs.shape == (count, 90, 131)
    assert (ours != theirs).mean() < 1e-4 if count else True
    assert ours.any(axis=(1, 2)).tolist() == theirs.any(axis=(1, 2)).tolist()
