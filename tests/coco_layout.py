"""The layout of Matterport's mask_rcnn_coco.h5: its layers with weights, in its order.

The table has a row for each: the name, with the group of a nested model before it;
"kernel" (with a bias for each of its outputs) or "norm" (four tensors of one shape);
the shape. Its weights are not here; `write_file` makes values of the tensors' names.
"""

import csv
import zlib
from pathlib import Path

import h5py
import numpy as np

TABLE = Path(__file__).with_name("coco_layers.tsv")
NORM = ("gamma", "beta", "moving_mean", "moving_variance")


def layout():
    """Yield (group, "layer/tensor:0", shape) of every tensor of the file."""
    with open(TABLE, newline="") as handle:
        for row in csv.DictReader(handle, delimiter="\t"):
            shape = tuple(map(int, row["shape"].split("x")))
            tensors = {"kernel": shape, "bias": shape[-1:]}
            if row["tensors"] == "norm":
                tensors = dict.fromkeys(NORM, shape)
            group, _, layer = row["layer"].rpartition("/")
            for tensor, size in tensors.items():
                yield group or layer, f"{layer}/{tensor}:0", size


def write_file(path):
    """Write a file of that layout, 246 MB, with values that differ by the name."""
    with h5py.File(path, "w") as file:
        for group, tensor, shape in layout():
            rng = np.random.default_rng(zlib.crc32(tensor.encode()))
            file[f"{group}/{tensor}"] = rng.random(shape, np.float32)
