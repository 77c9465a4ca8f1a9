"""Images of other than three channels: augmentation, network and conv1's weights."""

import re
import warnings

import numpy as np
import pytest
from tiny import lean_config

from mrcnn_skin import Dataset, MaskRCNN
from mrcnn_skin import model as model_module
from mrcnn_skin.data.augment import augment, paper_augmentation, strong_augmentation
from mrcnn_skin.data.pipeline import iterate, training_batches
from mrcnn_skin.matterport.molding import load_image_gt
from mrcnn_skin.training.stages import Stage

CHANNELS = (1, 2, 4, 5)


def config_of(channels, **overrides):
    mean = tuple(range(channels))
    return lean_config(IMAGE_CHANNEL_COUNT=channels, MEAN_PIXEL=mean, **overrides)


class Squares(Dataset):
    def __init__(self, channels):
        super().__init__()
        for class_id, name in ((1, "benign"), (2, "malignant")):
            self.add_class("s", class_id, name)
        self.add_image("s", "one", None)
        self.channels = channels
        self.prepare()

    def load_image(self, image_id):
        rng = np.random.default_rng(0)
        return rng.integers(256, size=(64, 64, self.channels), dtype=np.uint8)

    def load_mask(self, image_id):
        mask = np.zeros((64, 64, 1), bool)
        mask[8:40, 16:50] = True
        return mask, np.array([1], np.int32)


@pytest.mark.parametrize("channels", CHANNELS)
def test_the_papers_augmentation_treats_every_channel_alike(channels):
    image = Squares(channels).load_image(0)
    masks = Squares(channels).load_mask(0)[0]
    for seed in range(12):
        found, found_masks = augment(paper_augmentation(64), image, masks, seed)
        assert found.shape == image.shape
        for c in range(channels):
            alone = np.repeat(image[..., c : c + 1], 3, axis=2)
            wanted, same_masks = augment(paper_augmentation(64), alone, masks, seed)
            np.testing.assert_array_equal(found_masks, same_masks)
            np.testing.assert_allclose(found[..., c], wanted[..., 0], atol=1)


@pytest.mark.parametrize("channels", CHANNELS)
def test_the_default_augmentation_feeds_networks_of_any_channels(channels):
    config = config_of(channels, AUGMENT=True, IMAGES_PER_GPU=1)
    batches = iterate(training_batches(Squares(channels), config))
    for _ in range(4):
        assert next(batches)[1]["input_image"].shape == (1, 64, 64, channels)


def test_what_changes_hues_is_refused_by_the_config():
    with pytest.raises(ValueError, match="IMAGE_CHANNEL_COUNT must be 3, got 4: set"):
        config_of(4, AUGMENT=True, AUGMENTATION="strong")
    config_of(4, AUGMENT=False, AUGMENTATION="strong")  # nothing is augmented


def test_an_augmenter_of_ones_own_that_fails_is_named():
    batches = training_batches(
        Squares(4), config_of(4, IMAGES_PER_GPU=1), augmentation=strong_augmentation(64)
    )
    with pytest.raises(ValueError, match=r"^the augmenter fails .*\(64, 64, 4\)"):
        next(iterate(batches))


@pytest.mark.parametrize("augmenter", [True, "paper", len, []])
def test_what_is_no_augmenter_is_named(augmenter):
    with pytest.raises(
        ValueError, match="augmentation must be an imgaug augmenter, got"
    ):
        load_image_gt(Squares(4), config_of(4), 0, augmentation=augmenter)


class NoTrainer:
    """Takes the place of training.loop.Trainer, and trains nothing."""

    def __init__(self, *_, **__):
        self.run = self.run_until = lambda *_: {}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A weight file of three channels."""
    path = tmp_path_factory.mktemp("rgb") / "rgb.h5"
    MaskRCNN("inference", lean_config()).save_weights(path)
    return path


@pytest.fixture
def model(trained, monkeypatch, tmp_path):
    monkeypatch.setattr(model_module, "Trainer", NoTrainer)
    return MaskRCNN("training", config_of(4), tmp_path)


WARNING = re.escape(
    "the weight file left conv1 with random weights, and layers='heads'"
)


def test_a_conv1_left_random_is_not_frozen_without_a_warning(model, trained):
    with pytest.raises(ValueError, match="conv1/kernel has the shape"):
        model.load_weights(trained)
    model.load_weights(trained, exclude=["conv1"], verbose=0)
    with pytest.warns(UserWarning, match=WARNING):
        model.train(Squares(4), None, 0.01, 1, "heads")
    with pytest.warns(UserWarning, match=WARNING):
        model.train(Squares(4), None, stages=[Stage("heads", 1, 0.1)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.train(Squares(4), None, 0.01, 1, "all")
        model.train(Squares(4), None, 0.01, 1, "conv1|rpn_.*")
        model.train(Squares(4), None, 0.01, 1, "heads")  # it has learned meanwhile


def test_what_one_file_left_another_may_fill(model, trained, tmp_path):
    conv1 = tmp_path / "four.h5"
    model.save_weights(conv1)
    first = model.load_weights(trained, exclude=["conv1"], verbose=0)
    second = model.load_weights(conv1, exclude=["fpn_p4"], verbose=0)
    assert first.left == {"conv1"} and second.left == {"fpn_p4"}
    with warnings.catch_warnings(record=True) as caught:
        model.train(Squares(4), None, 0.01, 1, "heads")
    assert not caught
