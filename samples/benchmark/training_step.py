"""Seconds and peak memory of a training step: heads only, and all layers.

Each is measured in a process of its own, on one generated image, so that neither
inherits the other's memory. Prints the ratio to the step of all layers.

    python samples/benchmark/training_step.py --image-size=1024 --backbone=resnet50
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--image-size", type=int, default=1024)
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--steps", type=int, default=5, help="timed after the first")
    parser.add_argument("--norm", default="batch", choices=("batch", "group"))
    parser.add_argument("--layers", help=argparse.SUPPRESS)  # set for the child only
    args = parser.parse_args()
    if args.layers:
        print(json.dumps(measure(args)))
        return
    results = {layers: measure_apart(layers) for layers in ("all", "heads")}
    whole = results["all"]
    print(
        f"{args.backbone}, {args.image_size} px, batch {args.batch}, {args.norm} norm"
    )
    print(
        "layers   s/step   (min .. max)   first   peak GB   time / all   memory / all"
    )
    for layers, r in results.items():
        print(
            f"{layers:6} {r['median']:8.2f}   ({r['min']:.2f} .. {r['max']:.2f})"
            f" {r['first']:7.1f} {r['peak_gb']:9.2f}"
            f" {r['median'] / whole['median']:12.2f}"
            f" {r['peak_gb'] / whole['peak_gb']:14.2f}"
        )


def measure_apart(layers):
    """Run this script for one set of layers in a new process; returns its figures."""
    command = [sys.executable, __file__, *sys.argv[1:], f"--layers={layers}"]
    process = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(process.stdout.splitlines()[-1])


def measure(args):
    """Train a few steps; returns seconds a step and the peak of resident memory."""
    import keras

    from mrcnn_skin import IsicConfig, MaskRCNN
    from mrcnn_skin.data.synthetic import SyntheticDataset
    from mrcnn_skin.training.stages import Stage

    size = args.image_size
    config = IsicConfig(
        BACKBONE=args.backbone,
        NORM=args.norm,
        IMAGES_PER_GPU=args.batch,
        IMAGE_MIN_DIM=size,
        IMAGE_MAX_DIM=size,
        RPN_ANCHOR_SCALES=tuple(s * size / 1024 for s in (64, 128, 256, 512, 1024)),
        STEPS_PER_EPOCH=args.steps + 1,
        CHECKPOINT_STEPS=0,
    )
    times = []
    clock = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda step, logs: times.append(-time.perf_counter()),
        on_train_batch_end=lambda step, logs: note_end(times),
    )
    with tempfile.TemporaryDirectory() as folder:
        model = MaskRCNN("training", config, folder)
        keep_finite(model.keras_model)
        data = SyntheticDataset(max(4, args.batch), (size, size))
        stages = [Stage(args.layers, 1, 1e-4)]
        model.train(data, None, stages=stages, custom_callbacks=[clock], verbose=0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "first": times[0],
        "median": statistics.median(times[1:]),
        "min": min(times[1:]),
        "max": max(times[1:]),
        "peak_gb": peak,
    }


def keep_finite(model):
    """Switch the residual branches off: random weights explode under frozen BatchNorm.

    The arithmetic stays the same.
    """
    for layer in model.layers:
        if layer.name.startswith("bn") and layer.name.endswith("branch2c"):
            layer.gamma.assign(layer.gamma * 0)


def note_end(times):
    """Turn the last start, kept as a negative number, into a duration."""
    times[-1] += time.perf_counter()


if __name__ == "__main__":
    main()
