"""How to add a data set, a backbone and a loss: the README's examples, run."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tiny import lean_config

from mrcnn_skin import MaskRCNN, losses
from mrcnn_skin.data.synthetic import SyntheticDataset
from mrcnn_skin.graph.backbones import BACKBONES

EXAMPLES = Path(__file__).parent / "examples"


def run_example(name):
    """The module of examples/NAME.py, its text run as it stands."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def spots(tmp_path):
    """A folder of two images, as the example's data set wants them."""
    images = SyntheticDataset(2, (64, 64))
    for image_id in images.image_ids:
        masks, class_ids = images.load_mask(image_id)
        stem = f"{image_id:03d}_{images.class_names[class_ids[0]]}"
        Image.fromarray(images.load_image(image_id)).save(tmp_path / f"{stem}.jpg")
        Image.fromarray(masks[..., 0]).save(tmp_path / f"{stem}_mask.png")
    return tmp_path


def test_each_example_is_short_and_stands_in_the_readme():
    readme = (EXAMPLES.parents[1] / "README.md").read_text(encoding="utf-8")
    for path in EXAMPLES.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) < 30, path.name
        assert f"```python\n{text}```" in readme, path.name


def test_a_network_of_all_three_trains_and_detects(spots, tmp_path, monkeypatch):
    """With the example's backbone and loss, on the example's data set."""
    monkeypatch.setattr("mrcnn_skin.graph.backbones.BACKBONES", dict(BACKBONES))
    images = run_example("add_dataset").SpotsDataset()
    images.load_spots(spots)
    run_example("add_backbone")
    run_example("add_loss")
    config = lean_config(
        BACKBONE="plain", MASK_LOSS="bce+dice", STEPS_PER_EPOCH=2, IMAGES_PER_GPU=2
    )
    model = MaskRCNN("training", config, tmp_path / "logs")
    names = model.set_trainable("4+", verbose=0)
    assert "res4a_branch2a" in names and "res3a_branch2a" not in names
    logs = model.train(images, None, learning_rate=1e-3, epochs=1, layers="all")
    assert math.isfinite(logs["mrcnn_mask_loss"])
    again = MaskRCNN("training", type(config).from_json(model.log_dir / "config.json"))
    assert again.config.MASK_LOSS == "bce+dice" and again.config.BACKBONE == "plain"
    assert len(model.detect([images.load_image(0)])[0]["rois"]) >= 1


def test_the_data_set_has_the_truth_of_its_files(spots):
    images = run_example("add_dataset").SpotsDataset()
    images.load_spots(spots)
    truth = SyntheticDataset(2, (64, 64))
    assert images.class_names == ["BG", "benign", "malignant"]
    for image_id in images.image_ids:
        masks, class_ids = images.load_mask(image_id)
        np.testing.assert_array_equal(masks, truth.load_mask(image_id)[0])
        np.testing.assert_array_equal(class_ids, truth.load_mask(image_id)[1])


def test_the_dice_loss_by_hand():
    """Half of one of two true pixels and all of the other: Dice (2 1.5 + 1) / 4.5."""
    run_example("add_loss")
    target, logits = tf.constant([[[1.0, 1.0]]]), tf.constant([[[0.0, 50.0]]])
    loss = losses.mask_loss(target, logits, tf.constant([True]), "bce+dice")
    expected = math.log(2) / 2 + 1 - 4 / 4.5
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
