"""Which layers learn in which stage."""

import keras
import numpy as np
import pytest

from mrcnn_skin.training.stages import (
    LAYER_SETS,
    PAPER_STAGES,
    Stage,
    parse_stages,
    recipe_number,
    require_stages,
    set_trainable,
)

HEADS = {"fpn_c5p5", "rpn_conv_shared", "mrcnn_class_conv1", "mrcnn_class_bn1"}
STAGE = {
    2: {"res2a_branch2a", "bn2a_branch2a"},
    3: {"res3a_branch2a", "bn3a_branch2a"},
    4: {"res4b22_branch2a", "bn4b22_branch2a"},
    5: {"res5c_branch1", "gn5c_branch1"},
}
STEM = {"conv1", "bn_conv1"}
ALL = HEADS | STEM | STAGE[2] | STAGE[3] | STAGE[4] | STAGE[5]


@pytest.fixture
def model():
    """A chain of layers under a network's names, the RPN's one in a nested model."""
    image = keras.Input([4, 4, 2])
    x = keras.layers.ReLU(name="res2a_out")(image)
    for name in sorted(ALL - {"rpn_conv_shared"}):
        if name.startswith(("bn", "gn")) or "_bn" in name:
            x = keras.layers.BatchNormalization(name=name)(x)
        else:
            x = keras.layers.Conv2D(2, 1, name=name)(x)
    features = keras.Input([None, None, 2])
    rpn = keras.layers.Conv2D(2, 1, name="rpn_conv_shared")(features)
    rpn = keras.Model(features, rpn, name="rpn_model")
    return keras.Model(image, rpn(x))


def learning(model):
    """Names of the layers that hold the model's trainable variables."""
    return {variable.path.split("/")[-2] for variable in model.trainable_variables}


@pytest.mark.parametrize(
    "layers, names",
    [
        ("heads", HEADS),
        ("5+", HEADS | STAGE[5]),
        ("4+", HEADS | STAGE[5] | STAGE[4]),
        ("3+", HEADS | STAGE[5] | STAGE[4] | STAGE[3]),
        ("all", ALL),
        (r"res2.*|rpn_conv_shared", {"res2a_branch2a", "rpn_conv_shared"}),
    ],
)
def test_layers_of_a_set(model, layers, names):
    assert set(set_trainable(model, layers)) == names
    assert learning(model) == names


def test_a_stage_undoes_the_one_before(model):
    for layers in ("heads", "all", "5+", "heads", "all"):
        set_trainable(model, layers)
    assert learning(model) == ALL
    assert len(model.trainable_variables) == 2 * len(ALL)


def test_a_frozen_model_wakes_up(model):
    model.trainable = False
    set_trainable(model, "heads")
    assert learning(model) == HEADS


@pytest.mark.parametrize("layers", ["conv", "res2a_out", "head"])
def test_no_layer_to_learn_is_an_error(model, layers):
    with pytest.raises(ValueError, match=f"no layer with weights matches '{layers}'"):
        set_trainable(model, layers)


@pytest.mark.parametrize(
    "stage, words",
    [
        (("heads", 1, 1e-3), r"a list of .* Stage\(.*, got \[.*, \('heads'"),
        (Stage(["heads"], 1, 1e-3), r"layers of a stage must be .*, got \['heads'\]"),
        (Stage("(res", 1, 1e-3), r"regular expression of .*, got '\(res': missing \)"),
        (Stage("head", 1, 1e-3), "matches 'head'; did you mean 'heads'?"),
        (
            Stage("rpn_conv_share", 1, 1e-3),
            "'rpn_conv_share'; did you mean 'rpn_conv_shared'?",
        ),
        (Stage("heads", 1.5, 1e-3), "epochs of a stage must be a whole .*, got 1.5"),
        (Stage("heads", True, 1e-3), "epochs of a stage must be .*, got True"),
        (Stage("heads", 1, True), "learning_rate of a stage must be .*, got True"),
        (Stage("heads", 1, float("inf")), "learning_rate of a stage .*, got inf"),
        (Stage("heads", 1, 0), "learning_rate of a stage must be .*, got 0"),
        (Stage("heads", 1, "1e-3"), "learning_rate of a stage must be .*, got '1e-3'"),
    ],
)
def test_a_stage_that_cannot_be_trained(model, stage, words):
    with pytest.raises(ValueError, match=words):
        require_stages(model, [Stage("all", 1, 1e-3), stage])


@pytest.mark.parametrize(
    "stages", [[], (), None, "heads:1:1e-3", Stage("all", 1, 1e-3), {"all": 1}]
)
def test_what_is_no_list_of_stages(model, stages):
    with pytest.raises(
        ValueError, match="stages must be a list .*; parse_stages makes"
    ):
        require_stages(model, stages)


def test_layers_of_another_type(model):
    with pytest.raises(ValueError, match=r"layers of .* got \['heads'\]"):
        set_trainable(model, ["heads"])


def test_stages_that_can_be_trained(model):
    before = learning(model)
    require_stages(model, [*PAPER_STAGES, Stage("res2.*", np.int64(2), np.float32(1))])
    assert learning(model) == before != STAGE[2], "looked at, not set"


def test_parse_stages():
    assert parse_stages("heads:20:1e-3, (mrcnn_|rpn_).*:5:0.5") == (
        Stage("heads", 20, 1e-3),
        Stage("(mrcnn_|rpn_).*", 5, 0.5),
    )
    assert parse_stages("paper") == PAPER_STAGES
    # Matterport's COCO recipe: to epoch 40, 120 and 160, the last at a tenth
    assert PAPER_STAGES == (("heads", 40, 1e-3), ("4+", 80, 1e-3), ("all", 40, 1e-4))
    assert {stage.layers for stage in PAPER_STAGES} < set(LAYER_SETS)


def test_an_optimizer_goes_on_with_its_layers_and_rate_alone():
    stage = Stage("heads", 20, 1e-3)
    assert recipe_number(stage) == recipe_number(stage._replace(epochs=5))
    others = Stage("heads", 20, 1e-4), Stage("all", 20, 1e-3), Stage("3+", 20, 1e-3)
    assert len({recipe_number(s) for s in (stage, *others)}) == 4


@pytest.mark.parametrize(
    "text",
    [
        "",
        "heads",
        "heads:20",
        "heads:2.5:1e-3",
        "heads:0:1e-3",
        "heads:5:0",
        "heads:5:-1e-3",
        "heads:5:nan",
        ":5:1e-3",
        "heads:5:1e-3,",
        "(res:5:1e-3",
    ],
)
def test_parse_stages_says_which_part_is_wrong(text):
    with pytest.raises(ValueError, match=r"a stage must .*, got "):
        parse_stages("all:1:1e-3," + text)
