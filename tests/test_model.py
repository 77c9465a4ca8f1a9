"""MaskRCNN as its users call it, Matterport's way."""

import json
import os

import numpy as np
import pytest
from tiny import tiny_config

from mrcnn_skin import MaskRCNN
from mrcnn_skin.data.synthetic import SyntheticDataset
from mrcnn_skin.model import find_last
from mrcnn_skin.training.stages import Stage
from mrcnn_skin.weights import named_weights


@pytest.fixture(scope="module")
def images():
    return SyntheticDataset(4, (64, 64), seed=0)


@pytest.fixture(scope="module")
def trained(images, tmp_path_factory):
    """A model whose heads learned for an epoch and all of it for another."""
    folder = tmp_path_factory.mktemp("logs")
    model = MaskRCNN("training", tiny_config(), folder)
    weights = [values_of(model)]
    for epochs, layers in ((1, "heads"), (2, "all")):
        model.train(
            images, None, learning_rate=0.01, epochs=epochs, layers=layers, verbose=0
        )
        weights.append(values_of(model))
    return model, weights


@pytest.fixture(scope="module")
def inference():
    return MaskRCNN("inference", tiny_config())


def values_of(model):
    return {name: np.array(v) for name, v in named_weights(model.keras_model).items()}


def test_epochs_of_two_calls_add_up(trained, images):
    model, (start, heads, everything) = trained
    assert model.stages == [Stage("heads", 1, 0.01), Stage("all", 1, 0.01)]
    name = "res3a_branch2a/kernel"
    assert (start[name] == heads[name]).all()
    assert (heads[name] != everything[name]).any()
    log = (model.log_dir / "log.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in log] == ["epoch", "0", "1"]


def test_epochs_that_are_done_are_not_done_again(trained, images):
    model, (*_, before) = trained
    assert model.train(images, None, 0.01, epochs=2, layers="all", verbose=0) == {}
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


def test_find_last_takes_the_newest_checkpoint(tmp_path):
    with pytest.raises(FileNotFoundError, match="no run with a checkpoint"):
        find_last(tmp_path)
    # The names say the opposite of the times; "c" has trained, but saved no state
    for time, name in ((3, "a"), (2, "b"), (9, "c")):
        folder = tmp_path / name / "checkpoints"
        folder.mkdir(parents=True)
        if name != "c":
            (folder / "checkpoint").touch()
            os.utime(folder / "checkpoint", (time, time))
    assert find_last(tmp_path) == tmp_path / "a"


def test_find_last_of_a_model(trained):
    model, _ = trained
    assert model.find_last() == model.log_dir


def test_set_log_dir(tmp_path):
    model = MaskRCNN("inference", tiny_config(), tmp_path)
    assert model.set_log_dir("mine") == model.log_dir == tmp_path / "mine"
    assert not model.log_dir.exists(), "it is made on training"


def test_seeded_weights_repeat_and_differ_by_seed():
    first, again, other = (
        values_of(MaskRCNN("training", tiny_config(SEED=seed)))["conv1/kernel"]
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_wrong_calls_say_what_is_wanted(inference, images, trained, tmp_path):
    with pytest.raises(ValueError, match="mode must be 'training' or 'inference'"):
        MaskRCNN("predict", tiny_config())
    with pytest.raises(ValueError, match="needs a model in mode 'training'"):
        inference.train(images, None, epochs=1)
    with pytest.raises(ValueError, match="wants `epochs` or `stages`"):
        trained[0].train(images, None)
    with pytest.raises(ValueError, match="by_name must be True"):
        inference.load_weights(tmp_path / "weights.h5", by_name=False)
    with pytest.raises(FileNotFoundError, match="weights.h5"):
        inference.load_weights(tmp_path / "weights.h5")
