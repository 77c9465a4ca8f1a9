"""The Config that belongs to a weight file: stored, found, compared."""

import json
import warnings
from functools import partial

import h5py
import keras
import numpy as np
import pytest
from tiny import lean_config

from mrcnn_skin import IsicConfig, MaskRCNN
from mrcnn_skin.config import TRAINING_FIELDS, Config
from mrcnn_skin.weights_io.by_name import CONFIG_ATTRIBUTE, load_h5, read_h5, save_h5
from mrcnn_skin.weights_io.pretrained import find_weights, read_config


class OwnConfig(IsicConfig):
    MY_FIELD: int = 3


@pytest.fixture
def toy():
    x = keras.Input([4])
    return keras.Model(x, keras.layers.Dense(2, name="toy")(x))


def test_the_config_is_read_from_the_file_then_from_beside_it(toy, tmp_path):
    inside, path = IsicConfig(IMAGE_MAX_DIM=1088), tmp_path / "run" / "weights.h5"
    path.parent.mkdir()
    save_h5(toy, path)
    assert read_config(path) is None
    IsicConfig(SEED=7).to_json(path.parent / "config.json")
    assert read_config(path).SEED == 7
    IsicConfig(SEED=8).to_json(path.with_suffix(".json"))
    assert read_config(path).SEED == 8
    save_h5(toy, path, inside)
    assert read_config(path).to_dict() == inside.to_dict()
    assert read_config(path, SEED=9).to_dict() == inside.replace(SEED=9).to_dict()


def test_fields_of_ones_own_need_their_class(toy, tmp_path):
    path = tmp_path / "own.h5"
    save_h5(toy, path, OwnConfig(MY_FIELD=5))
    assert read_config(path, OwnConfig).MY_FIELD == 5
    with pytest.raises(ValueError, match="own.h5 holds no valid .* 'MY_FIELD'"):
        read_config(path)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{}",
        "[]",
        "[1]",
        "3",
        '[["a", "b"]]',
        '{"name": "a card"}',
        "[" * 10**5,
        '{"IMAGE_MAX_DIM": "wide"}',
    ],
)
def test_a_broken_config_names_its_file(toy, tmp_path, text):
    save_h5(toy, tmp_path / "a.h5")
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match="a.json holds no valid configuration"):
        read_config(tmp_path / "a.h5")


@pytest.mark.parametrize("value", [3, np.arange(3), h5py.Empty("f"), b"\xff\xfe"])
def test_a_stored_config_that_is_no_text_names_its_file(toy, tmp_path, value):
    save_h5(toy, tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file.attrs[CONFIG_ATTRIBUTE] = value
    with pytest.raises(ValueError, match="a.h5 holds no valid configuration"):
        read_config(tmp_path / "a.h5")


def test_unknown_names_and_paths_are_refused_with_the_known_names(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.h5; .* lite_isic"):
        find_weights(tmp_path / "nowhere.h5")


def backbone(images, config): ...


class BackboneConfig(IsicConfig):
    BACKBONE = backbone


def test_a_function_is_taken_from_the_class_or_the_call(toy, tmp_path):
    path = tmp_path / "own.h5"
    save_h5(toy, path, IsicConfig(BACKBONE=backbone, SEED=3))
    with pytest.raises(ValueError, match="own.h5 .* callable backbone: pass .*BACKB"):
        read_config(path)
    assert read_config(path, BACKBONE=backbone).SEED == 3
    assert read_config(path, BACKBONE="resnet26").BACKBONE == "resnet26"
    assert read_config(path, BackboneConfig).BACKBONE is backbone


@pytest.mark.parametrize(
    "overrides, words",
    [
        ({"FOO": 1}, "IsicConfig has no setting 'FOO'"),
        ({"IMAGE_MAX_DIM": 65}, "IMAGE_MAX_DIM must be"),
        ({"BATCH_SIZE": 3}, "BATCH_SIZE is computed"),
        ({"BACKBONE": 3}, "BACKBONE must be"),
        (
            {"config_class": dict},
            "config_class must be Config or .*, got <class 'dict'>",
        ),
        ({"config_class": IsicConfig()}, "config_class must be Config or"),
    ],
)
def test_a_wrong_override_is_not_laid_to_the_file(toy, tmp_path, overrides, words):
    save_h5(toy, tmp_path / "a.h5", IsicConfig())
    with pytest.raises(ValueError, match=f"^{words}"):
        MaskRCNN.from_pretrained(tmp_path / "a.h5", **overrides)


@pytest.mark.parametrize("weights", [None, 3, "", b"a.h5", ["a.h5"]])
def test_what_is_no_path_is_refused(toy, weights):
    for load in (
        find_weights,
        MaskRCNN.from_pretrained,
        read_h5,
        partial(load_h5, toy),
    ):
        with pytest.raises(ValueError, match="must be the path of a .h5 file, got"):
            load(weights)
    with pytest.raises(ValueError, match="must be the path of a .h5 file, got"):
        save_h5(toy, weights)


def test_a_folder_names_its_weight_files(tmp_path):
    (tmp_path / "b.h5").touch()
    with pytest.raises(ValueError, match="got the folder .*, which holds b.h5"):
        find_weights(tmp_path)


def test_only_fields_that_change_answers_are_compared():
    first = IsicConfig()
    second = first.replace(SEED=3, WEIGHT_DECAY=0.5, DETECTION_MIN_CONFIDENCE=0.9)
    other = json.loads(second.to_json())
    assert first.differences(other) == {"DETECTION_MIN_CONFIDENCE": (0.5, 0.9)}
    assert OwnConfig().differences(json.loads(first.to_json())) == {}
    assert first.differences(json.loads(OwnConfig().to_json())) == {}
    assert set(json.loads(Config().to_json())) >= TRAINING_FIELDS


def test_a_network_is_saved_and_made_again_in_either_mode(tmp_path):
    config = lean_config(DETECTION_MIN_CONFIDENCE=0.25)
    model = MaskRCNN("inference", config)
    model.save_weights(tmp_path / "mine.h5")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        code = {"BACKBONE": config.BACKBONE}  # a function: it is not in the file
        again = MaskRCNN.from_pretrained(tmp_path / "mine.h5", **code)
        changed = MaskRCNN.from_pretrained(
            tmp_path / "mine.h5", "training", DETECTION_MIN_CONFIDENCE=0.5, **code
        )
    assert again.config.to_dict() == config.to_dict()
    assert changed.mode == "training" and changed.config.DETECTION_MIN_CONFIDENCE == 0.5
    with pytest.raises(ValueError, match="must have all weights of the network"):
        MaskRCNN.from_pretrained(tmp_path / "mine.h5", MASK_SHAPE=(56, 56), **code)
    save_h5(model.keras_model, tmp_path / "bare.h5")
    with pytest.raises(ValueError, match="bare.h5 has no Config, inside or beside"):
        MaskRCNN.from_pretrained(tmp_path / "bare.h5")
