"""The shapes and types that layers declare are those that Keras finds by tracing."""

import keras
import pytest
from tiny import lean_config, tiny_config

from mrcnn_skin.graph.mask_rcnn import build_inference_model, build_training_model
from mrcnn_skin.layers.anchor_patches import AnchorPatches
from mrcnn_skin.layers.boxes import GeometryLayer
from mrcnn_skin.layers.losses import LossLayer

DECLARING = (GeometryLayer, LossLayer, AnchorPatches)


@pytest.fixture(scope="module")
def calls():
    """(layer, its arguments) of every call of a declaring layer in some graphs."""
    loose = lean_config(
        IMAGE_RESIZE_MODE="pad64", IMAGES_PER_GPU=1, UNFAMILIAR_COMPONENTS=2
    )
    graphs = [
        build_training_model(tiny_config()),
        build_training_model(lean_config(TRAINING_PRECISION="bfloat16")),
        build_inference_model(loose),
        build_inference_model(lean_config(DIAGNOSIS="image", TASKS=("classify",))),
    ]
    return [
        (layer, node.arguments.args, node.arguments.kwargs)
        for graph in graphs
        for layer in graph.layers
        if isinstance(layer, DECLARING)
        for node in layer._inbound_nodes
    ]


def describe(specs):
    return type(specs), [
        (tuple(spec.shape), keras.backend.standardize_dtype(spec.dtype))
        for spec in keras.tree.flatten(specs)
    ]


def test_a_declared_spec_is_the_traced_one(calls):
    for layer, args, kwargs in calls:
        traced = keras.layers.Layer.compute_output_spec(layer, *args, **kwargs)
        declared = layer.compute_output_spec(*args, **kwargs)
        assert describe(declared) == describe(traced), layer.name


def test_every_layer_of_these_kinds_is_looked_at(calls):
    def leaves(kind):
        return {kind}.union(*map(leaves, kind.__subclasses__()))

    wanted = set().union(*map(leaves, DECLARING)) - {GeometryLayer, LossLayer}
    seen = {type(layer) for layer, *_ in calls}
    assert {kind for kind in wanted if kind.__module__.startswith("mrcnn")} == seen
