"""The trained network that comes with the repository: whole, small, and of use."""

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mrcnn_skin import IsicDataset, IsicLiteConfig, MaskRCNN
from mrcnn_skin.data.lesion_painter import synthetic_lesion
from mrcnn_skin.evaluation.scoring import evaluate
from mrcnn_skin.weights_io.by_name import named_weights
from mrcnn_skin.weights_io.pretrained import find_weights

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = ROOT / "weights" / "mrcnn_skin_lite_isic.h5"


@pytest.fixture(scope="module")
def model():
    return MaskRCNN.from_pretrained("lite_isic")


def test_three_lines_of_python_give_the_network_of_the_config_beside(model, capsys):
    path = find_weights("lite_isic")
    assert path == find_weights("pretrained") == WEIGHTS
    assert "licence of the weights CC BY-NC-SA 4.0" in capsys.readouterr().out
    stored = json.loads(WEIGHTS.with_suffix(".json").read_text(encoding="utf-8"))
    for field in ("IMAGE_MAX_DIM", "DIAGNOSIS", "BACKBONE", "HEAD_NORM"):
        assert getattr(model.config, field) == stored[field]
    assert tuple(stored["RPN_ANCHOR_SCALES"]) == model.config.RPN_ANCHOR_SCALES
    with h5py.File(WEIGHTS) as file:
        logits = file["mrcnn_class_logits"]["mrcnn_class_logits"]["kernel:0"][()]
    loaded = named_weights(model.keras_model)["mrcnn_class_logits/kernel"]
    np.testing.assert_array_equal(loaded, logits)


def test_weights_in_a_network_of_other_settings_are_warned_of():
    """The obvious Python once built another network: 256 px for 320."""
    shape = {"BACKBONE": "efficientnet_lite2", "CLASSIFY_CONTEXT": 128}
    shape |= {"RPN_LEVELS": (3, 4, 5, 6), "RPN_ANCHOR_SCALES": (32, 64, 128, 256)}
    other = MaskRCNN("inference", IsicLiteConfig(DIAGNOSIS="region", **shape))
    with pytest.warns(UserWarning, match="other settings") as caught:
        other.load_weights(WEIGHTS, verbose=0)
    message = str(caught[0].message)
    for said in (
        "IMAGE_MAX_DIM is 256, not 320",
        "RPN_ANCHOR_SCALES is [32, 64",
        "DIAGNOSIS is 'region', not 'image'",
    ):
        assert said in message
    assert "WEIGHT_DECAY" not in message  # of training alone


def test_the_file_is_small_and_says_what_it_is():
    assert WEIGHTS.stat().st_size < 30e6
    card = WEIGHTS.with_suffix(".md").read_text(encoding="utf-8")
    assert "CC BY-NC" in card and "no medical device" in card
    settings = json.loads(WEIGHTS.with_suffix(".json").read_text(encoding="utf-8"))
    assert settings["BACKBONE"] == "efficientnet_lite2"


@pytest.mark.slow
def test_predict_needs_nothing_but_a_picture(tmp_path):
    Image.fromarray(synthetic_lesion(0, (300, 400))[0]).save(tmp_path / "photo.jpg")
    process = subprocess.run(
        [sys.executable, ROOT / "samples" / "isic" / "predict.py", "photo.jpg"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    row = pd.read_csv(tmp_path / "predictions" / "predictions.csv").iloc[0]
    assert 0 <= row["p_malignant"] <= 1
    mask = np.asarray(Image.open(tmp_path / "predictions" / "masks" / "photo.png"))
    assert mask.shape == (300, 400) and (mask > 0).sum() == row["lesion_area"] > 0


def test_it_finds_lesions_that_it_was_not_trained_on(model, real_data):
    dataset = IsicDataset()
    dataset.load_isic(real_data / "isic2017_512", "val", limit=24)
    dataset.prepare()
    metrics = evaluate(model.detector, dataset, progress=False)
    assert metrics["segmentation"]["JA"] > 0.7
    assert metrics["classification"]["AUC"] > 0.6
