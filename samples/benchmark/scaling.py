"""Whether cost grows with pixels and images as it should: linearly.

The network in bfloat16 on squares of several sizes and in batches, in turn. Writes
CPU seconds an image and a million pixels as JSON and as curves.

    python samples/benchmark/scaling.py --precision=float32
"""

import argparse
from pathlib import Path

import contest


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
    for size in args.sizes:
        contestants = [
            contest.ours(
                f"{size} px, batch {batch}",
                f"--size={size}",
                f"--batch={batch}",
                f"--precision={args.precision}",
            )
            for batch in args.batches
        ]
        for row, batch in zip(
            contest.run_contest(contestants, args.rounds), args.batches, strict=True
        ):
            millions = batch * size * size / 1e6
            figures = {
                "size": size,
                "batch": batch,
                "cpu_per_image": row["cpu"] / batch,
            }
            rows.append({**row, **figures, "cpu_per_megapixel": row["cpu"] / millions})
    contest.write_json(args.out, options=vars(args), rows=rows)
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
