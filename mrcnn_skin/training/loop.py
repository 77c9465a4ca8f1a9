"""The training loop: one for one device and for many, on tf.distribute's public API.

It runs stages, steps, callbacks and checkpoints. The training graph defines the losses,
and callbacks draw and log.
"""

import math
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from ..data.dataset import require_dataset
from ..data.pipeline import (
    iterate,
    require_classes,
    require_trainable,
    training_batches,
)
from ..losses import sum_over_devices
from ..weights_io.by_name import save_h5
from .checkpoint import CheckpointFolder, Progress
from .devices import in_cluster, is_chief
from .keras_callbacks import AT_EPOCH_END, explaining_rates, require_usable
from .optimizer import add_l2_gradients, make_optimizer
from .signals import StopSignals, print_if_possible
from .stages import Stage, recipe_number, set_trainable
from .validation import Validation, log_names


class TrainingDiverged(ArithmeticError):
    """The loss or its gradient is not finite; the message names the images."""


class Trainer:
    """Train a network in stages, starting from the state in the run folder.

    Args:
        model: the training graph, built in `strategy`'s scope.
        config: its Config.
        train: a prepared Dataset.
        val: the same for validation; None for none.
        run_dir: folder of this run.
        detector: function that gives an inference.Detector for the validation.
        strategy: of tf.distribute; None for the one in force.
        augmentation: an imgaug augmenter instead of Config.AUGMENTATION.
        no_augmentation_sources: of `train`, whose images are not augmented.
        callbacks: of keras.callbacks.
        verbose: 1 shows Keras's progress bar with the mean of every loss so far.

    Raises:
        ValueError: for datasets, augmenters or callbacks that cannot be used.
    """

    def __init__(
        self,
        model,
        config,
        *,
        train,
        val,
        run_dir,
        detector,
        strategy=None,
        augmentation=None,
        no_augmentation_sources=(),
        callbacks=(),
        verbose=1,
    ):
        require_dataset(train, "train_dataset")
        require_trainable(train, config, augmentation, no_augmentation_sources)
        if val is not None:
            require_dataset(val, "val_dataset")
            require_classes(val, config)
        self.model, self.config, self.train_set = model, config, train
        self.run_dir = Path(run_dir)
        self.strategy = strategy or tf.distribute.get_strategy()
        self.augmentation = augmentation
        self.no_augmentation_sources = no_augmentation_sources
        # Of several processes all compute the same; the first one writes
        self.writes = is_chief(self.strategy)
        self.checkpoints = CheckpointFolder(run_dir, self.writes)
        self.validation = Validation(model, detector, config, val, self._stop_if_asked)
        self.verbose = verbose
        callbacks = keras.tree.flatten(callbacks)
        require_usable(callbacks, config, self.log_names)
        self.callbacks = keras.callbacks.CallbackList(
            callbacks, add_progbar=bool(verbose), model=model
        )
        with self.strategy.scope():
            self.progress = Progress(self.terms, callbacks)

    @property
    def terms(self):
        """Names of the logged values of a step; see _make_step."""
        # AdamW applies weight decay itself
        decay = ["l2_loss"] if self.config.OPTIMIZER == "sgd" else []
        return ["loss", *self.config.LOSS_NAMES, *decay, "gradient_norm"]

    @property
    def log_names(self):
        """Names of what an epoch may log."""
        val = self.validation.dataset
        validated = log_names(self.config) if val is not None and val.num_images else []
        return [*self.terms, *validated, *AT_EPOCH_END]

    @property
    def steps_per_epoch(self):
        """Config.STEPS_PER_EPOCH, or what one pass over the images needs."""
        images = self.train_set.num_images
        return self.config.STEPS_PER_EPOCH or -(-images // self.config.BATCH_SIZE)

    def run(self, stages):
        """Train through a list of stages.Stage, or until early stopping.

        An interrupted run resumes in the stage with the same index in the list.
        Returns the log of the last epoch, {} if there was nothing left to do.
        Raises TrainingDiverged when the loss or its gradient is NaN or infinite,
        OSError when files cannot be read or the state be written, MemoryError when a
        step does not fit; and after SIGTERM or Ctrl-C, once the state is saved,
        SystemExit or KeyboardInterrupt.
        """
        state = self._restore()
        epochs = sum(stage.epochs for stage in stages)
        return self._run(dict(enumerate(stages)), epochs, state)

    def run_until(self, layers, epochs, learning_rate):
        """Train `layers` until `epochs` epochs are done, as Matterport's train().

        If the last epochs trained the same layers at the same rate, their stage is
        continued; otherwise a new stage begins. Returns and raises as `run` does.
        """
        state = self._restore()
        rest = epochs - self.progress["total_epochs"]
        stage = Stage(layers, rest, learning_rate)
        if state and self.progress["recipe"] != recipe_number(stage):
            self.progress.advance("stage")
            self.progress.epoch.assign(0)
        if rest <= 0:
            print(f"nothing to train: {epochs - rest} of {epochs} epochs are done")
        stage = stage._replace(epochs=self.progress["epoch"] + rest)
        stages = {self.progress["stage"]: stage} if rest > 0 else {}
        return self._run(stages, epochs, state)

    def _restore(self):
        """Restore weights and progress from the newest complete state.

        Returns its path, None if there is no state.
        """
        state = self.checkpoints.read(self.progress, self.model)
        if state:
            print(
                f"resuming at step {self.progress['total_steps']}, epoch "
                f"{self.progress['total_epochs'] + 1}, from {state}"
            )
        return state

    def _run(self, stages, epochs, state):
        """Train the stages {index: Stage}, starting with the current one.

        epochs: in all, for the callbacks. state: path of the one restored, or None.
        """
        with StopSignals() as self.signals, explaining_rates(self.config):
            return self._run_stages(stages, epochs, state)

    def _run_stages(self, stages, epochs, state):
        self.callbacks.set_params(
            {"verbose": self.verbose, "epochs": epochs, "steps": self.steps_per_epoch}
        )
        self.model.stop_training = False
        stage = self._enter(stages, state)
        self.callbacks.on_train_begin()
        self.progress.callbacks.restore()
        logs = {}
        while stage is not None:
            logs = self._run_stage(stage) or logs
            if self.model.stop_training:
                break
            self.progress.advance("stage")
            self.progress.epoch.assign(0)
            stage = self._enter(stages)
        self.callbacks.on_train_end(logs)
        if self.signals.received:  # when there was no step left to stop after
            self.signals.end()
        return logs

    def _enter(self, stages, state=None):
        """Make the current stage's layers trainable and build or restore its optimizer.

        A saved optimizer is restored only for the same layers and learning rate.
        Returns the stage, None after the last.
        """
        stage = stages.get(self.progress["stage"])
        if stage is None:
            return None
        set_trainable(self.model, stage.layers)
        epochs, rate = stage.epochs, stage.learning_rate
        print(f"training {stage.layers}: {epochs} epochs at learning rate {rate:g}")
        steps = stage.epochs * self.steps_per_epoch
        with self.strategy.scope():
            self.optimizer = make_optimizer(self.config, stage.learning_rate, steps)
            self.optimizer.build(self.model.trainable_variables)
            self.model.compile(self.optimizer)  # where callbacks look for it
        if self.progress["recipe"] != recipe_number(stage):
            state = None
        self.checkpoints.open(self.progress, self.model, self.optimizer, state)
        self.progress.recipe.assign(recipe_number(stage))
        self._train_step = tf.function(self._make_step())
        return stage

    def _run_stage(self, stage):
        start = self.progress["total_steps"] * self.config.BATCH_SIZE

        def share(context):
            return training_batches(
                self.train_set,
                self.config,
                start,
                self.augmentation,
                no_augmentation_sources=self.no_augmentation_sources,
                shard=(context.input_pipeline_id, context.num_input_pipelines),
            )

        batches = iterate(self.strategy.distribute_datasets_from_function(share))
        logs = {}
        while self.progress["epoch"] < stage.epochs and not self.model.stop_training:
            epoch = self.progress["total_epochs"]
            self.callbacks.on_epoch_begin(epoch)
            logs = self._run_epoch(batches)
            logs |= self.validation.run()
            self._stop_if_asked()
            logs["stage"] = self.progress["stage"]
            rate = tf.convert_to_tensor(self.optimizer.learning_rate)
            logs["learning_rate"] = float(rate)
            self._finish_epoch(stage, logs)
            self.callbacks.on_epoch_end(epoch, logs)
            # Last, so that an epoch in the state has its weights and its log line
            self.checkpoints.save()
        return logs

    def _run_epoch(self, batches):
        """Train to the end of the epoch; returns the mean of every loss term.

        The mean includes the steps before an interruption.
        """
        while self.progress["step"] < self.steps_per_epoch:
            step = self.progress["step"]
            self.callbacks.on_train_batch_begin(step)
            image_ids, inputs = next(batches)
            terms = self._take_step(inputs)
            stop = terms.pop("stop")
            self._require_finite(terms, image_ids)
            self.progress.count_step(terms)
            if stop:
                self._save_and_stop()
            self.callbacks.on_train_batch_end(step, self.progress.means())
            every = self.config.CHECKPOINT_STEPS
            if every and self.progress["total_steps"] % every == 0:
                self.checkpoints.save()
        return self.progress.means()

    def _take_step(self, inputs):
        """Run one step; returns {name: float}, see _make_step.

        Raises MemoryError, or ConnectionError if another process has ended.
        """
        stop_asked = tf.constant(bool(self.signals.received), tf.float32)
        try:
            terms = self._train_step(inputs, stop_asked)
            return {name: float(value) for name, value in terms.items()}
        except tf.errors.ResourceExhaustedError as error:
            raise MemoryError(
                "a step does not fit into memory; lower IMAGES_PER_GPU "
                "(--images-per-device), IMAGE_MAX_DIM (--image-size) or "
                "TRAIN_ROIS_PER_IMAGE, or train fewer layers (--stages=heads:...)"
            ) from error
        except (tf.errors.UnavailableError, tf.errors.AbortedError) as error:
            raise ConnectionError(
                f"another process of the run has ended at step "
                f"{self.progress['total_steps']}; start all of them again to resume "
                "from the last state"
            ) from error

    def _save_and_stop(self):
        """Save the state and end the run after a signal."""
        state = self.checkpoints.save()
        print_if_possible(
            f"\nstopped at step {self.progress['total_steps']}, saved as {state}"
        )
        self.signals.end()

    def _stop_if_asked(self):
        """Stop between two steps; several processes stop together after a step."""
        if self.signals.received and not in_cluster():
            self._save_and_stop()

    def _finish_epoch(self, stage, logs):
        """Count the epoch, keep its weights and the best, end a stage early."""
        self.progress.count_epoch()
        name = f"mask_rcnn_{self.config.NAME.lower()}"
        self._save_weights(f"{name}_last.h5")
        value = self._monitored(logs)
        if value is not None:
            if value > self.progress["best"]:
                self.progress.best.assign(value)
                self.progress.waited.assign(0)
                self._save_weights(f"{name}_best.h5")
            else:
                self.progress.advance("waited")
            patience = self.config.EARLY_STOPPING_PATIENCE
            if patience and self.progress["waited"] >= patience:
                self.progress.waited.assign(0)
                self.progress.epoch.assign(stage.epochs)  # the next stage has its turn

    def _save_weights(self, name):
        if self.writes:
            save_h5(self.model, self.run_dir / name, self.config)

    def _monitored(self, logs):
        """The value to maximise, as float32 like `best`; None without validation.

        That is Config.MONITOR, or minus the validation loss where the images cannot
        tell (AUC of one class is NaN) or the network does not (JA without masks).
        """
        value = logs.get(self.config.MONITOR, math.nan)
        if self.config.MONITOR == "val_loss" or math.isnan(value):
            value = -logs["val_loss"] if "val_loss" in logs else None
        return None if value is None else np.float32(value)

    def _make_step(self):
        """Build the function of one step: inputs, stop_asked -> {name: scalar}.

        inputs: of the training graph, one share a device. stop_asked: 1.0 if this
        process is asked to stop; "stop" in the result is above 0 if any is.
        """
        replicas = self.strategy.num_replicas_in_sync
        variables = self.model.trainable_variables
        weights = self.config.LOSS_WEIGHTS

        def replica_step(inputs, stop_asked):
            with tf.GradientTape() as tape:
                terms = self.model(inputs, training=True)
                total = sum(weights[name] * term for name, term in terms.items())
            gradients = tape.gradient(total, variables)
            # Decay and momentum ask for the weights alone: unasked, they are computed
            # first of all, and lie there while the feature maps fill the memory
            with tf.control_dependencies([tf.group(gradients)]):
                if "l2_loss" in self.terms:
                    terms["l2_loss"], gradients = add_l2_gradients(
                        gradients, variables, self.config.WEIGHT_DECAY / replicas
                    )
                    total += terms["l2_loss"]
                norm = update(gradients)
            # A copy on the device itself, as a sum over devices wants it
            shares = {"loss": total, **terms, "stop": tf.identity(stop_asked)}
            return {**sum_over_devices(shares), "gradient_norm": norm}

        def update(gradients):
            # Clip the gradient of the whole batch, not each device's part of it. The
            # optimizer sums over the devices too, hence the division.
            gradients = sum_over_devices(gradients)
            gradients, norm = tf.clip_by_global_norm(
                gradients, self.config.GRADIENT_CLIP_NORM
            )
            self.optimizer.apply([g / replicas for g in gradients], variables)
            return norm

        def step(inputs, stop_asked):
            results = self.strategy.run(replica_step, args=(inputs, stop_asked))
            # Every device has the same numbers: take those of the first
            return {
                name: self.strategy.experimental_local_results(value)[0]
                for name, value in results.items()
            }

        return step

    def _require_finite(self, terms, image_ids):
        bad = [name for name, value in terms.items() if not math.isfinite(value)]
        if not bad:
            return
        ids = tf.concat(self.strategy.experimental_local_results(image_ids), axis=0)
        names = [str(self.train_set.image_reference(i)) for i in ids.numpy()]
        raise TrainingDiverged(
            f"{', '.join(bad)} must be finite, got NaN or infinity at step "
            f"{self.progress['total_steps']}, on the images {', '.join(names)}. "
            "A lower learning rate or GRADIENT_CLIP_NORM may help."
        )
