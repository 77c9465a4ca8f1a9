"""Time of one image from file to augmented tensors, beside Matterport's steps.

Decodes whole frames with their masks, on one thread: Matterport's steps (see
matterport_input.py), this package, and this package with its cache filled, in turn,
so that a busy machine slows all of them.

    python samples/benchmark/pipeline.py --data=data/ISIC2017 --out=pipeline.json
"""

import argparse
import resource
import statistics
import tempfile
import time
from importlib.metadata import version

import harness

from mrcnn_skin import IsicConfig, IsicDataset
from mrcnn_skin.data.augment import paper_augmentation
from mrcnn_skin.data.pipeline import example_arrays
from mrcnn_skin.data.synthetic import write_synthetic_isic

FRAME = (2112, 2816)  # of the largest cameras of ISIC 2017
WAYS = ("Matterport's steps", "mrcnn_skin", "mrcnn_skin, cached")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", help="folder of images; generated ones if not given")
    parser.add_argument("--min-width", type=int, default=0, help="of the images used")
    parser.add_argument("--images", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--image-size", type=int, default=1024)
    parser.add_argument("--out", default="benchmark_pipeline.json")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        dataset = open_dataset(args, folder)
        seconds = measure(dataset, args, f"{folder}/cache")
    report = summarise(seconds, dataset)
    for name, row in report["ways"].items():
        print(
            f"{name:20} {row['wall_ms']:7.1f} ms  {row['cpu_ms']:7.1f} ms of a core  "
            f"{row['speedup']:5.1f} x ({row['speedup_min']:.1f} .. "
            f"{row['speedup_max']:.1f})"
        )
    print(f"peak memory {report['peak_gb']:.2f} GB; {report['versions']}")
    harness.write_json(args.out, options=vars(args), **report)


def open_dataset(args, folder):
    """Frames of --data at least so wide, or generated ones."""
    data = args.data or write_synthetic_isic(f"{folder}/data", args.images, FRAME)
    dataset = IsicDataset()
    dataset.load_isic(data)
    kept = [info for info in dataset.image_info if info["width"] >= args.min_width]
    dataset.image_info = kept[: args.images]
    dataset.prepare()
    if not dataset.num_images:
        raise SystemExit(f"no image of {data} is {args.min_width} pixels wide")
    return dataset


def measure(dataset, args, cache):
    """{way: [(wall, cpu) seconds an image] a round}."""
    from matterport_input import load_inputs, make_anchors

    side = args.image_size
    config = IsicConfig(IMAGE_MIN_DIM=side, IMAGE_MAX_DIM=side)
    cached = config.replace(CACHE_DIR=cache)
    augmenter, anchors = paper_augmentation(side), make_anchors(config)

    def run(way, image_id, seed):
        if way == WAYS[0]:
            load_inputs(dataset.image_info[image_id], config, augmenter, anchors)
        else:
            settings = cached if way == WAYS[2] else config
            example_arrays(dataset, settings, image_id, augmenter, seed)

    for way in WAYS:
        for image_id in dataset.image_ids:
            run(way, image_id, 0)  # files into memory, images into the cache
    seconds = {way: [] for way in WAYS}
    for seed in range(args.rounds):
        for way in WAYS:
            wall, cpu = time.perf_counter(), time.process_time()
            for image_id in dataset.image_ids:
                run(way, image_id, seed)
            count = dataset.num_images
            wall = (time.perf_counter() - wall) / count
            seconds[way].append((wall, (time.process_time() - cpu) / count))
    return seconds


def summarise(seconds, dataset):
    """Medians over the rounds, and ratios round by round."""
    ways = {}
    for way, rounds in seconds.items():
        pairs = zip(seconds[WAYS[0]], rounds, strict=True)
        speedups = [first[1] / this[1] for first, this in pairs]
        ways[way] = {
            "wall_ms": 1e3 * statistics.median(wall for wall, _ in rounds),
            "cpu_ms": 1e3 * statistics.median(cpu for _, cpu in rounds),
            "speedup": statistics.median(speedups),
            "speedup_min": min(speedups),
            "speedup_max": max(speedups),
        }
    packages = ("numpy", "pillow", "scikit-image", "scipy", "imgaug")
    sizes = sorted({(info["height"], info["width"]) for info in dataset.image_info})
    return {
        "ways": ways,
        "images": sizes,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "versions": {name: version(name) for name in packages},
    }


if __name__ == "__main__":
    main()
