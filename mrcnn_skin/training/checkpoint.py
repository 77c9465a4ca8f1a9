"""The full state of a run, from which it resumes at the step where it stopped.

tf.train.CheckpointManager writes a state under a temporary name first, so a killed
process leaves the one before whole. Weight files are written by weights_io/by_name.py.
"""

import re
import shutil
from contextlib import contextmanager
from pathlib import Path

import tensorflow as tf

from .keras_callbacks import CallbackStates


class Progress(tf.Module):
    """Progress of a run: its state except for weights and optimizer.

    stage: index of the current stage; recipe: its stages.recipe_number, which tells
    whether the saved optimizer is of this stage; epoch: epochs finished in it; step:
    steps finished in the current epoch; total_steps, total_epochs: since the start.
    best: the best value of Config.MONITOR so far; waited: epochs since then.
    saves: states written, which numbers them. sums: {term: sum of what the log tells
    of it over those steps of the epoch}, for the names in `terms`. callbacks: the
    CallbackStates of Keras's `callbacks`.
    """

    def __init__(self, terms=(), callbacks=()):
        super().__init__()
        counters = "epoch", "step", "total_steps", "total_epochs", "waited", "saves"
        for name in ("stage", "recipe", *counters):
            setattr(self, name, tf.Variable(0, dtype=tf.int64, trainable=False))
        self.best = tf.Variable(float("-inf"), trainable=False)
        self.sums = {
            name: tf.Variable(0.0, dtype=tf.float64, trainable=False) for name in terms
        }
        self.callbacks = CallbackStates(callbacks)

    def __getitem__(self, name):
        return getattr(self, name).numpy().item()

    def advance(self, *names):
        """Add one to each of the named counters."""
        for name in names:
            getattr(self, name).assign_add(1)

    def count_step(self, terms):
        """Count a step; terms: {name: float}, of the names in `sums`."""
        self.advance("step", "total_steps")
        for name, value in terms.items():
            self.sums[name].assign_add(value)

    def count_epoch(self):
        """Count an epoch, and begin the next one's steps and sums at zero."""
        self.advance("epoch", "total_epochs")
        for variable in (self.step, *self.sums.values()):
            variable.assign(tf.zeros_like(variable))

    def means(self):
        """Mean of every term over the steps of the epoch, {} before the first."""
        steps = self["step"]
        sums = self.sums if steps else {}
        return {name: total.numpy().item() / steps for name, total in sums.items()}


def find_last_run(model_dir):
    """Return the run folder in model_dir with the newest state.

    Raises FileNotFoundError if there is none.
    """
    states = Path(model_dir).glob("*/checkpoints/checkpoint")
    newest = max(states, key=lambda path: path.stat().st_mtime, default=None)
    if newest is None:
        raise FileNotFoundError(f"there is no run with a checkpoint in {model_dir}")
    return newest.parents[1]


class CheckpointFolder:
    """The states of one run: the newest two, in RUN/checkpoints.

    writes: False for a process that does not write.
    """

    def __init__(self, run_dir, writes=True):
        self.folder = Path(run_dir) / "checkpoints"
        self.writes = writes
        self._progress = self._manager = None

    def latest(self):
        """Return the path of the newest complete state, None if there is none.

        Prints which newer ones are damaged. Raises OSError if all of them are.
        """
        paths = self.states()
        for path in paths:
            damage = find_damage(path)
            if damage is None:
                return path
            print(f"{path} is damaged ({damage}); trying the state before it")
        if paths:
            raise OSError(f"no state in {self.folder} can be read, see above")
        return None

    def states(self):
        """Paths of the states, newest first, complete or not."""
        index = self.folder / "checkpoint"
        if not index.exists():  # no state was ever finished
            return []
        state = tf.train.get_checkpoint_state(self.folder)
        if state is not None:
            return list(reversed(state.all_model_checkpoint_paths))
        print(f"{index} is damaged; looking for states by their names")
        paths = [path.with_suffix("") for path in self.folder.glob("ckpt-*.index")]
        return [str(p) for p in sorted(paths, key=_number, reverse=True)]

    def read(self, progress, model):
        """Restore the progress and the weights of the run.

        `open` restores the optimizer, which depends on the stage.
        Returns the path of the state, None if there is none. Raises the errors of
        `latest`, and of tf.train.Checkpoint if the state is of another network.
        """
        path = self.latest()
        if path is not None:
            _restore(path, model=model).assert_existing_objects_matched()
            _restore(path, progress=progress)  # what an older state lacks stays at zero
        return path

    def open(self, progress, model, optimizer, path=None):
        """Name what `save` saves; the optimizer's part comes from `path` if given.

        Removes the partial files of a process that was killed while writing.
        """
        checkpoint = tf.train.Checkpoint(
            progress=progress, model=model, optimizer=optimizer
        )
        self._progress = progress
        if self.writes:
            for rest in self.folder.glob("ckpt-*_temp"):
                shutil.rmtree(rest)
            self._manager = tf.train.CheckpointManager(
                checkpoint, self.folder, max_to_keep=2
            )
        if path is not None:
            _restore(path, optimizer=optimizer).assert_existing_objects_matched()

    def save(self):
        """Write the state, keep the newest two, and return its path.

        Returns None, and writes nothing, for a process that does not write.
        Every state gets a new number, so that no complete state is overwritten.
        Raises OSError if it cannot be written; the previous state is kept.
        """
        if not self.writes:
            return None
        self._progress.advance("saves")
        with writing("the run's state cannot be written, the previous one is kept"):
            return self._manager.save(self._progress["saves"])


@contextmanager
def writing(fault):
    """Turn what TensorFlow raises in the block into an OSError of one line.

    fault: what it means, in words.
    """
    try:
        yield
    except tf.errors.OpError as error:
        reason = re.sub(r"^{{.*?}} ", "", error.message.splitlines()[0])
        raise OSError(f"{fault}: {reason}") from error


def _restore(path, **part):
    return tf.train.Checkpoint(**part).restore(path).expect_partial()


def find_damage(path):
    """Read a whole state, and with it TensorFlow's checksums.

    Returns what is wrong, None if nothing is.
    """
    try:
        reader = tf.train.load_checkpoint(path)
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except (tf.errors.OpError, IndexError, ValueError) as error:
        return str(error).splitlines()[0]
    return None


def _number(path):
    return int(path.name.rpartition("-")[2])
