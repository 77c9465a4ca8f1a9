"""The full state of a run, saved so that it can go on at the step where it stopped.

tf.train.CheckpointManager writes a state under a temporary name first, so a killed
process leaves the one before whole. Weights for exchange are written by weights.py.
"""

from pathlib import Path

import tensorflow as tf


class Progress(tf.Module):
    """How far a run is: all that is not weights or optimizer.

    stage: index of the current stage; recipe: its stages.recipe_number, which tells
    whether the saved optimizer is of this stage; epoch: epochs finished in it; step:
    steps finished in the current epoch; total_steps, total_epochs: since the start.
    best: the best value of Config.MONITOR so far; waited: epochs since then.
    saves: states written, which numbers them.
    """

    def __init__(self):
        super().__init__()
        counters = "epoch", "step", "total_steps", "total_epochs", "waited", "saves"
        for name in ("stage", "recipe", *counters):
            setattr(self, name, tf.Variable(0, dtype=tf.int64, trainable=False))
        self.best = tf.Variable(float("-inf"), trainable=False)

    def __getitem__(self, name):
        return getattr(self, name).numpy().item()

    def advance(self, *names):
        """Add one to each of the named counters."""
        for name in names:
            getattr(self, name).assign_add(1)


def find_last_run(model_dir):
    """Return the run folder under model_dir whose state was written last.

    Raises FileNotFoundError if there is none.
    """
    states = Path(model_dir).glob("*/checkpoints/checkpoint")
    newest = max(states, key=lambda path: path.stat().st_mtime, default=None)
    if newest is None:
        raise FileNotFoundError(f"no run with a checkpoint in {model_dir}")
    return newest.parents[1]


class CheckpointFolder:
    """The states of one run: the newest two, in RUN/checkpoints."""

    def __init__(self, run_dir):
        self.folder = Path(run_dir) / "checkpoints"
        self._progress = self._manager = None

    @property
    def latest(self):
        """Path of the newest state, None if there is none."""
        return tf.train.latest_checkpoint(self.folder)

    def read(self, progress, model):
        """Restore how far the run was and its weights; False if there is no state.

        The optimizer's part waits for `open`, since it depends on the stage.
        Raises the errors of tf.train.Checkpoint if the state is of another network.
        """
        path = self.latest
        if path is None:
            return False
        checkpoint = tf.train.Checkpoint(progress=progress, model=model)
        checkpoint.restore(path).expect_partial().assert_existing_objects_matched()
        return True

    def open(self, progress, model, optimizer, path=None):
        """Name what `save` saves, and restore all of it from `path` if there is one."""
        checkpoint = tf.train.Checkpoint(
            progress=progress, model=model, optimizer=optimizer
        )
        self._progress = progress
        self._manager = tf.train.CheckpointManager(
            checkpoint, self.folder, max_to_keep=2
        )
        if path is not None:
            checkpoint.restore(path).assert_existing_objects_matched()

    def save(self):
        """Write the whole state, and keep the newest two; returns its path.

        A state's number is new to the run, also when another stage has been opened:
        it never overwrites a whole one.
        """
        self._progress.advance("saves")
        return self._manager.save(self._progress["saves"])
