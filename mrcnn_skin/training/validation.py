"""Losses and metrics of the validation images, at the end of every epoch.

Which value decides, and what it decides, is the training loop's affair.
"""

import tensorflow as tf

from ..data.pipeline import iterate, validation_batches
from ..evaluation.scoring import evaluate
from ..weights_io.by_name import copy_weights

METRICS = {
    "segmentation": ("JA", "DI"),
    "classification": ("AC", "AUC", "AP", "SE", "SP"),
    "detection": ("box_iou",),
}


def log_names(config):
    """Names of what Validation.run may return for a Config."""
    losses = ["loss", *config.LOSS_NAMES]
    scores = [name for names in METRICS.values() for name in names]
    return [f"val_{name}" for name in (*losses, *scores, "score")]


class Validation:
    """The validation of one run.

    model: the training graph. detector: function that gives an inference.Detector,
    which gets the model's weights; it is built on first use, to save memory.
    dataset: a prepared Dataset; None for no validation. between: called between two
    images or batches, as a validation may take long; it may raise.
    """

    def __init__(self, model, detector, config, dataset, between=lambda: None):
        self.model, self.detector, self.config = model, detector, config
        self.dataset, self.between = dataset, between

    def run(self):
        """Return losses, JA, AUC ... as {"val_*": number}, {} without images.

        val_score is the mean of JA and AUC, of what the tasks give: one number for
        outline and diagnosis together.
        """
        if self.dataset is None or not self.dataset.num_images:
            return {}
        count = self.dataset.num_images
        if self.config.VALIDATION_STEPS:
            count = min(count, self.config.VALIDATION_STEPS * self.config.BATCH_SIZE)
        logs = {**self._losses(count), **self._metrics(count)}
        scores = [logs[name] for name in ("val_JA", "val_AUC") if name in logs]
        if scores:
            logs["val_score"] = sum(scores) / len(scores)
        return logs

    def _losses(self, count):
        sums, steps = {}, 0
        batches = validation_batches(self.dataset, self.config, count)
        for _, inputs in iterate(batches):
            self.between()
            for name, value in self._loss_terms(inputs).items():
                sums[name] = sums.get(name, 0.0) + float(value)
            steps += 1
        return {f"val_{name}": total / steps for name, total in sums.items()}

    @tf.function
    def _loss_terms(self, inputs):
        terms = self.model(inputs, training=False)
        weights = self.config.LOSS_WEIGHTS
        total = sum(weights[name] * term for name, term in terms.items())
        return {"loss": total, **terms}

    def _metrics(self, count):
        detector = self.detector()
        copy_weights(self.model, detector.model)

        def detect(image):
            self.between()
            return detector(image)

        image_ids = self.dataset.image_ids[:count]
        metrics = evaluate(detect, self.dataset, image_ids=image_ids, progress=False)
        return {
            f"val_{name}": metrics[task][name]
            for task, names in METRICS.items()
            for name in names
            if name in metrics.get(task, {})
        }
