"""Weights by layer name, in and out of the .h5 files that Matterport's code knows.

Tensors are matched by the layer's and the tensor's name, never by position, and all
of them are checked before the first is written. Full training states are not kept
here but in training/checkpoint.py.
"""

import fnmatch
import os
from dataclasses import dataclass, field

import h5py
import keras
import numpy as np

from .atomic import written_whole

# Layers whose shapes depend on the classes: new for a new set of classes
CLASS_LAYERS = ("mrcnn_class_logits", "mrcnn_bbox_fc", "mrcnn_mask")

# Keras 1, of which the ImageNet file is, called layer L's tensors L_W, L_b, ...; its
# running_std is a variance in spite of the name
KERAS_1_NAMES = {
    "W": "kernel",
    "b": "bias",
    "gamma": "gamma",
    "beta": "beta",
    "running_mean": "moving_mean",
    "running_std": "moving_variance",
}


@dataclass
class LoadReport:
    """What became of every tensor of a file and of the model, as "layer/tensor"."""

    path: str
    loaded: list = field(default_factory=list)
    excluded: list = field(default_factory=list)
    mismatched: list = field(default_factory=list)  # (name, file's shape, model's)
    missing: list = field(default_factory=list)  # in the file
    unused: list = field(default_factory=list)  # by the model

    def __str__(self):
        lines = [f"{self.path}: {len(self.loaded)} tensors loaded"]
        for title, names in (
            ("left out as asked", self.excluded),
            ("missing in the file", self.missing),
            ("unused in the file", self.unused),
        ):
            if names:
                layers = list(dict.fromkeys(name.rpartition("/")[0] for name in names))
                more = ", ..." if len(layers) > 6 else ""
                lines.append(f"  {len(names)} {title}: {', '.join(layers[:6])}{more}")
        for name, in_file, in_model in self.mismatched:
            lines.append(f"  other shape: {name} {in_file}, the model wants {in_model}")
        return "\n".join(lines)


def leaf_layers(model):
    """Yield the layers of a model, those of nested models in their place."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from leaf_layers(layer)
        else:
            yield layer


def named_weights(model):
    """Return {"layer/tensor": variable} of a model, nested models included."""
    return {f"{x.name}/{w.name}": w for x in leaf_layers(model) for w in x.weights}


def copy_weights(source, target):
    """Copy every tensor of `target` from the layer of that name in `source`.

    Raises ValueError naming the tensors that `source` does not have.
    """
    values = named_weights(source)
    wanted = named_weights(target)
    absent = sorted(set(wanted) - set(values))
    if absent:
        raise ValueError(f"the source model lacks {', '.join(absent[:5])}")
    for name, variable in wanted.items():
        variable.assign(values[name])


def read_h5(path):
    """Read {"layer/tensor": array} of a Keras-1 or -2 .h5 file, with nested groups.

    Raises ValueError, naming the file, where it is not HDF5, cut short, holds no
    weights, or holds a value that is not finite; FileNotFoundError where it is absent.
    """
    if not os.path.exists(path):
        raise FileNotFoundError(f"there is no weight file {path}")
    tensors = {}

    def collect(name, item):
        if isinstance(item, h5py.Dataset) and np.issubdtype(item.dtype, np.number):
            *_, layer, tensor = ["", *name.split("/")]
            tensor = tensor.split(":")[0]
            tensor = KERAS_1_NAMES.get(tensor.removeprefix(f"{layer}_"), tensor)
            tensors[f"{layer}/{tensor}"] = item[()]

    try:
        with h5py.File(path, "r") as handle:
            handle.get("model_weights", handle).visititems(collect)
    except (OSError, ValueError, RuntimeError) as error:
        raise ValueError(f"{path} is not a whole HDF5 weight file: {error}") from error
    if not tensors:
        raise ValueError(f"{path} holds no weights")
    for name, value in tensors.items():
        if not np.all(np.isfinite(value)):
            raise ValueError(f"{path}: {name} holds NaN or infinite values")
    return tensors


def load_h5(model, path, exclude=()):
    """Load weights by name; returns a LoadReport.

    exclude: layer names or patterns ("mrcnn_*") to leave out.
    CLASS_LAYERS of another shape are left as they are, for a new set of classes. Any
    other difference of shape, or a file that shares no tensor with the model, raises
    ValueError before anything is written.
    """
    tensors = read_h5(path)
    report = LoadReport(str(path))
    values = {}
    variables = named_weights(model)
    for name, variable in variables.items():
        layer = name.split("/")[0]
        if any(fnmatch.fnmatchcase(layer, pattern) for pattern in exclude):
            report.excluded.append(name)
        elif name not in tensors:
            report.missing.append(name)
        elif tensors[name].shape != tuple(variable.shape):
            shapes = tensors[name].shape, tuple(variable.shape)
            report.mismatched.append((name, *shapes))
        else:
            values[name] = tensors[name]
    report.loaded = list(values)
    report.unused = [name for name in tensors if name not in variables]
    wrong = [m for m in report.mismatched if m[0].split("/")[0] not in CLASS_LAYERS]
    if wrong:
        name, in_file, in_model = wrong[0]
        raise ValueError(
            f"{path}: {name} has the shape {in_file}, the model wants {in_model}"
            f"{f', and {len(wrong) - 1} more tensors differ' if wrong[1:] else ''}; "
            "leave such layers out with exclude="
        )
    if not values:
        raise ValueError(f"{path} has no tensor whose name the model knows")
    for name, value in values.items():
        variables[name].assign(value)
    return report


def save_h5(model, path):
    """Write a model's weights in Matterport's layout, whole or not at all.

    A group a layer, with the attributes layer_names and weight_names; the RPN's
    layers in the group rpn_model.
    """
    with written_whole(path) as partial, h5py.File(partial, "w") as handle:
        handle.attrs["layer_names"] = _fixed_length(
            layer.name for layer in model.layers
        )
        handle.attrs["backend"] = np.bytes_("tensorflow")
        # The version whose layout this is
        handle.attrs["keras_version"] = np.bytes_("2.0.8")
        for layer in model.layers:
            group = handle.create_group(layer.name)
            weights = (
                named_weights(layer)
                if isinstance(layer, keras.Model)
                else {f"{layer.name}/{w.name}": w for w in layer.weights}
            )
            group.attrs["weight_names"] = _fixed_length(f"{name}:0" for name in weights)
            for name, variable in weights.items():
                group.create_dataset(f"{name}:0", data=np.asarray(variable))


def _fixed_length(names):
    """Names as Keras 2 stores and decodes them; h5py makes other strings of a list."""
    return np.array([name.encode() for name in names], dtype="S")
