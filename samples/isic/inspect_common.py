"""What the notebooks of this folder share: images and a model, each by one line.

Without data or weights they show generated lesions and a network that learns from them
for a minute or two; nothing is downloaded.
"""

import argparse
import os
import tempfile
from pathlib import Path

from mrcnn_skin.cli import command, datasets, models, options, training_run

LOGS = Path(
    os.path.relpath(Path(__file__).resolve().parents[2] / "logs")
)  # what is printed names no machine
SHAPE = (192, 256)  # of generated images: wider than high, as photographs are
SMALL_RUN = "notebook"  # the run folder of the network that is trained here
SMALL_SIDE = 128
SMALL = {
    "IMAGES_PER_GPU": 4,
    "STEPS_PER_EPOCH": 200,
    "WARMUP_STEPS": 20,
    "CHECKPOINT_STEPS": 0,
}


def start(dpi=72, quality=85):
    """Prepare a notebook: figures in the page, no notices of TensorFlow's C++ code.

    dpi, quality: of the figures, which are JPEG, so that notebooks with photographs
    stay small.
    """
    command.silence_native_logs()
    from IPython import get_ipython
    from matplotlib_inline.backend_inline import set_matplotlib_formats

    get_ipython().run_line_magic("matplotlib", "inline")
    set_matplotlib_formats("jpeg", dpi=dpi, pil_kwargs={"quality": quality})


def open_images(folder, split, config, limit=40):
    """The first images of a split of a folder of ISIC images, or "synthetic" ones.

    limit: so many images at most. Returns a prepared Dataset; prints what it holds.
    """
    from mrcnn_skin.data.synthetic import SyntheticDataset

    if folder == "synthetic":
        dataset = SyntheticDataset(limit, SHAPE, datasets.SYNTHETIC_SEEDS[split])
    else:
        dataset = datasets.open_isic(folder, split, config, LOGS, limit, check="header")
    print(dataset.summary())
    return dataset


def open_model(weights=None):
    """A MaskRCNN that detects.

    weights: path of a trained .h5 file with its Config; "last", the best of the newest
    run in LOGS; or None, the network that comes with the package if it is installed,
    else a small network, which is trained here the first time.
    """
    from mrcnn_skin.weights_io.pretrained import find_weights

    if weights is None:
        try:
            weights = find_weights("pretrained")
        except FileNotFoundError:
            weights = _small_weights()
    options = argparse.Namespace(logs=LOGS, backbone=None, image_size=None, set=None)
    return models.load_model(weights, options)


def score(model, images):
    """Evaluate a model; prints the metrics, returns the table of single images."""
    import pandas as pd

    from mrcnn_skin.evaluation.scoring import evaluate, format_metrics

    with tempfile.TemporaryDirectory() as folder:
        metrics = evaluate(model.detector, images, folder, progress=False)
        table = pd.read_csv(Path(folder, "per_image.csv"), dtype={"image": str})
    print(format_metrics(metrics))
    return table


def _small_weights():
    """Path of the small network's weights; it is trained unless they are there."""
    from mrcnn_skin import IsicConfig, MaskRCNN
    from mrcnn_skin.data.synthetic import SyntheticDataset
    from mrcnn_skin.training.stages import Stage

    sides = options.image_size_overrides(SMALL_SIDE)
    settings = training_run.FROM_SCRATCH | training_run.QUICK_CONFIG | sides | SMALL
    config = IsicConfig(**settings)
    path = LOGS / SMALL_RUN / f"mask_rcnn_{config.NAME}_last.h5"
    if not path.exists():
        print(f"training a small network on generated lesions: run {SMALL_RUN}")
        model = MaskRCNN("training", config, LOGS)
        model.set_log_dir(SMALL_RUN)
        count = config.BATCH_SIZE * config.STEPS_PER_EPOCH
        images = SyntheticDataset(count, (SMALL_SIDE, SMALL_SIDE))
        model.train(images, None, stages=[Stage("all", 1, 1e-3)], verbose=2)
    return path
