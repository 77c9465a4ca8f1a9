"""What evaluate.py warns of."""

import argparse
import json

import pytest


@pytest.fixture
def run(commands):
    """The module samples/isic/evaluation_run.py."""
    return commands("evaluation_run")


@pytest.mark.parametrize(
    "trained_on, split, words",
    [
        ({"dataset": "data"}, "train", "the network was trained on them"),
        ({"dataset": "x", "extra_train": ["data"]}, "train", "was trained on them"),
        ({"dataset": "other", "extra_train": None}, "train", None),
        ({"dataset": "synthetic"}, "train", None),
        (None, "train", "if the network was trained on them"),
        ({"dataset": "data"}, "val", None),
        ({"dataset": "data"}, None, None),
    ],
)
def test_calibration_on_training_images_is_said(
    run, tmp_path, monkeypatch, trained_on, split, words
):
    monkeypatch.chdir(tmp_path)
    weights = tmp_path / "run" / "best.h5"
    weights.parent.mkdir()
    weights.touch()
    if trained_on is not None:
        weights.with_name("run.json").write_text(json.dumps(trained_on))
    args = argparse.Namespace(
        calibration_split=split, weights=str(weights), logs="logs"
    )
    warnings = run.calibration_warnings(tmp_path / "data", args)
    assert len(warnings) == (words is not None)
    assert words is None or words in warnings[0]


def test_a_temperature_that_does_harm_is_said(run):
    raw = {"ECE": 0.1, "brier": 0.2, "NLL": 0.3}
    better = {"ECE": 0.05, "brier": 0.2, "NLL": 0.29}
    for fine in ({}, {"raw": raw}, {"raw": raw, "scaled": better}):
        assert run.temperature_warnings({"calibration": fine}) == []
    calibration = {"raw": raw, "scaled": {**raw, "NLL": 0.41}}
    [text] = run.temperature_warnings({"calibration": calibration})
    assert "worse" in text and "NLL 0.410 instead of 0.300" in text
    assert run.temperature_warnings({}) == []
