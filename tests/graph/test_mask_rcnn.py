"""Names, shapes and gradients of the two graphs."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from coco_layout import layout
from tiny import lean_config, tiny_backbone, tiny_config, training_batch

from mrcnn_skin import Config, IsicConfig
from mrcnn_skin.graph.backbones import build_backbone
from mrcnn_skin.graph.fpn import fpn
from mrcnn_skin.graph.mask_rcnn import build_inference_model, build_training_model
from mrcnn_skin.weights_io.by_name import copy_weights, named_weights

WINDOWS = np.array([[0, 0, 1, 1]] * 2, np.float32)

# In every graph whatever the tasks are
SHARED = {"rpn_model", "fpn_p2"}


@pytest.fixture(scope="module")
def coco_weights():
    """{"layer/tensor": shape} of Matterport's COCO file, a ResNet-101's."""
    return {tensor.removesuffix(":0"): shape for _, tensor, shape in layout()}


def weight_shapes(model):
    return {name: tuple(w.shape) for name, w in named_weights(model).items()}


def test_weights_are_exactly_those_of_matterports_coco_file(coco_weights):
    class CocoConfig(Config):
        NUM_CLASSES = 81

    assert weight_shapes(build_inference_model(CocoConfig())) == coco_weights


def test_a_resnet50_has_the_weights_of_the_coco_file_less_17_blocks(coco_weights):
    # Stage 4 has the blocks a..f, not a..w
    expected = {
        name: shape
        for name, shape in coco_weights.items()
        if not re.match("(res|bn)4[g-w]_", name)
    }
    assert len(expected) == len(coco_weights) - 17 * 3 * (2 + 4)
    model = build_inference_model(IsicConfig(NUM_CLASSES=81, CLASS_NAMES=()))
    assert weight_shapes(model) == expected


def test_strides_of_an_oblong_image():
    config = IsicConfig(IMAGE_RESIZE_MODE="pad64", IMAGES_PER_GPU=1)
    image = keras.Input([128, 192, 3])
    stages = build_backbone(image, config)
    shapes = [tuple(x.shape[1:]) for x in stages]
    assert shapes == [(32, 48, 256), (16, 24, 512), (8, 12, 1024), (4, 6, 2048)]
    pyramid = [tuple(x.shape[1:]) for x in fpn(stages, config)]
    sizes = [(32, 48), (16, 24), (8, 12), (4, 6), (2, 3)]
    assert pyramid == [(*size, 256) for size in sizes]


@pytest.mark.parametrize("build", [build_training_model, build_inference_model])
def test_a_background_alone_builds_no_network(build):
    with pytest.raises(ValueError, match="NUM_CLASSES must be at least 2 .* got 1"):
        build(Config())


def test_an_unknown_backbone_is_named():
    with pytest.raises(ValueError, match="resnet26, resnet50, resnet101.*vgg"):
        build_training_model(IsicConfig(BACKBONE="vgg"))


@pytest.fixture(scope="module")
def training_model():
    """The training graph of tiny_config, for tests that leave its weights alone."""
    return build_training_model(tiny_config())


@pytest.mark.parametrize(
    "tasks, outputs, present, absent",
    [
        (
            ("classify", "detect", "segment"),
            {"probs", "masks"},
            {"mrcnn_class_logits", "mrcnn_bbox_fc", "mrcnn_mask"},
            set(),
        ),
        (
            ("classify", "detect"),
            {"probs"},
            {"mrcnn_class_logits", "mrcnn_bbox_fc"},
            {"mrcnn_mask", "mrcnn_mask_conv1"},
        ),
        (
            ("detect", "segment"),
            {"masks"},
            {"mrcnn_bbox_fc", "mrcnn_mask"},
            {"mrcnn_class_logits"},
        ),
        (
            ("classify", "segment"),
            {"probs", "masks"},
            {"mrcnn_class_logits", "mrcnn_mask"},
            {"mrcnn_bbox_fc"},
        ),
        (
            ("classify",),
            {"probs"},
            {"mrcnn_class_logits"},
            {"mrcnn_bbox_fc", "mrcnn_mask_conv1"},
        ),
        (
            ("detect",),
            set(),
            {"mrcnn_bbox_fc"},
            {"mrcnn_class_logits", "mrcnn_mask_conv1"},
        ),
        (("segment",), {"masks"}, {"mrcnn_mask"}, {"mrcnn_class_conv1"}),
    ],
)
def test_tasks_choose_heads_losses_and_outputs(tasks, outputs, present, absent):
    config = lean_config(TASKS=tasks, RPN_LEVELS=(2,), ROI_LEVELS=(2,))
    training, inference = build_training_model(config), build_inference_model(config)
    assert list(training.output) == config.LOSS_NAMES
    common = {"detections", "num_detections", "low_confidence"}
    assert set(inference.output) == common | outputs
    for model in (training, inference):
        names = {layer.name for layer in model.layers}
        assert names >= SHARED | present and not names & absent
    assert set(named_weights(training)) == set(named_weights(inference))

    inputs = training_batch(config)
    with tf.GradientTape() as tape:
        terms = training(inputs, training=True)
        total = tf.add_n(list(terms.values()))
    variables = training.trainable_variables
    gradients = tape.gradient(total, variables)
    without = [v.path for v, g in zip(variables, gradients, strict=True) if g is None]
    assert not without
    assert all(np.all(np.isfinite(g)) for g in gradients)

    result = inference([inputs["input_image"], WINDOWS])
    assert result["detections"].shape == (2, 3, 6)
    if "masks" in outputs:
        assert result["masks"].shape == (2, 3, 28, 28)


@pytest.mark.parametrize("diagnosis", ["region", "image"])
def test_regions_have_one_diagnosis_each_or_share_one(diagnosis):
    config = tiny_config(
        DIAGNOSIS=diagnosis,
        DETECTION_MAX_INSTANCES=20,  # all regions come out
        DETECTION_NMS_THRESHOLD=1.0,
        DETECTION_MIN_CONFIDENCE=0.0,
    )
    model = build_inference_model(config)
    result = model([training_batch(config)["input_image"], WINDOWS])
    for image, count in enumerate(result["num_detections"].numpy()):
        assert count > 5
        _, benign, malignant = result["probs"].numpy()[image, :count].T
        shares = malignant / (benign + malignant)
        assert (np.ptp(shares) < 1e-6) == (diagnosis == "image")


def test_a_batch_without_lesions_gives_finite_terms(training_model):
    model, inputs = training_model, training_batch(tiny_config())
    inputs["input_gt_class_ids"][:] = 0
    with tf.GradientTape() as tape:
        terms = model(inputs, training=True)
        total = tf.add_n(list(terms.values()))
    gradients = tape.gradient(total, model.trainable_variables)
    assert float(terms["mrcnn_mask_loss"]) == 0 and float(terms["rpn_class_loss"]) > 0
    assert all(np.all(np.isfinite(g)) for g in gradients)


def test_switches_change_the_terms_they_name():
    """Those that are set together have different terms."""
    inputs = training_batch(lean_config())
    plain, *switched = (
        terms_of(inputs, **settings)
        for settings in (
            {},
            {"RPN_CLASS_LOSS": "cross_entropy", "MASK_LOSS": "bce"},
            {"CLASS_LOSS": "focal", "RPN_REG_WEIGHT": 20.0, "JACCARD_DELTA": 1.0},
        )
    )
    changed = [
        {name for name in plain if abs(terms[name] - plain[name]) > 1e-6}
        for terms in switched
    ]
    assert changed == [
        {"rpn_class_loss", "mrcnn_mask_loss"},
        {"mrcnn_class_loss", "rpn_bbox_loss", "mrcnn_mask_loss"},
    ]
    assert switched[1]["rpn_bbox_loss"] == pytest.approx(
        2 * plain["rpn_bbox_loss"], rel=1e-5
    )


def terms_of(inputs, **settings):
    """Loss terms of a network of seeded weights, as {name: float}."""
    keras.utils.set_random_seed(0)
    model = build_training_model(lean_config(**settings))
    return {name: float(x) for name, x in model(inputs, training=True).items()}


def test_masks_of_56_pixels_and_group_norm_names():
    model = build_inference_model(tiny_config(MASK_SHAPE=(56, 56)))
    assert model.output["masks"].shape[2:] == (56, 56)
    names = {layer.name for layer in model.layers}
    assert "mrcnn_mask_deconv2" in names
    assert "mrcnn_class_gn1" in names and "mrcnn_class_bn1" not in names
    assert "rpn_model" in names and not any("_bn" in name for name in names)


def test_a_seed_repeats_a_step_and_another_samples_anew(training_model):
    inputs = training_batch(tiny_config())

    def terms():
        results = training_model(inputs, training=True)
        return {name: float(value) for name, value in results.items()}

    first = terms()
    assert terms() == pytest.approx(first, rel=1e-6)
    inputs["input_seed"] += 10
    assert terms()["rpn_class_loss"] != pytest.approx(first["rpn_class_loss"], rel=1e-6)


def test_full_masks_and_an_oblong_image_train():
    config = tiny_config(
        IMAGE_RESIZE_MODE="pad64", IMAGES_PER_GPU=1, USE_MINI_MASK=False
    )
    model = build_training_model(config)
    mask = np.zeros((1, 2, 64, 128), np.uint8)
    mask[0, 0, 10:50, 20:100] = 255
    inputs = {
        "input_image": np.random.default_rng(0).uniform(0, 255, (1, 64, 128, 3)),
        "input_gt_class_ids": np.array([[2, 0]], np.int32),
        "input_gt_boxes": np.array([[[10, 20, 50, 100], [0] * 4]], np.float32),
        "input_gt_masks": mask,
        "input_active_class_ids": np.ones((1, 3), np.int32),
        "input_seed": np.array([[1, 2]], np.int32),
    }
    terms = model(inputs, training=True)
    assert all(np.isfinite(value) and value > 0 for value in terms.values())


def test_weights_that_diverged_give_a_loss_that_is_no_number():
    config = tiny_config()
    training, inference = build_training_model(config), build_inference_model(config)
    inputs = training_batch(config)
    for factor in (1e4, np.nan):
        for model in (training, inference):
            for variable in model.get_layer("rpn_model").variables:
                variable.assign(variable * factor)
        terms = training(inputs, training=True)
        result = inference([inputs["input_image"], WINDOWS])
        assert np.all(np.isfinite(result["detections"]))
    assert not np.isfinite(terms["rpn_bbox_loss"])


def test_roi_align_knows_the_stride_of_the_backbone():
    def coarse_backbone(images, config):
        return tiny_backbone(keras.layers.AveragePooling2D(2)(images), config)

    config = tiny_config(
        BACKBONE=coarse_backbone,
        BACKBONE_STRIDES=(8, 16, 32, 64, 128),
        IMAGE_MIN_DIM=128,
        IMAGE_MAX_DIM=128,
    )
    training = build_training_model(config)
    for model in (training, build_inference_model(config)):
        for name in ("roi_align_classifier", "roi_align_mask"):
            assert model.get_layer(name).stride == 8
    terms = training(training_batch(config), training=True)
    assert all(np.isfinite(value) for value in terms.values())


def test_what_an_image_says_does_not_depend_on_its_neighbour():
    config = tiny_config(DETECTION_MIN_CONFIDENCE=0.0)
    model = build_inference_model(config)
    images = training_batch(config)["input_image"]
    both, swapped = model([images, WINDOWS]), model([images[::-1], WINDOWS])
    for name, value in both.items():
        np.testing.assert_allclose(value[0], swapped[name][1], atol=1e-4)


def test_the_mask_returned_is_that_of_the_detected_class():
    config = tiny_config(DETECTION_MIN_CONFIDENCE=0.0)
    model = build_inference_model(config)
    # Masks that depend on the class only: sigmoid of -1, 0, 1
    kernel, bias = model.get_layer("mrcnn_mask").get_weights()
    model.get_layer("mrcnn_mask").set_weights([0 * kernel, np.array([-1.0, 0.0, 1.0])])
    logits = model.get_layer("mrcnn_class_logits")
    kernel, _ = logits.get_weights()
    for class_id, value in ((1, 0.5), (2, 1 / (1 + np.exp(-1)))):
        bias = np.zeros(3)
        bias[class_id] = 5
        logits.set_weights([0 * kernel, bias])
        result = model([training_batch(config)["input_image"], WINDOWS])
        count = int(result["num_detections"][0])
        assert count > 0
        assert set(result["detections"].numpy()[0, :count, 4]) == {class_id}
        np.testing.assert_allclose(result["masks"][0, :count], value, atol=1e-5)


@pytest.mark.parametrize("build", [build_training_model, build_inference_model])
def test_without_p2_the_network_has_everything_but_p2(build):
    whole = build(tiny_config())
    config = tiny_config(
        RPN_LEVELS=(3, 4, 5, 6),
        RPN_ANCHOR_SCALES=(16, 24, 32, 48),
        ROI_LEVELS=(3, 4, 5),
    )
    model = build(config)
    left_out = {"fpn_c2p2", "fpn_p2", "fpn_p3upsampled", "fpn_p2add"}
    layers = [{layer.name for layer in m.layers} for m in (whole, model)]
    assert layers[0] - layers[1] == left_out and layers[1] <= layers[0]
    # 3 anchors in each cell of 8 x 8, 4 x 4, 2 x 2 and 1 of the 64 px image
    assert model.get_layer("rpn_class").output.shape[1] == 3 * (64 + 16 + 4 + 1)
    copy_weights(whole, model)


def test_p2_may_be_there_for_the_rois_alone():
    config = tiny_config(RPN_LEVELS=(3, 4, 5, 6), RPN_ANCHOR_SCALES=(16, 24, 32, 48))
    model = build_inference_model(config)
    assert "fpn_p2" in {layer.name for layer in model.layers}
    assert model.get_layer("rpn_bbox").output.shape[1] == 3 * (64 + 16 + 4 + 1)
    assert model.get_layer("roi_align_mask").first_level == 2


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_bfloat16_trains_float32_weights_on_nearly_the_same_losses(norm):
    keras.utils.set_random_seed(0)
    policy = keras.config.dtype_policy()
    config = lean_config(NORM=norm, GROUP_NORM_GROUPS=4)
    models = [
        build_training_model(config.replace(TRAINING_PRECISION=precision))
        for precision in ("float32", "bfloat16")
    ]
    assert keras.config.dtype_policy() == policy
    copy_weights(*models)
    assert {weight.dtype for weight in models[1].weights} == {"float32"}
    halves = {x.name for x in models[1].layers if x.compute_dtype == "bfloat16"}
    assert halves >= {"conv1", "fpn_p4", "mrcnn_mask_conv1", "mrcnn_class_conv1"}
    assert not halves & {"mold_image", "gt_boxes", "mrcnn_mask", "mrcnn_class_logits"}

    inputs, terms, gradients = training_batch(config), [], []
    for model in models:
        with tf.GradientTape() as tape:
            terms.append(model(inputs, training=True))
            rpn = terms[-1]["rpn_class_loss"] + terms[-1]["rpn_bbox_loss"]
        variables = model.get_layer("rpn_model").trainable_variables
        gradients.append(tape.gradient(rpn, variables))
    # The heads look at other proposals where rounding changed the order of two. The
    # RPN's terms depend on anchors and boxes alone, which are float32 as ever
    for name in ("rpn_class_loss", "rpn_bbox_loss"):
        np.testing.assert_allclose(terms[1][name], terms[0][name], rtol=0.01)
    assert all(np.isfinite(term) for term in terms[1].values())
    plain, half = (np.concatenate([np.ravel(g) for g in gs]) for gs in gradients)
    assert 0 < np.linalg.norm(half - plain) / np.linalg.norm(plain) < 0.05
