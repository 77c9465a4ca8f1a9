"""Keras's callbacks in a run: they find their optimizer, and resume with the run."""

import csv

import keras
import pytest
from keras import callbacks as kc
from tiny import lean_config, toy_training_model

from mrcnn_skin import MaskRCNN
from mrcnn_skin.data.synthetic import SyntheticDataset
from mrcnn_skin.training.keras_callbacks import (
    CallbackStates,
    explaining_rates,
    require_usable,
)
from mrcnn_skin.training.optimizer import make_optimizer
from mrcnn_skin.training.stages import Stage

LOGGED = ["loss", "gradient_norm", "val_loss", "val_JA", "learning_rate", "stage"]


class Rates(kc.Callback):
    """The learning rate at the end of every epoch."""

    def on_train_begin(self, logs=None):
        self.seen = []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(round(float(self.model.optimizer.learning_rate), 6))


class Interrupt(kc.Callback):
    """Ends the run at the first step of an epoch, as a power cut would."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def images():
    return SyntheticDataset(2, (64, 64), seed=0)


def train(images, folder, callbacks, stages=(("heads", 5),)):
    """Train the toy network one step an epoch, in stages of (layers, epochs)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mrcnn_skin.model.build_training_model", toy_training_model)
        model = MaskRCNN("training", lean_config(), folder)
    model.set_log_dir("run")
    stages = [Stage(*stage, 1e-2) for stage in stages]
    model.train(images, None, stages=stages, custom_callbacks=callbacks, verbose=0)
    return model


def plateau():
    """Halves the rate at every second epoch: no loss falls by 1000."""
    return kc.ReduceLROnPlateau("loss", 0.5, patience=2, min_delta=1000, cooldown=0)


# Epoch 1 sets the best loss; epochs 2 and 3 are two without a better one, as are 4, 5
HALVED = [0.01, 0.01, 0.005, 0.005, 0.0025]


def test_the_callbacks_of_keras_work_together(images, tmp_path):
    rates = Rates()
    files = {name: str(tmp_path / name) for name in ("a.csv", "tb", "a.weights.h5")}
    model = train(
        images,
        tmp_path,
        [
            plateau(),
            rates,
            kc.TensorBoard(files["tb"], histogram_freq=1, update_freq=1),
            kc.CSVLogger(files["a.csv"]),
            kc.TerminateOnNaN(),
            kc.EarlyStopping("loss", patience=9),
            kc.ModelCheckpoint(
                files["a.weights.h5"],
                "loss",
                save_weights_only=True,
                save_best_only=True,
            ),
            kc.LambdaCallback(on_epoch_end=lambda epoch, logs: None),
        ],
        stages=[("heads", 3)],
    )
    assert rates.seen == HALVED[:3]
    assert isinstance(model.keras_model.optimizer, keras.optimizers.SGD)
    with open(files["a.csv"], newline="") as handle:
        assert [row["epoch"] for row in csv.DictReader(handle)] == ["0", "1", "2"]
    assert any((tmp_path / "tb" / "train").iterdir())
    assert (tmp_path / "a.weights.h5").exists()


def test_a_scheduler_sets_the_rate_of_every_stage(images, tmp_path):
    rates = Rates()
    scheduler = kc.LearningRateScheduler(lambda epoch, rate: 0.1 / 2**epoch)
    train(images, tmp_path, [scheduler, rates], [("heads", 1), ("all", 1)])
    assert rates.seen == [0.1, 0.05]


def test_reduce_lr_on_plateau_resumes_with_the_run(images, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(images, tmp_path, [plateau(), Interrupt(epoch=3)])
    rates = Rates()
    train(images, tmp_path, [plateau(), rates])
    assert rates.seen == HALVED[3:]


def test_what_is_saved_of_a_callback():
    plateau, stopping, saver, restoring = before = [
        kc.ReduceLROnPlateau(),
        kc.EarlyStopping(),
        kc.ModelCheckpoint("a.weights.h5", save_weights_only=True, save_best_only=True),
        kc.EarlyStopping("loss", restore_best_weights=True),
    ]
    plateau.best, plateau.wait, plateau.cooldown_counter = 1.5, 2, 3
    stopping.best, stopping.wait, stopping.best_epoch = 0.5, 4, 5
    saver.best, restoring.best = 0.25, 0.125
    after = [
        kc.ReduceLROnPlateau(patience=99),
        kc.EarlyStopping(),
        kc.EarlyStopping("loss", restore_best_weights=True),
    ]
    states = CallbackStates(after)
    states.deserialize(CallbackStates(before).serialize())
    states.restore()
    plateau, stopping, restoring = after
    assert (plateau.best, plateau.wait, plateau.cooldown_counter) == (1.5, 2, 3)
    assert plateau.patience == 99
    assert (stopping.best, stopping.wait, stopping.best_epoch) == (0.5, 4, 5)
    assert restoring.best is None


@pytest.mark.parametrize(
    "callback, overrides, words",
    [
        (lambda epoch: None, {}, "function must be a keras.callbacks.Callback"),
        (
            kc.BackupAndRestore("x"),
            {},
            "BackupAndRestore cannot be used: train\\(\\) sav",
        ),
        (kc.SwapEMAWeights(), {}, "no moving average"),
        (plateau(), {"WARMUP_STEPS": 5}, "WARMUP_STEPS 0, got 'constant' and 5"),
        (
            kc.LearningRateScheduler(float),
            {"LEARNING_RATE_SCHEDULE": "cosine"},
            "LEARNING_RATE_SCHEDULE must be 'constant' .*, got 'cosine' and 0",
        ),
        (kc.EarlyStopping("val_acc"), {}, "monitor one of loss, .*, got 'val_acc'"),
        (
            kc.ReduceLROnPlateau("val_JA"),
            {},
            "mode='max' to monitor 'val_JA', got 'auto",
        ),
        (
            kc.ModelCheckpoint("a.weights.h5", "val_acc", 0, True, True),
            {},
            "ModelCheckpoint must monitor one of",
        ),
        (kc.ModelCheckpoint("a.keras"), {}, "must have save_weights_only=True"),
        (
            kc.ModelCheckpoint("{val_AUC:.2f}.weights.h5", save_weights_only=True),
            {},
            "path that may name epoch, loss, .* in braces, got '{val_AUC.*: 'val_AUC'",
        ),
        (
            kc.ModelCheckpoint("{batch}.weights.h5", save_weights_only=True),
            {},
            "in braces, got '{batch}.weights.h5'",
        ),
        (
            kc.ModelCheckpoint(
                "{val_loss}.weights.h5", "loss", 0, False, True, save_freq=1
            ),
            {},
            "may name batch, epoch, loss, gradient_norm in braces",
        ),
        (
            kc.ModelCheckpoint("{}.weights.h5", save_weights_only=True),
            {},
            "in braces, got '{}.weights.h5'",
        ),
    ],
)
def test_what_cannot_work_is_refused(callback, overrides, words):
    with pytest.raises(ValueError, match=f"^custom_callbacks: .*{words}"):
        require_usable(
            [kc.TerminateOnNaN(), callback], lean_config(**overrides), LOGGED
        )


def test_it_is_refused_before_the_run_begins(images, tmp_path):
    with pytest.raises(
        ValueError, match="must monitor one of loss, .*, got 'val_loss'"
    ):
        train(images, tmp_path, kc.EarlyStopping("val_loss"))  # there are no val images
    assert not list(tmp_path.iterdir())


def test_what_works_is_taken():
    found = [
        kc.ReduceLROnPlateau("val_JA", mode="max"),
        kc.EarlyStopping("val_loss"),
        # Every epoch overwrites it, whatever it monitors
        kc.ModelCheckpoint("a.weights.h5", "val_acc", save_weights_only=True),
        kc.ModelCheckpoint(
            "{stage}-{epoch:02d}-{val_loss:.2f}.weights.h5", save_weights_only=True
        ),
        kc.ModelCheckpoint(
            "{batch}-{loss:.2f}.weights.h5", save_weights_only=True, save_freq=5
        ),
    ]
    assert not refused(found, LOGGED)
    trained = [name for name in LOGGED if not name.startswith("val_")]
    assert refused(found, trained) == [found[0], found[1], found[3]]


def refused(callbacks, logged):
    """Those of some callbacks that cannot be used where these names are logged."""

    def is_refused(callback):
        try:
            require_usable([callback], lean_config(), logged)
        except ValueError:
            return True
        return False

    return [callback for callback in callbacks if is_refused(callback)]


@pytest.mark.parametrize(
    "set_rate",
    [
        lambda optimizer: setattr(optimizer, "learning_rate", 0.1),
        lambda optimizer: optimizer.learning_rate.assign(0.1),
    ],
)
def test_a_scheduled_rate_that_a_callback_sets(set_rate):
    config = lean_config(LEARNING_RATE_SCHEDULE="cosine")
    optimizer = make_optimizer(config, 0.01, 10)
    with pytest.raises(ValueError, match="callback sets the .*SCHEDULE must be 'const"):
        with explaining_rates(config):
            set_rate(optimizer)
    with explaining_rates(config):
        set_rate(make_optimizer(lean_config(), 0.01, 10))


def test_errors_of_a_callback_itself_stay_as_they_are():
    for error in (TypeError("a number"), AttributeError("no attribute 'x'")):
        with pytest.raises(type(error), match=str(error)):
            with explaining_rates(lean_config()):
                raise error
