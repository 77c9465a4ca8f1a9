"""Weight files by name: what fits is loaded, what does not changes nothing."""

import h5py
import keras
import numpy as np
import pytest
from tiny import tiny_config

from mrcnn_skin.graph.mask_rcnn import build_inference_model, build_training_model
from mrcnn_skin.weights_io.by_name import (
    CLASS_LAYERS,
    copy_weights,
    load_h5,
    named_weights,
    read_h5,
    save_h5,
)


def small_model(classes=3, width=4):
    """A model with a nested one, a BatchNorm and a class layer."""
    features = keras.Input([None, None, 2])
    shared = keras.layers.Conv2D(5, 1, name="rpn_conv_shared")(features)
    nested = keras.layers.Conv2D(5, 1, name="rpn_class_raw")(shared)
    nested = keras.Model(features, nested, name="rpn_model")
    image = keras.Input([4, 4, 1], name="input_image")
    x = keras.layers.Conv2D(2, 3, name="conv1")(image)
    x = keras.layers.BatchNormalization(name="bn_conv1")(x)
    x = keras.layers.Flatten(name="flatten")(nested(x))
    x = keras.layers.Dense(width, name="res5a_branch2a")(x)
    x = keras.layers.Dense(classes, name="mrcnn_class_logits")(x)
    model = keras.Model(image, x)
    fill(model, seed=classes)
    return model


def fill(model, seed):
    """Give every tensor, biases and statistics too, values of its own."""
    rng = np.random.default_rng(seed)
    for variable in named_weights(model).values():
        variable.assign(rng.uniform(0.5, 1.5, variable.shape))


def values_of(model):
    return {name: np.array(v) for name, v in named_weights(model).items()}


def assert_same(first, second, but=()):
    """Two dicts of tensors agree bit for bit, except in the layers `but`."""
    assert set(first) == set(second)
    for name, value in first.items():
        if name.split("/")[0] not in but:
            np.testing.assert_array_equal(value, second[name], err_msg=name)


@pytest.fixture(scope="module")
def networks():
    """A training and an inference graph of the same Config."""
    config = tiny_config(NORM="batch")
    return build_training_model(config), build_inference_model(config)


@pytest.fixture
def saved(tmp_path):
    """A model and its weight file."""
    model = small_model()
    save_h5(model, tmp_path / "weights.h5")
    return model, tmp_path / "weights.h5"


def test_names_of_a_model_and_its_nested_one():
    assert set(named_weights(small_model())) == {
        "conv1/kernel",
        "conv1/bias",
        "bn_conv1/gamma",
        "bn_conv1/beta",
        "bn_conv1/moving_mean",
        "bn_conv1/moving_variance",
        "rpn_conv_shared/kernel",
        "rpn_conv_shared/bias",
        "rpn_class_raw/kernel",
        "rpn_class_raw/bias",
        "res5a_branch2a/kernel",
        "res5a_branch2a/bias",
        "mrcnn_class_logits/kernel",
        "mrcnn_class_logits/bias",
    }


def test_round_trip_is_exact_and_prints_its_report(saved, capsys):
    model, path = saved
    other = small_model()
    fill(other, seed=99)
    report = load_h5(other, path)
    assert capsys.readouterr().out == f"{report}\n"
    assert_same(values_of(model), values_of(other))
    assert len(report.loaded) == 14
    assert not (report.excluded or report.mismatched or report.missing or report.unused)
    assert str(report) == f"{path}: 14 tensors loaded"


def test_training_graph_to_inference_graph_by_file_and_by_copy(networks, tmp_path):
    training, inference = networks
    for seed, transfer in enumerate((through_file, copy_weights)):
        fill(training, seed)
        fill(inference, seed=99)
        transfer(training, inference, *([tmp_path] if transfer is through_file else []))
        assert_same(values_of(training), values_of(inference))


def through_file(source, target, folder):
    save_h5(source, folder / "weights.h5")
    report = load_h5(target, folder / "weights.h5")
    assert not report.missing and not report.unused


def test_copy_names_what_the_source_lacks():
    image = keras.Input([4, 4, 1])
    source = keras.Model(image, keras.layers.Conv2D(2, 3, name="conv1")(image))
    with pytest.raises(ValueError, match="lacks bn_conv1/beta, bn_conv1/gamma"):
        copy_weights(source, small_model())


def test_matterports_layout(saved):
    """Groups, tensor names and attributes, as its Keras 2 wrote and reads them."""
    model, path = saved
    with h5py.File(path) as file:
        layers = [name.decode() for name in file.attrs["layer_names"]]
        assert layers == [layer.name for layer in model.layers]
        assert file.attrs["keras_version"].decode() == "2.0.8"
        assert set(file) == set(layers)
        for layer in layers:
            for name in file[layer].attrs["weight_names"]:
                assert file[layer][name.decode()].dtype == np.float32
        names = [name.decode() for name in file["bn_conv1"].attrs["weight_names"]]
        assert names == [
            "bn_conv1/gamma:0",
            "bn_conv1/beta:0",
            "bn_conv1/moving_mean:0",
            "bn_conv1/moving_variance:0",
        ]
        assert list(file["flatten"].attrs["weight_names"]) == []
        kernel = file["rpn_model/rpn_conv_shared/kernel:0"]
        np.testing.assert_array_equal(
            kernel, named_weights(model)["rpn_conv_shared/kernel"]
        )


def test_keras_reads_the_file_by_name(saved):
    """Keras's own reader of the old layout is an independent judge of the writer."""
    model, path = saved
    other = small_model()
    fill(other, seed=99)
    other.load_weights(path, by_name=True)
    assert_same(values_of(model), values_of(other))


def test_exclude_takes_names_and_patterns(saved):
    model, path = saved
    other = small_model()
    fill(other, seed=99)
    before = values_of(other)
    report = load_h5(other, path, exclude=["mrcnn_*", "bn_conv1"])
    after = values_of(other)
    assert_same(values_of(model), after, but=("mrcnn_class_logits", "bn_conv1"))
    for name in report.excluded:
        np.testing.assert_array_equal(after[name], before[name])
    assert {n.split("/")[0] for n in report.excluded} == {
        "mrcnn_class_logits",
        "bn_conv1",
    }
    assert "6 excluded: bn_conv1, mrcnn_class_logits" in str(report)
    assert not report.notes


def test_exclude_takes_a_nested_model_and_a_single_name(saved):
    model, path = saved
    other = small_model()
    fill(other, seed=99)
    before = values_of(other)
    report = load_h5(other, path, exclude="rpn_model")
    assert len(report.excluded) == 4
    after = values_of(other)
    nested = ("rpn_conv_shared", "rpn_class_raw")
    assert_same(values_of(model), after, but=nested)
    assert_same(before, after, but={n.split("/")[0] for n in report.loaded})


@pytest.mark.parametrize("exclude", [3, b"conv1", [3], ["conv1", None], {"conv1": 1}])
def test_exclude_takes_nothing_but_names(saved, exclude):
    model, path = saved
    with pytest.raises(
        ValueError, match="exclude must be a list of layers' names, got"
    ):
        load_h5(model, path, exclude)


def test_exclude_that_matches_nothing_is_told(saved):
    _, path = saved
    with h5py.File(path, "a") as file:
        file["mrcnn_mask/mrcnn_mask/kernel:0"] = np.ones(3, np.float32)
    # In the file only; in the model only, without weights; nowhere
    report = load_h5(small_model(), path, exclude=["mrcnn_mask", "flatten", "mrcn_*"])
    assert report.notes == ["exclude='mrcn_*' matches no layer"]
    assert "mrcn_*" in str(report)


def test_class_layers_of_another_shape_are_left_and_reported(saved):
    model, path = saved
    other = small_model(classes=7)
    before = values_of(other)
    report = load_h5(other, path)
    after = values_of(other)
    for name in ("mrcnn_class_logits/kernel", "mrcnn_class_logits/bias"):
        np.testing.assert_array_equal(after[name], before[name])
    np.testing.assert_array_equal(
        after["conv1/kernel"], values_of(model)["conv1/kernel"]
    )
    assert report.mismatched == [
        ("mrcnn_class_logits/kernel", (4, 3), (4, 7)),
        ("mrcnn_class_logits/bias", (3,), (7,)),
    ]
    assert "2 not changed, for another number of classes:" in str(report)
    assert "mrcnn_class_logits/bias (3,), the model has (7,)" in str(report)


def test_class_layers_of_another_width_are_an_error(saved):
    """Other classes change the last axis; another first one is another network."""
    _, path = saved
    with h5py.File(path, "a") as file:
        del file["mrcnn_class_logits/mrcnn_class_logits/kernel:0"]
        file["mrcnn_class_logits/mrcnn_class_logits/kernel:0"] = np.ones([9, 7])
    with pytest.raises(ValueError, match=r"mrcnn_class_logits/kernel .*\(9, 7\)"):
        load_h5(small_model(), path)


def test_every_layer_that_depends_on_the_classes_is_known(tmp_path):
    """A network for 3 classes takes the rest of one for 6."""
    config = tiny_config(CLASSIFY_CONTEXT=16)
    source = build_inference_model(config.replace(NUM_CLASSES=6, CLASS_NAMES=()))
    save_h5(source, tmp_path / "six.h5")
    report = load_h5(build_inference_model(config), tmp_path / "six.h5")
    assert {name.split("/")[0] for name, *_ in report.mismatched} == set(CLASS_LAYERS)
    assert not report.missing


def test_any_other_shape_is_an_error_that_changes_nothing(saved):
    _, path = saved
    other = small_model(width=6)
    before = values_of(other)
    with pytest.raises(
        ValueError, match=r"res5a_branch2a/kernel .*\(20, 4\).*\(20, 6\)"
    ):
        load_h5(other, path)
    assert_same(before, values_of(other))
    report = load_h5(other, path, exclude=["res5*", "mrcnn_class_logits"])
    assert "conv1/kernel" in report.loaded


def test_missing_and_unused_tensors_are_listed(saved):
    _, path = saved
    with h5py.File(path, "a") as file:
        del file["bn_conv1"]
        file["conv9/conv9/kernel:0"] = np.ones(3, np.float32)
    report = load_h5(small_model(), path)
    assert len(report.missing) == 4
    assert report.unused == ["conv9/kernel"]
    assert "4 missing in the file, not changed: bn_conv1" in str(report)
    assert "1 unused in the file: conv9" in str(report)


def test_what_is_not_a_number_is_passed_over(saved):
    model, path = saved
    with h5py.File(path, "a") as file:
        file["conv1/conv1/note"] = "made by hand"
    assert len(load_h5(model, path, verbose=0).loaded) == 14


def test_a_saved_model_file_keeps_its_weights_in_a_group(saved, tmp_path):
    model, path = saved
    whole = tmp_path / "model.h5"
    with h5py.File(path) as source, h5py.File(whole, "w") as target:
        group = target.create_group("model_weights")
        for name in source:
            source.copy(name, group)
        target["optimizer_weights/conv1/kernel:0"] = np.full([3, 3, 1, 2], 7.0)
    other = small_model()
    fill(other, seed=99)
    load_h5(other, whole)
    assert_same(values_of(model), values_of(other))


@pytest.mark.parametrize("suffix", ["_1", "_12"])
def test_names_of_a_second_graph_in_a_process(saved, tmp_path, suffix):
    """TensorFlow 1 counted its scopes up; the groups kept the layers' names."""
    model, path = saved
    second = tmp_path / "second.h5"
    with h5py.File(path) as source, h5py.File(second, "w") as target:

        def rename(place, item):
            if isinstance(item, h5py.Dataset):
                group, layer, tensor = place.split("/")
                target[f"{group}/{layer}{suffix}/{tensor}"] = item[()]

        source.visititems(rename)
    other = small_model()
    fill(other, seed=99)
    assert not load_h5(other, second).missing
    assert_same(values_of(model), values_of(other))


@pytest.mark.parametrize("names", [["Conv", "Conv_1", "Conv_2_1"], ["Conv_1"]])
def test_exact_names_of_a_nested_model_come_first(tmp_path, names):
    """As of keras-applications' MobileNetV2, whose last layer is called Conv_1."""

    def nested_model():
        x = inner = keras.Input([4, 4, 2])
        for name in names:
            x = keras.layers.Conv2D(2, 1, name=name)(x)
        image = keras.Input([4, 4, 2])
        x = keras.Model(inner, x, name="backbone")(image)
        return keras.Model(image, keras.layers.Conv2D(2, 1, name="Conv2D_own")(x))

    model, other = nested_model(), nested_model()
    fill(model, seed=1)
    save_h5(model, tmp_path / "own.h5")
    report = load_h5(other, tmp_path / "own.h5")
    assert not report.missing and not report.unused
    assert_same(values_of(model), values_of(other))


def test_two_tensors_of_one_name_are_both_named(saved):
    model, path = saved
    before = values_of(model)
    with h5py.File(path, "a") as file:
        file["rpn_model/rpn_conv_shared_1/kernel:0"] = np.ones([1, 1, 2, 5])
    with pytest.raises(ValueError) as error:
        load_h5(model, path)
    for words in (path, "/rpn_conv_shared/kernel:0", "/rpn_conv_shared_1/kernel:0"):
        assert str(words) in str(error.value)
    assert_same(before, values_of(model))


def test_group_norm_round_trip(tmp_path):
    config = tiny_config(NORM="group")
    training, inference = build_training_model(config), build_inference_model(config)
    fill(training, seed=1)
    through_file(training, inference, tmp_path)
    assert_same(values_of(training), values_of(inference))
    assert "gn_conv1/gamma" in values_of(inference)


@pytest.mark.parametrize("norms", [("batch", "group"), ("group", "batch")])
def test_a_network_of_the_other_norm_is_refused(tmp_path, norms):
    source, target = (build_inference_model(tiny_config(NORM=norm)) for norm in norms)
    save_h5(source, tmp_path / "weights.h5")
    before = values_of(target)
    with pytest.raises(ValueError, match="(gn|bn)_conv1.*differ in NORM"):
        load_h5(target, tmp_path / "weights.h5")
    assert_same(before, values_of(target))
    report = load_h5(target, tmp_path / "weights.h5", exclude=["*bn*", "*gn*"])
    assert not report.missing and "fpn_p2/kernel" in report.loaded


def truncated(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def not_hdf5(path):
    path.write_text("version https://git-lfs.github.com/spec/v1\n")


def empty(path):
    path.write_bytes(b"")


def without_match(path):
    with h5py.File(path, "w") as file:
        file["dense_1/dense_1/kernel:0"] = np.ones([2, 2])


def without_weights(path):
    with h5py.File(path, "w") as file:
        file.create_group("conv1")


def tensor_without_layer(path):
    with h5py.File(path, "w") as file:
        file["kernel:0"] = np.ones([2, 2])


def with_nan(path):
    with h5py.File(path, "a") as file:
        file["bn_conv1/bn_conv1/gamma:0"][1] = np.nan


def with_infinity(path):
    with h5py.File(path, "a") as file:
        file["conv1/conv1/bias:0"][0] = np.inf


@pytest.mark.parametrize(
    "damage, words",
    [
        (truncated, "not a whole HDF5 weight file"),
        (not_hdf5, "not a whole HDF5 weight file"),
        (empty, "not a whole HDF5 weight file"),
        (without_match, "no tensor that the model knows"),
        (without_weights, "holds no weights"),
        (tensor_without_layer, "no tensor that the model knows"),
        (with_nan, "bn_conv1/gamma:0 holds NaN, or values that are infinite"),
        (with_infinity, "conv1/bias:0 holds NaN, or values that are infinite"),
    ],
)
def test_damaged_files_are_named_and_change_nothing(saved, damage, words):
    model, path = saved
    before = values_of(model)
    damage(path)
    with pytest.raises(ValueError) as error:
        load_h5(model, path)
    assert str(path) in str(error.value) and words in str(error.value)
    assert_same(before, values_of(model))


def test_missing_file(tmp_path):
    with pytest.raises(ValueError, match="got the folder .*, which holds a.h5, b.h5"):
        (tmp_path / "b.h5").touch()
        (tmp_path / "a.h5").touch()
        read_h5(tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere.h5"):
        read_h5(tmp_path / "nowhere.h5")


def test_saving_leaves_the_old_file_whole_if_it_fails(saved, monkeypatch):
    model, path = saved
    whole = path.read_bytes()

    def disk_full(*args, **kwargs):
        raise OSError("no space left on device")

    monkeypatch.setattr(h5py.Group, "create_dataset", disk_full)
    with pytest.raises(OSError, match="no space"):
        save_h5(model, path)
    monkeypatch.undo()
    assert path.read_bytes() == whole
    assert list(path.parent.iterdir()) == [path]
