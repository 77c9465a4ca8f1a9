"""Names that weights must have, and what cannot be saved by name."""

import keras
import pytest
from tiny import tiny_config

from mrcnn_skin import MaskRCNN
from mrcnn_skin.graph.common import Network
from mrcnn_skin.graph.folding import FoldedModel
from mrcnn_skin.weights_io.by_name import load_h5, named_weights, require_names


def one_layer(layer):
    image = keras.Input([4, 4, 2])
    return keras.Model(image, layer(image))


class Twice(keras.layers.Layer):
    """A layer of two layers, whose kernels have the same name."""

    def __init__(self):
        super().__init__(name="two")
        self.first, self.second = keras.layers.Dense(2), keras.layers.Dense(2)

    def call(self, x):
        return self.second(self.first(x))


@pytest.mark.parametrize(
    "layer, words",
    [
        (
            lambda: keras.layers.Conv2D(2, 1),
            r"got 'conv2d(_\d+)?', as Keras would name it: make it with Conv2D",
        ),
        (lambda: keras.layers.Conv2D(2, 1, name="conv2d"), "'conv2d', as Keras would"),
        (lambda: keras.layers.Conv2DTranspose(2, 1), "got 'conv2d_transpose"),
        (lambda: one_layer(keras.layers.BatchNormalization()), "batch_normalization"),
        (Twice, "every weight must .*/kernel and .*/kernel are both two/kernel"),
    ],
)
def test_what_cannot_be_saved_by_name_is_refused(layer, words):
    with pytest.raises(ValueError, match=words):
        require_names(one_layer(layer()))


@pytest.mark.parametrize("mode", ["training", "inference"])
def test_a_network_is_refused_as_it_is_built(monkeypatch, mode):
    unnamed = one_layer(keras.layers.Dense(2))
    monkeypatch.setattr(f"mrcnn_skin.model.build_{mode}_model", lambda _: unnamed)
    with pytest.raises(ValueError, match="got 'dense"):
        MaskRCNN(mode, tiny_config())


def test_names_of_ones_own_and_layers_without_weights_are_taken():
    for layer, names in (
        (keras.layers.Conv2D(2, 1, name="own"), ["own/kernel", "own/bias"]),
        (
            keras.layers.Conv2D(2, 1, name="conv2d_a"),
            ["conv2d_a/kernel", "conv2d_a/bias"],
        ),
        (keras.layers.ReLU(), []),
    ):
        model = one_layer(layer)
        require_names(model)
        assert list(named_weights(model)) == names


def test_files_of_keras_3_are_named(tmp_path):
    model = one_layer(keras.layers.Dense(2, name="own"))
    for name, save, words in (
        ("a.weights.h5", model.save_weights, "a file of keras_model.save_weights"),
        ("a.keras", model.save, "a.keras is no weight file but an archive"),
    ):
        save(tmp_path / name)
        with pytest.raises(ValueError, match=words):
            load_h5(model, tmp_path / name)


@pytest.mark.parametrize("name", ["a.keras", "a.h5"])
@pytest.mark.parametrize("kind", [Network, FoldedModel])
def test_a_network_says_how_it_is_saved(tmp_path, kind, name):
    image = keras.Input([2])
    network = kind(image, keras.layers.Dense(1, name="own")(image))
    with pytest.raises(ValueError, match=f"{name} .* Use MaskRCNN.save_weig"):
        network.save(tmp_path / name)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="Use MaskRCNN.save_weights"):
        keras.saving.save_model(network, tmp_path / name)
    network.save_weights(tmp_path / "a.weights.h5")
    keras.models.clone_model(network, clone_function=lambda layer: layer)


def test_two_tensors_of_one_name_in_a_model():
    """A layer of layers has several kernels; one of them would be lost."""
    image = keras.Input([4, 8])
    attention = keras.layers.MultiHeadAttention(2, 3, name="attention")
    model = keras.Model(image, attention(image, image))
    with pytest.raises(ValueError, match="query/kernel and .*key/kernel are both"):
        named_weights(model)
