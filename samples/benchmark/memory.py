"""Memory over a long run: a tiny network, 2,000 training steps and 2,000 predictions.

Prints the resident memory along the way, and its slope over the second half in KB a
step, which is what a leak shows in: the first half fills caches.

    python samples/benchmark/memory.py --data=data/ISIC2017
"""

import argparse
import os
import tempfile

import numpy as np

PHOTOS = 50  # generated once: the painter is not what is measured
SIDE = 128


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", help="folder of images; generated ones if not given")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--every", type=int, default=50, help="steps between readings")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model, readings = train(folder, args)
        report("training", readings)
        report("prediction", predict(model, args))


def make_config(steps):
    from mrcnn_skin import IsicConfig

    return IsicConfig(
        BACKBONE="resnet26",
        NORM="group",
        IMAGE_MIN_DIM=SIDE,
        IMAGE_MAX_DIM=SIDE,
        RPN_ANCHOR_SCALES=(8, 16, 32, 64, 128),
        TOP_DOWN_PYRAMID_SIZE=32,
        RPN_WIDTH=32,
        FPN_CLASSIF_FC_LAYERS_SIZE=64,
        MASK_HEAD_WIDTH=32,
        POST_NMS_ROIS_TRAINING=50,
        POST_NMS_ROIS_INFERENCE=50,
        TRAIN_ROIS_PER_IMAGE=8,
        IMAGES_PER_GPU=1,
        STEPS_PER_EPOCH=max(1, steps // 10),
        CHECKPOINT_STEPS=100,
        VALIDATION_STEPS=4,
    )


def train(folder, args):
    """Train with augmentation, checkpoints and validation.

    Returns the model, and (step, bytes) readings.
    """
    import keras
    from trainer_mrcnn_skin import open_photos

    from mrcnn_skin import MaskRCNN
    from mrcnn_skin.training.stages import Stage

    config = make_config(args.steps)
    readings, steps = [], iter(range(args.steps + 10))

    def read(batch, logs):
        step = next(steps)
        if step % args.every == 0:
            readings.append((step, resident_bytes()))

    model = MaskRCNN("training", config, folder)
    model.train(
        open_photos(args.data, PHOTOS, SIDE),
        open_photos(None, 4, SIDE),
        stages=[Stage("all", 10, 1e-4)],
        custom_callbacks=[keras.callbacks.LambdaCallback(on_train_batch_end=read)],
        verbose=0,
    )
    return model, readings


def predict(model, args):
    """Detect in images of ever other sizes; returns (image, bytes) readings."""
    readings = []
    rng = np.random.default_rng(0)
    for number in range(args.steps):
        height, width = rng.integers(60, 400, 2)
        image = rng.integers(0, 255, (height, width, 3), np.uint8)
        model.detect([image])
        if number % args.every == 0:
            readings.append((number, resident_bytes()))
    return readings


def resident_bytes():
    """Resident memory of this process now (Linux)."""
    with open("/proc/self/statm", encoding="ascii") as handle:
        return int(handle.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def report(name, readings):
    numbers, sizes = np.array(readings, float).T
    half = len(sizes) // 2
    slope = np.polyfit(numbers[half:], sizes[half:], 1)[0] / 1024
    shown = range(0, len(sizes), max(1, len(sizes) // 8))
    print(f"{name}: MB resident at step")
    print("  " + "  ".join(f"{numbers[i]:.0f}: {sizes[i] / 2**20:.0f}" for i in shown))
    print(f"  last: {sizes[-1] / 2**20:.0f}; slope of the second half {slope:+.1f} KB")


if __name__ == "__main__":
    main()
