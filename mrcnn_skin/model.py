"""MaskRCNN: the whole package behind one class, with Matterport's methods.

Start here. The network's graphs are in graph/, training in training/, detection in
inference/, weight files in weights_io/, Matterport's methods that look into the network
in matterport/; this module only calls them.
"""

import datetime
import functools
import os
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras

from .atomic import remove_partial
from .config import Config
from .geometry.inputs import as_inputs
from .graph.mask_rcnn import build_inference_model, build_training_model
from .inference.detector import Detector
from .isic_config import IsicConfig
from .matterport.introspection import Introspection, log
from .matterport.molding import (
    build_rpn_targets,
    compose_image_meta,
    load_image_gt,
    mold_image,
    parse_image_meta,
    unmold_image,
)
from .training.callbacks import CsvLog, TensorBoardLog
from .training.checkpoint import CheckpointFolder
from .training.devices import device_strategy, is_chief, make_repeatable
from .training.loop import Trainer
from .training.run_folder import locked, record_start
from .training.stages import Stage, find_layers, require_stages, set_trainable
from .weights_io import downloads, pretrained
from .weights_io.by_name import copy_weights, load_h5, require_names, save_h5
from .weights_io.h5_files import require_file

# MaskRCNN, and what Matterport's scripts take from its model.py besides
__all__ = [
    "MaskRCNN",
    "build_rpn_targets",
    "compose_image_meta",
    "load_image_gt",
    "log",
    "mold_image",
    "parse_image_meta",
    "unmold_image",
]


# Settings that are fitted to trained weights
FITTED = "TEMPERATURE", "OPERATING_POINTS", "SENSITIVITY", "UNFAMILIAR_COMPONENTS"


class MaskRCNN(Introspection):
    """Diagnosis, box and mask of skin lesions from one network.

    A model in training mode detects too, with its current weights.

    Attributes:
        keras_model: the graph of the mode.
        log_dir: the run folder; None until it is chosen.
    """

    def __init__(self, mode: str, config: Config, model_dir: str | Path = "logs"):
        """Build the network, with random weights.

        Args:
            mode: "training" or "inference".
            config: the settings of the network.
            model_dir: where the run folders go.

        Raises:
            ValueError: for another mode, a config that is not valid, or no path.
        """
        if mode not in ("training", "inference"):
            raise ValueError(f"mode must be 'training' or 'inference', got {mode!r}")
        if not isinstance(config, Config):
            raise ValueError(
                f"config must be a Config object, such as IsicConfig(), got {config!r}"
            )
        config.validate()  # it may have been changed since it was made
        if mode == "training":  # what was chosen for other weights does not hold
            unfitted = {name: getattr(Config, name) for name in FITTED}
            if any(getattr(config, name) != unfitted[name] for name in FITTED):
                config = config.replace(**unfitted)
        self.mode, self.config = mode, config
        self.model_dir = _folder(model_dir, "model_dir")
        self.log_dir = None
        self._random = None  # layers that no weight file filled; None: no file yet
        self.strategy = device_strategy(config.GPU_COUNT if mode == "training" else 1)
        self.keras_model = self.build()

    @classmethod
    def from_pretrained(
        cls,
        weights: str | Path,
        mode: str = "inference",
        model_dir: str | Path = "logs",
        config_class: type = IsicConfig,
        **overrides: Any,
    ) -> "MaskRCNN":
        """Build a trained network from the Config that belongs to its weights.

        Args:
            weights: a name in pretrained.PRETRAINED, such as "lite_isic", or the path
                of a .h5 file with its Config.
            mode: "inference" or "training".
            model_dir: where the run folders of a training go.
            config_class: the subclass of Config that declares fields of your own.
            **overrides: fields of the Config to change.

        Returns:
            The network with its weights loaded.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if the file has no Config, or lacks weights of the network.
        """
        path = pretrained.find_weights(weights)
        config = pretrained.read_config(path, config_class, **overrides)
        if config is None:
            raise ValueError(
                f"{path} has no Config, inside or beside it as {path.stem}.json or "
                "config.json: make the network with MaskRCNN(mode, config) and call "
                "load_weights"
            )
        model = cls(mode, config, model_dir)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the overrides are known to differ
            report = model.load_weights(path, verbose=0)
        report.require_complete()
        return model

    def build(self):
        """Build the graph of the mode; see graph/mask_rcnn.py.

        For training it seeds Keras with Config.SEED, so that random weights repeat,
        and so does the whole run, bit by bit, on CPUs. Raises ValueError for a backbone
        whose weights cannot be saved by name.
        """
        if self.mode == "inference":
            network = build_inference_model(self.config)
        else:
            make_repeatable()
            keras.utils.set_random_seed(self.config.SEED)
            with self.strategy.scope():
                network = build_training_model(self.config)
        require_names(network)
        return network

    @functools.cached_property
    def detector(self):
        """The inference.Detector of this model."""
        if self.mode == "inference":
            return Detector(self.keras_model, self.config)
        return Detector(build_inference_model(self.config), self.config)

    def ready_detector(self):
        """The detector, with the weights of the moment."""
        if self.mode == "training":
            copy_weights(self.keras_model, self.detector.model)
        return self.detector

    def load_weights(self, filepath, by_name=True, exclude=None, verbose=1):
        """Load a .h5 file of Matterport's layout by layer name.

        If these are the last weights of a run, the next train() resumes it, optimizer
        and epochs included; with other weights it begins a new run. A folder that
        set_log_dir chose and that holds no run yet is used in either case.

        Warns where the file's Config differs in fields that change the answers.

        Args:
            filepath: the .h5 file.
            by_name: only True; Matterport's callers pass it.
            exclude: names or patterns of layers to leave as they are.
            verbose: 0 prints nothing.

        Returns:
            A weights_io.by_name.LoadReport, which is also printed.

        Raises:
            ValueError: if the file does not fit, or its Config cannot be read; no
                weight is changed then.
        """
        if not by_name:
            raise ValueError("by_name must be True: weights are matched by name only")
        require_file(filepath)
        stored = pretrained.stored_settings(filepath)  # raises before a weight changes
        report = load_h5(self.keras_model, filepath, exclude or (), verbose)
        self._warn_of_differences(filepath, stored[0] if stored else {})
        whole = not report.left
        earlier = report.left if self._random is None else self._random
        self._random = report.left & earlier
        folder = Path(filepath).parent
        if self.log_dir is None or CheckpointFolder(self.log_dir).states():
            is_last = whole and str(filepath).endswith("_last.h5")
            goes_on = is_last and CheckpointFolder(folder).states()
            self.log_dir = folder if goes_on else None
        return report

    def _warn_of_differences(self, path, stored):
        """Warn of fields by which the network differs from the one of the weights."""
        found = self.config.differences(stored)
        if found:
            fields = [
                f"{n} is {ours!r}, not {own!r}" for n, (ours, own) in found.items()
            ]
            warnings.warn(
                f"{path} belongs to a network of other settings, so that the answers "
                f"will differ: {'; '.join(fields)}. MaskRCNN.from_pretrained(path) "
                "takes the settings of the file",
                stacklevel=3,
            )

    def _warn_of_random(self, layers):
        """Warn of layers with random weights that will not learn at first."""
        frozen = (self._random or set()) - set(find_layers(self.keras_model, layers))
        if frozen:
            names = ", ".join(sorted(frozen))
            warnings.warn(
                f"the weight file left {names} with random weights, and layers="
                f"{layers!r} does not train them: train them too, with layers='all' or "
                "a regular expression that has their names",
                stacklevel=3,
            )

    def _forget_random(self, stages):
        """Count layers that have learned as random no longer."""
        for stage in stages:
            if self._random:
                self._random -= set(find_layers(self.keras_model, stage.layers))

    def save_weights(self, filepath):
        """Write weights and Config as a .h5 file of Matterport's layout."""
        save_h5(self.keras_model, filepath, self.config)

    def set_log_dir(self, name=None):
        """Choose and return the run folder: model_dir/name.

        Args:
            name: of the folder; None for a new, dated one.
        """
        if name is None:
            now = datetime.datetime.now()
            name = f"{self.config.NAME.lower()}{now:%Y%m%dT%H%M%S}"
        self.log_dir = self.model_dir / _folder(name, "name")
        return self.log_dir

    def find_last(self):
        """Return the path of the newest mask_rcnn_NAME_last.h5 in model_dir.

        Raises:
            FileNotFoundError: if no run of this Config.NAME has one.
        """
        pattern = f"*/mask_rcnn_{self.config.NAME.lower()}_last.h5"
        paths = self.model_dir.glob(pattern)
        last = max(paths, key=lambda path: path.stat().st_mtime, default=None)
        if last is None:
            raise FileNotFoundError(f"there is no {pattern} in {self.model_dir}")
        return last

    def get_imagenet_weights(self):
        """Download the ImageNet weights of a ResNet-50, unless they are there.

        Returns:
            Their path, for load_weights: in ~/.keras/models or $KERAS_HOME/models.

        Raises:
            downloads.DownloadError: if they cannot be downloaded.
        """
        home = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()
        return downloads.fetch_imagenet_weights(home / "models")

    def set_trainable(self, layer_regex, keras_model=None, verbose=1):
        """Make exactly the layers trainable whose whole names match, as train() does.

        Args:
            layer_regex: a regular expression, or "heads", "3+", "4+", "5+" or "all".
            keras_model: another model than this one's.
            verbose: 1 prints the layers' names.

        Returns:
            The layers' names.

        Raises:
            ValueError: if no layer matches.
        """
        names = set_trainable(keras_model or self.keras_model, layer_regex)
        if verbose:
            print("\n".join(["layers that learn:", *names]))
        return names

    def train(
        self,
        train_dataset,
        val_dataset,
        learning_rate=None,
        epochs=None,
        layers="heads",
        augmentation=None,
        custom_callbacks=None,
        no_augmentation_sources=None,
        stages=None,
        verbose=1,
    ):
        """Train; resume from the run folder's last checkpoint if it has one.

        Either, as in Matterport, train `layers` at `learning_rate` until `epochs`
        epochs are done, those of earlier calls included; or train in `stages`.

        Leaves in log_dir: config.json, environment.json, checkpoints/, log.csv,
        TensorBoard events and the weights of the last and of the best epoch.

        Warns of layers that load_weights left random and the first stage does not
        train, such as conv1 for another IMAGE_CHANNEL_COUNT.

        Args:
            train_dataset: a prepared Dataset.
            val_dataset: the same for validation; None for none.
            learning_rate: None for Config.LEARNING_RATE.
            epochs: needed without `stages`.
            layers: "heads", "3+", "4+", "5+", "all" or a regular expression.
            augmentation: an imgaug augmenter instead of the paper's.
            custom_callbacks: of keras.callbacks; those that cannot work are refused,
                and ReduceLROnPlateau, EarlyStopping and ModelCheckpoint resume with
                the run.
            no_augmentation_sources: sources of train_dataset whose images are not
                augmented.
            stages: list of Stage.
            verbose: 0 shows no progress bar.

        Returns:
            The last epoch's log, {} if there was nothing left to do.

        Raises:
            ValueError: for arguments that cannot work, before anything is written.
            BlockingIOError: if another process trains in the run folder.
            TrainingDiverged: if the loss or its gradient is not finite.
            OSError: if a file cannot be read or the state be written.
            MemoryError: if a step does not fit into memory.
        """
        plan = self._plan(stages, layers, epochs, learning_rate)
        run_dir = self.log_dir or self.set_log_dir()
        trainer = Trainer(
            self.keras_model,
            self.config,
            train=train_dataset,
            val=val_dataset,
            run_dir=run_dir,
            detector=lambda: self.detector,
            strategy=self.strategy,
            augmentation=augmentation,
            no_augmentation_sources=no_augmentation_sources or (),
            callbacks=[*self._logs(run_dir), custom_callbacks or ()],
            verbose=verbose,
        )
        if not CheckpointFolder(run_dir).states():
            self._warn_of_random(plan[0].layers)
        with self._recording(run_dir, train_dataset, val_dataset):
            logs = trainer.run(plan) if stages else trainer.run_until(*plan[0])
        self._forget_random(plan)
        return logs

    def _plan(self, stages, layers, epochs, learning_rate):
        """The stages that the arguments of train() ask for, checked."""
        if self.mode != "training":
            raise ValueError(
                f"train() needs a model in mode 'training', got {self.mode!r}"
            )
        if stages is None and epochs is None:
            raise ValueError("train() needs `epochs` or `stages`, got neither")
        if stages is None:
            rate = self.config.LEARNING_RATE if learning_rate is None else learning_rate
            stages = [Stage(layers, epochs, rate)]
        require_stages(self.keras_model, stages)
        return stages

    @contextmanager
    def _recording(self, run_dir, train_dataset, val_dataset):
        """Hold the run folder, and write what the run begins with; one process does."""
        if not self.is_chief:
            yield
            return
        run_dir.mkdir(parents=True, exist_ok=True)
        with locked(run_dir):
            remove_partial(run_dir)
            self.config.to_json(run_dir / "config.json")
            record_start(run_dir, train=train_dataset, val=val_dataset)
            yield

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

        Args:
            images: list of uint8 [h, w, channels]; grey and RGBA are converted to RGB.
            verbose: 1 prints a line per image.

        Returns:
            A list of dicts, one per image:
            rois: float32 [n, (y1, x1, y2, x2)], pixels of the image;
            class_ids: int32 [n];
            scores: float32 [n], best first;
            masks: bool [h, w, n], absent without the task "segment";
            probs: [n, classes], absent without the task "classify";
            p_malignant: float, or None if nothing is found or the model gives no
                diagnosis;
            low_confidence: bool, true if no score exceeds DETECTION_MIN_CONFIDENCE;
            unfamiliar_score: float, above 1 for an image unlike the training images;
            unfamiliar: bool, whether it is; both are None if the weights hold no
                statistics (Config.UNFAMILIAR_COMPONENTS).

        Raises:
            ValueError: for images of another kind, before any is analysed.
        """
        images = as_inputs(images, self.config)
        detector = self.ready_detector()
        results = []
        for number, image in enumerate(images):
            results.append(detector(image))
            if verbose:
                found = len(results[-1]["rois"])
                print(f"image {number}: {image.shape}, {found} detections")
        return results


def _folder(path, name):
    if not isinstance(path, str | os.PathLike):
        raise ValueError(f"{name} must be the path of a folder, got {path!r}")
    return Path(path)
