"""Weights by name, in and out, and what is refused."""

import h5py
import numpy as np
import pytest

from mrcnn_skin import weights
from mrcnn_skin.graph.mask_rcnn import build_inference_model, build_training_model


@pytest.fixture(scope="module")
def model(tiny_config):
    return build_inference_model(tiny_config())


@pytest.fixture
def saved(model, tmp_path):
    """A file of random weights, and the values in it by name."""
    values = randomise(model, seed=1)
    path = tmp_path / "weights.h5"
    weights.save_h5(model, path)
    randomise(model, seed=2)
    return path, values


def randomise(model, seed):
    """Give every tensor random values; returns them by name."""
    rng = np.random.default_rng(seed)
    named = weights.named_weights(model)
    for variable in named.values():
        variable.assign(rng.normal(size=variable.shape))
    return values_of(model)


def values_of(model):
    return {n: np.array(v) for n, v in weights.named_weights(model).items()}


def assert_same(first, second):
    assert set(first) == set(second)
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


def test_round_trip_into_another_graph(saved, tiny_config):
    path, values = saved
    training = build_training_model(tiny_config())
    report = weights.load_h5(training, path)
    assert set(report.loaded) == set(values)
    assert not (report.missing or report.unused or report.mismatched)
    assert_same(values_of(training), values)


def test_copy_between_graphs(model, tiny_config):
    training = build_training_model(tiny_config())
    values = randomise(training, seed=3)
    weights.copy_weights(training, model)
    assert_same(values_of(model), values)
    small = build_inference_model(tiny_config(TASKS=("classify", "detect")))
    with pytest.raises(ValueError, match="mrcnn_mask"):
        weights.copy_weights(small, training)


def test_layout_is_matterports(saved):
    with h5py.File(saved[0]) as handle:
        names = [name.decode() for name in handle.attrs["layer_names"]]
        assert "rpn_model" in names and set(names) == set(handle)
        conv = handle["fpn_p2"]
        assert [n.decode() for n in conv.attrs["weight_names"]] == [
            "fpn_p2/kernel:0",
            "fpn_p2/bias:0",
        ]
        assert conv["fpn_p2/kernel:0"].shape == (3, 3, 16, 16)
        assert "rpn_conv_shared/kernel:0" in handle["rpn_model"]


def test_a_file_with_a_model_weights_group(saved, model, tmp_path):
    path, values = saved
    whole = tmp_path / "whole.h5"
    with h5py.File(path) as source, h5py.File(whole, "w") as target:
        group = target.create_group("model_weights")
        for name in source:
            source.copy(name, group)
    weights.load_h5(model, whole)
    assert_same(values_of(model), values)


def test_excluded_layers_keep_their_values(saved, model):
    path, values = saved
    before = values_of(model)
    report = weights.load_h5(model, path, exclude=["mrcnn_*", "fpn_p2"])
    assert all(n.startswith(("mrcnn_", "fpn_p2/")) for n in report.excluded)
    for name, value in values_of(model).items():
        expected = before if name in report.excluded else values
        np.testing.assert_array_equal(value, expected[name])
    assert "left out as asked" in str(report)


def test_class_layers_of_another_number_of_classes_are_left_and_reported(
    saved, tiny_config
):
    path, _ = saved
    other = build_inference_model(
        tiny_config(NUM_CLASSES=5, CLASS_NAMES=("BG", "a", "b", "c", "d"))
    )
    report = weights.load_h5(other, path)
    layers = {name.split("/")[0] for name, *_ in report.mismatched}
    assert layers == set(weights.CLASS_LAYERS)
    assert "mrcnn_class_logits/kernel (32, 3), the model wants (32, 5)" in str(report)


def refuse(model, path, error, *words):
    """Assert that a file is refused with these words and changes nothing."""
    before = values_of(model)
    with pytest.raises(error) as refused:
        weights.load_h5(model, path)
    for word in (str(path), *words):
        assert word in str(refused.value)
    assert_same(values_of(model), before)


def test_another_shape_elsewhere_is_refused_before_anything_is_written(
    saved, tiny_config
):
    other = build_inference_model(tiny_config(TOP_DOWN_PYRAMID_SIZE=24))
    refuse(other, saved[0], ValueError, "fpn_", "16", "24", "exclude=")


def test_bad_files_are_refused_with_the_reason(saved, model, tmp_path):
    path, _ = saved
    whole = path.read_bytes()
    refuse(model, tmp_path / "none.h5", FileNotFoundError)
    bad = tmp_path / "bad.h5"
    bad.write_bytes(whole[: len(whole) // 2])
    refuse(model, bad, ValueError, "whole HDF5")
    bad.write_text("not a weight file")
    refuse(model, bad, ValueError, "whole HDF5")
    bad.unlink()
    with h5py.File(bad, "w") as handle:
        handle.create_group("nothing")
    refuse(model, bad, ValueError, "no weights")
    with h5py.File(bad, "w") as handle:
        handle["other/other/kernel:0"] = np.zeros(3)
    refuse(model, bad, ValueError, "no tensor")
    bad.write_bytes(whole)
    with h5py.File(bad, "r+") as handle:
        handle["fpn_p2/fpn_p2/bias:0"][0] = np.nan
    refuse(model, bad, ValueError, "fpn_p2/bias", "NaN")
