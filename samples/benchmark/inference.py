"""Seconds of the network for one image, beside its arithmetic and beside peers.

Measured in turn: Matterport's layout as it stands; this package folded, in float32
and bfloat16; with --frame the canvas cut to an oblong image; and installed peers.
Prints ratios to the first with their extremes, and the floor that the arithmetic
sets. Look at CPU seconds where other programs run on the machine.

    python samples/benchmark/inference.py --frame=2x3
    python samples/benchmark/inference.py --peer=torchvision=VENV/bin/python

All stand side by side: README.md says how much memory that takes.
"""

import argparse

import harness


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=1024, help="longer side, pixels")
    parser.add_argument("--frame", default="1x1", help="aspect ratio, HEIGHTxWIDTH")
    parser.add_argument("--rounds", type=int, default=5)
    harness.add_peer_option(parser)
    parser.add_argument("--out", default="benchmark_inference.json")
    args = parser.parse_args()

    common = f"--size={args.size}", f"--frame={args.frame}"
    floors = floor(args)
    candidates = [harness.ours("Matterport's layout", *common, "--graph=plain")]
    for precision in ("float32", "bfloat16"):
        for canvas in ("padded", "content")[: 1 if args.frame == "1x1" else 2]:
            name = f"mrcnn_skin {precision}, {canvas}"
            options = f"--precision={precision}", f"--canvas={canvas}"
            candidates.append(harness.ours(name, *common, *options))
        candidates += harness.peers(args.peer, precision, *common)
    rows = harness.compare(candidates, args.rounds)
    for precision, seconds in floors["cpu_seconds"].items():
        print(
            f"floor, {precision}: {seconds:.2f} CPU s = {floors['gflop']:.0f} GFLOP at "
            f"{floors['gflops'][precision]:.0f} GFLOP/s a core; ratio "
            f"{seconds / rows[0]['cpu']:.2f}"
        )
    harness.write_json(args.out, options=vars(args), rows=rows, floor=floors)


def floor(args):
    """Arithmetic of Matterport's layout on the square, and the CPU seconds it needs."""
    from arithmetic import count_gflop, sustained_gflops
    from worker_mrcnn_skin import config_of_all

    parts = count_gflop(config_of_all(), args.size, args.size)
    print("GFLOP:", ", ".join(f"{part} {value:.0f}" for part, value in parts.items()))
    total = sum(parts.values())
    speed = {p: sustained_gflops(p) for p in ("float32", "bfloat16")}
    seconds = {precision: total / speed[precision] for precision in speed}
    return {"parts": parts, "gflop": total, "gflops": speed, "cpu_seconds": seconds}


if __name__ == "__main__":
    main()
