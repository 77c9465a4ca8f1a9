"""Find and load the network of a command."""

import warnings

from . import options


def trained_weights(weights, logs):
    """Return the path of a trained .h5 file.

    weights: "pretrained", a path, or "last", the best epoch of the newest run in logs.
    """
    if weights != "last":
        from ..weights_io.pretrained import find_weights

        return find_weights(weights)
    from ..training.checkpoint import find_last_run

    hint = "; --weights=pretrained uses the network that comes with the package"
    try:
        run_dir = find_last_run(logs)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}{hint}") from error
    for pattern in ("*_best.h5", "*_last.h5"):
        for path in run_dir.glob(pattern):
            return path
    raise FileNotFoundError(f"the run {run_dir} has not finished an epoch yet{hint}")


def trained_config(path, args):
    """Return the Config of a weight file (or the default) changed by the options."""
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


def build_model(path, config, exclude=()):
    """Build an inference model and load its weights, except for layers `exclude`."""
    from .. import MaskRCNN

    model = MaskRCNN("inference", config)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the options may differ from the stored Config
        model.load_weights(path, exclude=exclude).require_complete()
    return model


def load_model(weights, args):
    """Load the inference model of --weights with its Config."""
    path = trained_weights(weights, args.logs)
    config = trained_config(path, args)
    if config.THRESHOLD is not None:
        print(
            f"operating point: malignant if P(malignant) >= {config.THRESHOLD:.3f}, "
            f"chosen for {config.SENSITIVITY:.0%} sensitivity"
        )
    return build_model(path, config)
