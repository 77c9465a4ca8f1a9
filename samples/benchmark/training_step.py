"""Seconds and peak memory of a training step: of this package, and of the plain graph.

Heads only, and all layers; the plain graph (plain_graph.py), the package's own, and
the same in bfloat16 in turn, each in a process of its own, so that a busy machine
slows all and none inherits another's memory.

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
from importlib.metadata import version
from unittest import mock

import contest

GRAPHS = ("plain", "own", "bfloat16")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--image-size", type=int, default=1024)
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--steps", type=int, default=3, help="timed after the first")
    parser.add_argument("--rounds", type=int, default=2, help="processes of each graph")
    parser.add_argument("--norm", default="batch", choices=("batch", "group"))
    parser.add_argument("--layers", nargs="+", default=["all", "heads"])
    parser.add_argument("--out", default="benchmark_training_step.json")
    parser.add_argument("--graph", choices=GRAPHS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.graph:  # a process that measures
        print(json.dumps(measure(args, args.layers[0])))
        return
    report = {layers: compare(layers, args.rounds) for layers in args.layers}
    print(
        f"{args.backbone}, {args.image_size} px, batch {args.batch}, {args.norm} norm"
    )
    for layers, figures in report.items():
        show(layers, figures)
    versions = {name: version(name) for name in ("tensorflow", "keras")}
    print(versions)
    contest.write_json(args.out, options=vars(args), layers=report, versions=versions)


def compare(layers, rounds):
    """Measure the graphs in turn; returns {graph: figures}, with ratios to "plain"."""
    runs = {graph: [] for graph in GRAPHS}
    for _ in range(rounds):
        for graph in GRAPHS:
            runs[graph].append(measure_apart(layers, graph))
    figures = {graph: summarise(results) for graph, results in runs.items()}
    for graph in GRAPHS:
        ratios = [
            statistics.median(own["steps"]) / statistics.median(plain["steps"])
            for plain, own in zip(runs["plain"], runs[graph], strict=True)
        ]
        figures[graph]["ratio"] = statistics.median(ratios)
        figures[graph]["ratio_min"] = min(ratios)
        figures[graph]["ratio_max"] = max(ratios)
        memory = figures[graph]["peak_gb"] / figures["plain"]["peak_gb"]
        figures[graph]["memory_ratio"] = memory
    return figures


def summarise(results):
    """Figures of one graph over its processes."""
    steps = [seconds for result in results for seconds in result["steps"]]
    waits = sum(sum(result["waits"]) for result in results)
    return {
        "median": statistics.median(steps),
        "min": min(steps),
        "max": max(steps),
        "first": statistics.median(result["first"] for result in results),
        "peak_gb": max(result["peak_gb"] for result in results),
        "waiting": waits / sum(steps),
    }


def show(layers, figures):
    for graph, row in figures.items():
        ratio = f"{row['ratio']:.2f} ({row['ratio_min']:.2f} .. {row['ratio_max']:.2f})"
        print(
            f"{layers:5} {graph:8} {row['median']:6.2f} s/step ({row['min']:.2f} .. "
            f"{row['max']:.2f}), {ratio} of plain; first {row['first']:.0f} s; peak "
            f"{row['peak_gb']:.2f} GB, {row['memory_ratio']:.2f} of plain; waiting for "
            f"images {row['waiting']:.2%}"
        )


def measure_apart(layers, graph):
    """Run this script for one measurement in a new process; returns its figures."""
    own = [f"--layers={layers}", f"--graph={graph}"]
    command = [sys.executable, __file__, *sys.argv[1:], *own]
    process = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(process.stdout.splitlines()[-1])


def measure(args, layers):
    """Train a few steps; returns seconds of the first, of each other, and of waiting.

    "peak_gb" is the peak of resident memory, "waits" what each step lost until its
    images were there.
    """
    import keras
    from plain_graph import build_plain_training_model
    from worker_mrcnn_skin import keep_finite

    from mrcnn_skin import IsicConfig, MaskRCNN
    from mrcnn_skin.data.synthetic import SyntheticDataset
    from mrcnn_skin.graph.mask_rcnn import build_training_model
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
        TRAINING_PRECISION="bfloat16" if args.graph == "bfloat16" else "float32",
    )
    times, waits = [], []
    clock = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda step, logs: times.append(-time.perf_counter()),
        on_train_batch_end=lambda step, logs: note_end(times),
    )

    def timed_next(batches):
        waits.append(-time.perf_counter())
        batch = next(batches)
        note_end(waits)
        return batch

    is_plain = args.graph == "plain"
    build = build_plain_training_model if is_plain else build_training_model
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch("mrcnn_skin.model.build_training_model", build),
        mock.patch("mrcnn_skin.training.loop.next", timed_next, create=True),
    ):
        model = MaskRCNN("training", config, folder)
        keep_finite(model.keras_model, 0.0)
        data = SyntheticDataset(max(4, args.batch), (size, size))
        stages = [Stage(layers, 1, 1e-4)]
        model.train(data, None, stages=stages, custom_callbacks=[clock], verbose=0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "first": times[0],
        "steps": times[1:],
        "waits": waits[1:],
        "peak_gb": peak,
    }


def note_end(times):
    """Turn the last start, kept as a negative number, into a duration."""
    times[-1] += time.perf_counter()


if __name__ == "__main__":
    main()
