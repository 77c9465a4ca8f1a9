"""The commands of samples/isic, run as a user runs them."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mrcnn_skin.data.synthetic import write_synthetic_isic

ROOT = Path(__file__).resolve().parents[2]
HAVE_DEFAULTS = "--weights", "--out", "--logs", "--split", "--backbone", "--image-size"
COMMANDS = "train evaluate predict export ablation demo fit_familiarity".split()
SMALL = [
    "--backbone=resnet26",
    "--image-size=64",
    "--set=RPN_LEVELS=4,",
    "--set=RPN_ANCHOR_SCALES=24,",
    "--set=ROI_LEVELS=4,",
    "--set=TOP_DOWN_PYRAMID_SIZE=32",
    "--set=FPN_CLASSIF_FC_LAYERS_SIZE=32",
    "--set=MASK_HEAD_WIDTH=32",
    "--set=POST_NMS_ROIS_TRAINING=50",
    "--set=TRAIN_ROIS_PER_IMAGE=8",
]


def command(name, *options, cwd, **environment):
    """Run a command to its end; returns the finished process with its text."""
    inherited = {**os.environ}
    inherited.pop("TF_CPP_MIN_LOG_LEVEL", None)  # with it, native logs are shown
    return subprocess.run(
        [sys.executable, ROOT / "samples" / "isic" / f"{name}.py", *options],
        cwd=cwd,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=600,
    )


def assert_one_line_error(process, *words):
    assert process.returncode == 2, process.stderr
    assert "Traceback" not in process.stderr
    assert len(process.stderr.strip().splitlines()) == 1
    assert all(word in process.stderr for word in words), process.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_help_explains_every_option_without_tensorflow(name, tmp_path):
    (tmp_path / "tensorflow.py").write_text(
        "raise AssertionError('TensorFlow takes seconds')"
    )
    path = f"{tmp_path}{os.pathsep}{ROOT}"
    process = command(name, "--help", cwd=tmp_path, PYTHONPATH=path)
    assert process.returncode == 0, process.stderr
    options = set(re.findall(r"^ +(--[a-z-]+)", process.stdout, re.MULTILINE))
    assert {"--weights", "--set"} <= options
    assert options & {"--logs", "--out"}
    for option, text in re.findall(
        r"^  (--[a-z-]+)(.*?)(?=^  -|\Z)", process.stdout, re.MULTILINE | re.DOTALL
    ):
        assert text.count("default") == 1 or option not in HAVE_DEFAULTS, option


@pytest.mark.parametrize(
    "name, options, words",
    [
        ("train", ["--weights=none", "--set=FOCAL_ALFA=1"], ["FOCAL_ALPHA"]),
        ("ablation", ["--dataset=synthetic", "--tables=loss"], ["losses", "loss"]),
        ("evaluate", ["--weights=no.h5"], ["no.h5"]),
        ("evaluate", ["--weights=last"], ["no run", "--weights=pretrained"]),
        ("predict", ["nothing.jpg"], ["nothing.jpg"]),
    ],
)
@pytest.mark.parametrize(
    "way", ["in_process", pytest.param("process", marks=pytest.mark.slow)]
)
def test_a_mistake_ends_in_one_line(way, name, options, words, request, tmp_path):
    run = command if way == "process" else request.getfixturevalue("in_process")
    assert_one_line_error(run(name, *options, cwd=tmp_path), *words)


@pytest.mark.parametrize(
    "options, words",
    [
        (["--weights=none", "--dataset=nowhere"], ["nowhere"]),
        (["--weights=none", "--image-size=100"], ["64", "100"]),
        (["--weights=none", "--stages=heads:x:1"], ["heads:x:1"]),
        (["--weights=last"], ["logs"]),
        (["--weights=no.h5", "--dataset=synthetic"], ["no.h5"]),
        (["--backbone=efficientnet_lite0"], ["coco", "ResNet"]),
        (["--backbone=vgg", "--weights=none"], ["resnet50", "vgg"]),
    ],
)
def test_so_does_every_mistake_about_training(in_process, options, words, tmp_path):
    assert_one_line_error(in_process("train", *options, cwd=tmp_path), *words)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working folder with a data set in the official layout."""
    folder = tmp_path_factory.mktemp("work")
    write_synthetic_isic(folder / "data", 6, (64, 64), seed=0, validation=3)
    return folder


def newest_state(states):
    """Number of the newest state in TensorFlow's list of them, 0 without a list."""
    if not states.exists():
        return 0
    return int(re.search(r'^model_.*ckpt-(\d+)"$', states.read_text(), re.M)[1])


def train_and_kill(run, options, cwd):
    """Start the run, and kill it when it has saved two states."""
    script = ROOT / "samples" / "isic" / "train.py"
    process = subprocess.Popen(
        [sys.executable, script, *options, f"--run={run}"],
        cwd=cwd,
        stdout=subprocess.DEVNULL,
    )
    states = cwd / "logs" / run / "checkpoints" / "checkpoint"
    deadline = time.time() + 600
    # Files of a state are there before it counts: it does once the list names it
    while newest_state(states) < 2 and time.time() < deadline:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (cwd / "logs" / run / "log.csv").exists(), "killed too late"


@pytest.fixture(scope="module")
def trained(folder):
    """The process that ended the run "first", and its folder; another began it.

    The first one is killed in the first of two epochs, of three steps each.
    """
    options = ["--weights=none", "--dataset=data", "--stages=all:2:1e-3", *SMALL]
    train_and_kill("first", [*options, "--set=CHECKPOINT_STEPS=1"], folder)
    process = command("train", "--weights=last", "--run=first", cwd=folder)
    assert process.returncode == 0, process.stderr
    return process, folder / "logs" / "first"


@pytest.mark.slow
def test_a_killed_run_goes_on_from_its_last_checkpoint(trained):
    process, run_dir = trained
    steps = re.search(r"resuming at step (\d+)", process.stdout)
    assert int(steps[1]) >= 2
    assert pd.read_csv(run_dir / "log.csv")["epoch"].tolist() == [1, 2]


@pytest.mark.slow
def test_train_leaves_a_complete_run_folder(trained):
    process, run_dir = trained
    for name in (
        "config.json",
        "run.json",
        "losses.png",
        "mask_rcnn_isic_best.h5",
        "mask_rcnn_isic_last.h5",
        "checkpoints/checkpoint",
        "evaluation/metrics.json",
        "evaluation/per_image.csv",
        "evaluation/report.html",
        "evaluation/model_card.md",
    ):
        assert (run_dir / name).is_file(), name
        assert name.split("/")[0] in process.stdout
    assert list((run_dir / "tensorboard").glob("events*"))
    with Image.open(run_dir / "evaluation" / "contact_sheet.png") as sheet:
        # 3 pictures of 320 pixels side by side, 6 between and around them
        assert sheet.width == 3 * 320 + 4 * 6
    log = pd.read_csv(run_dir / "log.csv")
    assert log["epoch"].tolist() == [1, 2]
    assert (
        log[["loss", "rpn_class_loss", "val_mrcnn_mask_loss", "val_JA"]]
        .notna()
        .all(axis=None)
    )
    assert "mrcnn_mask_loss" in process.stdout  # the progress bar names every term
    metrics = json.loads((run_dir / "evaluation" / "metrics.json").read_text())
    assert metrics["images"] == 3
    assert set(metrics["segmentation"]) >= {"JA", "JA65", "DI", "AC", "SE", "SP"}
    assert set(metrics["classification"]) >= {"AC", "AP", "AUC", "SE", "SP"}


@pytest.mark.slow
def test_a_run_folder_is_not_overwritten(trained, folder):
    options = ["--weights=none", "--dataset=data", *SMALL, "--run=first"]
    assert_one_line_error(command("train", *options, cwd=folder), "first", "last")


@pytest.mark.slow
def test_evaluate_finds_the_last_run(in_process, trained, folder):
    process = in_process(
        "evaluate", "--dataset=data", "--weights=last", "--out=results", cwd=folder
    )
    assert process.returncode == 0, process.stderr
    truth = json.loads((trained[1] / "evaluation" / "metrics.json").read_text())
    metrics = json.loads((folder / "results" / "metrics.json").read_text())
    assert metrics["segmentation"] == pytest.approx(truth["segmentation"], abs=1e-4)
    scores = pd.read_csv(folder / "results" / "classification.csv")
    assert len(scores) == 3 and scores.columns[0] == "image"
    assert (folder / "results" / "contact_sheet.png").is_file()


@pytest.mark.slow
def test_evaluate_with_everything(trained, folder):
    options = ["--dataset=data", "--weights=last", "--out=everything"]
    options += ["--calibration-split=train"]
    options += ["--tta", "--explain", "--bootstrap=50"]
    other = f"--compare={trained[1] / 'evaluation' / 'per_image.csv'}"
    process = command("evaluate", *options, other, cwd=folder)
    assert process.returncode == 0, process.stderr
    out = folder / "everything"
    metrics = json.loads((out / "metrics.json").read_text())
    assert {"comparison", "tta", "explanation"} <= set(metrics)
    assert [p["target"] for p in metrics["operating_points"]] == [0.8, 0.9, 0.95]
    table = pd.read_csv(out / "per_image.csv")
    assert {"true_area_share", "ITA", "heat_inside", "height"} <= set(table)
    page = (out / "report.html").read_text()
    assert "Grad-CAM" in page and "Test-time augmentation" in page
    assert "## CLEAR Derm" in (out / "model_card.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    "options, words",
    [
        (["--calibration-split=val"], ["no image", "3 of both"]),
        (["--tta", "--bootstrap=0"], ["--bootstrap"]),
        (["--fold=1/2", "--split=all"], ["--fold divides train and val", "=all"]),
        (["--fold=3/2"], ["fold must be K/N", "'3/2'"]),
        (["--fold=1/2", "--dataset=synthetic"], ["--fold needs a folder"]),
    ],
)
def test_evaluate_refuses_what_would_flatter_or_fail(
    in_process, trained, folder, options, words
):
    options = ["--dataset=data", "--weights=last", "--out=refused", *options]
    process = in_process("evaluate", *options, cwd=folder)
    assert process.returncode == 2
    assert all(word in process.stderr.splitlines()[-1] for word in words)
    assert not (folder / "refused").exists()


@pytest.mark.slow
def test_evaluate_that_fails_late_leaves_nothing(in_process, trained, folder):
    table = pd.read_csv(trained[1] / "evaluation" / "per_image.csv")
    others = {"benign": "malignant", "malignant": "benign"}
    table = table.assign(true_class=table["true_class"].map(others))
    table.to_csv(folder / "other.csv", index=False)
    options = ["--dataset=data", "--weights=last", "--out=late", "--compare=other.csv"]
    process = in_process("evaluate", *options, cwd=folder)
    assert process.returncode == 2 and "true_class" in process.stderr
    assert not [path for path in folder.iterdir() if "late" in path.name]


@pytest.mark.slow
def test_predict_answers_for_good_images_and_names_bad_ones(trained, folder):
    photos = folder / "photos"
    photos.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)
    Image.fromarray(pixels).save(photos / "a lesion.JPG", format="JPEG")
    (photos / "broken.png").write_bytes(b"no image")
    process = command("predict", "photos", "--out=answers", cwd=folder)
    assert process.returncode == 1
    assert "broken.png" in process.stdout and "Traceback" not in process.stderr
    table = pd.read_csv(folder / "answers" / "predictions.csv")
    assert table["image"].tolist() == ["a lesion.JPG"]
    assert 0 <= table["p_malignant"][0] <= 1
    mask = np.asarray(Image.open(folder / "answers" / "masks" / "a lesion.png"))
    assert mask.shape == (90, 120) and set(np.unique(mask)) <= {0, 255}
    assert (mask == 255).sum() == table["lesion_area"][0]
    assert (folder / "answers" / "overlays" / "a lesion.png").is_file()


@pytest.mark.slow
def test_evaluate_scores_the_good_images_and_names_the_bad_one(
    in_process, trained, folder
):
    shutil.copytree(folder / "data", folder / "damaged")
    images = sorted((folder / "damaged" / "ISIC-2017_Validation_Data").iterdir())
    images[1].write_bytes(images[1].read_bytes()[:700])
    options = ["--dataset=damaged", "--weights=last", "--out=partly"]
    process = in_process("evaluate", *options, cwd=folder)
    assert process.returncode == 1, process.stderr
    assert f"{images[1].name}: unreadable image: image file is trunc" in process.stdout
    dropped = pd.read_csv(folder / "partly" / "dropped.csv")
    assert dropped["image_id"].tolist() == [images[1].stem]
    assert len(pd.read_csv(folder / "partly" / "per_image.csv")) == 2
