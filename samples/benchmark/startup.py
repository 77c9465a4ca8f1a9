"""Seconds until something happens: imports, --help, and the first detection.

Each is a process of its own, in turn with the import of TensorFlow alone.

    python samples/benchmark/startup.py
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

import harness

ISIC = Path(__file__).resolve().parents[1] / "isic"
FIRST_DETECTION = """
import numpy as np
from mrcnn_skin import IsicConfig, MaskRCNN
MaskRCNN("inference", IsicConfig()).detect([np.zeros([1024, 1024, 3], np.uint8)])
"""
# By itself, for the difference of two imports drowns in how much both vary
OWN_IMPORT = """
import time, tensorflow
start = time.perf_counter()
import mrcnn_skin
print(time.perf_counter() - start)
"""
SCRIPTS = [  # of the folder's modules those that are commands
    path for path in sorted(ISIC.glob("*.py")) if "__main__" in path.read_text("utf-8")
]
COMMANDS = {
    "import tensorflow": ["-c", "import tensorflow"],
    "import mrcnn_skin": ["-c", "import mrcnn_skin"],
    **{f"{path.name} --help": [path, "--help"] for path in SCRIPTS},
    "first detection": ["-c", FIRST_DETECTION],
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", default="benchmark_startup.json")
    args = parser.parse_args()
    times = {name: [] for name in (*COMMANDS, "mrcnn_skin's own part")}
    for _ in range(args.rounds):
        for name, command in COMMANDS.items():
            times[name].append(seconds(command))
        times["mrcnn_skin's own part"].append(float(run(["-c", OWN_IMPORT])))
    rows = []
    for name, values in times.items():
        row = {
            "name": name,
            "median": statistics.median(values),
            "min": min(values),
            "max": max(values),
        }
        rows.append(row)
        print("{name:21} {median:6.2f} s ({min:.2f} .. {max:.2f})".format(**row))
    harness.write_json(args.out, options=vars(args), rows=rows)


def seconds(command):
    """Seconds of a Python process, its start and end included."""
    start = time.perf_counter()
    run(command)
    return time.perf_counter() - start


def run(command):
    """Run Python with these arguments; returns what it prints."""
    return subprocess.run(
        [sys.executable, *command],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ).stdout


if __name__ == "__main__":
    main()
