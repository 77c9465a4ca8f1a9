"""The trained network that comes with the repository: whole, small, and of use."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mrcnn_skin import IsicConfig, IsicDataset, MaskRCNN
from mrcnn_skin.data.lesion_painter import synthetic_lesion
from mrcnn_skin.evaluation.report import evaluate

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = ROOT / "weights" / "mrcnn_skin_lite_isic.h5"


@pytest.fixture(scope="module")
def model():
    config = IsicConfig.from_json(WEIGHTS.with_suffix(".json"))
    model = MaskRCNN("inference", config)
    report = model.load_weights(WEIGHTS)
    assert not (report.missing or report.mismatched or report.unused)
    return model


def test_the_file_is_small_and_says_what_it_is():
    assert WEIGHTS.stat().st_size < 30e6
    card = WEIGHTS.with_suffix(".md").read_text(encoding="utf-8")
    assert "CC BY-NC" in card and "no medical device" in card
    settings = json.loads(WEIGHTS.with_suffix(".json").read_text(encoding="utf-8"))
    assert settings["BACKBONE"] == "efficientnet_lite0"


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
