"""What the commands share: options, data sets, weights, messages.

Heavy imports wait until the options are read, so that --help answers at once.
"""

import argparse
import faulthandler
import os
import sys
import warnings
from pathlib import Path

WEIGHTS_HELP = (
    "pretrained, the small network that comes with the package; a trained .h5 file; "
    "or last, the best of the newest run in --logs"
)
DATA_DIR = Path("datasets/isic")
DATA_VARIABLE = "MRCNN_SKIN_DATA"
SIDE = 1024  # of the images that IsicConfig's anchors are made for
BESIDE_WEIGHTS = "that of the Config beside the weights"
SHEET = 24  # pictures on a contact sheet
LITE_BACKBONES = ("efficientnet_lite0", "efficientnet_lite2")
SIDES_IN_WORDS = f"{SIDE}; 256 with {' or '.join(LITE_BACKBONES)}"
SYNTHETIC_SEEDS = {"train": 0, "val": 1, "test": 2}


class Help(
    argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter
):
    """Help with the description as it is written, and each option's default."""

    def _get_help_string(self, action):
        text = action.help or ""
        is_said = "default" in text or action.default in (None, False)
        return text if is_said else super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """An argument parser that shows the defaults in its help.

    It expands a leading ~ in values; a shell does not in `--dataset=~/isic`.
    """

    def __init__(self, command, **kwargs):
        super().__init__(prog=f"mrcnn-skin {command}", formatter_class=Help, **kwargs)

    def parse_known_args(self, args=None, namespace=None):
        args = [_expand_home(arg) for arg in (sys.argv[1:] if args is None else args)]
        return super().parse_known_args(args, namespace)


def _expand_home(argument):
    """Turn "~/x" and "--option=~/x" into paths below the home folder."""
    option, equals, value = argument.partition("=")
    if equals and option.startswith("--"):
        return option + equals + os.path.expanduser(value)
    return os.path.expanduser(argument)


def run(command, main):
    """Run a command and exit; a mistake of the user ends in one line and status 2.

    Args:
        command: its name, for messages.
        main: function without arguments; what it returns is the exit status.
    """
    silence_native_logs()
    # Pillow's, on images that Config.MAX_IMAGE_PIXELS judges; they are named elsewhere
    warnings.filterwarnings("ignore", "Image size .* decompression bomb")
    try:
        sys.exit(main())
    except (
        ValueError,
        FileNotFoundError,
        FileExistsError,
        NotADirectoryError,
    ) as error:
        message, status = error, 2
    except (OSError, MemoryError) as error:
        message, status = error, 1
    except KeyboardInterrupt:
        message, status = "interrupted", 130
    print(f"mrcnn-skin {command}: error: {message}", file=sys.stderr)
    sys.exit(status)


def silence_native_logs():
    """Keep the notices of TensorFlow's C++ code out of the terminal.

    They go to file descriptor 2, and no setting of TensorFlow stops all of them; so
    Python's stderr moves to a descriptor of its own. Crashes still print their stack.
    Whoever sets TF_CPP_MIN_LOG_LEVEL sees everything at that level.
    """
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    sys.stderr.flush()
    terminal = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    sys.stderr = os.fdopen(terminal, "w", buffering=1)
    faulthandler.enable(sys.stderr)


def add_config_options(parser, backbone=BESIDE_WEIGHTS, side=BESIDE_WEIGHTS):
    """Add the options that choose the network and its settings.

    backbone, side: what the first two are if nobody says, in words.
    """
    parser.add_argument(
        "--backbone",
        metavar="NAME",
        help="of graph.backbones: resnet26, resnet50, resnet101, or the small "
        f"networks of IsicLiteConfig, {' and '.join(LITE_BACKBONES)} (default: "
        f"{backbone})",
    )
    parser.add_argument(
        "--image-size",
        type=int,
        metavar="PIXELS",
        help="side of the square that images are resized into, a multiple of 64; the "
        f"anchors scale with it (default: {side})",
    )
    parser.add_argument(
        "--set",
        action="append",
        metavar="NAME=VALUE",
        help="set any Config value, for example MASK_SHAPE=56,56; may be repeated",
    )


def add_precision_option(parser):
    """Add the option that chooses how detect() computes."""
    parser.add_argument(
        "--precision",
        choices=("float32", "bfloat16"),
        help="of the convolutions; bfloat16 takes half the time where the processor "
        "has instructions for it, and gives nearly the same answer (default: float32)",
    )


def default_config(args):
    """The settings that the backbone asked for is used with."""
    from .. import IsicConfig, IsicLiteConfig

    return IsicLiteConfig() if args.backbone in LITE_BACKBONES else IsicConfig()


def config_overrides(args):
    """Turn the options of add_config_options into Config fields, checked by name."""
    from .. import IsicConfig
    from ..graph.backbones import require_backbone

    overrides = {}
    if args.backbone:
        require_backbone(args.backbone)
        overrides["BACKBONE"] = args.backbone
    if args.image_size:
        overrides |= image_size_overrides(args.image_size)
    return overrides | IsicConfig().parse_overrides(args.set or [])


def image_size_overrides(side):
    """Config fields of square images of another side; anchors scale along."""
    from .. import IsicConfig

    scales = (scale * side / SIDE for scale in IsicConfig.RPN_ANCHOR_SCALES)
    return {
        "IMAGE_MIN_DIM": side,
        "IMAGE_MAX_DIM": side,
        "RPN_ANCHOR_SCALES": tuple(scales),
    }


def default_dataset():
    """Where the data are if nobody says: DATA_DIR, $MRCNN_SKIN_DATA, or "synthetic"."""
    for folder in (DATA_DIR, os.environ.get(DATA_VARIABLE)):
        if folder and Path(folder).is_dir():
            return str(folder)
    print(
        f"No --dataset, no {DATA_DIR}, no ${DATA_VARIABLE}: using GENERATED lesions, "
        "not photographs. The result says nothing about real skin."
    )
    return "synthetic"


def open_synthetic(count, side, split):
    """Generate the lesions of a split, and print how many; no two splits share one."""
    from ..data.synthetic import SyntheticDataset

    dataset = SyntheticDataset(count, (side, side), SYNTHETIC_SEEDS[split])
    print(dataset.summary())
    return dataset


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
    raise FileNotFoundError(f"the run {run_dir} has not finished an epoch yet")


def write_contact_sheet(detector, dataset, folder):
    """Draw predictions beside the truth, from the worst outline to the best.

    detector: function of an image, as for evaluation.report.evaluate, whose results
    are in `folder`; contact_sheet.png joins them. It shows SHEET images, as far apart
    in the order of their Jaccard index as each other; nothing without masks.
    """
    import numpy as np
    import pandas as pd

    from ..visualize import contact_sheet, draw_prediction, save_image

    table = pd.read_csv(Path(folder) / "per_image.csv", dtype={"image": str})
    ranked = table.dropna(subset=["JA"]).sort_values("JA")["image"].tolist()
    if not ranked:
        return
    places = np.linspace(0, len(ranked) - 1, min(SHEET, len(ranked))).round()
    ids = image_ids_of(dataset, [ranked[place] for place in places.astype(int)])
    pictures = [draw_prediction(dataset, image_id, detector) for image_id in ids]
    save_image(contact_sheet(pictures), Path(folder) / "contact_sheet.png")


def image_ids_of(dataset, names):
    """The dataset's image ids of the names in an evaluation's table."""
    ids = {str(dataset.image_info[i]["id"]): i for i in dataset.image_ids}
    return [ids[name] for name in names]


def trained_config(path, args):
    """The Config of a weight file, or the default if it has none, with the options."""
    from ..weights_io.pretrained import read_config

    overrides = config_overrides(args)
    if getattr(args, "precision", None):
        overrides["INFERENCE_PRECISION"] = args.precision
    stored = read_config(path, **overrides)
    return default_config(args).replace(**overrides) if stored is None else stored


def require_own_results(folder):
    """Refuse a folder for results whose masks/ was not written by this package.

    It may be the data set itself, whose ground truth would be replaced.
    """
    from ..data.files import UnreadableImage, check_mask_header
    from ..data.own_outputs import is_output_folder

    folder = Path(folder)
    masks = folder / "masks"
    if not masks.is_dir() or is_output_folder([p.name for p in folder.iterdir()]):
        return
    for path in sorted(path for path in masks.rglob("*") if path.is_file()):
        try:
            check_mask_header(path)
        except UnreadableImage:
            continue  # a prediction
        raise ValueError(
            f"--out={folder} holds masks that this package did not write, such as "
            f"{path}: choose another folder, so that no ground truth is replaced"
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
    return build_model(path, trained_config(path, args))
