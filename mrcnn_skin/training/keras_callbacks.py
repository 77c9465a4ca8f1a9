"""Keras callbacks in a run: which are supported, and what a resumed run restores."""

import json
import re
from contextlib import contextmanager

import keras
import tensorflow as tf

# {class: why it cannot be used}; by name, since not every Keras has all of them
REFUSED = {
    "BackupAndRestore": "train() saves and resumes the run's state itself",
    "OrbaxCheckpoint": "train() saves and resumes the run's state itself",
    "SwapEMAWeights": "the optimizers keep no moving average of the weights",
}
SETS_RATE = (
    keras.callbacks.ReduceLROnPlateau,
    keras.callbacks.LearningRateScheduler,
)
AT_EPOCH_END = ("learning_rate", "stage")  # logged then, as what is validated
# {class: attributes that a resumed run restores}
STATE = {
    keras.callbacks.ReduceLROnPlateau: ("best", "wait", "cooldown_counter"),
    keras.callbacks.EarlyStopping: ("best", "wait", "best_epoch"),
    keras.callbacks.ModelCheckpoint: ("best",),
}


def require_usable(callbacks, config, log_names):
    """Raise ValueError for the first callback that cannot work in this run.

    log_names: of what an epoch logs.
    """
    for callback in callbacks:
        fault = _find_fault(callback, config, log_names)
        if fault:
            raise ValueError(f"custom_callbacks: {type(callback).__name__} {fault}")


def _find_fault(callback, config, log_names):
    if not isinstance(callback, keras.callbacks.Callback):
        return "must be a keras.callbacks.Callback"
    for base in type(callback).__mro__:
        if base.__name__ in REFUSED:
            return f"cannot be used: {REFUSED[base.__name__]}"
    if isinstance(callback, SETS_RATE):
        schedule, warmup = config.LEARNING_RATE_SCHEDULE, config.WARMUP_STEPS
        if schedule != "constant" or warmup:
            return _sets_a_scheduled_rate(config)
    if isinstance(callback, keras.callbacks.ModelCheckpoint):
        if not callback.save_weights_only:
            return (
                "must have save_weights_only=True, since the network is not saved as a "
                "Keras model; train() writes mask_rcnn_*_last.h5 and _best.h5 itself"
            )
        fault = _find_path_fault(callback, log_names)
        if fault:
            return fault
    if isinstance(callback, tuple(STATE)) and getattr(callback, "save_best_only", True):
        return _find_monitor_fault(callback, log_names)
    return None


def _sets_a_scheduled_rate(config):
    return (
        "sets the learning rate, so LEARNING_RATE_SCHEDULE must be 'constant' and "
        f"WARMUP_STEPS 0, got {config.LEARNING_RATE_SCHEDULE!r} and "
        f"{config.WARMUP_STEPS}"
    )


@contextmanager
def explaining_rates(config):
    """Explain the error if a callback cannot set the learning rate.

    Keras's own message, or that of `learning_rate.assign`, knows nothing of Config.
    """
    try:
        yield
    except (TypeError, AttributeError) as error:
        if not re.search("LearningRateSchedule|no attribute 'assign'", str(error)):
            raise
        fault = _sets_a_scheduled_rate(config)
        raise ValueError(f"custom_callbacks: a callback {fault}") from error


def _find_path_fault(callback, log_names):
    """The fault of a ModelCheckpoint whose path names values that are not logged."""
    names = ["epoch", *log_names]
    if callback.save_freq != "epoch":
        late = (*AT_EPOCH_END, *(n for n in names if n.startswith("val_")))
        names = ["batch", *(n for n in names if n not in late)]
    try:
        callback.filepath.format(**dict.fromkeys(names, 1))
    except (KeyError, IndexError, ValueError) as error:
        return (
            f"has a path that may name {', '.join(names)} in braces, got "
            f"{callback.filepath!r}: {error}"
        )
    return None


def _find_monitor_fault(callback, log_names):
    name = callback.monitor
    if name not in log_names:
        return f"must monitor one of {', '.join(log_names)}, got {name!r}"
    if callback.mode == "auto" and name.removeprefix("val_") != "loss":
        return f"must have mode='min' or mode='max' to monitor {name!r}, got 'auto'"
    return None


class CallbackStates(tf.train.experimental.PythonState):
    """The state of Keras's callbacks, as a part of a checkpoint.

    Keras resets them in on_train_begin; `restore` comes after. EarlyStopping with
    restore_best_weights starts anew, since the best weights are in no checkpoint.
    """

    def __init__(self, callbacks):
        super().__init__()
        self._attributes = {}  # {name of a callback: (callback, attributes)}
        for callback in callbacks:
            for kind, attributes in STATE.items():
                if isinstance(callback, kind) and not getattr(
                    callback, "restore_best_weights", False
                ):
                    name = f"{kind.__name__}-{callback.monitor}"
                    self._attributes[name] = callback, attributes
        self._saved = {}

    def serialize(self):
        """Return the state as JSON text; TensorFlow calls it to save."""
        state = {
            name: {a: _plain(getattr(callback, a, None)) for a in attributes}
            for name, (callback, attributes) in self._attributes.items()
        }
        return json.dumps(state)

    def deserialize(self, string_value):
        """Keep a saved state for `restore`; TensorFlow calls it to load."""
        self._saved = json.loads(string_value)

    def restore(self):
        """Give each callback the state that was loaded for it, if any."""
        for name, (callback, _) in self._attributes.items():
            for attribute, value in self._saved.get(name, {}).items():
                setattr(callback, attribute, value)
        self._saved = {}


def _plain(value):
    """A NumPy number as a Python number."""
    return value.item() if hasattr(value, "item") else value
