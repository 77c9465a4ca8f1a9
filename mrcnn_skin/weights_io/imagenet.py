"""Translate ImageNet weights of keras-applications' ResNets to this network.

Those networks take BGR images, and the newer ones have a smaller BatchNorm epsilon: the
tensors are converted so that this network computes the same. The exception is the first
pooling, which pads its input by one on all sides (newer files) or not at all (older
file), and here, as in Matterport, below and to the right.
"""

import re

import numpy as np

from .h5_files import with_unique_names

EPSILON = 1e-3  # of this network's BatchNorm, Matterport's and Keras's default
APPLICATIONS_EPSILON = 1.001e-5  # of the newer files' networks

# What Keras 1 called the tensors of a layer: "bn_conv1_running_std_1" and the like
KERAS1_TENSORS = {
    "W": "kernel",
    "b": "bias",
    "gamma": "gamma",
    "beta": "beta",
    "running_mean": "moving_mean",
    "running_std": "moving_variance",  # a variance in spite of its name
}
KERAS1_NAME = re.compile(rf"(.+)/\1_({'|'.join(KERAS1_TENSORS)})(?:_\d+)?")
BLOCK_NAME = re.compile(r"conv([2-5])_block(\d+)_([0-3])_(conv|bn)")
BRANCHES = ("branch1", "branch2a", "branch2b", "branch2c")  # 0 is the shortcut


def from_applications(
    tensors: dict[str, np.ndarray],
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Translate the tensors of a keras-applications file; others pass as they are.

    Known are its ResNets up to 101 layers: the older ResNet-50 (release v0.2;
    Matterport's layer names and Keras 1's tensor names) and the newer ones
    (conv2_block1_1_conv ...). Like this network they have their stride in the first
    1x1 convolution of a stage.

    Args:
        tensors: {"layer/tensor": array} as in the file.

    Returns:
        The translated {"layer/tensor": array}, and what was changed, in words.

    Raises:
        ValueError: for a ResNet v2, which normalises before its convolutions, and for
            two tensors that get one name.
    """
    if any("_preact_bn/" in name for name in tensors):
        raise ValueError("it is of a ResNet v2, another network; a ResNet v1 would fit")
    is_old = any(KERAS1_NAME.fullmatch(name) for name in tensors)
    is_new = "conv1_conv/kernel" in tensors
    if not is_old and not is_new:
        return tensors, []
    tensors = with_unique_names(
        (_matterports_name(n), n, v) for n, v in tensors.items()
    )
    changes = []
    kernel = tensors.get("conv1/kernel")
    if kernel is not None and kernel.ndim == 4 and kernel.shape[2] == 3:
        tensors["conv1/kernel"] = kernel[:, :, ::-1]
        changes.append("conv1 turned from BGR to RGB")
    if is_new:
        _change_epsilon(tensors)
        changes.append(f"gamma scaled for an epsilon of {EPSILON}")
    return tensors, changes


def _matterports_name(name):
    if old := KERAS1_NAME.fullmatch(name):
        return f"{old[1]}/{KERAS1_TENSORS[old[2]]}"
    layer, _, tensor = name.rpartition("/")
    layer = {"conv1_conv": "conv1", "conv1_bn": "bn_conv1"}.get(layer, layer)
    block = BLOCK_NAME.fullmatch(layer)
    if block and int(block[2]) <= 26:
        stage, number, branch, kind = block.groups()
        letter = chr(ord("a") + int(number) - 1)
        prefix = "res" if kind == "conv" else "bn"
        layer = f"{prefix}{stage}{letter}_{BRANCHES[int(branch)]}"
    return f"{layer}/{tensor}"


def _change_epsilon(tensors):
    """Scale gamma so that gamma / sqrt(variance + epsilon) stays what it was."""
    for name, variance in tensors.items():
        layer, _, tensor = name.rpartition("/")
        if tensor == "moving_variance" and f"{layer}/gamma" in tensors:
            ratio = (variance + EPSILON) / (variance + APPLICATIONS_EPSILON)
            tensors[f"{layer}/gamma"] = tensors[f"{layer}/gamma"] * np.sqrt(ratio)
