"""The network that a command works with: its weights, its Config, the model."""

import warnings

from . import options


def trained_weights(weights, logs):
    """Path of a trained .h5 file; "last" is the best of the newest run in `logs`."""
    if weights != "last":
        from ..weights_io.pretrained import find_weights

        return find_weights(weights)
    from ..training.checkpoint import find_last_run

    run_dir = find_last_run(logs)
    for pattern in ("*_best.h5", "*_last.h5"):
        for path in run_dir.glob(pattern):
            return path
    raise FileNotFoundError(
        f"the run {run_dir} has not finished an epoch yet; --weights=pretrained takes "
        "the network that comes with the package"
    )


def trained_config(path, args):
    """The Config of a weight file, or the default if it has none, with the options."""
    from ..weights_io.pretrained import read_config

    overrides = options.config_overrides(args)
    if getattr(args, "precision", None):
        overrides["INFERENCE_PRECISION"] = args.precision
    if getattr(args, "sensitivity", None) is not None:
        overrides["SENSITIVITY"] = args.sensitivity
    stored = read_config(path, **overrides)
    return (
        options.default_config(args).replace(**overrides) if stored is None else stored
    )


def stored_config(path):
    """The Config of a weight file; raises ValueError if there is none."""
    from ..weights_io.pretrained import read_config

    config = read_config(path)
    if config is None:
        raise ValueError(f"{path} must have its Config inside or beside it, got none")
    return config


def build_model(path, config, exclude=()):
    """A model that detects, with all weights from a file but those of some layers."""
    from .. import MaskRCNN

    model = MaskRCNN("inference", config)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the options may differ from the stored Config
        model.load_weights(path, exclude=exclude).require_complete()
    return model


def load_model(weights, args):
    """A model that detects, from --weights and their Config."""
    path = trained_weights(weights, args.logs)
    print(f"weights: {path}")
    config = trained_config(path, args)
    if config.THRESHOLD is not None:
        print(
            f"operating point: malignant from P(malignant) {config.THRESHOLD:.3f} on, "
            f"chosen for {config.SENSITIVITY:.0%} sensitivity"
        )
    return build_model(path, config)
