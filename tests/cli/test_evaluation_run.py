"""What evaluate.py computes and warns of, with a detector that needs no network."""

import argparse
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from tiny import tiny_backbone, tiny_config

from mrcnn_skin import IsicConfig, MaskRCNN
from mrcnn_skin.cli import evaluation_run as run
from mrcnn_skin.data.synthetic import SyntheticDataset
from mrcnn_skin.evaluation.statistics import temperature_warnings
from mrcnn_skin.evaluation.summary import COLUMNS
from mrcnn_skin.weights_io.pretrained import read_config


def find_dark(image):
    """The dark part of an image, the more malignant the darker it is."""
    mask = image.mean(axis=-1) < 0.8 * np.median(image)
    y, x = np.nonzero(mask)
    found = min(len(y), 1)
    box = [y.min(), x.min(), y.max() + 1, x.max() + 1] if found else []
    return {
        "rois": np.reshape(box, (found, 4)),
        "class_ids": np.ones(found, int),
        "scores": np.ones(found),
        "masks": mask[:, :, None][:, :, :found],
        "p_malignant": float(1 - image.mean() / 255),
        "low_confidence": False,
    }


def test_robustness_is_in_the_metrics(tmp_path):
    dataset = SyntheticDataset(6, (64, 64), seed=0)
    model = SimpleNamespace(detector=find_dark, config=IsicConfig())
    args = argparse.Namespace(
        tta=False, explain=False, robustness=True, bootstrap=20, seed=0
    )
    scored = run.score(model, dataset, None, None, tmp_path, args)
    rows = scored.metrics["robustness"]
    assert len({row["corruption"] for row in rows}) == 9
    assert {row["clean"] for row in rows if row["metric"] == "JA"} == {
        scored.metrics["segmentation"]["JA"]
    }
    assert len(list((tmp_path / "masks").iterdir())) == 6
    cases = run.draw_cases(scored, dataset)
    (lines, picture), *_ = cases["worst outlines"]
    worst = scored.per_image.sort_values("JA").iloc[0]
    assert lines[:2] == [worst["image"], f"ground truth: {worst['true_class']}"]
    p = f"P(malignant) {worst['p_malignant']:.2f}"
    assert lines[2] == f"prediction: lesion  {p}  Jaccard {worst['JA']:.2f}"
    assert picture.shape == (run.CASE_WIDTH, run.CASE_WIDTH, 3)
    run.write_results(tmp_path, "skin", {}, scored, dataset)
    for name in ("per_image.csv", "contact_sheet.png", "report.html", "model_card.md"):
        assert (tmp_path / name).stat().st_size


def test_thresholds_chosen_on_training_images_are_warned_of(tmp_path):
    weights = tmp_path / "w.h5"
    weights.touch()
    weights.with_name("run.json").write_text(json.dumps({"dataset": str(tmp_path)}))
    args = argparse.Namespace(
        **{"split": "test", "calibration_split": "train", "fold": None},
        **{"weights": str(weights), "logs": "logs"},
    )
    trained, thresholds = run.training_warnings(tmp_path, args)
    assert "trained on the training images" in trained and "thresholds" in thresholds
    args.calibration_split = "val"
    assert run.training_warnings(tmp_path, args) == []


def test_the_report_names_the_fold(tmp_path):
    weights = tmp_path / "w.h5"
    weights.touch()
    model = SimpleNamespace(config=IsicConfig())
    dataset = SyntheticDataset(2, (64, 64), seed=0)
    args = argparse.Namespace(
        **{"weights": str(weights), "logs": "logs", "tta": False},
        **{"split": "val", "calibration_split": None, "fold": "2/4"},
    )
    known = run.facts(model, dataset, "data", (), args)
    assert known["data"] == "data, split val of fold 2/4, 2 images"
    assert known["split"].startswith("Evaluated on val of fold 2/4;")
    args.split = "test"
    assert run.facts(model, dataset, "data", (), args)["data"].startswith(
        "data, split test, 2"
    )


def test_a_temperature_that_does_harm_is_said():
    raw = {"ECE": 0.1, "brier": 0.2, "NLL": 0.3}
    better = {"ECE": 0.05, "brier": 0.2, "NLL": 0.29}
    for fine in ({}, {"raw": raw}, {"raw": raw, "scaled": better}):
        assert temperature_warnings({"calibration": fine}) == []
    calibration = {"raw": raw, "scaled": {**raw, "NLL": 0.41}}
    [text] = temperature_warnings({"calibration": calibration})
    assert "worse" in text and "NLL 0.410 instead of 0.300" in text
    assert temperature_warnings({}) == []


def test_a_table_of_an_older_version_is_compared_with(tmp_path):
    path = tmp_path / "per_image.csv"
    pd.DataFrame(columns=COLUMNS).rename(columns={"true_class": "label"}).to_csv(path)
    assert "true_class" in run.read_other(path)
    pd.DataFrame({"image": ["a"], "label": ["benign"]}).to_csv(path)
    with pytest.raises(ValueError, match="per_image.csv, but .* lacks .*'p_malignant'"):
        run.read_other(path)


def test_a_table_of_other_images_is_refused_before_scoring():
    dataset = SyntheticDataset(2, (64, 64), seed=0)
    names = [str(info["id"]) for info in dataset.image_info]
    assert run.require_shared_images(None, dataset) == []
    assert run.require_shared_images(pd.DataFrame({"image": names}), dataset) == []
    half = pd.DataFrame({"image": ["a", names[1]]})
    [warning] = run.require_shared_images(half, dataset)
    assert "--compare has 1 of the 2 images" in warning
    with pytest.raises(ValueError, match="--compare .* 2 such as 'a' there, 2 such"):
        run.require_shared_images(pd.DataFrame({"image": ["b", "a"]}), dataset)


def test_operating_points_are_saved_with_the_weights(tmp_path, capsys):
    model = MaskRCNN("inference", tiny_config(TEMPERATURE=2.0))
    points = [{"target": 0.8, "threshold": 0.6}, {"target": 0.9, "threshold": 0.5}]
    metrics = {"calibration": {"temperature": 0.5}, "operating_points": points}
    run.save_operating_points(model, metrics, tmp_path / "new.h5")
    config = read_config(tmp_path / "new.h5", BACKBONE=tiny_backbone)
    assert config.TEMPERATURE == 1.0  # 2 times .5
    # logit(.6) / .5 = .811, whose sigmoid is .6923; .5 stays
    (eighty, cut), (ninety, half) = config.OPERATING_POINTS
    assert (eighty, ninety, config.SENSITIVITY) == (0.8, 0.9, 0.9)
    assert cut == pytest.approx(0.6923, abs=1e-4) and half == pytest.approx(0.5)
    assert config.THRESHOLD == half
    assert "0.692 for 80%, 0.500 for 90%" in capsys.readouterr().out


def test_without_diagnoses_there_are_no_operating_points(tmp_path):
    with pytest.raises(ValueError, match="new.h5 is not written"):
        run.save_operating_points(None, {}, tmp_path / "new.h5")
    assert not list(tmp_path.iterdir())
