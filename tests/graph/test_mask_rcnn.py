"""Names, shapes and gradients of the two graphs."""

import csv

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import tiny_config

from mrcnn_skin import Config, IsicConfig
from mrcnn_skin.graph.fpn import fpn
from mrcnn_skin.graph.mask_rcnn import (
    build_inference_model,
    build_training_model,
    training_inputs,
)
from mrcnn_skin.graph.resnet import build_backbone
from mrcnn_skin.weights import named_weights

# In every graph whatever the tasks are
SHARED = {"rpn_model", "fpn_p2"}


def test_weights_are_exactly_those_of_matterports_coco_file(real_data):
    class CocoConfig(Config):
        NUM_CLASSES = 81

    with open(real_data.parent / "coco_h5_layout.tsv", newline="") as handle:
        rows = [r for r in csv.DictReader(handle, delimiter="\t") if r["shape"] != "-"]
    expected = {
        r["weight_name"].split(":")[0]: tuple(map(int, r["shape"].split("x")))
        for r in rows
    }
    weights = named_weights(build_inference_model(CocoConfig()))
    assert {name: tuple(w.shape) for name, w in weights.items()} == expected


def test_strides_of_an_oblong_image():
    config = IsicConfig(IMAGE_RESIZE_MODE="pad64", IMAGES_PER_GPU=1)
    image = keras.Input([128, 192, 3])
    stages = build_backbone(image, config)
    shapes = [tuple(x.shape[1:]) for x in stages]
    assert shapes == [(32, 48, 256), (16, 24, 512), (8, 12, 1024), (4, 6, 2048)]
    pyramid = [tuple(x.shape[1:]) for x in fpn(stages, config)]
    sizes = [(32, 48), (16, 24), (8, 12), (4, 6), (2, 3)]
    assert pyramid == [(*size, 256) for size in sizes]


def test_an_unknown_backbone_is_named():
    with pytest.raises(ValueError, match="resnet50, resnet101.*vgg"):
        build_training_model(IsicConfig(BACKBONE="vgg"))


def random_inputs(config, seed=0):
    """One batch of two images, a lesion in the first only."""
    rng = np.random.default_rng(seed)
    side = config.IMAGE_MAX_DIM
    arrays = {
        name: np.zeros((2, *tensor.shape[1:]), tensor.dtype)
        for name, tensor in training_inputs(config).items()
    }
    arrays["input_image"][:] = rng.uniform(0, 255, (2, side, side, 3))
    arrays["input_gt_class_ids"][0, 0] = 2
    arrays["input_gt_boxes"][0, 0] = [10, 12, 50, 40]
    arrays["input_gt_masks"][0, 0, 5:20, 5:20] = 1
    arrays["input_active_class_ids"][:] = 1
    arrays["input_seed"][:] = [[1, 2], [3, 4]]
    return [tf.constant(array) for array in arrays.values()]


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
        (("segment",), {"masks"}, {"mrcnn_mask"}, {"mrcnn_class_conv1"}),
    ],
)
def test_tasks_choose_heads_losses_and_outputs(tasks, outputs, present, absent):
    config = tiny_config(TASKS=tasks)
    training, inference = build_training_model(config), build_inference_model(config)
    assert list(training.output) == config.LOSS_NAMES
    common = {"detections", "num_detections", "low_confidence"}
    assert set(inference.output) == common | outputs
    for model in (training, inference):
        names = {layer.name for layer in model.layers}
        assert names >= SHARED | present and not names & absent
    assert set(named_weights(training)) == set(named_weights(inference))

    inputs = random_inputs(config)
    with tf.GradientTape() as tape:
        terms = training(inputs, training=True)
        total = tf.add_n(list(terms.values()))
    variables = training.trainable_variables
    gradients = tape.gradient(total, variables)
    without = [v.path for v, g in zip(variables, gradients, strict=True) if g is None]
    assert not without
    assert all(np.all(np.isfinite(g)) for g in gradients)

    window = tf.constant([[0.0, 0.0, 1.0, 1.0]] * 2)
    result = inference([inputs[0], window])
    assert result["detections"].shape == (2, 3, 6)
    if "masks" in outputs:
        assert result["masks"].shape == (2, 3, 28, 28)


def test_a_batch_without_lesions_gives_finite_terms():
    config = tiny_config()
    model = build_training_model(config)
    inputs = random_inputs(config)
    inputs[1] = tf.zeros_like(inputs[1])
    with tf.GradientTape() as tape:
        terms = model(inputs, training=True)
        total = tf.add_n(list(terms.values()))
    gradients = tape.gradient(total, model.trainable_variables)
    assert float(terms["mrcnn_mask_loss"]) == 0 and float(terms["rpn_class_loss"]) > 0
    assert all(np.all(np.isfinite(g)) for g in gradients)


def test_switches_change_the_terms_they_name():
    inputs = random_inputs(tiny_config())
    terms = {}
    for name, value in (
        ("SEED", 0),
        ("RPN_CLASS_LOSS", "cross_entropy"),
        ("CLASS_LOSS", "focal"),
        ("MASK_LOSS", "bce"),
        ("RPN_REG_WEIGHT", 20.0),
        ("JACCARD_DELTA", 1.0),
    ):
        keras.utils.set_random_seed(0)
        model = build_training_model(tiny_config(**{name: value}))
        terms[name] = {k: float(v) for k, v in model(inputs, training=True).items()}
    plain = terms.pop("SEED")
    changed = {
        name: [k for k in plain if abs(values[k] - plain[k]) > 1e-6]
        for name, values in terms.items()
    }
    assert changed == {
        "RPN_CLASS_LOSS": ["rpn_class_loss"],
        "CLASS_LOSS": ["mrcnn_class_loss"],
        "MASK_LOSS": ["mrcnn_mask_loss"],
        "RPN_REG_WEIGHT": ["rpn_bbox_loss"],
        "JACCARD_DELTA": ["mrcnn_mask_loss"],
    }
    assert terms["RPN_REG_WEIGHT"]["rpn_bbox_loss"] == pytest.approx(
        2 * plain["rpn_bbox_loss"], rel=1e-5
    )


def test_masks_of_56_pixels_and_group_norm_names():
    model = build_inference_model(tiny_config(MASK_SHAPE=(56, 56)))
    assert model.output["masks"].shape[2:] == (56, 56)
    names = {layer.name for layer in model.layers}
    assert "mrcnn_mask_deconv2" in names
    assert "mrcnn_class_gn1" in names and "mrcnn_class_bn1" not in names
