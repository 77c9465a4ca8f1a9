"""The ONNX file answers as detect() does, for every setting, or the export refuses."""
# ruff: noqa: E402 - imports wait until it is known that the extra "onnx" is there

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from tiny import lean_config, tiny_config

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

from onnx_run import nchw, run_file, run_graph

from mrcnn_skin import IsicConfig, MaskRCNN
from mrcnn_skin.data.files import read_image
from mrcnn_skin.data.lesion_painter import synthetic_lesion
from mrcnn_skin.graph.attention import attend
from mrcnn_skin.serving.onnx.export import export_onnx
from mrcnn_skin.serving.onnx.geometry import Map
from mrcnn_skin.serving.onnx.network import as_keras, convert

ROOT = Path(__file__).parents[2]
SIZES = (64, 64), (90, 120), (131, 57), (40, 33)


def random_model(make_config=lean_config, **settings):
    keras.utils.set_random_seed(3)
    settings = {"DETECTION_MIN_CONFIDENCE": 0.3, **settings}
    return MaskRCNN("inference", make_config(**settings))


def assert_same_answers(path, model, images, differing=0.02):
    """Of the file to images of one size, as a batch, and of detect().

    differing: share of a mask's pixels. Masks of random weights are noise around .5,
    where rounding decides; test_onnx_geometry.py compares their pasting.
    """
    answer = run_file(path, np.stack(images))
    results = model.detect(list(images))
    most = max(len(result["rois"]) for result in results)
    for index, result in enumerate(results):
        assert_same_answer(
            {n: v[index] for n, v in answer.items()}, result, most, differing
        )
    return results


NOT_PER_LESION = {
    *("rois", "low_confidence", "p_malignant", "unfamiliar", "unfamiliar_score"),
    *("threshold", "predicted_class_id"),
}


def assert_same_answer(answer, result, most, differing):
    count = answer.pop("num_detections")
    assert count == len(result["rois"])
    assert answer.pop("low_confidence") == result["low_confidence"]
    assert answer.pop("unfamiliar", None) == result["unfamiliar"]
    wanted = result["unfamiliar_score"]
    wanted = None if wanted is None else pytest.approx(wanted, rel=1e-3)
    assert answer.pop("unfamiliar_score", None) == wanted
    wanted = result["p_malignant"]
    p_malignant = answer.pop("p_malignant", np.nan)
    assert p_malignant == pytest.approx(
        np.nan if wanted is None else wanted, abs=1e-3, nan_ok=True
    )
    result = {"boxes": result["rois"], **result}
    if "masks" in result:
        result["masks"] = np.moveaxis(result["masks"], -1, 0)
    assert set(answer) == set(result) - NOT_PER_LESION
    for name, values in answer.items():
        assert len(values) == most
        assert not values[count:].any(), f"{name} of padding"
        if name == "masks":
            assert values.shape == (most, *result["masks"].shape[1:])
            assert not count or (values[:count] != result[name]).mean() < differing
            continue
        tolerance = 0.05 if name == "boxes" else 1e-3
        np.testing.assert_allclose(
            values[:count], result[name], rtol=0, atol=tolerance, err_msg=name
        )


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A small network with several levels, and its file."""
    model = random_model(tiny_config, UNFAMILIAR_COMPONENTS=2)
    layer = model.keras_model.get_layer("unfamiliar_score")
    rng = np.random.default_rng(0)
    layer.set_weights([rng.uniform(0.0, 0.1, w.shape) for w in layer.weights])
    path = tmp_path_factory.mktemp("onnx") / "tiny.onnx"
    export_onnx(model, path, {"licence": "CC0"})
    return model, path


@pytest.mark.parametrize("size", SIZES)
def test_images_of_any_size_and_batches(exported, size):
    model, path = exported
    images = [synthetic_lesion(seed, size)[0] for seed in range(1 + size[0] % 2)]
    assert any(len(r["rois"]) for r in assert_same_answers(path, model, images))


@pytest.mark.slow
def test_sides_that_the_network_cannot_take(tmp_path):
    """The runtime's message has detect()'s words; 96 rows would give other boxes."""
    model = random_model(tiny_config, IMAGE_RESIZE_MODE="none", IMAGES_PER_GPU=1)
    export_onnx(model, tmp_path / "x.onnx")
    assert_same_answers(tmp_path / "x.onnx", model, [synthetic_lesion(0, (64, 128))[0]])
    for size in ((96, 128), (64, 96), (96, 96)):
        with pytest.raises(Exception, match="'none' both sides must be multiples of 6"):
            run_file(tmp_path / "x.onnx", synthetic_lesion(0, size)[0][None])


def test_only_standard_operators_and_a_description(exported):
    model, path = exported
    loaded = onnx.load(path)
    assert {entry.domain for entry in loaded.opset_import} == {""}
    onnx.checker.check_model(loaded, full_check=True)
    about = {entry.key: entry.value for entry in loaded.metadata_props}
    assert json.loads(about["class_names"]) == ["BG", "benign", "malignant"]
    assert json.loads(about["malignant_class_ids"]) == [2]
    assert json.loads(about["config"])["IMAGE_MAX_DIM"] == 64
    assert about["licence"] == "CC0"
    assert "uint8 [batch, height, width, channels]" in loaded.doc_string
    assert "of any size" in loaded.doc_string


VARIANTS = [
    {"TASKS": ("classify",)},
    {"TASKS": ("detect",)},
    {"TASKS": ("segment",), "DETECTION_SCORE": "class"},
    {"DIAGNOSIS": "image", "DETECTION_SCORE": "lesion", "MALIGNANT_CLASS_IDS": ()},
    {"DETECTION_MIN_CONFIDENCE": 1.0, "DETECTION_KEEP_BEST": True},
    {"DETECTION_MIN_CONFIDENCE": 1.0, "DETECTION_KEEP_BEST": False},
    {"DETECTION_CANVAS": "content", "MASK_SHAPE": (56, 56), "CLASSIFY_CONTEXT": 16},
    {"IMAGE_RESIZE_MODE": "pad64", "IMAGES_PER_GPU": 1, "RPN_ANCHOR_STRIDE": 2},
    {"FPN_ATTENTION": "se", "BACKBONE_DILATION": 1, "BACKBONE": "efficientnet_lite0"},
    {"FPN_ATTENTION": "cbam", "CLASSIFY_CONTEXT": 16, "HEAD_NORM": "group"},
    {"IMAGE_CHANNEL_COUNT": 5, "MEAN_PIXEL": (120, 110, 100, 90, 80)},
]


@pytest.mark.slow
@pytest.mark.parametrize("settings", VARIANTS, ids=lambda x: ",".join(x))
def test_settings(settings, tmp_path):
    model = random_model(**settings)
    export_onnx(model, tmp_path / "x.onnx")
    channels = model.config.IMAGE_CHANNEL_COUNT
    images = [synthetic_lesion(seed, (90, 120))[0] for seed in range(2)]
    images = [image[..., np.arange(channels) % 3] for image in images]
    results = assert_same_answers(tmp_path / "x.onnx", model, images)
    found = any(len(result["rois"]) for result in results)
    nothing = {"DETECTION_MIN_CONFIDENCE": 1.0, "DETECTION_KEEP_BEST": False}
    assert found == (settings != nothing)


class Swapped(layers.Conv2D):
    """A convolution of one's own, which computes something else."""


@pytest.mark.parametrize(
    "layer, message",
    [
        (Swapped(3, 1, name="own"), "the layer Swapped .'own'.; supported: Conv2D"),
        (layers.LayerNormalization(), "support the layer LayerNormalization"),
        (layers.Conv2D(3, 1, activation="tanh", name="own"), "got 'tanh' in .* 'own'"),
        (layers.ReLU(negative_slope=0.1, name="own"), "negative_slope 0.0 .* 'own'"),
        (layers.UpSampling2D(2, interpolation="bilinear"), "'nearest' .* 'bilinear'"),
        (layers.Conv2DTranspose(3, 2, padding="same"), "padding 'valid' .* 'same'"),
    ],
)
def test_layers_that_are_not_converted_are_refused(layer, message):
    inputs = keras.Input([8, 8, 3])
    network = keras.Model(inputs, layer(inputs))
    with pytest.raises(ValueError, match=message):
        run_graph(
            lambda op, x: convert(op, network, [Map(x)]),
            np.zeros([1, 3, 8, 8], np.float32),
        )


def test_models_that_cannot_be_exported(exported, monkeypatch, tmp_path):
    model, _ = exported
    with monkeypatch.context() as patch:
        bfloat16 = model.config.replace(INFERENCE_PRECISION="bfloat16")
        patch.setattr(model, "config", bfloat16)
        with pytest.raises(ValueError, match="INFERENCE_PRECISION 'float32', .*bfloat"):
            export_onnx(model, tmp_path / "x.onnx")
    monkeypatch.setattr(model, "mode", "training")
    with pytest.raises(ValueError, match="mode 'inference', got 'training'"):
        export_onnx(model, tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())


LAYERS = [
    layers.Conv2D(4, 3, 2, padding="same", activation="relu"),
    layers.Conv2D(6, 3, groups=3, dilation_rate=2, use_bias=False),
    layers.DepthwiseConv2D(5, 2, padding="same", depth_multiplier=2),
    layers.Conv2DTranspose(4, 2, 2, activation="relu"),
    layers.Dense(4, activation="sigmoid"),
    layers.GroupNormalization(3, gamma_initializer="normal"),
    layers.BatchNormalization(beta_initializer="normal"),
    layers.MaxPooling2D(3, 2, padding="same"),
    layers.UpSampling2D((2, 3)),
    layers.ZeroPadding2D(((1, 2), (0, 3))),
    layers.GlobalAveragePooling2D(),
    layers.GlobalMaxPooling2D(),
    layers.Rescaling(2.0, [-1.0, 0.0, 1.0, 2.0, 3.0, 4.0]),
    layers.ReLU(6.0),
    layers.Activation("silu"),
    layers.Softmax(),
    layers.Reshape([-1, 3]),
]


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
def test_plain_layers(layer):
    keras.utils.set_random_seed(0)
    inputs = keras.Input([7, 9, 6])
    network = keras.Model(inputs, layer(inputs))
    x = np.random.default_rng(0).normal(size=(2, 7, 9, 6)).astype(np.float32)
    (ours,) = run_graph(
        lambda op, x: as_keras(op, convert(op, network, [Map(x)])), nchw(x)
    )
    np.testing.assert_allclose(ours, network(x), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["se", "cbam"])
def test_attention(kind):
    inputs = keras.Input([7, 9, 6])
    config = tiny_config(FPN_ATTENTION=kind)
    network = keras.Model(inputs, attend(inputs, "fpn_p2", config))
    rng = np.random.default_rng(0)
    for weight in network.weights:
        weight.assign(rng.normal(size=weight.shape))
    x = rng.normal(size=(2, 7, 9, 6)).astype(np.float32)
    (ours,) = run_graph(lambda op, x: convert(op, network, [Map(x)]), nchw(x))
    np.testing.assert_allclose(ours, nchw(network(x)), rtol=0, atol=1e-4)


@pytest.mark.slow
def test_a_resnet(tmp_path):
    model = random_model(
        IsicConfig, BACKBONE="resnet50", IMAGE_MIN_DIM=128, IMAGE_MAX_DIM=128,
        RPN_ANCHOR_SCALES=(8, 16, 32, 64, 128),
    )  # fmt: skip
    for layer in model.keras_model.layers:  # else random residuals add up to infinity
        if layer.name.startswith("bn") and layer.name.endswith("branch2c"):
            layer.gamma.assign(layer.gamma * 0.2)
    export_onnx(model, tmp_path / "x.onnx")
    images = [synthetic_lesion(seed, (150, 200))[0] for seed in range(2)]
    results = assert_same_answers(tmp_path / "x.onnx", model, images)
    assert any(len(result["rois"]) for result in results)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """The network of the repository, and its file, written by the command."""
    path = tmp_path_factory.mktemp("onnx") / "lite.onnx"
    command = [sys.executable, ROOT / "samples/isic/export.py", "--format=onnx"]
    subprocess.run(
        [*command, "--weights=pretrained", f"--out={path}"],
        check=True,
        env={"PYTHONPATH": str(ROOT)},
    )
    weights = ROOT / "weights" / "mrcnn_skin_lite_isic.h5"
    model = MaskRCNN("inference", IsicConfig.from_json(weights.with_suffix(".json")))
    model.load_weights(weights)
    return model, path


@pytest.mark.slow
def test_the_shipped_network_on_generated_lesions(pretrained):
    model, path = pretrained
    for seed, size in enumerate([(600, 800), (320, 320), (1200, 500), (33, 40)]):
        assert_same_answers(path, model, [synthetic_lesion(seed, size)[0]], 1e-4)
    metadata = {x.key: x.value for x in onnx.load(path).metadata_props}
    assert "CC BY-NC-SA 4.0" in metadata["licence"]


@pytest.mark.slow
def test_the_shipped_network_on_real_frames(pretrained, real_data):
    model, path = pretrained
    for name in sorted((real_data / "isic_fullframe").rglob("*.jpg"))[:6]:
        assert_same_answers(path, model, [read_image(name)], 1e-4)


@pytest.mark.slow
def test_the_example_needs_neither_tensorflow_nor_this_package(pretrained, tmp_path):
    """It prints and draws what detect() finds."""
    from PIL import Image

    model, path = pretrained
    image = synthetic_lesion(1, (300, 400))[0]
    Image.fromarray(image).save(tmp_path / "photo.png")
    hidden = "import sys; sys.modules.update(dict.fromkeys(['tensorflow', 'keras', "
    hidden += "'mrcnn_skin', 'onnx'])); sys.argv = sys.argv[1:]; import runpy; "
    hidden += "runpy.run_path(sys.argv[0], run_name='__main__')"
    example = ROOT / "samples/isic/onnx_predict.py"
    done = subprocess.run(
        [sys.executable, "-c", hidden, example, path, tmp_path / "photo.png"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    (result,) = model.detect([image])
    assert f"P(malignant) {result['p_malignant']:.3f}" in done.stdout
    mask = np.asarray(Image.open(tmp_path / "photo_mask.png")) > 0
    assert (mask != result["masks"][..., 0]).mean() < 1e-3
    assert len(example.read_text("utf-8").splitlines()) <= 40
