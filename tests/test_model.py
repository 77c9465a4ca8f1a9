"""MaskRCNN as its users call it, Matterport's way."""

import json
import os

import h5py
import keras
import numpy as np
import pandas as pd
import pytest
from tiny import lean_config, toy_training_model

from mrcnn_skin import Dataset, IsicConfig, MaskRCNN
from mrcnn_skin.data.synthetic import SyntheticDataset
from mrcnn_skin.weights_io import downloads
from mrcnn_skin.weights_io.by_name import CONFIG_ATTRIBUTE, named_weights


@pytest.fixture(scope="module")
def images():
    return SyntheticDataset(4, (64, 64), seed=0)


@pytest.fixture(scope="module")
def trained(images, tmp_path_factory):
    """A model whose heads learned for an epoch and all of it for another."""
    folder = tmp_path_factory.mktemp("logs")
    model = MaskRCNN("training", lean_config(), folder)
    weights = [values_of(model)]
    for epochs, layers in ((1, "heads"), (2, "all")):
        model.train(
            images, None, learning_rate=0.01, epochs=epochs, layers=layers, verbose=0
        )
        weights.append(values_of(model))
    return model, weights


@pytest.fixture(scope="module")
def inference():
    return MaskRCNN("inference", lean_config())


@pytest.fixture
def toy(monkeypatch):
    """Has the models that a test makes train the toy network."""
    monkeypatch.setattr("mrcnn_skin.model.build_training_model", toy_training_model)


def values_of(model):
    return {name: np.array(v) for name, v in named_weights(model.keras_model).items()}


def test_epochs_of_two_calls_add_up(trained, images):
    model, (start, heads, everything) = trained
    name = "res3a_branch2a/kernel"
    assert (start[name] == heads[name]).all()
    assert (heads[name] != everything[name]).any()
    log = pd.read_csv(model.log_dir / "log.csv")
    assert log["epoch"].tolist() == [1, 2] and log["stage"].tolist() == [0, 1]


def test_epochs_that_are_done_are_not_done_again(trained, images, capsys):
    model, (*_, before) = trained
    for epochs, layers in ((2, "all"), (1, "heads")):
        logs = model.train(images, None, 0.01, epochs, layers, verbose=0)
        assert logs == {}
        said = f"nothing to train: 2 of {epochs} epochs are done"
        assert said in capsys.readouterr().out
    after = values_of(model)
    for name, value in before.items():
        np.testing.assert_array_equal(value, after[name])


def test_the_run_folder_keeps_the_config(trained):
    model, _ = trained
    values = json.loads((model.log_dir / "config.json").read_text())
    assert values["IMAGE_MAX_DIM"] == 64
    assert model.log_dir.parent == model.model_dir
    assert model.log_dir.name.startswith("isic2")


def test_a_training_model_and_one_with_its_weights_detect_the_same(
    trained, inference, tmp_path
):
    """Images of any number and size; results in their own pixels."""
    model, _ = trained
    model.save_weights(tmp_path / "weights.h5")
    report = inference.load_weights(tmp_path / "weights.h5", by_name=True)
    assert not report.missing and not report.unused
    rng = np.random.default_rng(0)
    sizes = [(64, 64), (100, 37), (30, 200)]
    photos = [rng.integers(256, size=(*size, 3), dtype=np.uint8) for size in sizes]
    results = inference.detect(photos)
    for size, result, same in zip(sizes, results, model.detect(photos), strict=True):
        count = len(result["rois"])
        assert 1 <= count <= 3, "every image gets a lesion"
        assert result["masks"].shape == (*size, count)
        assert result["probs"].shape == (count, 3)
        assert (result["rois"] >= 0).all()
        assert (result["rois"][:, 2:] <= np.array(size)).all()
        assert (np.diff(result["scores"]) <= 0).all()
        benign, malignant = result["probs"][0, 1:]
        wanted = malignant / (benign + malignant)
        assert result["p_malignant"] == pytest.approx(wanted, rel=1e-5)
        for name in ("rois", "class_ids", "scores", "masks", "probs"):
            np.testing.assert_allclose(result[name], same[name], rtol=1e-4, atol=1e-4)
    assert inference.detect([]) == []


def test_detect_says_what_it_found_if_asked(inference, capsys):
    inference.detect([np.zeros([64, 64, 3], np.uint8)], verbose=1)
    assert capsys.readouterr().out.startswith("image 0: (64, 64, 3), ")


def test_load_weights_leaves_out_what_it_is_told_to(trained, inference, tmp_path):
    trained[0].save_weights(tmp_path / "weights.h5")
    report = inference.load_weights(
        str(tmp_path / "weights.h5"), by_name=True, exclude=["mrcnn_bbox_fc"]
    )
    assert report.excluded == ["mrcnn_bbox_fc/kernel", "mrcnn_bbox_fc/bias"]


def prepared(classes, images):
    """A data set of so many classes and images."""
    dataset = Dataset()
    for number in range(classes):
        dataset.add_class("other", number + 1, f"class {number}")
    for number in range(images):
        dataset.add_image("other", number, None)
    dataset.prepare()
    return dataset


@pytest.mark.parametrize(
    "arguments, said",
    [
        ({"augmentation": "strong"}, "augmentation must be an imgaug augmenter, got"),
        ({"no_augmentation_sources": 5}, "no_augmentation_sources must be .*, got 5"),
        (
            {"no_augmentation_sources": "a"},
            "no_augmentation_sources must be .*, got 'a",
        ),
        ({"no_augmentation_sources": ["lab"]}, r"data set, \[.*\], got \['lab'\]"),
        (
            {"val_dataset": prepared(1, 1)},
            "NUM_CLASSES is 3, but the data set has 2 classes",
        ),
        (
            {"train_dataset": prepared(1, 1)},
            "NUM_CLASSES is 3, but the data set has 2 classes",
        ),
        ({"train_dataset": prepared(2, 0)}, "must hold at least one image"),
    ],
)
def test_what_cannot_be_trained_leaves_no_run_folder(
    toy, images, tmp_path, arguments, said
):
    model = MaskRCNN("training", lean_config(), tmp_path)
    with pytest.raises(ValueError, match=said):
        model.train(
            **{"train_dataset": images, "val_dataset": None, "epochs": 1, **arguments}
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("folder", [None, 5, b"logs"])
def test_a_folder_is_a_path(inference, folder):
    with pytest.raises(ValueError, match="model_dir must be the path of a folder, got"):
        MaskRCNN("inference", inference.config, folder)
    if folder is not None:
        with pytest.raises(ValueError, match="name must be the path of a folder, got"):
            inference.set_log_dir(folder)


@pytest.mark.parametrize("text", ["{bad", "[1]"])
def test_a_broken_stored_config_is_refused_before_a_weight_changes(
    trained, inference, tmp_path, text
):
    path = tmp_path / "weights.h5"
    trained[0].save_weights(path)
    with h5py.File(path, "a") as file:
        file["conv1/conv1/bias:0"][...] = 7
        file.attrs[CONFIG_ATTRIBUTE] = text
    before = values_of(inference)
    with pytest.raises(ValueError, match="weights.h5 holds no valid configuration"):
        inference.load_weights(path, verbose=0)
    for name, value in values_of(inference).items():
        np.testing.assert_array_equal(value, before[name])


def test_find_last_gives_the_newest_weights_of_its_name(tmp_path):
    model = MaskRCNN("inference", lean_config(NAME="Lesion"), tmp_path)
    with pytest.raises(FileNotFoundError, match="mask_rcnn_lesion_last.h5"):
        model.find_last()
    # The names of the folders say the opposite of the times
    files = ("a", "lesion", 3), ("b", "lesion", 2), ("c", "nucleus", 9)
    for folder, name, time in files:
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / f"mask_rcnn_{name}_last.h5"
        path.touch()
        os.utime(path, (time, time))
    assert model.find_last() == tmp_path / "a" / "mask_rcnn_lesion_last.h5"


class Rates(keras.callbacks.Callback):
    """Keeps the learning rate of every epoch; stops by force before one of them."""

    def __init__(self, stop_before=None):
        super().__init__()
        self.stop_before, self.rates = stop_before, []

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.stop_before:
            raise KeyboardInterrupt

    def on_epoch_end(self, epoch, logs=None):
        self.rates.append(logs["learning_rate"])


def test_another_rate_for_the_rest_of_interrupted_epochs_is_taken(
    toy, images, tmp_path
):
    config = lean_config(STEPS_PER_EPOCH=1)
    model = MaskRCNN("training", config, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        model.train(images, None, 0.01, 3, custom_callbacks=[Rates(1)], verbose=0)
    seen = Rates()
    model.train(images, None, 0.002, 3, custom_callbacks=[seen], verbose=0)
    assert seen.rates == pytest.approx([0.002, 0.002])
    log = pd.read_csv(model.log_dir / "log.csv")
    assert log["epoch"].tolist() == [1, 2, 3] and log["stage"].tolist() == [0, 1, 1]


def test_the_last_weights_of_a_run_go_on_with_it_and_others_begin_a_new_one(
    toy, images, tmp_path
):
    config = lean_config(STEPS_PER_EPOCH=1)
    first = MaskRCNN("training", config, tmp_path)
    first.train(images, None, 0.01, epochs=1, verbose=0)
    run = first.log_dir

    again = MaskRCNN("training", config, tmp_path)
    again.load_weights(again.find_last(), by_name=True)
    seen = Rates()
    again.train(images, None, 0.01, epochs=2, custom_callbacks=[seen], verbose=0)
    assert again.log_dir == run and len(seen.rates) == 1
    assert pd.read_csv(run / "log.csv")["stage"].tolist() == [0, 0], "one optimizer"

    # Other weights between two calls: the state of the run must not overrule them
    again.save_weights(tmp_path / "others.h5")
    bias = named_weights(again.keras_model)["mrcnn_class/bias"]
    bias.assign([5.0])
    again.save_weights(tmp_path / "others.h5")
    bias.assign([0.0])
    again.load_weights(tmp_path / "others.h5", by_name=True)
    assert again.log_dir is None
    again.set_log_dir("new")
    again.train(images, None, 1e-9, epochs=1, verbose=0)
    np.testing.assert_allclose(bias, [5.0], atol=1e-4)
    assert again.log_dir == tmp_path / "new"

    # Part of the weights, and a folder that was chosen before and holds no run
    other = MaskRCNN("training", config, tmp_path)
    last = run / "mask_rcnn_isic_last.h5"
    other.load_weights(last, by_name=True, exclude=["mrcnn_bbox"])
    assert other.log_dir is None
    chosen = other.set_log_dir("chosen")
    other.load_weights(last, by_name=True)
    assert other.log_dir == chosen


def test_imagenet_weights_are_kept_where_keras_keeps_its_own(
    inference, monkeypatch, tmp_path
):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(
        downloads, "download", lambda url, path, **checks: (url, path, *checks)
    )
    url, path, check = inference.get_imagenet_weights()
    assert url.endswith(path.name) and path.name.startswith("resnet50_weights")
    assert path.parent == tmp_path / "models" and check == "md5"


def test_set_trainable_names_the_layers_that_learn(inference, capsys):
    names = inference.set_trainable("rpn_.*|mrcnn_mask")
    assert names == ["rpn_conv_shared", "rpn_class_raw", "rpn_bbox_pred", "mrcnn_mask"]
    assert capsys.readouterr().out.split("\n")[1:5] == names
    assert len(inference.keras_model.trainable_variables) == 8
    inference.set_trainable("all", verbose=0)
    assert not capsys.readouterr().out


def test_set_log_dir(tmp_path):
    model = MaskRCNN("inference", lean_config(), tmp_path)
    assert model.set_log_dir("mine") == model.log_dir == tmp_path / "mine"
    assert not model.log_dir.exists(), "it is made on training"


def test_seeded_weights_repeat_and_differ_by_seed(toy):
    first, again = (values_of(MaskRCNN("training", lean_config())) for _ in range(2))
    for name, value in first.items():
        np.testing.assert_array_equal(value, again[name], err_msg=name)
    other = values_of(MaskRCNN("training", lean_config(SEED=4)))["conv1/kernel"]
    assert (first["conv1/kernel"] != other).any()


def test_wrong_calls_say_what_is_wanted(inference, images, trained, tmp_path):
    with pytest.raises(ValueError, match="config must be a Config object, .*IsicConf"):
        MaskRCNN("inference", IsicConfig)
    with pytest.raises(ValueError, match="mode must be 'training' or 'inference'"):
        MaskRCNN("predict", lean_config())
    with pytest.raises(ValueError, match="needs a model in mode 'training'"):
        inference.train(images, None, epochs=1)
    with pytest.raises(ValueError, match="needs `epochs` or `stages`"):
        trained[0].train(images, None)
    with pytest.raises(ValueError, match="by_name must be True"):
        inference.load_weights(tmp_path / "weights.h5", by_name=False)
    with pytest.raises(FileNotFoundError, match="weights.h5"):
        inference.load_weights(tmp_path / "weights.h5")
