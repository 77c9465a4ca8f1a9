"""Tables and histograms of weights: what is suspect is found."""

import keras
import numpy as np
import pytest
from tiny import tiny_config

from mrcnn_skin import MaskRCNN
from mrcnn_skin.visualize import (
    dead_units,
    display_weight_stats,
    plot_weight_histograms,
)


class ThreeLayers:
    """Stands for a MaskRCNN: three layers of one input and two outputs."""

    KERNELS = {"good": (1, 2), "dead": (0, 0), "wild": (1, 2000)}

    def get_trainable_layers(self):
        layers = [keras.layers.Dense(2, name=name) for name in self.KERNELS]
        for layer, kernel in zip(layers, self.KERNELS.values(), strict=True):
            layer.build([None, 1])
            layer.set_weights([np.array([kernel], float), np.zeros(2)])
        return layers


def test_display_weight_stats_names_what_is_suspect():
    table = display_weight_stats(ThreeLayers()).set_index("weight")
    assert table.loc["good/kernel", ["min", "max", "std"]].tolist() == [1, 2, 0.5]
    assert table.loc["good/kernel", "shape"] == (1, 2)
    alerts = table["alert"][table["alert"] != ""].to_dict()
    assert alerts == {"dead/kernel": "dead?", "wild/kernel": "overflow?"}


def test_histograms_warn_of_dead_and_wild_layers():
    axes = plot_weight_histograms(ThreeLayers(), cols=2).axes
    titles = [ax.get_title() for ax in axes]
    assert titles == ["good ", "dead dead?", "wild overflow?"]
    for ax in axes:
        assert sum(patch.get_height() for patch in ax.patches) == 2
    red = (1, 0, 0, 1)
    assert [ax.patches[0].get_facecolor() == red for ax in axes] == [False, True, True]
    (one,) = plot_weight_histograms(ThreeLayers(), layers="w.*").axes
    assert one.get_title() == "wild overflow?"
    with pytest.raises(ValueError, match="no layer '.*' has a weight named 'gamma'"):
        plot_weight_histograms(ThreeLayers(), "gamma")


@pytest.mark.parametrize("dead, alert", [(5, ""), (8, "nearly all are dead")])
def test_dead_units_are_those_that_no_image_moves(dead, alert):
    """With its norm's scale at 0, a channel is its shift: dead if that is negative."""
    model = MaskRCNN("inference", tiny_config())
    norm = model.keras_model.get_layer("gn_conv1")
    gamma, beta = np.zeros(8), np.repeat([1.0, -1.0], [8 - dead, dead])
    norm.set_weights([gamma, beta])
    photo = np.random.default_rng(0).integers(256, size=(64, 64, 3), dtype=np.uint8)
    table = dead_units(model, [photo, 255 - photo]).set_index("layer")
    assert table.loc["conv1_relu"].tolist() == [8, dead, alert]
    assert table.loc["mrcnn_class_relu1", "channels"] == 32
    assert len(table) == 5 + 2 + 4  # backbone, class head, mask head
