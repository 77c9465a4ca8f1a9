"""Load and save weights by layer name, in .h5 files of Matterport's layout.

Tensors are matched by the names of layer and tensor, never by position. All are checked
before the first one is changed.
"""

import fnmatch
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import keras
import numpy as np

from ..atomic import written_whole
from ..config import Config
from ..graph.common import leaf_layers, other_norm
from .h5_files import read_h5, require_path, with_unique_names
from .imagenet import from_applications

# Layers whose last axis depends on the number of classes
CLASS_LAYERS = (
    "mrcnn_class_logits",
    "mrcnn_context_logits",
    "mrcnn_bbox_fc",
    "mrcnn_mask",
)
CONFIG_ATTRIBUTE = "mrcnn_skin_config"  # of a file: its Config as JSON


@dataclass
class LoadReport:
    """The result for every tensor, "layer/tensor", of a file and of the model."""

    path: str
    loaded: list[str] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)
    mismatched: list = field(default_factory=list)  # (name, file's shape, model's)
    missing: list[str] = field(default_factory=list)  # in the file
    unused: list[str] = field(default_factory=list)  # by the model
    notes: list[str] = field(default_factory=list)  # conversions and warnings

    @property
    def left(self) -> set[str]:
        """Names of the layers with a tensor that was not loaded."""
        mismatched = [name for name, *_ in self.mismatched]
        return {_layer(n) for n in (*self.excluded, *mismatched, *self.missing)}

    def __str__(self):
        lines = [f"{self.path}: {len(self.loaded)} tensors loaded"]
        for title, names in (
            ("excluded", self.excluded),
            ("missing in the file, not changed", self.missing),
            ("unused in the file", self.unused),
        ):
            if names:
                lines.append(f"  {len(names)} {title}: {_in_words(names)}")
        if self.mismatched:
            count = len(self.mismatched)
            lines.append(f"  {count} not changed, for another number of classes:")
        for name, in_file, in_model in self.mismatched:
            lines.append(f"    {name} {in_file}, the model has {in_model}")
        return "\n".join(lines + [f"  {note}" for note in self.notes])

    def require_complete(self) -> None:
        """Raise ValueError if the file did not give every tensor of the model."""
        lacking = [*self.missing, *(name for name, *_ in self.mismatched)]
        if lacking:
            raise ValueError(
                f"{self.path} must have all weights of the network, got none that fit "
                f"{len(lacking)} of its tensors, such as {lacking[0]}: the network "
                "needs the Config of the weights or the options of the training run"
            )


def _in_words(names, shown=6):
    """List the first layers of the tensors `names`."""
    layers = list(dict.fromkeys(map(_layer, names)))
    rest = f" and {len(layers) - shown} more layers" if layers[shown:] else ""
    return ", ".join(layers[:shown]) + rest


def _layer(name):
    return name.rpartition("/")[0]


def named_weights(model: keras.Model) -> dict[str, keras.Variable]:
    """Return {"layer/tensor": variable} of a model, nested models included.

    Raises:
        ValueError: if two have the same name: one of them would be lost.
    """
    return with_unique_names(
        (f"{layer.name}/{weight.name}", weight.path, weight)
        for layer in leaf_layers(model)
        for weight in layer.weights
    )


def require_names(model: keras.Model) -> None:
    """Check that all weights can be saved and loaded by name.

    Raises:
        ValueError: if two weights have the same name, or a layer has none of its own:
            "conv2d_7" has another name in the next graph.
    """
    for layer in leaf_layers(model):
        stem = re.sub(r"_\d+$", "", layer.name).replace("_", "")
        if layer.weights and stem == type(layer).__name__.lower():
            raise ValueError(
                "every layer with weights must have a name of its own, got "
                f"{layer.name!r}, as Keras would name it: make it with "
                f"{type(layer).__name__}(..., name=...)"
            )
    try:
        named_weights(model)
    except ValueError as error:
        raise ValueError(
            f"every weight must have a name of its own: {error}"
        ) from error


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Copy every tensor of `target` from the layer of that name in `source`.

    Raises:
        ValueError: naming the tensors that `source` does not have.
    """
    values = named_weights(source)
    wanted = named_weights(target)
    absent = sorted(set(wanted) - set(values))
    if absent:
        raise ValueError(f"the source model lacks {', '.join(absent[:5])}")
    for name, variable in wanted.items():
        variable.assign(values[name])


def load_h5(
    model: keras.Model,
    path: str | Path,
    exclude: str | Iterable[str] = (),
    verbose: int = 1,
) -> LoadReport:
    """Load weights by name from Matterport's layout, or keras-applications' ResNets.

    CLASS_LAYERS for another number of classes are left as they are.

    Args:
        model: either graph.
        path: the .h5 file.
        exclude: names or patterns ("mrcnn_*") of layers to leave as they are; that of
            a nested model ("rpn_model") stands for all of its layers.
        verbose: 1 prints the report.

    Returns:
        A LoadReport.

    Raises:
        FileNotFoundError: if there is no file.
        ValueError: before a weight changes, for an unusable file (read_h5), any other
            difference of shape, a network of the other NORM, or a file that shares no
            tensor with the model.
    """
    exclude = (exclude,) if isinstance(exclude, str) else exclude
    is_list = isinstance(exclude, list | tuple | set)
    if not (is_list and all(isinstance(pattern, str) for pattern in exclude)):
        raise ValueError(f"exclude must be a list of layers' names, got {exclude!r}")
    variables = named_weights(model)
    tensors = read_h5(path, variables)
    try:
        tensors, changes = from_applications(tensors)
        excluded = set(_matched_layers(model, exclude))
        report = _compare(LoadReport(str(path)), variables, tensors, excluded)
        _require_fit(report, tensors)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    report.notes = changes + _idle_patterns(exclude, model, tensors)
    for name in report.loaded:
        variables[name].assign(tensors.pop(name))
    if verbose:
        print(report)
    return report


def _matched_layers(model, patterns):
    """Names of the layers, at any depth, that a pattern matches."""
    for layer in model.layers:
        is_matched = any(fnmatch.fnmatchcase(layer.name, p) for p in patterns)
        if is_matched:
            yield layer.name
        if isinstance(layer, keras.Model):
            yield from _matched_layers(layer, ["*"] if is_matched else patterns)


def _idle_patterns(patterns, model, tensors):
    """A note on each pattern that fits no layer, most likely a typing error."""
    in_file = {_layer(name) for name in tensors}
    return [
        f"exclude={pattern!r} matches no layer"
        for pattern in patterns
        if not any(_matched_layers(model, [pattern]))
        and not fnmatch.filter(in_file, pattern)
    ]


def _compare(report, variables, tensors, excluded):
    """Fill and return a LoadReport of what is to be loaded; writes nothing."""
    report.unused = [name for name in tensors if name not in variables]
    for name, variable in variables.items():
        if _layer(name) in excluded:
            report.excluded.append(name)
        elif name not in tensors:
            report.missing.append(name)
        elif tensors[name].shape != tuple(variable.shape):
            shapes = tensors[name].shape, tuple(variable.shape)
            report.mismatched.append((name, *shapes))
        else:
            report.loaded.append(name)
    return report


def _require_fit(report, tensors):
    """Raise ValueError where the tensors are not those of such a network."""
    in_file = {_layer(name) for name in tensors}
    for layer in map(_layer, report.missing):
        other = other_norm(layer)
        if other != layer and other in in_file:
            raise ValueError(
                f"it has {other} where the model has {layer}: the networks differ in "
                "NORM; leave such layers out with exclude="
            )
    wrong = [m for m in report.mismatched if not _differs_in_classes(*m)]
    if wrong:
        name, in_file, in_model = wrong[0]
        raise ValueError(
            f"{name} has the shape {in_file}, the model wants {in_model}"
            f"{f', and {len(wrong) - 1} more tensors differ' if wrong[1:] else ''}; "
            "leave such layers out with exclude="
        )
    if not report.loaded:
        raise ValueError("it has no tensor that the model knows and may take")


def _differs_in_classes(name, in_file, in_model):
    return _layer(name) in CLASS_LAYERS and in_file[:-1] == in_model[:-1]


def save_h5(model: keras.Model, path: str | Path, config: Config | None = None) -> None:
    """Write a model's weights in Matterport's layout, whole or not at all.

    A group a layer, with the attributes layer_names and weight_names; the RPN's
    layers in the group rpn_model.

    Args:
        model: either graph.
        path: the .h5 file.
        config: the Config of the model, stored as CONFIG_ATTRIBUTE.
    """
    require_path(path)
    with written_whole(path) as partial, h5py.File(partial, "w") as handle:
        handle.attrs["layer_names"] = _fixed_length(
            layer.name for layer in model.layers
        )
        if config is not None:
            handle.attrs[CONFIG_ATTRIBUTE] = config.to_json()
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
