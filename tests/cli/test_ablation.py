"""The ablation study: its cells, its tables by hand, and one that was interrupted."""

import os
import signal
import sys

import pandas as pd
import pytest
from tiny import lean_config

from mrcnn_skin.cli import ablation as command
from mrcnn_skin.cli import ablation_study as study
from mrcnn_skin.cli import training_run
from mrcnn_skin.training.loop import Trainer

METHOD = ("focal", "cross_entropy", "bce+jaccard")


def losses(cell):
    names = ("RPN_CLASS_LOSS", "CLASS_LOSS", "MASK_LOSS")
    return tuple(cell.settings[name] for name in names)


def test_cells_differ_in_what_their_table_is_about():
    tables = study.make_tables("resnet50", "coco", 2, (1, 2, 4))
    assert set(tables) == set(study.CAPTIONS)
    assert {row: losses(cell) for row, cell in tables["losses"].items()} == {
        "CE": ("cross_entropy", "cross_entropy", "bce"),
        "FL": ("focal", "cross_entropy", "bce"),
        "JL": ("cross_entropy", "cross_entropy", "bce+jaccard"),
        "FL + JL": METHOD,
    }
    assert losses(tables["focal"]["in both"]) == ("focal", "focal", "bce+jaccard")
    assert tables["tasks"]["no diagnosis"].settings["TASKS"] == ("detect", "segment")
    options = {
        table: {row: cell.options for row, cell in tables[table].items()}
        for table in ("backbones", "initialisation", "batch")
    }
    assert options == {
        "backbones": {"resnet50": {}, "resnet101": {"backbone": "resnet101"}},
        "initialisation": {
            "none": {"weights": "none"},
            "imagenet": {"weights": "imagenet"},
            "coco": {},
        },
        "batch": {
            "1": {"images_per_device": 1},
            "2": {},
            "4": {"images_per_device": 4},
        },
    }
    cells = [cell for rows in tables.values() for cell in rows.values()]
    assert len({c.name for c in cells}) == len({repr(c) for c in cells}) == 17
    assert all(losses(c) == METHOD for c in cells if c.options or "TASKS" in c.settings)
    method = tables["tasks"]["multi-task"]
    changes = {
        cell.name: dict(cell.settings.items() - method.settings.items())
        for cell in tables["attention"].values()
    }
    assert changes == {
        "fl+jl": {},
        "se": {"FPN_ATTENTION": "se"},
        "cbam": {"FPN_ATTENTION": "cbam"},
        "context": {"CLASSIFY_CONTEXT": 64},
        "dilation": {"BACKBONE_DILATION": 2},
    }


def test_a_backbone_and_weights_of_ones_own_are_rows_too():
    tables = study.make_tables("resnet26", "w/lite.h5", 8, ())
    assert tables["backbones"]["resnet26"].name == "fl+jl"
    assert list(tables["initialisation"]) == ["none", "imagenet", "coco", "lite"]


def test_mean_and_spread_by_hand():
    results = {
        ("fl+jl", 0): {"segmentation": {"JA": 0.7}, "classification": {"AUC": None}},
        ("fl+jl", 1): {"segmentation": {"JA": 0.8}, "classification": {"AUC": 0.5}},
        ("ce", 0): {"segmentation": {"JA": 0.6}},
    }
    tables = study.make_tables("resnet50", "coco", 2, ())
    summary = study.summarize_table(tables["losses"], study.all_scores(results))
    summary = summary.set_index("row")
    assert summary["seeds"].tolist() == [1, 0, 0, 2]
    assert summary.loc["FL + JL", "JA_mean"] == pytest.approx(0.75)
    # sqrt((0.05^2 + 0.05^2) / (2 - 1))
    assert summary.loc["FL + JL", "JA_std"] == pytest.approx(0.0707107)
    words = study.in_words(summary.reset_index())
    assert words["JA"].tolist() == ["0.600", "-", "-", "0.750 ± 0.071"]
    assert words["AUC"].tolist() == ["-", "-", "-", "0.500"]
    assert words["seeds"].tolist() == ["1", "not run", "not run", "2"]
    assert "DI" not in words
    missing = study.not_run(tables, [0, 1], results, {("jl", 1): "no memory"})
    missing = missing.set_index(["cell", "seed"])["reason"]
    assert ("fl+jl", 1) not in missing and ("ce", 1) in missing
    assert missing["jl", 1] == "no memory" and missing["jl", 0] == "not requested"


@pytest.fixture
def ablation(monkeypatch, tmp_path):
    """A function of options that runs the command on a tiny network."""

    def small(args):
        return lean_config(SEED=args.seed, STEPS_PER_EPOCH=2, CHECKPOINT_STEPS=1)

    monkeypatch.setattr(training_run, "make_config", small)

    def run(*options):
        options = ["--dataset=synthetic", "--limit=4", "--weights=none", *options]
        options += [f"--out={tmp_path / 'study'}", "--stages=all:1:1e-3"]
        monkeypatch.setattr(sys, "argv", ["ablation.py", *options])
        return command.main()

    return run


@pytest.mark.slow
def test_a_study_goes_on_where_it_was_interrupted(
    ablation, monkeypatch, tmp_path, capsys
):
    steps, take_step = [], Trainer._take_step

    def counted(self, inputs):
        steps.append(self.run_dir.name)
        if len(steps) == 3:  # the first of the second cell, after which it stops
            os.kill(os.getpid(), signal.SIGINT)
        return take_step(self, inputs)

    monkeypatch.setattr(Trainer, "_take_step", counted)
    asked = ["--cells", "ce", "segment", "--seeds", "0"]
    with pytest.raises(KeyboardInterrupt):
        ablation(*asked)
    out = tmp_path / "study"
    losses = pd.read_csv(out / "losses.csv").set_index("row")
    assert losses["seeds"].tolist() == [1, 0, 0, 0]
    missing = pd.read_csv(out / "not_run.csv").set_index("cell")["reason"]
    assert missing["segment"] == "not finished yet"
    assert missing["jl"] == "not requested"

    assert ablation(*asked) == 0
    said = capsys.readouterr().out
    assert "finished before" in said and "resuming at step" in said
    assert steps == ["ce-seed0"] * 2 + ["segment-seed0"] * 2  # no step taken twice
    tasks = pd.read_csv(out / "tasks.csv").set_index("row")
    assert tasks.loc["no diagnosis", "JA_mean"] >= 0
    assert pd.isna(tasks.loc["no diagnosis", "AC_mean"])
    assert "## Tasks" in (out / "ablation.md").read_text()
    with pytest.raises(ValueError, match="limit 4, got 5"):
        ablation(*asked, "--limit=5")


def test_what_cannot_be_run_is_said_and_the_rest_runs(ablation, monkeypatch, tmp_path):
    def refuse(cell, seed, data, args):
        raise ValueError(f"weights do not fit {cell.name}")

    monkeypatch.setattr(command, "train_and_score", refuse)
    assert ablation("--tables", "backbones", "--seeds", "3") == 1
    missing = pd.read_csv(tmp_path / "study" / "not_run.csv").set_index("cell")
    assert missing.loc["backbone-resnet101", "reason"] == (
        "weights do not fit backbone-resnet101"
    )
    assert missing.loc["ce", "reason"] == "not requested"
