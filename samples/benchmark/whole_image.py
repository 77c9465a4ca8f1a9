"""Seconds from a photograph's file to its full-size mask, beside the network alone.

Decoding, resizing, the network and pasting on the one side, the network on a canvas
of the same size on the other, in turn, in float32 and bfloat16. Peers do the same
from file to mask.

    python samples/benchmark/whole_image.py photo.jpg --weights=trained.h5
"""

import argparse

import harness


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("image", help="a large photograph")
    parser.add_argument("--size", type=int, default=1024, help="of the canvas, pixels")
    parser.add_argument(
        "--weights",
        help="trained .h5, its config.json beside it (default: random)",
    )
    parser.add_argument("--rounds", type=int, default=5)
    harness.add_peer_option(parser)
    parser.add_argument("--out", default="benchmark_whole_image.json")
    args = parser.parse_args()

    size, image = f"--size={args.size}", f"--image={args.image}"
    common = [size, "--canvas=content"]
    if args.weights:
        common.append(f"--weights={args.weights}")
    tables = []
    for precision in ("float32", "bfloat16"):
        options = *common, f"--precision={precision}"
        candidates = [
            harness.ours(f"network, {precision}", *options, frame_of(args.image)),
            harness.ours(f"file to mask, {precision}", *options, image),
            *harness.peers(args.peer, precision, size, image),
        ]
        tables.append(harness.compare(candidates, args.rounds))
    harness.write_json(args.out, options=vars(args), tables=tables)


def frame_of(path):
    """The worker's option for the aspect ratio of an image file."""
    from mrcnn_skin.data.files import image_size

    return "--frame={}x{}".format(*image_size(path))


if __name__ == "__main__":
    main()
