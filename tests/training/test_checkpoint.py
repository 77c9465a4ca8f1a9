"""Saving and restoring the state of a run."""

import os
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from mrcnn_skin.training.checkpoint import CheckpointFolder, Progress, find_last_run


def dense_model(units=3, seed=0):
    keras.utils.set_random_seed(seed)
    image = keras.Input([4])
    return keras.Model(image, keras.layers.Dense(units, name="dense")(image))


def optimizer_of(model):
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    optimizer.build(model.trainable_variables)
    return optimizer


def step(model, optimizer):
    """One step on a fixed gradient."""
    gradients = [tf.ones(v.shape) for v in model.trainable_variables]
    optimizer.apply(gradients, model.trainable_variables)


def test_progress_counts_from_zero():
    progress = Progress()
    progress.advance("step", "total_steps")
    progress.advance("total_steps")
    counts = {n: progress[n] for n in ("stage", "epoch", "step", "total_steps")}
    assert counts == {"stage": 0, "epoch": 0, "step": 1, "total_steps": 2}
    assert all(isinstance(count, int) for count in counts.values())
    assert progress["best"] == float("-inf")


def test_progress_takes_the_means_of_an_epoch():
    progress = Progress(["loss"])
    assert progress.means() == {}
    for loss in (1.0, 4.0):
        progress.count_step({"loss": loss})
    assert progress.means() == {"loss": 2.5}
    progress.count_epoch()
    progress.count_step({"loss": 3.0})
    assert progress.means() == {"loss": 3.0}
    assert (progress["total_epochs"], progress["total_steps"]) == (1, 3)


def test_an_empty_folder_has_no_state(tmp_path):
    folder, progress = CheckpointFolder(tmp_path / "run"), Progress()
    assert folder.latest() is None
    assert folder.read(progress, dense_model()) is None


def test_a_state_comes_back_whole(tmp_path):
    """A restored optimizer goes on with its momentum, as one that never stopped."""
    folder = CheckpointFolder(tmp_path)
    model, progress = dense_model(), Progress()
    optimizer = optimizer_of(model)
    step(model, optimizer)
    progress.advance("step", "total_epochs")
    progress.best.assign(0.75)
    folder.open(progress, model, optimizer)
    path = folder.save()

    other, read = dense_model(seed=1), Progress()
    assert folder.read(read, other) == path
    assert (read["step"], read["total_epochs"], read["best"]) == (1, 1, 0.75)
    np.testing.assert_array_equal(model.get_weights()[0], other.get_weights()[0])
    other_optimizer = optimizer_of(other)
    folder.open(read, other, other_optimizer, path)
    assert int(other_optimizer.iterations) == 1
    before = other.get_weights()[0]
    step(model, optimizer)
    step(other, other_optimizer)
    np.testing.assert_array_equal(model.get_weights()[0], other.get_weights()[0])
    np.testing.assert_allclose(before - other.get_weights()[0], 0.19, rtol=1e-5)


def test_a_state_without_the_sums_of_the_log_is_read(tmp_path):
    """As the versions before wrote it."""
    folder, model, progress = CheckpointFolder(tmp_path), dense_model(), Progress()
    progress.advance("step")
    folder.open(progress, model, optimizer_of(model))
    path = folder.save()
    read, optimizer = Progress(["loss"]), optimizer_of(model)
    folder.read(read, model)
    folder.open(read, model, optimizer, path)
    assert read["step"] == 1 and read.means() == {"loss": 0.0}


def test_the_rest_of_a_state_that_was_cut_off_is_removed(tmp_path):
    """It is as large as a state, and none of the later ones takes its place."""
    rest = tmp_path / "checkpoints" / "ckpt-7_temp"
    rest.mkdir(parents=True)
    (rest / "part-00000-of-00001.data-00000-of-00001").write_bytes(b"half")
    folder, model = CheckpointFolder(tmp_path), dense_model()
    folder.open(Progress(), model, optimizer_of(model))
    assert not rest.exists()


def test_the_newest_two_are_kept(tmp_path):
    folder, model, progress = CheckpointFolder(tmp_path), dense_model(), Progress()
    folder.open(progress, model, optimizer_of(model))
    for _ in range(4):
        progress.advance("total_steps")
        folder.save()
    kept = {path.stem for path in (tmp_path / "checkpoints").glob("*.index")}
    assert kept == {"ckpt-3", "ckpt-4"}
    read = Progress()
    folder.read(read, model)
    assert read["total_steps"] == 4


def test_another_stage_never_overwrites_a_state(tmp_path):
    """A kill while it is written would leave none that is whole."""
    folder, model, progress = CheckpointFolder(tmp_path), dense_model(), Progress()
    names = []
    for _ in range(2):  # a stage has an optimizer of its own
        folder.open(progress, model, optimizer_of(model))
        names.append(folder.save().rpartition("/")[2])
    assert names == ["ckpt-1", "ckpt-2"]
    resumed, read = CheckpointFolder(tmp_path), Progress()
    resumed.read(read, model)
    resumed.open(read, model, optimizer_of(model))
    assert resumed.save().endswith("ckpt-3")


def test_a_state_of_another_network_is_an_error(tmp_path):
    folder, model, progress = CheckpointFolder(tmp_path), dense_model(), Progress()
    folder.open(progress, model, optimizer_of(model))
    folder.save()
    with pytest.raises(ValueError, match="[Ss]hape"):
        folder.read(Progress(), dense_model(units=5))


def test_the_last_run_has_the_newest_state(tmp_path):
    with pytest.raises(FileNotFoundError, match="no run with a checkpoint"):
        find_last_run(tmp_path)
    # The names say the opposite of the times; "c" has trained, but saved no state
    for time, name in ((3, "a"), (2, "b"), (9, "c")):
        folder = tmp_path / name / "checkpoints"
        folder.mkdir(parents=True)
        if name != "c":
            (folder / "checkpoint").touch()
            os.utime(folder / "checkpoint", (time, time))
    assert find_last_run(tmp_path) == tmp_path / "a"


@pytest.fixture
def four_steps(tmp_path):
    """A folder with the states of the steps 3 and 4, as ckpt-3 and ckpt-4."""
    folder, model, progress = CheckpointFolder(tmp_path), dense_model(), Progress()
    folder.open(progress, model, optimizer_of(model))
    for _ in range(4):
        progress.advance("total_steps")
        folder.save()
    return folder


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-50])


@pytest.mark.parametrize("damage", [flip_a_bit, cut_off, Path.unlink])
@pytest.mark.parametrize("part", ["index", "data-00000-of-00001"])
def test_a_damaged_newest_state_gives_way_to_the_one_before(
    four_steps, part, damage, capsys
):
    damage(four_steps.folder / f"ckpt-4.{part}")
    progress, model = Progress(), dense_model(seed=1)
    assert four_steps.read(progress, model).endswith("ckpt-3")
    assert progress["total_steps"] == 3
    assert "ckpt-4 is damaged (" in capsys.readouterr().out

    # The next state takes the place of the damaged one
    four_steps.open(progress, model, optimizer_of(model))
    progress.advance("total_steps")
    assert four_steps.save() == four_steps.latest()
    assert four_steps.latest().endswith("ckpt-4")


def test_states_are_found_without_the_list_of_them(four_steps, capsys):
    (four_steps.folder / "checkpoint").write_bytes(b"\0" * 40)
    assert four_steps.latest().endswith("ckpt-4")
    assert "checkpoint is damaged" in capsys.readouterr().out


def test_a_folder_of_damaged_states_is_an_error_not_a_new_run(four_steps):
    for path in four_steps.folder.glob("*.index"):
        cut_off(path)
    with pytest.raises(OSError, match="no state in .*checkpoints can be read"):
        four_steps.read(Progress(), dense_model())
