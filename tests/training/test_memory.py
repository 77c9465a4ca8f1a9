"""The estimate of a step's memory against sums by hand, and what is said of it."""

import keras
import pytest
from keras import layers
from tiny import tiny_config

from mrcnn_skin.training.memory import (
    KEPT,
    PASSING,
    RUNTIME,
    describe,
    estimate_step,
    free_memory,
)
from mrcnn_skin.training.stages import set_trainable


@pytest.fixture
def model():
    """Two convolutions and a head over RoIs, on an image of 64 x 64 pixels."""
    image = keras.Input([64, 64, 3], name="image")
    x = layers.Conv2D(4, 1, name="conv1", use_bias=False)(image)
    x = layers.Conv2D(8, 1, name="fpn_p2", use_bias=False)(x)
    rois = layers.Dense(5, name="mrcnn_class_logits")(layers.Flatten()(x)[:, :10])
    return keras.Model(image, rois)


def test_what_learns_is_kept_and_what_comes_before_passes(model):
    """In values: images 3, conv1 4, fpn_p2 8 a pixel; then a row of 5 for each RoI."""
    config = tiny_config(IMAGES_PER_GPU=2, OPTIMIZER="sgd", RPN_WIDTH=10)
    pixels = 2 * 64 * 64
    # Levels of 16, 8, 4, 2 and 1 positions a side
    rpn = 2 * (256 + 64 + 16 + 4 + 1) * 2 * 10
    flat, cut, rois = pixels * 8, 2 * 10, 2 * config.TRAIN_ROIS_PER_IMAGE * 5
    weights = 12 + 32 + 55

    set_trainable(model, "all")
    kept = pixels * (4 + 8) + flat + cut + rois + rpn
    expected = 4 * (3 * weights + KEPT * kept + PASSING * pixels * 3)
    assert estimate_step(model, config) - RUNTIME == pytest.approx(expected)

    set_trainable(model, "fpn.*")
    kept = pixels * 8 + flat + cut + rois + rpn
    expected = 4 * (weights + 2 * 32 + KEPT * kept + PASSING * pixels * (3 + 4))
    assert estimate_step(model, config) - RUNTIME == pytest.approx(expected)

    config = config.replace(RPN_LEVELS=(5, 6), RPN_ANCHOR_SCALES=(32, 48))
    expected -= KEPT * 4 * 2 * (256 + 64 + 16) * 2 * 10
    assert estimate_step(model, config) - RUNTIME == pytest.approx(expected)


def test_adamw_keeps_a_tensor_more(model):
    sgd, adamw = (
        estimate_step(model, tiny_config(OPTIMIZER=name)) for name in ("sgd", "adamw")
    )
    assert adamw - sgd == pytest.approx(4 * (12 + 32 + 55))


def test_a_step_that_does_not_fit_is_said_with_what_to_lower():
    assert describe(3e9, 2e9).startswith("a step takes about 2.8 GB of memory, 1.9 GB")
    assert "TOO LITTLE" in describe(3e9, 2e9)
    assert "IMAGES_PER_GPU" in describe(3e9, 2e9)
    assert "TOO LITTLE" not in describe(2e9, 3e9)
    assert describe(3e9, None) == "a step takes about 2.8 GB of memory"


def test_free_memory_is_what_linux_calls_available(tmp_path):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 4000 kB\nMemFree: 10 kB\nMemAvailable: 3000 kB\n")
    assert free_memory(meminfo) == 3000 * 1024
    meminfo.write_text("MemTotal: 4000 kB\n")
    assert free_memory(meminfo) is None
    assert free_memory(tmp_path / "absent") is None
