"""Check a network's weights: statistics, histograms, dead units.

Tables are pandas DataFrames, charts matplotlib Figures.
"""

import re
from collections.abc import Iterable

import keras
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..model import MaskRCNN

OVERFLOW = 1000  # a weight beyond this is suspect, as in Matterport
BINS = 40
DEAD_SHARE = 0.9  # of a layer's channels; with more dead ones it is reported


def display_weight_stats(model: MaskRCNN) -> pd.DataFrame:
    """Tabulate the extremes and deviation of every weight.

    Returns:
        DataFrame, one row per weight: weight, shape, min, max, std, and the alert of
        weight_alert.
    """
    rows = []
    for layer, weight, values in _weights(model):
        rows.append(
            {
                "weight": f"{layer.name}/{weight.name}",
                "shape": values.shape,
                "min": values.min(),
                "max": values.max(),
                "std": values.std(),
                "alert": weight_alert(weight.name, values),
            }
        )
    return pd.DataFrame(rows)


def weight_alert(name: str, values: np.ndarray) -> str:
    """Return an alert on a weight: "overflow?", "dead?" or "".

    "overflow?" is a value beyond OVERFLOW, "dead?" a kernel of equal values.

    Args:
        name: such as "kernel".
        values: array.
    """
    if np.abs(values).max() > OVERFLOW:
        return "overflow?"
    return "dead?" if name == "kernel" and not np.ptp(values) else ""


def plot_weight_histograms(
    model: MaskRCNN, name: str = "kernel", layers: str = ".*", cols: int = 8
) -> Figure:
    """Plot histograms of one kind of weight, a panel per layer.

    Panels with an alert (weight_alert) are red.

    Args:
        model: a MaskRCNN.
        name: such as "kernel", "bias" or "gamma".
        layers: regular expression that matches whole names.
        cols: panels per row.

    Raises:
        ValueError: if no such layer has such a weight.
    """
    found = [
        (layer, values)
        for layer, weight, values in _weights(model)
        if weight.name == name and re.fullmatch(layers, layer.name)
    ]
    if not found:
        raise ValueError(f"no layer {layers!r} has a weight named {name!r}")
    rows = -(-len(found) // cols)
    figure = Figure(figsize=(2 * cols, 1.5 * rows), layout="constrained")
    axes = figure.subplots(rows, cols, squeeze=False).ravel()
    for ax in axes[len(found) :]:
        ax.remove()
    for ax, (layer, values) in zip(axes, found, strict=False):
        alert = weight_alert(name, values)
        ax.hist(values.ravel(), BINS, color="red" if alert else "C0")
        ax.set_title(f"{layer.name} {alert}", size=8, color="red" if alert else "black")
        ax.locator_params(axis="x", nbins=3)
        ax.tick_params(labelsize=7)
        ax.set_yticks([])
    return figure


def dead_units(model: MaskRCNN, images: Iterable[np.ndarray]) -> pd.DataFrame:
    """Count each ReLU layer's channels that are 0 everywhere in some images.

    A dead unit adds nothing and, its gradient being 0, hardly recovers. But a unit of
    the last layers of a backbone may respond to few images only: half of the shipped
    network's are 0 in any eight generated lesions. Look at many images.

    Args:
        model: a MaskRCNN of mode "inference".
        images: as for MaskRCNN.detect. Layers of the heads see the regions of each.

    Returns:
        A DataFrame: layer, channels, dead, and an alert where nearly all are dead.
    """
    layers = [x for x in model.keras_model.layers if isinstance(x, keras.layers.ReLU)]
    outputs = [(layer.name, layer.output) for layer in layers]
    highest = dict.fromkeys([name for name, _ in outputs], -np.inf)
    for image in images:
        for name, values in model.run_graph([image], outputs).items():
            peak = values.reshape(-1, values.shape[-1]).max(axis=0)
            highest[name] = np.maximum(highest[name], peak)
    rows = []
    for name, peak in highest.items():
        dead = np.count_nonzero(peak <= 0)
        alert = "nearly all are dead" if dead > DEAD_SHARE * len(peak) else ""
        rows.append(
            {"layer": name, "channels": len(peak), "dead": dead, "alert": alert}
        )
    return pd.DataFrame(rows)


def _weights(model):
    """Yield (layer, variable, array) of all weights of a MaskRCNN."""
    for layer in model.get_trainable_layers():
        for weight in layer.weights:
            yield layer, weight, np.asarray(weight)
