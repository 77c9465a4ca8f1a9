"""What the commands say of images unlike the training images, and how it is fitted."""

import sys
from pathlib import Path

import numpy as np
import pytest
from tiny import lean_config

from mrcnn_skin import MaskRCNN
from mrcnn_skin.cli import client, demo, predict
from mrcnn_skin.data.synthetic import write_synthetic_isic

BENCHMARK = Path(__file__).resolve().parents[2] / "samples" / "benchmark"


@pytest.mark.parametrize(
    "unfamiliar, score, wanted",
    [(True, 2.5, True), (False, 0.5, False), (None, None, False)],
)
def test_every_command_says_it(unfamiliar, score, wanted):
    row = {
        "predicted_class": "benign",
        "score": 0.9,
        "p_malignant": 0.25,
        "low_confidence": False,
    }
    row |= {"unfamiliar": unfamiliar, "unfamiliar_score": score}
    assert ("unfamiliar image" in predict.caption(row)) is wanted
    warning = demo.warning(row)
    assert bool(warning) is wanted
    assert not wanted or ("unlike" in warning and "is 2.5; the limit is 1" in warning)
    answer = {
        "num_detections": 1,
        "boxes": np.zeros((1, 4)),
        "predicted_class": b"benign",
        "threshold": float("nan"),
        "scores": [0.5],
        "low_confidence": False,
        "p_malignant": 0.25,
    }
    if unfamiliar is not None:
        answer |= {"unfamiliar": unfamiliar, "unfamiliar_score": score}
    for count in (0, 1):
        said = client.describe(answer | {"num_detections": count})
        assert ("unlike the training images" in said) is wanted


@pytest.mark.slow
def test_statistics_are_fitted_and_written(in_process, tmp_path):
    write_synthetic_isic(tmp_path / "data", 20, (64, 64))
    config = lean_config(BACKBONE="resnet26")
    old = MaskRCNN("inference", config)
    old.save_weights(tmp_path / "old.h5")
    options = ["--dataset=data", "--weights=old.h5", "--components=2"]
    done = in_process("fit-familiarity", *options, "--out=new.h5", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "held-out images are unfamiliar" in done.stdout

    model = MaskRCNN.from_pretrained(tmp_path / "new.h5")
    assert model.config.UNFAMILIAR_COMPONENTS == 2
    for layer in old.keras_model.layers:
        for before, after in zip(
            layer.get_weights(),
            model.keras_model.get_layer(layer.name).get_weights(),
            strict=True,
        ):
            np.testing.assert_array_equal(before, after)
    green = np.full((64, 64, 3), (0, 255, 0), np.uint8)
    assert model.detect([green])[0]["unfamiliar"] is True


@pytest.mark.slow
def test_other_pictures_of_every_kind(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARK)
    monkeypatch.delitem(sys.modules, "unfamiliar", raising=False)
    import unfamiliar

    kinds = unfamiliar.other_pictures()
    assert sum(map(len, kinds.values())) >= 200
    for kind, images in kinds.items():
        assert images, kind
        for image in images:
            assert image.dtype == np.uint8 and image.ndim == 3, kind
            assert image.shape[2] == 3 and min(image.shape[:2]) >= 64, kind
