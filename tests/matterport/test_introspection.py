"""Looking into the network: step by step it gives what detect() gives."""

import keras
import numpy as np
import pytest
from tiny import tiny_config

from mrcnn_skin import MaskRCNN
from mrcnn_skin.matterport.introspection import log


@pytest.fixture(scope="module")
def model():
    return MaskRCNN("inference", tiny_config())


@pytest.fixture(scope="module")
def photos():
    rng = np.random.default_rng(0)
    sizes = (64, 64), (100, 37)
    return [rng.integers(256, size=(*size, 3), dtype=np.uint8) for size in sizes]


def test_mold_inputs(model, photos):
    molded, metas, windows = model.mold_inputs(photos)
    assert molded.shape == (2, 64, 64, 3) and molded.dtype == np.float32
    np.testing.assert_allclose(
        molded[0], photos[0] - np.array(model.config.MEAN_PIXEL), atol=1e-4
    )
    # 100 x 37 at .64 is 64 x 24, in the middle of 64 columns
    assert windows.tolist() == [[0, 0, 64, 64], [0, 20, 64, 44]]
    assert metas.shape == (2, model.config.IMAGE_META_SIZE)
    assert metas[1, 11] == pytest.approx(0.64, abs=0.01)


def test_step_by_step_is_what_detect_does(model, photos):
    molded, metas, windows = model.mold_inputs(photos)
    names = "detections", "masks"
    outputs = [(name, model.keras_model.output[name]) for name in names]
    values = model.run_graph(photos, outputs)
    again = model.run_graph(molded, outputs, metas)
    for index, (photo, result) in enumerate(
        zip(photos, model.detect(photos), strict=True)
    ):
        rois, class_ids, scores, masks = model.unmold_detections(
            values["detections"][index],
            values["masks"][index],
            photo.shape,
            molded[index].shape,
            windows[index],
        )
        np.testing.assert_allclose(rois, result["rois"], atol=1e-3)
        np.testing.assert_array_equal(class_ids, result["class_ids"])
        np.testing.assert_allclose(scores, result["scores"], atol=1e-5)
        assert (masks != result["masks"]).mean() < 1e-3 and masks.dtype == bool
    for name in names:
        np.testing.assert_allclose(values[name], again[name], atol=1e-5)


def test_detect_molded_answers_in_pixels_of_the_molded_image(model, photos, capsys):
    molded, metas, windows = model.mold_inputs(photos)
    results = model.detect_molded(molded, metas, verbose=1)
    assert capsys.readouterr().out.count("(64, 64, 3), ") == 2
    for photo, molded_result, result, window in zip(
        photos, results, model.detect(photos), windows, strict=True
    ):
        assert molded_result["masks"].shape[:2] == (64, 64)
        scale = (window[2:] - window[:2]) / np.array(photo.shape[:2])
        wanted = result["rois"] * np.tile(scale, 2) + np.tile(window[:2], 2)
        np.testing.assert_allclose(molded_result["rois"], wanted, atol=1e-2)
        np.testing.assert_array_equal(molded_result["class_ids"], result["class_ids"])


def test_images_with_their_mean_still_in_them_are_refused(model, photos):
    _, metas, _ = model.mold_inputs(photos[:1])
    with pytest.raises(ValueError, match="mean subtracted.*got uint8"):
        model.detect_molded(photos[:1], metas)


@pytest.mark.parametrize(
    "call, said",
    [
        (lambda m, images, _: m.mold_inputs([]), "images must be a list of at least"),
        (
            lambda m, images, metas: m.detect_molded(images, metas[:1]),
            "image_metas must",
        ),
        (lambda m, images, metas: m.detect_molded(images[:1], metas), "1 entries, one"),
        (
            lambda m, images, metas: m.detect_molded(images[:1], metas[0]),
            r"meta\[None\]",
        ),
        (lambda m, images, metas: m.detect_molded(images, None), "meta data must be"),
        (
            lambda m, images, metas: m.detect_molded(None, metas),
            "molded images must be",
        ),
        (
            lambda m, images, metas: m.detect_molded(images[0], metas),
            "got float32 .64,",
        ),
        (
            lambda m, images, metas: m.run_graph(
                images, [("x", m.keras_model.input[0])], metas[:1]
            ),
            "image_metas must",
        ),
        (
            lambda m, images, metas: m.unmold_detections(
                ROWS, np.ones((1, 4, 4)), *[(64, 64, 3)] * 2, (0, 0, 64, 64)
            ),
            "mrcnn_mask must have 2 entries, one for each detection, got 1",
        ),
    ],
)
def test_molded_images_and_their_meta_data_must_agree(model, photos, call, said):
    molded, metas, _ = model.mold_inputs(photos)
    with pytest.raises(ValueError, match=f"^[^\n]*{said}"):
        call(model, molded, metas)


# Two detections and a row of padding
ROWS = [[0.1, 0.1, 0.5, 0.5, 2, 0.9], [0.2, 0.2, 0.6, 0.6, 1, 0.8], [0] * 6]


def test_unmold_detections_takes_the_masks_of_all_classes_too(model):
    """Matterport's form: [detections, height, width, classes], a mask a class."""
    of_class = np.zeros((3, 28, 28))
    of_class[0], of_class[1, :14] = 1, 1
    of_all = np.zeros((3, 28, 28, 3))
    of_all[0, ..., 2], of_all[1, ..., 1] = of_class[0], of_class[1]
    place = (64, 64, 3), (64, 64, 3), (0, 0, 64, 64)
    wanted = model.unmold_detections(ROWS, of_class, *place)
    for got, value in zip(
        model.unmold_detections(ROWS, of_all, *place), wanted, strict=True
    ):
        np.testing.assert_array_equal(got, value)
    first, second = wanted[3].sum(axis=(0, 1))
    assert second == pytest.approx(first / 2, rel=0.05)


def test_images_that_come_out_in_several_sizes_are_refused(photos):
    config = tiny_config(IMAGE_RESIZE_MODE="pad64", IMAGES_PER_GPU=1)
    with pytest.raises(ValueError, match="one size"):
        MaskRCNN("inference", config).mold_inputs(photos)


def test_run_graph_gives_any_layer(model, photos):
    layers = "conv1", "rpn_class", "ROI"
    graph = model.keras_model
    outputs = [("proposals", graph.get_layer("ROI").output[0])]
    outputs += [(name, graph.get_layer(name).output) for name in layers[:2]]
    values = model.run_graph(photos, outputs)
    assert values["conv1"].shape == (2, 32, 32, 8)
    anchors = model.get_anchors((64, 64, 3))
    assert values["rpn_class"].shape == (2, len(anchors), 2)
    np.testing.assert_allclose(values["rpn_class"].sum(axis=-1), 1, atol=1e-5)
    count = model.config.POST_NMS_ROIS_INFERENCE
    assert values["proposals"].shape == (2, count, 4)


def test_get_anchors_are_those_of_the_graph(model, photos):
    anchors = model.keras_model.get_layer("anchors").output
    inside = model.run_graph(photos[:1], [("anchors", anchors)])["anchors"]
    np.testing.assert_allclose(model.get_anchors((64, 64, 3)), inside, atol=1e-6)


def test_ancestor_goes_back_to_a_layer(model):
    graph = model.keras_model
    masks = graph.output["masks"]
    assert model.ancestor(masks, "ROI").shape[1:] in [(20, 4), (20,)]
    first = model.ancestor(masks, "conv1")
    assert first is graph.get_layer("conv1").output
    assert model.ancestor(first, "conv1") is first
    assert model.ancestor(first, "ROI") is None, "it lies behind, not before"


def test_layers_with_weights_include_those_of_the_rpn(model):
    names = [layer.name for layer in model.get_trainable_layers()]
    assert {"conv1", "rpn_conv_shared", "mrcnn_mask"} <= set(names)
    assert not {"ROI", "rpn_model", "conv1_relu"} & set(names)


def test_a_wrapped_layer_is_found_in_its_wrappers(model):
    layer = model.keras_model.get_layer("conv1")
    assert model.find_trainable_layer(layer) is layer
    dense = keras.layers.Dense(2)
    wrapped = keras.layers.TimeDistributed(keras.layers.TimeDistributed(dense))
    assert model.find_trainable_layer(wrapped) is dense


def test_a_training_model_detects_molded_images_but_runs_no_part_of_its_graph(photos):
    model = MaskRCNN("training", tiny_config())
    molded, metas, _ = model.mold_inputs(photos[:1])
    assert len(model.detect_molded(molded, metas)[0]["rois"]) >= 1
    with pytest.raises(ValueError, match="mode 'inference'"):
        model.run_graph(photos, [])


def test_log_tells_shape_extremes_and_type(capsys):
    log("boxes", np.array([[1.5, -2.0]]))
    log("nothing", np.zeros([0, 4], np.int32))
    log("done")
    first, second, third = capsys.readouterr().out.splitlines()
    for word in ("boxes", "(1, 2)", "-2.00000", "1.50000", "float64"):
        assert word in first
    assert "(0, 4)" in second and "int32" in second
    assert third == "done"
