"""Worker of harness.py: this package's network, in several ways to run it.

--graph=plain is Matterport's layout as it stands: BatchNorm unfolded, float32, called
layer by layer. Everything else is what detect() does.
"""

from pathlib import Path

import worker


def main():
    parser = worker.detection_options(__doc__)
    parser.add_argument("--graph", choices=("plain", "folded"), default="folded")
    parser.add_argument("--canvas", default="padded")
    parser.add_argument("--set", action="append", help="NAME=VALUE of the Config")
    parser.add_argument("--weights", help="trained .h5, its .json beside it")
    args = parser.parse_args()

    import keras
    import tensorflow as tf

    model = build_model(args)
    versions = f"tensorflow {tf.__version__}, keras {keras.__version__}"
    way = whole_way(model, args.image) if args.image else network_run(model, args)
    worker.serve(versions, way)


def build_model(args):
    """The MaskRCNN of the options, with trained weights or harmless random ones."""
    import keras

    from mrcnn_skin import MaskRCNN

    if args.weights:
        config = config_beside(args.weights)
    else:
        config = config_of_all()
    config = config.replace(
        INFERENCE_PRECISION=args.precision, DETECTION_CANVAS=args.canvas
    )
    if not args.weights or args.size != config.IMAGE_MAX_DIM:
        scale = args.size / config.IMAGE_MAX_DIM
        anchors = tuple(side * scale for side in config.RPN_ANCHOR_SCALES)
        config = config.replace(
            IMAGE_MIN_DIM=args.size, IMAGE_MAX_DIM=args.size, RPN_ANCHOR_SCALES=anchors
        )
    config = config.replace(**config.parse_overrides(args.set or []))
    keras.utils.set_random_seed(0)
    model = MaskRCNN("inference", config)
    if args.weights:
        model.load_weights(args.weights)
    else:
        keep_finite(model.keras_model, 0.2)
    return model


def config_of_all():
    """The Config that proposes and detects as much as all workers."""
    from mrcnn_skin import IsicConfig

    return IsicConfig(
        POST_NMS_ROIS_INFERENCE=worker.PROPOSALS,
        DETECTION_MAX_INSTANCES=worker.DETECTIONS,
    )


def config_beside(weights):
    """The Config of a weight file: NAME.json of NAME.h5, or else config.json."""
    from mrcnn_skin import IsicConfig

    own = Path(weights).with_suffix(".json")
    return IsicConfig.from_json(own if own.is_file() else own.with_name("config.json"))


def keep_finite(model, factor):
    """Shrink the residual branches: random weights explode under frozen BatchNorm.

    factor: of them, 0 switches them off. The arithmetic stays the same.
    """
    for layer in model.layers:
        if layer.name.startswith("bn") and layer.name.endswith("branch2c"):
            layer.gamma.assign(layer.gamma * factor)


def network_run(model, args):
    """A function that runs the network once on a batch of canvases of noise."""
    import tensorflow as tf

    frame = args.frame if args.canvas == "content" else "1x1"
    sides = worker.sides(args.size, frame, multiple=64)
    images = tf.random.uniform([args.batch, *sides, 3], 0, 255)
    windows = tf.tile([[0.0, 0.0, 1.0, 1.0]], [args.batch, 1])
    if args.graph == "plain":
        return lambda: model.keras_model([images, windows], training=False)
    folded = model.detector.folded
    network = tf.function(lambda x, w: folded.network([x, w], training=False))

    def run():
        folded.follow()
        network(images, windows)

    return run


def whole_way(model, path):
    """A function from a file to full-size masks."""
    from mrcnn_skin.data.files import read_image

    return lambda: model.detect([read_image(path)])


if __name__ == "__main__":
    main()
