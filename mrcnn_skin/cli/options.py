"""Options that several commands share, and the Config fields that they set.

The functions add_* add options to a command's parser.
"""

WEIGHTS_HELP = (
    "pretrained, the small network that comes with the package; a trained .h5 file; "
    "or last, the best of the newest run in --logs"
)
SIDE = 1024  # of the images that IsicConfig's anchors are made for
OF_WEIGHTS = "that of the weights' Config"
LITE_BACKBONES = ("efficientnet_lite0", "efficientnet_lite2")
SIDES_IN_WORDS = f"{SIDE}; 256 with {' or '.join(LITE_BACKBONES)}"


def add_network_options(parser, out=None):
    """Add the options that choose a trained network; out: the default of --out."""
    parser.add_argument("--weights", default="pretrained", help=WEIGHTS_HELP)
    if out:
        parser.add_argument("--out", default=out, help="where to write the results")
    parser.add_argument("--logs", default="logs", help="folder of the runs")
    add_config_options(parser)


def add_config_options(parser, backbone=OF_WEIGHTS, side=OF_WEIGHTS):
    """Add the options that set Config fields; the defaults are said in words."""
    parser.add_argument(
        "--backbone",
        metavar="NAME",
        help="resnet26, resnet50, resnet101, or the small networks of IsicLiteConfig, "
        f"{' and '.join(LITE_BACKBONES)} (default: {backbone})",
    )
    parser.add_argument(
        "--image-size",
        type=int,
        metavar="PIXELS",
        help="side of the square that images are resized to, a multiple of 64; anchors "
        f"scale with it (default: {side})",
    )
    parser.add_argument(
        "--set",
        action="append",
        metavar="NAME=VALUE",
        help="set any Config field, such as MASK_SHAPE=56,56; may be repeated",
    )


def add_precision_option(parser):
    """Add --precision, which sets INFERENCE_PRECISION."""
    parser.add_argument(
        "--precision",
        choices=("float32", "bfloat16"),
        help="precision of the convolutions; bfloat16 halves the time on processors "
        "with instructions for it, with nearly the same results (default: float32)",
    )


def add_sensitivity_option(parser):
    """Add --sensitivity, which chooses one of OPERATING_POINTS."""
    parser.add_argument(
        "--sensitivity",
        type=float,
        metavar="S",
        help="decide by the threshold of P(malignant) that reached this sensitivity on "
        "calibration images; the weights' Config lists them (OPERATING_POINTS); 0: the "
        f"most probable class (default: {OF_WEIGHTS})",
    )


def default_config(args):
    """Return the default Config of the backbone that was chosen."""
    from .. import IsicConfig, IsicLiteConfig

    return IsicLiteConfig() if args.backbone in LITE_BACKBONES else IsicConfig()


def config_overrides(args):
    """Return the Config fields that the options of add_config_options set."""
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
    """Return the Config fields for square images of a side, anchors included."""
    from .. import IsicConfig

    scales = (scale * side / SIDE for scale in IsicConfig.RPN_ANCHOR_SCALES)
    return {
        "IMAGE_MIN_DIM": side,
        "IMAGE_MAX_DIM": side,
        "RPN_ANCHOR_SCALES": tuple(scales),
    }
