"""Matterport's COCO file into this network, and this network into Matterport's code.

The file has the true one's layout and values that a tensor's name tells.
"""

import re

import h5py
import numpy as np
import pytest
from coco_layout import layout, write_file
from tiny import tiny_config

from mrcnn_skin.graph.mask_rcnn import build_inference_model, build_training_model
from mrcnn_skin.weights_io.by_name import CLASS_LAYERS, load_h5, named_weights, save_h5

pytestmark = pytest.mark.slow  # networks of the full width


def coco_config(**overrides):
    """A Config of the COCO network's widths."""
    return tiny_config(
        NORM="batch",
        TOP_DOWN_PYRAMID_SIZE=256,
        RPN_WIDTH=512,
        FPN_CLASSIF_FC_LAYERS_SIZE=1024,
        MASK_HEAD_WIDTH=256,
        **{"BACKBONE": "resnet101", **overrides},
    )


@pytest.fixture(scope="module")
def coco_file(tmp_path_factory):
    """Path of a file laid out as mask_rcnn_coco.h5, 246 MB; gone after the tests."""
    path = tmp_path_factory.mktemp("coco") / "coco.h5"
    write_file(path)
    yield path
    path.unlink()


@pytest.fixture(scope="module")
def coco_model(coco_file):
    """The inference graph of COCO's 81 classes, loaded; and the report."""
    model = build_inference_model(coco_config(NUM_CLASSES=81, CLASS_NAMES=()))
    return model, load_h5(model, coco_file)


def coco_tensors(file):
    """{"layer/tensor": dataset} of an open file; its layers have one scope each."""
    found = {}

    def add(place, item):
        if isinstance(item, h5py.Dataset):
            found["/".join(place.removesuffix(":0").split("/")[-2:])] = item

    file.visititems(add)
    return found


def assert_values_of_file(model, path, names):
    variables = named_weights(model)
    with h5py.File(path) as file:
        tensors = coco_tensors(file)
        for name in names:
            np.testing.assert_array_equal(
                tensors[name][()], variables[name], err_msg=name
            )
        return set(tensors)


def test_every_tensor_reaches_the_inference_graph(coco_file, coco_model):
    model, report = coco_model
    assert not (report.missing or report.unused or report.mismatched or report.excluded)
    names = set(named_weights(model))
    assert assert_values_of_file(model, coco_file, names) == names


@pytest.mark.parametrize("backbone", ["resnet101", "resnet50"])
def test_training_graph_of_three_classes(coco_file, backbone):
    model = build_training_model(coco_config(BACKBONE=backbone))
    before = {n: np.array(named_weights(model)[n]) for n in class_tensors(model)}
    report = load_h5(model, coco_file)

    # All but the heads' last layers, which stay as they are
    assert not report.missing and not report.excluded
    assert report.loaded == [n for n in named_weights(model) if n not in before]
    in_file = assert_values_of_file(model, coco_file, report.loaded)
    for name, value in before.items():
        np.testing.assert_array_equal(named_weights(model)[name], value)
    shapes = {name: shapes for name, *shapes in report.mismatched}
    assert set(shapes) == set(before)
    assert shapes["mrcnn_mask/kernel"] == [(1, 1, 256, 81), (1, 1, 256, 3)]

    # ResNet-50 has the blocks a..f of stage 4, ResNet-101 a..w
    beyond = {n for n in in_file if re.match("(res|bn)4[g-w]_branch2[abc]/", n)}
    assert len(beyond) == 17 * 3 * (2 + 4)
    assert set(report.unused) == (beyond if backbone == "resnet50" else set())
    assert set(report.loaded) | set(before) | set(report.unused) == in_file


def class_tensors(model):
    names = [n for n in named_weights(model) if n.split("/")[0] in CLASS_LAYERS]
    assert len(names) == 2 * 3  # kernel and bias of Matterport's three layers
    return names


def read_as_keras2(path, layers):
    """Load as Keras 2's load_weights_from_hdf5_group_by_name does, by its semantics.

    Layers are found by the group's name; within a layer tensors go by position.
    layers: {layer: [(tensor, shape)]} of the model that loads, in its weights' order.
    Returns {tensor: array}.
    """
    loaded = {}
    with h5py.File(path) as file:
        assert "layer_names" in file.attrs and "model_weights" not in file
        for layer in (name.decode("utf8") for name in file.attrs["layer_names"]):
            names = [n.decode("utf8") for n in file[layer].attrs["weight_names"]]
            wanted = layers.get(layer)
            if wanted is None:  # a layer that the model does not have
                continue
            assert len(names) == len(wanted), f"{layer} has {len(names)} tensors"
            for name, (tensor, shape) in zip(names, wanted, strict=True):
                value = file[layer][name]
                assert value.shape == shape, f"{name} for {tensor}"
                loaded[tensor] = value[()]
    return loaded


def test_matterports_code_loads_what_is_saved_here(coco_model, tmp_path):
    model, _ = coco_model
    # Keras puts the tensors of frozen layers last; the file must not
    model.get_layer("rpn_model").get_layer("rpn_conv_shared").trainable = False
    model.get_layer("bn_conv1").trainable = False
    save_h5(model, tmp_path / "trained.h5")
    layers = {}
    for group, tensor, shape in layout():
        layers.setdefault(group, []).append((tensor, shape))
    loaded = read_as_keras2(tmp_path / "trained.h5", layers)
    (tmp_path / "trained.h5").unlink()

    tensors = [tensor for wanted in layers.values() for tensor, _ in wanted]
    assert sorted(loaded) == sorted(tensors)
    for tensor in tensors:
        np.testing.assert_array_equal(
            loaded[tensor],
            named_weights(model)[tensor.removesuffix(":0")],
            err_msg=tensor,
        )
