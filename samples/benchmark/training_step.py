"""Seconds and peak memory of a training step: of this package, and beside peers.

All layers, and heads only: Matterport's layout (plain_graph.py), this package in
float32 and bfloat16, and installed peers in both, all with the same numbers of sampled
anchors and regions. Each turn is a process of its own, so that a busy machine slows
all and none inherits another's memory. Prints ratios to the first with their extremes,
and those to the peers. Look at CPU seconds where other programs run on the machine.

    python samples/benchmark/training_step.py --peer=torchvision=VENV/bin/python
"""

import argparse

import harness

WAYS = ("plain", "float32", "bfloat16")  # of the last two, peers' as well


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--layers", nargs="+", default=["all", "heads"])
    parser.add_argument("--size", type=int, default=1024, help="of the square, pixels")
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--norm", default="batch", choices=("batch", "group"))
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--data", help="folder of images; generated ones if not given")
    parser.add_argument("--rois", type=int, default=200, help="sampled an image")
    parser.add_argument("--ways", nargs="+", default=WAYS, choices=WAYS)
    parser.add_argument("--steps", type=int, default=3, help="of a turn, after a first")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--together",
        action="store_true",
        help="start every process once, all side by side, each turn one step: for much "
        "memory and little time",
    )
    harness.add_peer_option(parser, "trainer")
    parser.add_argument("--out", default="benchmark_training_step.json")
    args = parser.parse_args()
    if args.peer and args.norm != "batch":
        parser.error("peers have --norm=batch only")

    print(f"{args.backbone}, {args.size} px, batch {args.batch}, {args.norm} norm")
    report = {layers: compare(layers, args) for layers in args.layers}
    harness.write_json(args.out, options=vars(args), **report)


def compare(layers, args):
    """Measure with these layers learning; returns the rows and the ratios to peers."""
    print(f"\nlayers that learn: {layers}")
    common = [f"--{name}={getattr(args, name)}" for name in ("size", "batch", "rois")]
    common += [f"--layers={layers}", f"--backbone={args.backbone}"]
    own, others = candidates(common, args)
    steps = None if args.together else args.steps
    rows = harness.compare([*own, *others], args.rounds, steps)
    for row, candidate in zip(rows, own, strict=False):
        shares = [run["waiting"] / run["wall"] for run in candidate.runs]
        row["waiting"] = max(shares)
        print(f"{row['name']} waited {max(shares):.2%} of its time for images")
    return {"rows": rows, "to_peers": [compare_pair(a, b) for a in own for b in others]}


def candidates(common, args):
    """This package's candidates and those of peers, two lists."""
    own, others = [], []
    for way in args.ways:
        chosen = "--graph=plain" if way == "plain" else f"--precision={way}"
        name = "Matterport's layout" if way == "plain" else f"mrcnn_skin {way}"
        options = [*common, f"--norm={args.norm}", chosen]
        if args.data:
            options.append(f"--data={args.data}")
        own.append(harness.ours(name, *options, script="trainer_mrcnn_skin.py"))
        if way != "plain":
            others += harness.peers(args.peer, way, *common, kind="trainer")
    return own, others


def compare_pair(own, other):
    """Print and return the ratios of CPU seconds and of memory to a peer's."""
    median, least, most = harness.ratios(own, other, "cpu")
    memory = own.peak_gb / other.peak_gb
    print(
        f"{own.name} / {other.name}: CPU s {median:.2f} ({least:.2f} .. {most:.2f}), "
        f"peak memory {memory:.2f}"
    )
    return {
        "names": [own.name, other.name],
        "cpu_ratio": median,
        "cpu_ratio_min": least,
        "cpu_ratio_max": most,
        "memory_ratio": memory,
    }


if __name__ == "__main__":
    main()
