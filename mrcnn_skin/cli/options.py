"""Options that several commands share, and the Config fields that they set."""

WEIGHTS_HELP = (
    "pretrained, the small network that comes with the package; a trained .h5 file; "
    "or last, the best of the newest run in --logs"
)
SIDE = 1024  # of the images that IsicConfig's anchors are made for
BESIDE_WEIGHTS = "that of the Config beside the weights"
LITE_BACKBONES = ("efficientnet_lite0", "efficientnet_lite2")
SIDES_IN_WORDS = f"{SIDE}; 256 with {' or '.join(LITE_BACKBONES)}"


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


def add_sensitivity_option(parser):
    """Add the option that chooses the operating point of the diagnosis."""
    parser.add_argument(
        "--sensitivity",
        type=float,
        metavar="S",
        help="call an image malignant from the threshold that reached this sensitivity "
        "on other images; the weights' Config lists them (OPERATING_POINTS), 0: the "
        f"most probable class (default: {BESIDE_WEIGHTS})",
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
