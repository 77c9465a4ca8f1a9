"""The worked examples of samples/own_data: a data set, a backbone and a loss, run."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from PIL import Image
from tiny import lean_config

from mrcnn_skin import MaskRCNN, losses
from mrcnn_skin.data.synthetic import SyntheticDataset
from mrcnn_skin.graph.backbones import BACKBONES

EXAMPLES = Path(__file__).parents[2] / "samples" / "own_data"


def run_example(name):
    """The module of own_data/NAME.py, its text run as it stands."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def spots(tmp_path):
    """A folder of three images, as the example's data set expects them."""
    images = SyntheticDataset(3, (64, 64))
    for image_id in images.image_ids:
        masks, class_ids = images.load_mask(image_id)
        stem = f"{image_id:03d}_{images.class_names[class_ids[0]]}"
        Image.fromarray(images.load_image(image_id)).save(tmp_path / f"{stem}.jpg")
        Image.fromarray(masks[..., 0]).save(tmp_path / f"{stem}_mask.png")
    return tmp_path


def test_the_examples_are_short():
    lines = {
        path.name: len(path.read_text().splitlines()) for path in EXAMPLES.glob("*.py")
    }
    assert lines.pop("spots.py") <= 120
    assert lines and max(lines.values()) < 30, lines


@pytest.mark.slow
def test_a_network_of_all_three_trains_and_detects(
    spots, tmp_path, monkeypatch, capsys
):
    """With the example's backbone and loss, on the example's data set."""
    monkeypatch.setattr("mrcnn_skin.graph.backbones.BACKBONES", dict(BACKBONES))
    example = run_example("spots")
    run_example("backbone")
    run_example("loss")
    config = lean_config(
        BACKBONE="plain", MASK_LOSS="bce+dice", STEPS_PER_EPOCH=2, IMAGES_PER_GPU=2
    )
    run_dir = example.train(spots, 1, config, tmp_path / "logs")
    assert np.isfinite(pd.read_csv(run_dir / "log.csv")["mrcnn_mask_loss"]).all()
    weights = next(run_dir.glob("*_best.h5"))
    result = example.detect(next(spots.glob("*.jpg")), weights)
    assert len(result["rois"]) >= 1 and "P(malignant) 0." in capsys.readouterr().out

    model = MaskRCNN("training", config)
    names = model.set_trainable("4+", verbose=0)
    assert "res4a_branch2a" in names and "res3a_branch2a" not in names


def test_the_data_set_has_the_truth_of_its_files(spots):
    train, val = run_example("spots").open_folder(spots)
    assert (train.num_images, val.num_images) == (2, 1)
    truth = SyntheticDataset(3, (64, 64))
    assert val.class_names == ["BG", "benign", "malignant"]
    for images in (train, val):
        for image_id in images.image_ids:
            masks, class_ids = images.load_mask(image_id)
            number = int(images.image_info[image_id]["id"].split("_")[0])
            np.testing.assert_array_equal(masks, truth.load_mask(number)[0])
            np.testing.assert_array_equal(class_ids, truth.load_mask(number)[1])


def test_the_dice_loss_by_hand():
    """Half of one of two true pixels and all of the other: Dice (2 1.5 + 1) / 4.5."""
    run_example("loss")
    target, logits = tf.constant([[[1.0, 1.0]]]), tf.constant([[[0.0, 50.0]]])
    loss = losses.mask_loss(target, logits, tf.constant([True]), "bce+dice")
    expected = math.log(2) / 2 + 1 - 4 / 4.5
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
