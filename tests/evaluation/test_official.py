"""The files of a submission, scored by isic-challenge-scoring and by our metrics.

Where the command isic-challenge-scoring is on the PATH, or $ISIC_SCORER names it, it
reads the files themselves; everywhere else its numbers of 5.6.0 are stored here.
"""

import json
import os
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

from mrcnn_skin.evaluation.metrics import (
    classification_scores,
    mean_scores,
    segmentation_scores,
)
from mrcnn_skin.evaluation.submission import (
    mask_path,
    official_mask,
    write_classification,
    write_mask,
)

NAMES = {
    "accuracy": "AC",
    "sensitivity": "SE",
    "specificity": "SP",
    "jaccard": "JA",
    "threshold_jaccard": "JA65",
    "dice": "DI",
}
OF_DIAGNOSES = {
    "accuracy": "AC",
    "sensitivity": "SE",
    "specificity": "SP",
    "dice": "DI",
    "ppv": "PPV",
    "npv": "NPV",
    "auc": "AUC",
    "auc_sens_80": "AUC_SENS80",
    "ap": "AP",
}
BOTH_ROUND_ALIKE = {
    "accuracy": 0.8,
    "sensitivity": 0.5,
    "specificity": 0.9,
    "dice": 0.5555555555555556,
    "ppv": 0.625,
    "npv": 0.84375,
}
STORED = {
    "masks": {
        "accuracy": 0.9492910879629629,
        "sensitivity": 0.7351231610909191,
        "specificity": 0.9751072827683321,
        "jaccard": 0.5927309377344685,
        "threshold_jaccard": 0.5894338721228629,
        "dice": 0.6295100733744547,
    },
    "tied": {
        **BOTH_ROUND_ALIKE,
        "auc": 0.8350000000000001,
        "auc_sens_80": 0.6716666666666666,
        "ap": 0.5689130434782608,
    },
    "integers": {
        **BOTH_ROUND_ALIKE,
        "auc": 0.7000000000000001,
        "auc_sens_80": 0.3239999999999999,
        "ap": 0.4375,
    },
}


def disc(y, x, radius, shape=(48, 64)):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def mask_pairs():
    """{image: (truth, prediction)}, among them empty ones and one with holes."""
    nothing, everything = np.zeros((48, 64), bool), np.ones((48, 64), bool)
    ring = disc(24, 30, 15) & ~disc(24, 30, 6)
    speck = disc(24, 30, 10) | disc(5, 5, 2)
    pairs = [
        (disc(20, 30, 12), disc(22, 33, 12)),
        (disc(20, 30, 12), disc(30, 45, 9)),
        (disc(24, 30, 14), ring),
        (disc(24, 30, 11), speck),
        (disc(20, 20, 8), nothing),
        (nothing, disc(20, 20, 8)),
        (nothing, nothing),
        (everything, everything),
        (disc(40, 60, 15), disc(40, 58, 13)),
    ]
    return {f"ISIC_{i:07d}": pair for i, pair in enumerate(pairs)}


def diagnoses(kind):
    """{image: (malignant, P(malignant))} with ties, in two decimals."""
    rng = np.random.default_rng(5)
    labels = np.arange(40) % 4 == 0
    p = np.round(np.clip(rng.normal(0.4 + 0.2 * labels, 0.2), 0, 1), 1)
    if kind == "integers":  # nobody between 0 and 1
        p = (p > 0.5).astype(float)
    return {f"ISIC_{i:07d}": pair for i, pair in enumerate(zip(labels, p, strict=True))}


def our_masks():
    scores = [
        segmentation_scores(truth, official_mask(prediction))
        for truth, prediction in mask_pairs().values()
    ]
    return mean_scores(scores)


def our_diagnoses(kind):
    labels, p = zip(*diagnoses(kind).values(), strict=True)
    return classification_scores(np.array(labels), np.array(p))


@pytest.fixture
def scorer():
    name = os.environ.get("ISIC_SCORER") or shutil.which("isic-challenge-scoring")
    if not name:
        pytest.skip("no command isic-challenge-scoring, nor $ISIC_SCORER")

    def run(*arguments):
        done = subprocess.run(
            [name, "-o", "json", *map(str, arguments)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    return run


def test_masks_score_as_stored():
    for official, ours in NAMES.items():
        assert our_masks()[ours] == pytest.approx(STORED["masks"][official], abs=1e-6)


@pytest.mark.parametrize("kind", ["tied", "integers"])
def test_diagnoses_score_as_stored(kind):
    scores = our_diagnoses(kind)
    for official, ours in OF_DIAGNOSES.items():
        assert scores[ours] == pytest.approx(STORED[kind][official], abs=1e-6), ours


def test_scorer_takes_the_mask_files(scorer, tmp_path):
    truths = tmp_path / "truth"
    for image, (truth, prediction) in mask_pairs().items():
        write_mask(truths / f"{image}_segmentation.png", truth)
        write_mask(mask_path(tmp_path, image), official_mask(prediction))
    theirs = scorer("segmentation", truths, tmp_path / "masks")["macro_average"]
    assert theirs == pytest.approx(STORED["masks"], abs=1e-6)
    for official, ours in NAMES.items():
        assert our_masks()[ours] == pytest.approx(theirs[official], abs=1e-6)


@pytest.mark.parametrize("kind", ["tied", "integers"])
def test_scorer_takes_the_classification_file(scorer, tmp_path, kind):
    images = diagnoses(kind)
    labels, p = zip(*images.values(), strict=True)
    truth = {"image": list(images), "malignant": np.array(labels, float)}
    pd.DataFrame(truth).to_csv(tmp_path / "truth.csv", index=False)
    write_classification(tmp_path / "classification.csv", images, p)
    files = tmp_path / "truth.csv", tmp_path / "classification.csv"
    result = scorer("classification", "-m", "auc", *files)
    theirs = {name: of["malignant"] for name, of in result["per_category"].items()}
    ours = our_diagnoses(kind)
    for official, name in OF_DIAGNOSES.items():
        assert theirs[official] == pytest.approx(STORED[kind][official], abs=1e-6)
        assert ours[name] == pytest.approx(theirs[official], abs=1e-6), name
