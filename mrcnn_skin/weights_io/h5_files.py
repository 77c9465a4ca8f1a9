"""Read a Keras .h5 weight file into named tensors, and refuse damaged files.

imagenet.py translates the tensors of other networks; by_name.py loads them into models.
"""

import os
import re
import zipfile
from collections import Counter
from collections.abc import Container, Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

# ResNet-101's weights take 256 million bytes; larger files are refused
MAX_WEIGHT_BYTES = 2_000_000_000
KERAS3_PLACE = re.compile(r"(^|/)vars/\d+$")  # of Keras 3's own .weights.h5


def read_h5(
    path: str | os.PathLike, wanted: Container[str] = ()
) -> dict[str, np.ndarray]:
    """Read the tensors of a Keras-2 .h5 file, with nested groups.

    A group that holds one layer gives it its name; in a group of several (rpn_model)
    they have their own. Only what the file itself holds is read: links are not
    followed.

    Args:
        path: of the file.
        wanted: names of tensors; a layer's exact name comes first where it gives one
            of these.

    Returns:
        {"layer/tensor": array}.

    Raises:
        FileNotFoundError: if there is no file.
        ValueError: naming the file, if it is not HDF5, is cut short, or holds no
            weights, more than MAX_WEIGHT_BYTES of them, two of one name, a tensor of
            numbers that are not real, or a value that float32 cannot hold.
    """
    require_file(path)
    if zipfile.is_zipfile(path):
        raise ValueError(f"{path} is no weight file but an archive, such as a .keras")
    try:
        with h5py.File(path, "r") as handle:
            inner = handle.get("model_weights", getlink=True)
            is_inside = isinstance(inner, h5py.HardLink)
            places = _read_datasets(handle["model_weights"] if is_inside else handle)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a whole HDF5 weight file: {error}") from error
    if not places:
        raise ValueError(f"{path} holds no weights")
    if any(KERAS3_PLACE.search(place) for place in places):
        raise ValueError(
            f"{path} is a file of keras_model.save_weights, which numbers the tensors "
            "instead of naming them: save with MaskRCNN.save_weights, or load it by "
            "keras_model.load_weights into a model of the same mode and Config"
        )
    for place, value in places.items():
        with np.errstate(over="ignore"):
            value = value.astype(np.float32)  # as the network holds it
        if not np.all(np.isfinite(value)):
            raise ValueError(
                f"{path}: {place} holds NaN, or values that are infinite as float32"
            )
    scopes = {place.rpartition("/")[0] for place in places}
    layers_in = Counter(scope.split("/")[0] for scope in scopes)
    try:
        return with_unique_names(
            (_tensor_name(place, layers_in, wanted), place, value)
            for place, value in places.items()
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def require_path(path: str | os.PathLike) -> None:
    """Raise ValueError unless `path` may be the path of a weight file."""
    if not isinstance(path, str | os.PathLike) or not str(path):
        raise ValueError(f"a weight file must be the path of a .h5 file, got {path!r}")


def require_file(path: str | os.PathLike) -> None:
    """Raise FileNotFoundError for a path where nothing is, ValueError for no file."""
    require_path(path)
    if not os.path.exists(path):
        raise FileNotFoundError(f"there is no weight file {path}")
    if os.path.isdir(path):
        names = ", ".join(sorted(p.name for p in Path(path).glob("*.h5")))
        raise ValueError(
            f"a weight file must be a .h5 file, got the folder {path}, "
            f"{f'which holds {names}' if names else 'which holds none'}"
        )


def _read_datasets(group):
    places, total = {}, 0

    def read(place, item):
        nonlocal total
        if not isinstance(item, h5py.Dataset) or item.shape is None:
            return
        if item.dtype.kind in "OS":  # text, such as a note
            return
        if item.dtype.kind not in "fiu":
            raise ValueError(f"{place} holds no real numbers but {item.dtype}")
        if item.external or item.is_virtual:
            raise ValueError(f"{place} is kept in another file")
        # The shape is only a claim: a file of a few bytes can make one of terabytes
        total += item.nbytes
        if total > MAX_WEIGHT_BYTES:
            raise ValueError(f"its tensors exceed {MAX_WEIGHT_BYTES} bytes at {place}")
        places[place] = item[()]

    group.visititems(read)
    return places


def _tensor_name(place, layers_in, wanted):
    """Name of the tensor at "rpn_model/rpn_conv_shared_1/kernel:0"; see read_h5."""
    scope, _, tensor = place.rpartition("/")
    tensor = tensor.split(":")[0]
    group, layer = scope.split("/")[0], scope.rpartition("/")[2]
    if layers_in[group] > 1:
        # TensorFlow 1 added the _1 to the names of a process's second graph
        exact, other = layer, re.sub(r"_\d+$", "", layer)
    elif f"{group}/{tensor}" in wanted:
        return f"{group}/{tensor}"
    else:  # perhaps a nested model of one layer
        exact, other = layer, group
    return f"{exact if f'{exact}/{tensor}' in wanted else other}/{tensor}"


def with_unique_names(tensors: Iterable[tuple[str, str, Any]]) -> dict[str, Any]:
    """Collect (name, place in the file, value) into {name: value}.

    Raises:
        ValueError: naming both places, if two have the same name.
    """
    values, places = {}, {}
    for name, place, value in tensors:
        if name in values:
            raise ValueError(f"{places[name]} and {place} are both {name}")
        values[name], places[name] = value, place
    return values
