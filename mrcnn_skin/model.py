"""MaskRCNN: the whole package behind one class, with Matterport's methods.

Start here. The network's graphs are in graph/, training in training/, detection in
inference.py, weight files in weights.py; this module only puts them to work.
"""

import datetime
import functools
from pathlib import Path

import keras

from .graph.mask_rcnn import build_inference_model, build_training_model
from .inference import Detector
from .training.callbacks import CsvLog, TensorBoardLog
from .training.devices import device_strategy, is_chief, make_repeatable
from .training.loop import Trainer
from .training.provenance import record_start
from .training.run_lock import locked
from .training.stages import Stage
from .weights import copy_weights, load_h5, save_h5


class MaskRCNN:
    """Diagnosis, box and mask of skin lesions from one network.

    mode: "training" or "inference". config: a Config. model_dir: where the run
    folders go. A model in training mode detects too, with the weights of the moment.

    keras_model is the graph of the mode; log_dir is the run folder, made on training.
    """

    def __init__(self, mode, config, model_dir="logs"):
        if mode not in ("training", "inference"):
            raise ValueError(f"mode must be 'training' or 'inference', got {mode!r}")
        self.mode, self.config = mode, config
        self.model_dir = Path(model_dir)
        self.log_dir = None
        self.stages = []
        self.strategy = device_strategy(config.GPU_COUNT if mode == "training" else 1)
        self.keras_model = self.build()

    def build(self):
        """Build the graph of the mode; see graph/mask_rcnn.py.

        For training it seeds Keras with Config.SEED, so that random weights repeat,
        and so does the whole run, bit by bit, on CPUs.
        """
        if self.mode == "inference":
            return build_inference_model(self.config)
        make_repeatable()
        keras.utils.set_random_seed(self.config.SEED)
        with self.strategy.scope():
            return build_training_model(self.config)

    @functools.cached_property
    def detector(self):
        """The inference.Detector of this model."""
        if self.mode == "inference":
            return Detector(self.keras_model, self.config)
        return Detector(build_inference_model(self.config), self.config)

    def load_weights(self, filepath, by_name=True, exclude=()):
        """Load a .h5 file of Matterport's layout by layer name.

        exclude: names or patterns of layers to leave as they are. by_name: kept for
        Matterport's callers; weights go by name always.
        Returns a weights.LoadReport; print it. Raises ValueError, and changes
        nothing, for a file that does not fit.
        """
        if not by_name:
            raise ValueError("by_name must be True: weights are matched by name only")
        return load_h5(self.keras_model, filepath, exclude or ())

    def save_weights(self, filepath):
        """Write the weights as a .h5 file of Matterport's layout."""
        save_h5(self.keras_model, filepath)

    def set_log_dir(self, name=None):
        """Choose the run folder: model_dir/name, a new dated one without a name."""
        if name is None:
            now = datetime.datetime.now()
            name = f"{self.config.NAME.lower()}{now:%Y%m%dT%H%M%S}"
        self.log_dir = self.model_dir / name
        return self.log_dir

    def find_last(self):
        """Return the run folder in model_dir whose checkpoint is the newest.

        Raises FileNotFoundError if no run has left one.
        """
        return find_last(self.model_dir)

    def train(
        self,
        train_dataset,
        val_dataset,
        learning_rate=None,
        epochs=None,
        layers="heads",
        augmentation=None,
        custom_callbacks=(),
        stages=None,
        verbose=1,
    ):
        """Train, and go on where the run folder's checkpoint stands if it has one.

        Either one stage, as in Matterport: `layers` ("heads", "3+", "4+", "5+",
        "all" or a regular expression) at `learning_rate` until `epochs` epochs are
        done, those of earlier calls included. Or `stages`, a list of Stage.
        augmentation: an imgaug augmenter instead of the paper's.
        custom_callbacks: of keras.callbacks.

        Leaves in log_dir: config.json, environment.json, checkpoints/, log.csv,
        TensorBoard events and the weights of the last and of the best epoch.
        Returns the last epoch's log.
        Raises BlockingIOError if another process trains there, and what
        training.loop.Trainer.run does.
        """
        if self.mode != "training":
            raise ValueError("train() needs a model in mode 'training'")
        if stages is not None:
            self.stages = list(stages)
        elif epochs is None:
            raise ValueError("train() wants `epochs` or `stages`, got neither")
        else:
            rest = epochs - sum(stage.epochs for stage in self.stages)
            rate = learning_rate or self.config.LEARNING_RATE
            if rest > 0:
                self.stages.append(Stage(layers, rest, rate))
        run_dir = self.log_dir or self.set_log_dir()
        trainer = Trainer(
            self.keras_model,
            self.detector,
            self.config,
            train_dataset,
            val_dataset,
            run_dir,
            self.stages,
            self.strategy,
            augmentation,
            [*self._logs(run_dir), *(custom_callbacks or ())],
            verbose,
        )
        if not self.is_chief:
            return trainer.run()
        run_dir.mkdir(parents=True, exist_ok=True)
        with locked(run_dir):
            self.config.to_json(run_dir / "config.json")
            record_start(run_dir, train=train_dataset, val=val_dataset)
            return trainer.run()

    @property
    def is_chief(self):
        """Whether this process writes the run folder: the first of several."""
        return is_chief(self.strategy)

    def _logs(self, run_dir):
        if not self.is_chief:
            return []
        return [CsvLog(run_dir / "log.csv"), TensorBoardLog(run_dir / "tensorboard")]

    def detect(self, images, verbose=0):
        """Detect lesions in images of any number and size.

        images: list of uint8 [h, w, channels]. verbose: 1 prints a line an image.
        Returns a list of dicts: rois float32 [n, (y1, x1, y2, x2)], pixels of the
        image; class_ids int32 [n]; scores float32 [n], best first; masks bool [h, w,
        n]; probs [n, classes]; p_malignant float or None; low_confidence bool, true
        if no score reaches DETECTION_MIN_CONFIDENCE.
        """
        if self.mode == "training":
            copy_weights(self.keras_model, self.detector.model)
        results = []
        for number, image in enumerate(images):
            results.append(self.detector(image))
            if verbose:
                found = len(results[-1]["rois"])
                print(f"image {number}: {image.shape}, {found} detections")
        return results


def find_last(model_dir):
    """Return the run folder under model_dir whose checkpoint was written last.

    Raises FileNotFoundError if there is none.
    """
    states = Path(model_dir).glob("*/checkpoints/checkpoint")
    newest = max(states, key=lambda path: path.stat().st_mtime, default=None)
    if newest is None:
        raise FileNotFoundError(f"no run with a checkpoint in {model_dir}")
    return newest.parents[1]
