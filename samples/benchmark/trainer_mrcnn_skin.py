"""Worker of harness.py: a step of this package's training, images and all.

--graph=plain is Matterport's layout (plain_graph.py); "own" is what train() does.
"""

import sys
import tempfile
import time
from unittest import mock

import worker


def main():
    args = parse_arguments()

    import keras
    import tensorflow as tf

    turns = worker.turns(f"tensorflow {tf.__version__}, keras {keras.__version__}")
    train(args, turns)


def parse_arguments(words=None):
    parser = worker.training_options(__doc__)
    parser.add_argument("--graph", choices=("plain", "own"), default="own")
    parser.add_argument("--norm", choices=("batch", "group"), default="batch")
    parser.add_argument("--data", help="folder of images; generated ones if not given")
    return parser.parse_args(words)


def train(args, turns):
    """Train, a step a turn, until there is no more; then exit.

    Each turn also answers "waiting": seconds until the images were there.
    """
    import keras
    from plain_graph import build_plain_training_model
    from worker_mrcnn_skin import keep_finite

    from mrcnn_skin import MaskRCNN
    from mrcnn_skin.graph.mask_rcnn import build_training_model
    from mrcnn_skin.training.stages import Stage

    figures = {}

    def begin(step, logs):
        nonlocal figures
        figures = next(turns, None)
        if figures is None:
            sys.exit()

    def timed_next(batches):
        start = time.perf_counter()
        batch = next(batches)
        figures["waiting"] = time.perf_counter() - start
        return batch

    is_plain = args.graph == "plain"
    build = build_plain_training_model if is_plain else build_training_model
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch("mrcnn_skin.model.build_training_model", build),
        mock.patch("mrcnn_skin.training.loop.next", timed_next, create=True),
    ):
        model = MaskRCNN("training", make_config(args), folder)
        keep_finite(model.keras_model, 0.0)
        model.train(
            open_photos(args.data, max(4, args.batch), args.size),
            None,
            stages=[Stage(args.layers, 1, 1e-4)],
            custom_callbacks=[
                keras.callbacks.LambdaCallback(on_train_batch_begin=begin)
            ],
            verbose=0,
        )


def open_photos(folder, count, side):
    """All images of a folder of ISIC's kind; or generated ones, held in memory.

    count, side: of the generated ones; side in pixels.
    """
    from mrcnn_skin import IsicDataset
    from mrcnn_skin.data.synthetic import SyntheticDataset

    if not folder:
        return SyntheticDataset(count, (side, side))
    photos = IsicDataset()
    photos.load_isic(folder)
    photos.prepare()
    return photos


def make_config(args):
    """The Config of the options; its epoch and its checkpoints never come."""
    from mrcnn_skin import IsicConfig

    scale = args.size / 1024
    return IsicConfig(
        BACKBONE=args.backbone,
        NORM=args.norm,
        IMAGES_PER_GPU=args.batch,
        IMAGE_MIN_DIM=args.size,
        IMAGE_MAX_DIM=args.size,
        RPN_ANCHOR_SCALES=tuple(side * scale for side in (64, 128, 256, 512, 1024)),
        RPN_TRAIN_ANCHORS_PER_IMAGE=args.anchors,
        POST_NMS_ROIS_TRAINING=args.proposals,
        TRAIN_ROIS_PER_IMAGE=args.rois,
        STEPS_PER_EPOCH=1_000_000,
        CHECKPOINT_STEPS=0,
        TRAINING_PRECISION=args.precision,
    )


if __name__ == "__main__":
    main()
