"""Runs of the whole loop on the tiny network: what learns, stops and goes on."""

import io
import math
import os
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from keras import ops
from tiny import lean_config, toy_training_model

from mrcnn_skin import MaskRCNN
from mrcnn_skin.data.synthetic import SyntheticDataset
from mrcnn_skin.graph.mask_rcnn import build_training_model
from mrcnn_skin.training.callbacks import CsvLog
from mrcnn_skin.training.checkpoint import CheckpointFolder, Progress
from mrcnn_skin.training.loop import Trainer, TrainingDiverged
from mrcnn_skin.training.run_folder import locked
from mrcnn_skin.training.stages import Stage
from mrcnn_skin.weights_io.by_name import named_weights, read_h5

STEPS = 3  # an epoch: 6 images, 2 a step
STAGES = [Stage("heads", 1, 1e-2), Stage("all", 2, 1e-2)]
SETTINGS = {
    "NORM": "batch",
    "LEARNING_RATE_SCHEDULE": "cosine",
    "WARMUP_STEPS": 1,
    "CHECKPOINT_STEPS": 1,
    "AUGMENT": True,
}


@pytest.fixture(scope="module")
def images():
    return SyntheticDataset(6, (64, 64), seed=0)


def make_model(folder, build=toy_training_model, **overrides):
    """A fresh model, as a new process would make it, for the run in `folder`.

    build: function of a Config that builds the training graph.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mrcnn_skin.model.build_training_model", build)
        model = MaskRCNN("training", lean_config(**overrides), folder)
    model.set_log_dir("run")
    return model


def values_of(model):
    return {name: np.array(v) for name, v in named_weights(model).items()}


def assert_same(first, second):
    """Two dicts of tensors agree bit for bit."""
    assert set(first) == set(second)
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=name)


def progress_of(folder):
    progress = Progress()
    assert CheckpointFolder(folder / "run").read(progress, tf.Module())
    return progress


class Recorder(keras.callbacks.Callback):
    """Keeps the weights and the log of every epoch, and the number of every step."""

    def __init__(self):
        super().__init__()
        self.weights, self.logs, self.steps = [], [], []

    def on_train_begin(self, logs=None):
        self.weights.append(values_of(self.model))

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(batch)

    def on_epoch_end(self, epoch, logs=None):
        self.weights.append(values_of(self.model))
        self.logs.append(dict(logs))


class Interrupted(Exception):
    """What a test raises in the place of a power cut."""


class StopAt(keras.callbacks.Callback):
    """Raises at the begin of the step of that number, counted from 0."""

    def __init__(self, step):
        super().__init__()
        self.step, self.seen = step, 0

    def on_train_batch_begin(self, batch, logs=None):
        if self.seen == self.step:
            raise Interrupted
        self.seen += 1


def interrupt(*_):
    raise Interrupted


@pytest.fixture(scope="module")
def whole_run(images, tmp_path_factory):
    """Folder, model and Recorder of a run through both stages, with validation."""
    folder, recorder = tmp_path_factory.mktemp("whole"), Recorder()
    model = make_model(folder, build_training_model, **SETTINGS)
    val = SyntheticDataset(3, (64, 64), seed=1)
    model.train(images, val, stages=STAGES, custom_callbacks=[recorder], verbose=0)
    return folder, model, recorder


@pytest.fixture(scope="module")
def toy_run(images, tmp_path_factory):
    """Folder and model of such a run on the toy network, without validation."""
    folder = tmp_path_factory.mktemp("toy")
    model = make_model(folder, **SETTINGS)
    model.train(images, None, stages=STAGES, verbose=0)
    return folder, model


def test_the_loss_falls(whole_run):
    _, _, recorder = whole_run
    losses = [logs["loss"] for logs in recorder.logs]
    assert losses[0] > losses[1] > losses[2]
    assert recorder.steps == [0, 1, 2] * 3


def test_the_log_holds_every_term_and_adds_up(whole_run):
    folder, model, recorder = whole_run
    for logs in recorder.logs:
        terms = [logs[name] for name in (*model.config.LOSS_NAMES, "l2_loss")]
        assert logs["loss"] == pytest.approx(sum(terms), rel=1e-5)
        assert {"val_loss", "val_JA", "val_AUC", "val_box_iou"} <= set(logs)
    table = pd.read_csv(folder / "run" / "log.csv")
    assert table["stage"].tolist() == [0, 1, 1]
    np.testing.assert_allclose(table["loss"], [logs["loss"] for logs in recorder.logs])
    # Cosine over the 3 steps of the first stage, one of them warm-up
    assert table["learning_rate"][0] == pytest.approx(0.0, abs=1e-9)


def test_heads_leave_the_backbone_and_all_moves_it(whole_run):
    _, _, recorder = whole_run
    start, heads, *_, end = recorder.weights
    for name in start:
        backbone = name.startswith(("res", "bn2", "bn3", "bn4", "bn5", "conv1", "bn_c"))
        if backbone:
            np.testing.assert_array_equal(start[name], heads[name], err_msg=name)
        elif name.endswith("kernel"):
            assert (start[name] != heads[name]).any(), name
        if name.endswith("kernel"):
            assert (end[name] != heads[name]).any(), name
    assert any(name.startswith("res2a") for name in start)


def test_frozen_batch_norm_keeps_its_statistics(whole_run):
    _, _, recorder = whole_run
    before, *_, after = recorder.weights
    for name, value in before.items():
        if "moving_" in name:
            np.testing.assert_array_equal(value, after[name], err_msg=name)
    assert (before["bn2a_branch2a/gamma"] != after["bn2a_branch2a/gamma"]).any()


def test_files_of_a_run(whole_run):
    folder, model, recorder = whole_run
    run = folder / "run"
    assert_same(read_h5(run / "mask_rcnn_isic_last.h5"), values_of(model.keras_model))
    best = int(np.argmin([logs["val_loss"] for logs in recorder.logs]))
    assert_same(read_h5(run / "mask_rcnn_isic_best.h5"), recorder.weights[best + 1])
    assert {p.name for p in run.iterdir()} == {
        "config.json",
        "environment.json",
        "lock",
        "log.csv",
        "tensorboard",
        "checkpoints",
        "mask_rcnn_isic_last.h5",
        "mask_rcnn_isic_best.h5",
    }
    progress = progress_of(folder)
    assert progress["total_steps"] == 9 and progress["total_epochs"] == 3
    assert progress["best"] == pytest.approx(-recorder.logs[best]["val_loss"])


@pytest.mark.parametrize(
    "run, build",
    [
        ("toy_run", toy_training_model),
        pytest.param("whole_run", build_training_model, marks=pytest.mark.slow),
    ],
)
def test_interrupted_anywhere_and_resumed_a_run_ends_with_the_same_weights(
    run, build, request, images, tmp_path, monkeypatch
):
    """Four processes, as it were: cut off in either stage and between the two."""
    folder, whole, *_ = request.getfixturevalue(run)
    cuts = (
        (StopAt(step=2), 2),  # in the only epoch of the heads
        (None, 3),  # when the heads are done, before their line is in the log
        (StopAt(step=4), 7),  # in the second epoch of all layers
    )
    for cut, steps in cuts:
        model = make_model(tmp_path, build, **SETTINGS)
        with pytest.raises(Interrupted), monkeypatch.context() as patch:
            if cut is None:
                patch.setattr(CsvLog, "on_epoch_end", interrupt)
            callbacks = [cut] if cut else []
            model.train(
                images, None, stages=STAGES, custom_callbacks=callbacks, verbose=0
            )
        assert progress_of(tmp_path)["total_steps"] == steps
    model, recorder = make_model(tmp_path, build, **SETTINGS), Recorder()
    model.train(images, None, stages=STAGES, custom_callbacks=[recorder], verbose=0)
    assert recorder.steps == [1, 2]
    assert "detector" not in vars(model)  # a second network, for validation alone
    assert_same(values_of(whole.keras_model), values_of(model.keras_model))
    # An epoch's line is there once, over all of its steps
    log = pd.read_csv(tmp_path / "run" / "log.csv", dtype=str)
    whole_log = pd.read_csv(folder / "run" / "log.csv", dtype=str)
    pd.testing.assert_frame_equal(log, whole_log[log.columns])


def test_a_finished_run_gives_its_weights_and_trains_no_more(toy_run, images):
    folder, whole = toy_run
    model, recorder = make_model(folder, **SETTINGS), Recorder()
    logs = model.train(
        images, None, stages=STAGES, custom_callbacks=[recorder], verbose=0
    )
    assert logs == {} and recorder.steps == []
    assert_same(values_of(whole.keras_model), values_of(model.keras_model))


def test_a_signal_after_the_last_step_ends_the_process_too(toy_run, images):
    """Or it would go on with what comes after the training."""
    folder, whole = toy_run
    model, recorder = make_model(folder, **SETTINGS), Recorder()
    late = keras.callbacks.LambdaCallback(
        on_train_end=lambda logs: os.kill(os.getpid(), signal.SIGTERM)
    )
    callbacks, fewer = [recorder, late], STAGES[:1]  # stages than are done
    with pytest.raises(SystemExit) as raised:
        model.train(images, None, stages=fewer, custom_callbacks=callbacks, verbose=0)
    assert raised.value.code == 128 + 15 and recorder.steps == []
    assert_same(values_of(whole.keras_model), values_of(model.keras_model))


def test_a_loss_that_is_not_finite_names_the_images_and_saves_nothing(images, tmp_path):
    model = make_model(tmp_path, CHECKPOINT_STEPS=1)
    named_weights(model.keras_model)["mrcnn_mask/bias"].assign([math.nan])
    with pytest.raises(TrainingDiverged) as error:
        model.train(images, None, stages=STAGES[:1], verbose=0)
    assert "mrcnn_mask_loss" in str(error.value) and "at step 0" in str(error.value)
    assert str(error.value).count("generated, seed 0, image") == 2
    assert CheckpointFolder(tmp_path / "run").latest() is None


@pytest.mark.parametrize(
    "losses, epochs, best",
    [
        # Two epochs no better than the first end the stage, and the next has its turn
        ([1.0, 1.0, 1.0, 1.0], [0, 0, 0, 1], 0),
        # A better one begins to count anew
        ([4.0, 4.0, 3.0, 5.0, 3.5, 2.0], [0, 0, 0, 0, 0, 1], 5),
    ],
)
def test_early_stopping_ends_a_stage_after_two_epochs_no_better(
    losses, epochs, best, images, tmp_path, monkeypatch
):
    """By the loss, since an AUC that is no number cannot tell."""
    results = iter(losses)
    monkeypatch.setattr(
        "mrcnn_skin.training.loop.Validation.run",
        lambda _: {"val_AUC": math.nan, "val_loss": next(results)},
    )
    model = make_model(
        tmp_path, MONITOR="val_AUC", EARLY_STOPPING_PATIENCE=2, STEPS_PER_EPOCH=1
    )
    recorder = Recorder()
    stages = [Stage("all", 9, 1e-2), Stage("heads", 1, 1e-2)]
    model.train(images, None, stages=stages, custom_callbacks=[recorder], verbose=0)
    assert [logs["stage"] for logs in recorder.logs] == epochs
    assert progress_of(tmp_path)["best"] == -losses[best]
    kept = read_h5(tmp_path / "run" / "mask_rcnn_isic_best.h5")
    assert_same(kept, recorder.weights[best + 1])


class GonePipe(io.StringIO):
    """The standard output of a process whose reader has ended."""

    def write(self, text):
        raise BrokenPipeError


def test_ctrl_c_saves_the_step_and_ends_the_run(images, tmp_path, monkeypatch):
    """It also ends what reads the output, such as tee."""

    def press(step, logs):
        if step == 1:
            monkeypatch.setattr(sys, "stdout", GonePipe())
            os.kill(os.getpid(), signal.SIGINT)

    model = make_model(tmp_path)
    ctrl_c = keras.callbacks.LambdaCallback(on_train_batch_begin=press)
    with pytest.raises(KeyboardInterrupt):
        model.train(images, None, stages=STAGES, custom_callbacks=[ctrl_c])
    assert progress_of(tmp_path)["total_steps"] == 2  # no checkpoint was due


def test_a_gradient_that_is_not_finite_ends_the_run_though_the_loss_is(
    images, tmp_path
):
    """The slope of a square root at 0."""

    def build(config):
        model = toy_training_model(config)
        terms = dict(model.output)
        term = terms["mrcnn_mask_loss"]
        terms["mrcnn_mask_loss"] = term + ops.sqrt(ops.relu(term - 1e9))
        return keras.Model(model.input, terms)

    model = make_model(tmp_path, build, CHECKPOINT_STEPS=1)
    with pytest.raises(TrainingDiverged, match="^gradient_norm must be finite"):
        model.train(images, None, stages=STAGES[1:], verbose=0)
    assert CheckpointFolder(tmp_path / "run").latest() is None


@pytest.mark.slow  # TensorFlow asks for the memory again and again for ten seconds
def test_a_step_that_does_not_fit_says_what_to_lower(images, tmp_path, monkeypatch):
    def huge_step(trainer):
        def step(inputs, stop_asked):
            side = tf.cast(stop_asked, tf.int64) + 2**29  # no constant to fold
            return {"loss": tf.reduce_sum(tf.fill([side, side], stop_asked))}

        return step

    monkeypatch.setattr(Trainer, "_make_step", huge_step)
    model = make_model(tmp_path)
    with pytest.raises(MemoryError, match="lower IMAGES_PER_GPU"):
        model.train(images, None, stages=STAGES, verbose=0)


def test_two_runs_cannot_share_a_folder(images, tmp_path):
    model = make_model(tmp_path)
    with locked_by_another(tmp_path / "run") as process:
        with pytest.raises(BlockingIOError, match=f"by process {process.pid} on"):
            model.train(images, None, stages=STAGES, verbose=0)
        assert [path.name for path in (tmp_path / "run").iterdir()] == ["lock"]


def test_the_lock_names_its_newest_owner_alone(tmp_path):
    for _ in range(2):
        with locked(tmp_path):
            owner = (tmp_path / "lock").read_text()
    assert owner.startswith(f"process {os.getpid()} on ") and owner.count("\n") == 1


@contextmanager
def locked_by_another(run_dir):
    """Another process holds the lock of a run; it is killed in the end."""
    code = (
        "import sys, time\nfrom mrcnn_skin.training.run_folder import locked\n"
        "with locked(sys.argv[1]): print('locked', flush=True); time.sleep(300)"
    )
    run_dir.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", code, run_dir],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout.readline() == b"locked\n"
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 8 MB of its own, which only root may make."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no right to mount a small tmpfs")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)  # logs are still open


class FillDisk(keras.callbacks.Callback):
    """Leaves no room on a disk from the step of that number on."""

    def __init__(self, folder, step):
        super().__init__()
        self.path, self.step = folder / "ballast", step

    def on_train_batch_begin(self, batch, logs=None):
        if batch == self.step:
            with open(self.path, "wb", buffering=0) as handle, suppress(OSError):
                while handle.write(bytes(4096)):
                    pass


def test_a_full_disk_ends_the_run_and_leaves_the_last_state(images, small_disk):
    model = make_model(small_disk, CHECKPOINT_STEPS=1)
    with pytest.raises(OSError, match="state cannot be written.*[Nn]o space") as error:
        model.train(
            images,
            None,
            stages=STAGES,
            custom_callbacks=[FillDisk(small_disk, step=2)],
            verbose=0,
        )
    assert "\n" not in str(error.value)
    assert progress_of(small_disk)["total_steps"] == 2
    (small_disk / "ballast").unlink()
    model, recorder = make_model(small_disk, CHECKPOINT_STEPS=1), Recorder()
    model.train(images, None, stages=STAGES[:1], custom_callbacks=[recorder], verbose=0)
    assert recorder.steps == [2]


def test_a_read_only_folder_is_said_before_the_first_step(images, small_disk):
    model, recorder = make_model(small_disk), Recorder()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(OSError, match="Read-only file system: .*run"):
        model.train(images, None, stages=STAGES, custom_callbacks=[recorder], verbose=0)
    assert recorder.steps == []
