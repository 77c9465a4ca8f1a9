"""The training loop: one for one device and for many, on tf.distribute's public API.

It drives stages, steps, validation, callbacks and checkpoints. What is learned is the
training graph's affair, what is drawn or logged that of the callbacks.
"""

import math
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from ..data.pipeline import training_batches, validation_batches
from ..evaluation.report import evaluate
from ..weights import copy_weights, save_h5
from .checkpoint import CheckpointFolder, Progress
from .optimizer import l2_loss, make_optimizer
from .stages import Stage, recipe_number, set_trainable


class TrainingDiverged(ArithmeticError):
    """The loss or its gradient is not finite; the message names the images."""


class Trainer:
    """Train a network in stages, from wherever the run folder's state says.

    model: the training graph, built in `strategy`'s scope. detector: an
    inference.Detector whose weights follow the model's for the validation.
    train, val: prepared Datasets; val may be None. run_dir: of this run.
    strategy: of tf.distribute. augmentation: an imgaug augmenter instead of the
    paper's. no_augmentation_sources: of `train`, whose images are not augmented.
    callbacks: of keras.callbacks.
    verbose: 1 shows Keras's progress bar with the mean of every loss so far.
    """

    def __init__(
        self,
        model,
        detector,
        config,
        train,
        val,
        run_dir,
        strategy=None,
        augmentation=None,
        no_augmentation_sources=(),
        callbacks=(),
        verbose=1,
    ):
        self.model, self.detector, self.config = model, detector, config
        self.train_set, self.val_set = train, val
        self.run_dir = Path(run_dir)
        self.strategy = strategy or tf.distribute.get_strategy()
        self.augmentation = augmentation
        self.no_augmentation_sources = no_augmentation_sources
        self.checkpoints = CheckpointFolder(run_dir)
        self.verbose = verbose
        self.callbacks = keras.callbacks.CallbackList(
            list(callbacks), add_progbar=bool(verbose), model=model
        )
        with self.strategy.scope():
            self.progress = Progress()

    @property
    def steps_per_epoch(self):
        """Config.STEPS_PER_EPOCH, or what one pass over the images needs."""
        images = self.train_set.num_images
        return self.config.STEPS_PER_EPOCH or -(-images // self.config.BATCH_SIZE)

    def run(self, stages):
        """Train through a list of stages.Stage, or until early stopping.

        A run that was interrupted goes on in the stage of the same place in the list.
        Returns the log of the last epoch, {} if there was nothing left to do.
        Raises TrainingDiverged when the loss or its gradient is NaN or infinite.
        """
        resumed = self._restore()
        epochs = sum(stage.epochs for stage in stages)
        return self._run(dict(enumerate(stages)), epochs, resumed)

    def run_until(self, epochs, layers, learning_rate):
        """Train until `epochs` epochs of the run are done, as Matterport's train().

        A run whose last epochs had these layers and this rate goes on with their
        stage; else a new one begins. Returns and raises as `run` does.
        """
        resumed = self._restore()
        rest = epochs - self.progress["total_epochs"]
        stage = Stage(layers, rest, learning_rate)
        if resumed and self.progress["recipe"] != recipe_number(stage):
            self.progress.advance("stage")
            self.progress.epoch.assign(0)
        if rest <= 0:
            print(f"nothing to train: {epochs - rest} of {epochs} epochs are done")
        stage = stage._replace(epochs=self.progress["epoch"] + rest)
        stages = {self.progress["stage"]: stage} if rest > 0 else {}
        return self._run(stages, epochs, resumed)

    def _restore(self):
        """Take weights and progress from the run folder; False if it has no state."""
        resumed = self.checkpoints.read(self.progress, self.model)
        if resumed:
            print(
                f"going on at step {self.progress['total_steps']}, epoch "
                f"{self.progress['total_epochs'] + 1}, from {self.checkpoints.latest}"
            )
        return resumed

    def _run(self, stages, epochs, resumed):
        """Train in stages {index: Stage} from the current one on; epochs: in all."""
        self.callbacks.set_params(
            {"verbose": self.verbose, "epochs": epochs, "steps": self.steps_per_epoch}
        )
        self.model.stop_training = False
        self.callbacks.on_train_begin()
        logs = {}
        while self.progress["stage"] in stages:
            stage = stages[self.progress["stage"]]
            self._enter(stage, resumed)
            resumed = False
            logs = self._run_stage(stage) or logs
            if self.model.stop_training:
                break
            self.progress.advance("stage")
            self.progress.epoch.assign(0)
        self.callbacks.on_train_end(logs)
        return logs

    def _enter(self, stage, resumed):
        """Make the stage's layers learn, with a fresh optimizer or the saved one.

        The saved one is of use only if it is of the same layers and learning rate.
        """
        set_trainable(self.model, stage.layers)
        steps = stage.epochs * self.steps_per_epoch
        with self.strategy.scope():
            self.optimizer = make_optimizer(self.config, stage.learning_rate, steps)
            self.optimizer.build(self.model.trainable_variables)
        goes_on = resumed and self.progress["recipe"] == recipe_number(stage)
        state = self.checkpoints.latest if goes_on else None
        self.checkpoints.open(self.progress, self.model, self.optimizer, state)
        self.progress.recipe.assign(recipe_number(stage))
        self._train_step = tf.function(self._make_step())

    def _run_stage(self, stage):
        start = self.progress["total_steps"] * self.config.BATCH_SIZE
        batches = iter(
            self.strategy.experimental_distribute_dataset(
                training_batches(
                    self.train_set,
                    self.config,
                    start,
                    self.augmentation,
                    no_augmentation_sources=self.no_augmentation_sources,
                )
            )
        )
        logs = {}
        while self.progress["epoch"] < stage.epochs and not self.model.stop_training:
            epoch = self.progress["total_epochs"]
            self.callbacks.on_epoch_begin(epoch)
            logs = self._run_epoch(batches)
            logs |= self._validate()
            logs["stage"] = self.progress["stage"]
            rate = tf.convert_to_tensor(self.optimizer.learning_rate)
            logs["learning_rate"] = float(rate)
            self._finish_epoch(stage, logs)
            self.callbacks.on_epoch_end(epoch, logs)
        return logs

    def _run_epoch(self, batches):
        """Train to the end of the epoch; returns the mean of every loss term."""
        sums, steps = {}, 0
        while self.progress["step"] < self.steps_per_epoch:
            step = self.progress["step"]
            self.callbacks.on_train_batch_begin(step)
            image_ids, inputs = next(batches)
            terms = self._train_step(inputs)
            terms = {name: float(value) for name, value in terms.items()}
            self._require_finite(terms, image_ids)
            self.progress.advance("step", "total_steps")
            steps += 1
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + value
            means = {name: total / steps for name, total in sums.items()}
            self.callbacks.on_train_batch_end(step, means)
            every = self.config.CHECKPOINT_STEPS
            if every and self.progress["total_steps"] % every == 0:
                self.checkpoints.save()
        return means if steps else {}

    def _finish_epoch(self, stage, logs):
        """Count the epoch, keep the best weights, end a stage early, save all."""
        self.progress.step.assign(0)
        self.progress.advance("epoch", "total_epochs")
        name = f"mask_rcnn_{self.config.NAME.lower()}"
        save_h5(self.model, self.run_dir / f"{name}_last.h5")
        value = self._monitored(logs)
        if value is not None:
            if value > self.progress["best"]:
                self.progress.best.assign(value)
                self.progress.waited.assign(0)
                save_h5(self.model, self.run_dir / f"{name}_best.h5")
            else:
                self.progress.advance("waited")
            patience = self.config.EARLY_STOPPING_PATIENCE
            if patience and self.progress["waited"] >= patience:
                self.progress.waited.assign(0)
                self.progress.epoch.assign(stage.epochs)  # the next stage has its turn
        self.checkpoints.save()

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
        """Build the function of one step: inputs -> {loss name: scalar}."""
        replicas = self.strategy.num_replicas_in_sync
        variables = self.model.trainable_variables
        weights = self.config.LOSS_WEIGHTS

        def replica_step(inputs):
            with tf.GradientTape() as tape:
                terms = self.model(list(inputs), training=True)
                total = sum(weights[name] * term for name, term in terms.items())
                if self.config.OPTIMIZER == "sgd":  # AdamW decays on its own
                    terms["l2_loss"] = l2_loss(variables, self.config.WEIGHT_DECAY)
                    total += terms["l2_loss"]
                scaled = total / replicas
            gradients = tape.gradient(scaled, variables)
            # Clip the gradient of the whole batch, not each device's part of it. The
            # optimizer sums over the devices too, hence the division.
            context = tf.distribute.get_replica_context()
            gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
            gradients, norm = tf.clip_by_global_norm(
                gradients, self.config.GRADIENT_CLIP_NORM
            )
            self.optimizer.apply([g / replicas for g in gradients], variables)
            return {"loss": total, **terms, "gradient_norm": norm}

        def step(inputs):
            terms = self.strategy.run(replica_step, args=(inputs,))
            return {
                name: self.strategy.reduce(tf.distribute.ReduceOp.MEAN, term, None)
                for name, term in terms.items()
            }

        return step

    def _validate(self):
        """Losses, JA, AUC ... of the validation images, named val_*.

        val_score is the mean of JA and AUC, of what the tasks give: one number for
        outline and diagnosis together.
        """
        if self.val_set is None or not self.val_set.num_images:
            return {}
        count = self.val_set.num_images
        if self.config.VALIDATION_STEPS:
            count = min(count, self.config.VALIDATION_STEPS * self.config.BATCH_SIZE)
        logs = self._validation_losses(count)
        copy_weights(self.model, self.detector.model)
        image_ids = self.val_set.image_ids[:count]
        metrics = evaluate(
            self.detector, self.val_set, image_ids=image_ids, progress=False
        )
        for task, names in (
            ("segmentation", ("JA", "DI")),
            ("classification", ("AC", "AUC", "AP", "SE", "SP")),
            ("detection", ("box_iou",)),
        ):
            for name in names:
                if name in metrics.get(task, {}):
                    logs[f"val_{name}"] = metrics[task][name]
        scores = [logs[name] for name in ("val_JA", "val_AUC") if name in logs]
        if scores:
            logs["val_score"] = sum(scores) / len(scores)
        return logs

    def _validation_losses(self, count):
        sums, steps = {}, 0
        for _, inputs in validation_batches(self.val_set, self.config, count):
            terms = self._validation_step(inputs)
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + float(value)
            steps += 1
        return {f"val_{name}": total / steps for name, total in sums.items()}

    @tf.function
    def _validation_step(self, inputs):
        terms = self.model(list(inputs), training=False)
        weights = self.config.LOSS_WEIGHTS
        total = sum(weights[name] * term for name, term in terms.items())
        return {"loss": total, **terms}

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
