"""Time and memory of opening a large data set, and of the search for copies in it.

Small generated pairs of image and mask are loaded with every file decoded, beside a
plain loop that decodes the same files with Pillow, and again from the remembered
checks. The search for copies runs at growing counts, beside a comparison of all pairs.

    python samples/benchmark/data_set.py --pairs=30000
"""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from mrcnn_skin import IsicDataset
from mrcnn_skin.data import leaks

SIDE = 64


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=30_000)
    parser.add_argument(
        "--search",
        type=int,
        nargs="*",
        default=[2000, 4000, 8000, 16000],
        help="numbers of fingerprints on each side",
    )
    parser.add_argument("--out", default="benchmark_data_set.json")
    args = parser.parse_args()
    rows = [*loading(args.pairs), *map(searching, args.search)]
    Path(args.out).write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    print(f"written to {Path(args.out).resolve()}")


def loading(pairs):
    """Rows of the CPU seconds of loading so many pairs, as ratios to plain decoding."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        write_pairs(folder, pairs)
        plain = cpu_seconds(lambda: decode_all(folder))
        rows = []
        for name in ("every file decoded", "from remembered checks"):
            seconds = cpu_seconds(lambda: load(folder))
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            rows.append(
                {"name": name, "pairs": pairs, "ratio": seconds / plain, "MB": peak}
            )
            print(
                f"{pairs} pairs, {name}: {seconds:.1f} CPU s, {seconds / plain:.2f} of "
                f"plain decoding, peak {peak:.0f} MB"
            )
    return rows


def searching(count):
    """A row of the CPU seconds of find_copies, as a ratio to comparing all pairs."""
    rng = np.random.default_rng(0)
    signs, others = rng.choice(np.array([-1, 1], np.int8), (2, count, 16, 16))
    signs[:, 0, 0] = others[:, 0, 0] = 0
    signs[::50] = others[::50]
    banded = cpu_seconds(lambda: leaks.find_copies(signs, others))
    few, leaks._FEW_PAIRS = leaks._FEW_PAIRS, np.inf
    every = cpu_seconds(lambda: leaks.find_copies(signs, others))
    leaks._FEW_PAIRS = few
    print(
        f"copies among {count} x {count}: {banded:.2f} CPU s, {banded / every:.3f} of "
        f"comparing all pairs, {1e6 * banded / count:.0f} us an image"
    )
    return {"name": "search", "count": count, "ratio": banded / every}


def write_pairs(folder, count):
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (folder / name).mkdir()
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[16:48, 16:48] = 255
    with open(folder / "labels.csv", "w", encoding="utf-8") as table:
        table.write("image,benign_malignant\n")
        for i in range(count):
            coarse = rng.integers(0, 256, (8, 8, 3), np.uint8)
            image = Image.fromarray(coarse).resize((SIDE, SIDE))
            image.save(folder / "images" / f"x{i}.jpg")
            Image.fromarray(mask).save(folder / "masks" / f"x{i}.png")
            table.write(f"x{i},{'malignant' if i % 5 == 0 else 'benign'}\n")


def decode_all(folder):
    for path in (folder / "images").iterdir():
        Image.open(path).load()
        np.asarray(Image.open(folder / "masks" / f"{path.stem}.png"))


def load(folder):
    IsicDataset().load_isic(folder, check="full", cache=folder / "checked.jsonl")


def cpu_seconds(call):
    start = time.process_time()
    call()
    return time.process_time() - start


if __name__ == "__main__":
    main()
