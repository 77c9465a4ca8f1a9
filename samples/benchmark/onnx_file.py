"""Size, time and memory of the ONNX export beside detect() in TensorFlow.

All go from a photograph's file to full-size masks, in turn, with the shipped network.
--page adds the page for browsers, which also draws its answer (page.py says what it
needs).

    python samples/isic/browser/build.py --out=page
    python samples/benchmark/onnx_file.py photo.jpg --page=page
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
from pathlib import Path

import harness

ROOT = Path(__file__).resolve().parents[2]
EXPORT = ROOT / "samples" / "isic" / "export.py"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("image", help="a photograph")
    parser.add_argument(
        "--weights", default=str(ROOT / "weights" / "mrcnn_skin_lite_isic.h5")
    )
    parser.add_argument("--size", type=int, default=320, help="of their canvas, pixels")
    parser.add_argument("--page", help="folder that browser/build.py wrote")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", default="benchmark_onnx_file.json")
    args = parser.parse_args()

    image = f"--image={args.image}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        # In a process of its own: peaks of memory count what their parent had
        command = [sys.executable, EXPORT, "--format=onnx", f"--weights={args.weights}"]
        subprocess.run([*command, f"--out={path}"], check=True)
        sizes = {"h5": Path(args.weights).stat().st_size, "onnx": path.stat().st_size}
        ours = harness.ours(
            "TensorFlow", image, f"--size={args.size}", f"--weights={args.weights}"
        )
        file = harness.ours(
            "onnxruntime", image, f"--network={path}", script="run_onnx_file.py"
        )
        with pages(args) as in_browser:
            rows = harness.compare([ours, file, *in_browser], args.rounds)
    print(*(f"{name} {count / 1e6:.1f} MB" for name, count in sizes.items()), sep=", ")
    harness.write_json(args.out, options=vars(args), rows=rows, sizes=sizes)


@contextlib.contextmanager
def pages(args):
    """Candidates of --page, without and with threads; none without the option."""
    if not args.page:
        yield []
        return
    from page import Page
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        yield [Page(play, args.page, args.image, threads) for threads in (False, True)]


if __name__ == "__main__":
    main()
