"""Whether cost grows with pixels and images as it should: linearly.

The network, in bfloat16 unless told otherwise, on squares of several sizes and in
batches. Writes CPU seconds an image and a million pixels as JSON and as curves.

    python samples/benchmark/scaling.py --precision=float32
"""

import argparse
import itertools
from pathlib import Path

import harness


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024, 1536])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", default="benchmark_scaling.json")
    args = parser.parse_args()
    rows = []
    for size, batch in itertools.product(args.sizes, args.batches):
        options = f"--size={size}", f"--batch={batch}", f"--precision={args.precision}"
        # One at a time: large batches side by side would not fit into memory
        one = harness.ours(f"{size} px, batch {batch}", *options)
        (row,) = harness.compare([one], args.rounds)
        per_image = row["cpu"] / batch
        per_megapixel = per_image / (size * size / 1e6)
        figures = {"cpu_per_image": per_image, "cpu_per_megapixel": per_megapixel}
        rows.append({**row, "size": size, "batch": batch, **figures})
    harness.write_json(args.out, options=vars(args), rows=rows)
    draw(rows, Path(args.out).with_suffix(".png"))


def draw(rows, path):
    """Two curves: seconds over images, and seconds an image over its pixels."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4))
    for size in dict.fromkeys(row["size"] for row in rows):
        mine = [row for row in rows if row["size"] == size]
        batches, seconds = [r["batch"] for r in mine], [r["cpu"] for r in mine]
        left.plot(batches, seconds, "o-", label=f"{size} px")
    for batch in dict.fromkeys(row["batch"] for row in rows):
        mine = [row for row in rows if row["batch"] == batch]
        pixels = [r["size"] ** 2 / 1e6 for r in mine]
        seconds = [r["cpu_per_image"] for r in mine]
        right.plot(pixels, seconds, "o-", label=f"batch {batch}")
    left.set(xlabel="images in a batch", ylabel="CPU seconds")
    right.set(xlabel="million pixels of an image", ylabel="CPU seconds an image")
    for axes in (left, right):
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        axes.legend()
    figure.tight_layout()
    figure.savefig(path)
    print(f"written to {path.resolve()}")


if __name__ == "__main__":
    main()
