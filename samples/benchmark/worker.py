"""The other side of harness.py: run something when asked, and say how long it took.

Also what all workers are asked for, their options and numbers. It needs nothing but
Python, so that workers of peers can import it.
"""

import argparse
import json
import os
import resource
import sys
import time

# A peer that has not all of them says so by a PRECISIONS of its own
PRECISIONS = "float32", "bfloat16"
PROPOSALS, DETECTIONS = 1000, 10  # of an image, in detection
CLASSES = 3  # as IsicConfig's, the background included


def detection_options(description, precisions=PRECISIONS):
    """A parser with the options that all workers for detection have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--precision", choices=precisions, default="float32")
    parser.add_argument("--size", type=int, default=1024, help="longer side, pixels")
    parser.add_argument("--frame", default="1x1", help="aspect ratio, HEIGHTxWIDTH")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--image", help="whole way: from this file to its masks")
    return parser


def training_options(description, layers=None, backbones=None):
    """A parser with the options that all trainers have.

    layers, backbones: values to choose from; None: leave the check to others.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--layers", choices=layers, default="all")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32")
    parser.add_argument("--backbone", choices=backbones, default="resnet50")
    parser.add_argument("--size", type=int, default=1024, help="of the square, pixels")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--anchors", type=int, default=256, help="sampled an image")
    parser.add_argument("--proposals", type=int, default=1000)
    parser.add_argument("--rois", type=int, default=200, help="sampled an image")
    return parser


def sides(size, frame, multiple=1):
    """Height and width in pixels, [2], of an image of the shape `frame`, HEIGHTxWIDTH.

    size: of the longer one. Both are rounded up to a multiple.
    """
    shape = [int(side) for side in frame.split("x")]
    return [-(-size * side // max(shape) // multiple) * multiple for side in shape]


def serve(versions, run):
    """Call `run` whenever harness.py asks, until it asks to end; see `turns`."""
    for _ in turns(versions):
        run()


def turns(versions):
    """Yield once for every run that harness.py asks for, until it asks to end.

    What is done until the next turn is the run: its seconds are answered, on the clock
    and of the processor in all threads. Requests come on stdin, answers go as lines of
    JSON to stdout.
    versions: what is measured, in words. Yields a dict, {} at first, of other figures
    to answer with the seconds.
    """
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a library prints must not get between the answers

    def answer(**values):
        answers.write(json.dumps(values) + "\n")

    answer(versions=versions)
    for line in sys.stdin:
        request = line.strip()
        if request == "run":
            figures = {}
            cpu, wall = time.process_time(), time.perf_counter()
            yield figures
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            answer(wall=wall, cpu=cpu, **figures)
        elif request == "end":
            usage = resource.getrusage(resource.RUSAGE_SELF)
            answer(peak_gb=usage.ru_maxrss / 2**20)
            return
        else:
            raise ValueError(f"unknown request {request!r}")
