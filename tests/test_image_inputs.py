"""Every entry for images gives the same answers and the same refusals."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tiny import lean_config

from mrcnn_skin import Dataset, MaskRCNN
from mrcnn_skin.data.pipeline import iterate, training_batches, validation_batches
from mrcnn_skin.evaluation.tta import AugmentedDetector
from mrcnn_skin.inference.explanation import GradCam, overlay_heat
from mrcnn_skin.matterport.molding import mold_image
from mrcnn_skin.serving.saved_model import BatchDetector

RGB = np.random.default_rng(0).integers(256, size=(64, 64, 3), dtype=np.uint8)
GREY = RGB[..., :1]


class OneImage(Dataset):
    """One image, as its user's load_image and load_mask give it."""

    def __init__(self, image, masks=None):
        super().__init__()
        self.add_class("skin", 1, "benign")
        self.add_class("skin", 2, "malignant")
        self.add_image("skin", "mole", None)
        self.image = image
        self.masks = np.ones((64, 64, 1), bool) if masks is None else masks
        self.prepare()

    def load_image(self, image_id):
        return self.image

    def load_mask(self, image_id):
        return self.masks, np.ones(self.masks.shape[-1], np.int32)


@pytest.fixture(scope="module")
def model():
    return MaskRCNN("inference", lean_config(SEED=3))


@pytest.fixture(scope="module")
def entries(model):
    """{name: function of one image} that gives an array."""
    grad_cam = GradCam(model.keras_model, model.config)
    config = model.config.replace(IMAGES_PER_GPU=1)

    def batch(batches):
        def entry(image):
            _, inputs = next(iterate(batches(OneImage(image), config)))
            return inputs["input_image"]

        return entry

    return {
        "detect": lambda image: model.detect([image])[0]["probs"],
        "Detector": lambda image: model.detector(image)["probs"],
        "tta": lambda image: AugmentedDetector(model.detector)(image)["rois"],
        "mold_inputs": lambda image: model.mold_inputs([image])[0],
        "run_graph": lambda image: model.run_graph(
            [image], [("P4", model.keras_model.get_layer("fpn_p4").output)]
        )["P4"],
        "GradCam": grad_cam,
        "overlay_heat": lambda image: overlay_heat(image, np.eye(64)),
        "mold_image": lambda image: mold_image(image, config),
        "training": batch(training_batches),
        "validation": batch(lambda *arguments: validation_batches(*arguments, 1)),
    }


NAMES = (
    "detect Detector tta mold_inputs run_graph GradCam overlay_heat mold_image "
    "training validation"
).split()


@pytest.mark.parametrize("name", NAMES)
def test_grey_and_rgba_are_seen_as_load_image_shows_them(entries, name):
    entry = entries[name]
    alpha = np.concatenate([RGB, 255 - GREY], axis=-1)
    np.testing.assert_array_equal(entry(alpha), entry(RGB))
    in_colour = entry(np.repeat(GREY, 3, axis=-1))
    for grey in (GREY, GREY[..., 0]):
        np.testing.assert_array_equal(entry(grey), in_colour)


@pytest.mark.parametrize("name", NAMES)
def test_all_else_is_refused_and_said_what_to_do(entries, name):
    for image, advice in (
        (RGB / 255, r"float64 .*\(255 \* image\)"),
        (RGB.astype(np.uint16) * 257, r"uint16 .*image / 257"),
        (RGB.astype(np.int64), r"int64 .*image\.astype"),
        (RGB > 99, "bool"),
        (RGB[:0], "no pixels"),
        (RGB[..., :2], r"uint8 \[64, 64, 2\]"),
    ):
        with pytest.raises(ValueError, match=f"^[^\n]*must be uint8[^\n]*{advice}"):
            entries[name](image)


@pytest.mark.parametrize("images", [RGB, None, "mole.png", Image.fromarray(RGB)])
def test_a_list_is_wanted(model, images):
    for entry in (model.detect, model.mold_inputs):
        with pytest.raises(ValueError, match=r"^images must be a list .*, got"):
            entry(images)


def test_nothing_is_detected_before_all_are_checked(model, monkeypatch):
    monkeypatch.setattr(model.detector, "_detect", None)
    with pytest.raises(ValueError, match=r"images\[1\] must be uint8"):
        model.detect([RGB, RGB / 255])


def test_a_batch_is_a_list(model):
    first, second = model.detect(np.stack([RGB, 255 - RGB]))
    np.testing.assert_array_equal(
        second["probs"], model.detect([255 - RGB])[0]["probs"]
    )
    assert mold_image(np.stack([RGB, RGB]), model.config).shape == (2, 64, 64, 3)


@pytest.mark.parametrize("molded", [RGB[None], RGB[None, ..., :2] / 255])
def test_molded_images_are_floats_of_the_right_channels(model, molded):
    _, metas, _ = model.mold_inputs([RGB])
    with pytest.raises(ValueError, match=r"molded images must be float \[n, h, w, 3\]"):
        model.detect_molded(molded, metas)


def test_masks_of_a_data_set(model):
    """What load_mask may give, and the words for what it may not, from the threads."""
    mask = np.zeros((64, 64, 1), bool)
    mask[8:40, 16:50] = True
    config = model.config.replace(IMAGES_PER_GPU=1)

    def gt_masks(masks):
        batches = training_batches(OneImage(RGB, masks), config)
        return next(iterate(batches))[1]["input_gt_masks"]

    for masks in (mask, mask.astype(int), 255 * mask.astype(np.uint8), 0.9 * mask):
        np.testing.assert_array_equal(gt_masks(masks), gt_masks(mask))
    for masks, said in (
        (3 * mask.astype(int), "int64 from 0 to 3"),
        (mask[..., 0], r"\[height, width, n\], got bool \[64, 64\]"),
        (mask[:32], r"as large as its image, \(64, 64\), got \(32, 64\)"),
    ):
        with pytest.raises(ValueError, match=f"^the masks that .* image mole .*{said}"):
            gt_masks(masks)


@pytest.mark.parametrize(
    "image, said", [(None, "got None"), (Image.fromarray(RGB), "np.asarray")]
)
def test_load_image_must_return_an_array(model, image, said):
    batches = training_batches(OneImage(image), model.config)
    with pytest.raises(ValueError, match=f"^image mole must be uint8 .*{said}"):
        next(iterate(batches))


@pytest.mark.parametrize("size", [(1, 1000), (1000, 1), (1, 1), (2, 3000)])
def test_thin_images_get_their_answer(model, size):
    image = np.random.default_rng(1).integers(256, size=(*size, 3), dtype=np.uint8)
    (result,) = model.detect([image])
    y1, x1, y2, x2 = result["rois"][0]
    assert 0 <= y1 < y2 <= size[0] and 0 <= x1 < x2 <= size[1]
    assert 0 <= result["p_malignant"] <= 1
    assert result["masks"].shape[:2] == size


@pytest.fixture(scope="module")
def as_they_are():
    """A model for images that are not resized."""
    return MaskRCNN(
        "inference", lean_config(IMAGE_RESIZE_MODE="none", IMAGES_PER_GPU=1)
    )


SIDES = "100 x 128 pixels: .* multiples of 64, or use 'pad64'"


def test_without_resize_the_sides_must_fit(as_they_are):
    image = np.zeros((100, 128, 3), np.uint8)
    config = as_they_are.config
    batches = training_batches(OneImage(image, np.ones((100, 128, 1), bool)), config)
    for entry in (
        lambda: as_they_are.detect([image]),
        lambda: as_they_are.mold_inputs([image]),
        lambda: GradCam(as_they_are.keras_model, config)(image),
        lambda: next(iterate(batches)),
    ):
        with pytest.raises(ValueError, match=SIDES):
            entry()
    assert as_they_are.detect([image[:64]])[0]["masks"].shape[:2] == (64, 128)


def test_an_export_without_resize_says_so_and_answers_the_others(as_they_are):
    serve = tf.function(BatchDetector(as_they_are.detector).from_bytes)
    sides = (64, 128), (100, 128), (128, 64)
    files = [
        tf.io.encode_png(np.full((*size, 3), 99, np.uint8)).numpy() for size in sides
    ]
    answers = serve(tf.constant([*files, b"no image"]))
    errors = answers["error"].numpy().tolist()
    assert errors[0] == errors[2] == b""
    assert b"multiples of 64, or use 'pad64'" in errors[1]
    assert b"cannot be decoded" in errors[3]
    wanted = as_they_are.detect([np.full((128, 64, 3), 99, np.uint8)])[0]["scores"]
    np.testing.assert_allclose(answers["scores"][2, : len(wanted)], wanted, atol=1e-4)
    assert not answers["num_detections"].numpy()[[1, 3]].any()
