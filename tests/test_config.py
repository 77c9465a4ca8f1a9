"""Config takes what can work and says what cannot."""

import functools
import json
from pathlib import Path

import numpy as np
import pytest

from mrcnn_skin import Config, IsicConfig
from mrcnn_skin.config_rules import RULES


@pytest.mark.parametrize(
    "overrides, words",
    [
        ({"IMAGE_MAX_DIM": 500, "IMAGE_MIN_DIM": 300}, ["multiple of 64", "500"]),
        ({"IMAGE_MIN_DIM": 2048}, ["IMAGE_MIN_DIM", "2048"]),
        ({"FOCAL_ALFA": 1}, ["FOCAL_ALFA", "FOCAL_ALPHA"]),
        ({"FOCAL_ALPHA": 2}, ["FOCAL_ALPHA", "at most 1", "2"]),
        ({"NORM": "layer"}, ["NORM", "'batch', 'group'"]),
        ({"MASK_SHAPE": (30, 30)}, ["MASK_SHAPE", "(30, 30)"]),
        ({"TASKS": ()}, ["TASKS"]),
        ({"TASKS": ("paint",)}, ["TASKS", "paint"]),
        ({"RPN_ANCHOR_SCALES": (32, 64)}, ["RPN_ANCHOR_SCALES", "5"]),
        ({"MEAN_PIXEL": (1, 2)}, ["MEAN_PIXEL", "3"]),
        ({"CLASS_NAMES": ("BG",)}, ["CLASS_NAMES", "3"]),
        ({"MALIGNANT_CLASS_IDS": (3,)}, ["MALIGNANT_CLASS_IDS", "1..2"]),
        ({"IMAGE_RESIZE_MODE": "none"}, ["IMAGES_PER_GPU", "1"]),
        ({"NORM": "group", "MASK_HEAD_WIDTH": 100}, ["GROUP_NORM_GROUPS"]),
        ({"HEAD_NORM": "group", "MASK_HEAD_WIDTH": 100}, ["GROUP_NORM_GROUPS"]),
        ({"HEAD_NORM": "none"}, ["HEAD_NORM", "'same', 'batch', 'group'"]),
        ({"LOSS_WEIGHTS": {"rpn_class_loss": 1}}, ["LOSS_WEIGHTS", "mrcnn_mask_loss"]),
        ({"IMAGES_PER_GPU": 1.5}, ["IMAGES_PER_GPU", "whole number"]),
        ({"TRAIN_BN": 1.5}, ["TRAIN_BN"]),
        ({"NAME": "a/b"}, ["NAME", "slashes"]),
        ({"NAME": ".."}, ["NAME", "'..'"]),
        ({"DATA_FOLDER": "x"}, ["DATA_FOLDER: int = 3"]),
        ({"USE_RPN_ROIS": False}, ["USE_RPN_ROIS must be True", "got False"]),
        ({"IMAGE_PADDING": False}, ["must be True", "IMAGE_RESIZE_MODE"]),
        ({"COMPUTE_BACKBONE_SHAPE": len}, ["must be None", "BACKBONE_STRIDES"]),
        ({"CLASS_NAMES": "abc"}, ["CLASS_NAMES", "a list of names"]),
        ({"MALIGNANT_CLASS_IDS": 2}, ["MALIGNANT_CLASS_IDS", "list", "2"]),
        ({"MEAN_PIXEL": ("a", "b", "c")}, ["MEAN_PIXEL", "numbers"]),
        ({"MASK_SHAPE": (28.0, 28.0)}, ["MASK_SHAPE", "whole numbers"]),
        ({"MASK_SHAPE": (28, 56)}, ["MASK_SHAPE", "both sides"]),
        ({"MINI_MASK_SHAPE": (56.5, 56)}, ["MINI_MASK_SHAPE", "56.5"]),
        ({"BACKBONE_STRIDES": (4, 8, 16, 32)}, ["BACKBONE_STRIDES", "5"]),
        ({"RPN_LEVELS": (3, 5, 6)}, ["RPN_LEVELS", "successive", "2..6"]),
        ({"RPN_LEVELS": (5, 6, 7)}, ["RPN_LEVELS", "2..6"]),
        ({"RPN_LEVELS": (3, 4, 5, 6)}, ["RPN_ANCHOR_SCALES", "4"]),
        ({"ROI_LEVELS": (3, 4, 5, 6)}, ["ROI_LEVELS", "2..5"]),
        ({"ROI_LEVELS": ()}, ["ROI_LEVELS", "successive"]),
        ({"BACKBONE_STRIDES": (4, 8, 16, 32, 128)}, ["BACKBONE_STRIDES", "double"]),
        ({"BACKBONE": "callable resnet"}, ["BACKBONE"]),
        ({"ROI_POSITIVE_RATIO": 0}, ["ROI_POSITIVE_RATIO", "above 0"]),
        ({"FOCAL_ALPHA": float("nan")}, ["FOCAL_ALPHA", "nan"]),
        ({"TEMPERATURE": 0}, ["TEMPERATURE", "above 0"]),
        ({"OPERATING_POINTS": (0.9,)}, ["pairs (sensitivity, threshold)", "0.9"]),
        ({"OPERATING_POINTS": ((0.9, 1.2),)}, ["within 0..1", "1.2"]),
        ({"SENSITIVITY": 0.9}, ["one of OPERATING_POINTS (none)", "0.9"]),
        ({"IMAGE_RESIZE_MODE": "crop", "IMAGE_MIN_DIM": 100}, ["IMAGE_MIN_DIM", "64"]),
        ({"LEARNING_RATE": float("inf")}, ["LEARNING_RATE must be a number", "inf"]),
        ({"GRADIENT_CLIP_NORM": np.inf}, ["GRADIENT_CLIP_NORM", "inf"]),
        ({"MEAN_PIXEL": (1, 2, float("inf"))}, ["MEAN_PIXEL", "inf"]),
        ({"MALIGNANT_CLASS_IDS": (True,)}, ["MALIGNANT_CLASS_IDS", "True"]),
    ],
)
def test_what_cannot_work_is_refused_with_the_reason(overrides, words):
    with pytest.raises(ValueError) as error:
        IsicConfig(**overrides)
    for word in words:
        assert word in str(error.value)


def test_a_subclass_overrides_as_in_matterport():
    class NucleusConfig(Config):
        NAME = "nucleus"
        NUM_CLASSES = 2
        GPU_COUNT = 2
        IMAGES_PER_GPU = 3
        MEAN_PIXEL = np.array([43.5, 39.5, 48.2])
        RPN_ANCHOR_RATIOS = [1]

    config = NucleusConfig()
    assert config.BATCH_SIZE == 6
    assert config.IMAGE_SHAPE == (1024, 1024, 3)
    assert config.MEAN_PIXEL == (43.5, 39.5, 48.2)
    assert config.RPN_ANCHOR_RATIOS == (1,)
    assert Config.NUM_CLASSES == 1


def test_every_field_of_matterports_is_accepted_at_its_value():
    class MatterportConfig(Config):
        NAME = "all"
        GPU_COUNT = 1
        IMAGES_PER_GPU = 2
        STEPS_PER_EPOCH = 1000
        VALIDATION_STEPS = 50
        BACKBONE = "resnet101"
        COMPUTE_BACKBONE_SHAPE = None
        BACKBONE_STRIDES = [4, 8, 16, 32, 64]
        FPN_CLASSIF_FC_LAYERS_SIZE = 1024
        TOP_DOWN_PYRAMID_SIZE = 256
        NUM_CLASSES = 1
        RPN_ANCHOR_SCALES = (32, 64, 128, 256, 512)
        RPN_ANCHOR_RATIOS = [0.5, 1, 2]
        RPN_ANCHOR_STRIDE = 1
        RPN_NMS_THRESHOLD = 0.7
        RPN_TRAIN_ANCHORS_PER_IMAGE = 256
        PRE_NMS_LIMIT = 6000
        POST_NMS_ROIS_TRAINING = 2000
        POST_NMS_ROIS_INFERENCE = 1000
        USE_MINI_MASK = True
        MINI_MASK_SHAPE = (56, 56)
        IMAGE_RESIZE_MODE = "square"
        IMAGE_MIN_DIM = 800
        IMAGE_MAX_DIM = 1024
        IMAGE_MIN_SCALE = 0
        IMAGE_CHANNEL_COUNT = 3
        MEAN_PIXEL = np.array([123.7, 116.8, 103.9])
        TRAIN_ROIS_PER_IMAGE = 200
        ROI_POSITIVE_RATIO = 0.33
        POOL_SIZE = 7
        MASK_POOL_SIZE = 14
        MASK_SHAPE = [28, 28]
        MAX_GT_INSTANCES = 100
        RPN_BBOX_STD_DEV = np.array([0.1, 0.1, 0.2, 0.2])
        BBOX_STD_DEV = np.array([0.1, 0.1, 0.2, 0.2])
        DETECTION_MAX_INSTANCES = 100
        DETECTION_MIN_CONFIDENCE = 0.7
        DETECTION_NMS_THRESHOLD = 0.3
        LEARNING_RATE = 0.001
        LEARNING_MOMENTUM = 0.9
        WEIGHT_DECAY = 0.0001
        LOSS_WEIGHTS = {
            "rpn_class_loss": 1.0,
            "rpn_bbox_loss": 1.0,
            "mrcnn_class_loss": 1.0,
            "mrcnn_bbox_loss": 1.0,
            "mrcnn_mask_loss": 1.0,
        }
        USE_RPN_ROIS = True
        TRAIN_BN = False
        GRADIENT_CLIP_NORM = 5.0

    assert sum(name.isupper() for name in vars(MatterportConfig)) == 45
    config = MatterportConfig()
    assert config.to_dict() == Config(NAME="all").to_dict(), "and is the default here"
    assert config.replace(USE_RPN_ROIS=True, IMAGE_PADDING=True).IMAGE_META_SIZE == 13


COMPUTED = {
    "BATCH_SIZE": "IMAGES_PER_GPU, GPU_COUNT",
    "IMAGE_SHAPE": "IMAGE_RESIZE_MODE, IMAGE_MIN_DIM, IMAGE_MAX_DIM, "
    "IMAGE_CHANNEL_COUNT",
    "CANVAS_SHAPE": "IMAGE_RESIZE_MODE, IMAGE_MAX_DIM, IMAGE_CHANNEL_COUNT, "
    "DETECTION_CANVAS",
    "RPN_STRIDES": "BACKBONE_STRIDES, RPN_LEVELS",
    "IMAGE_META_SIZE": "NUM_CLASSES",
    "HEAD_CLASSES": "NUM_CLASSES, TASKS",
    "THRESHOLD": "OPERATING_POINTS, SENSITIVITY",
    "LOSS_NAMES": "TASKS",
}


def test_the_computed_fields_are_these():
    properties = {n for n, v in vars(Config).items() if isinstance(v, property)}
    assert properties == set(COMPUTED)


@pytest.mark.parametrize("name, sources", COMPUTED.items())
def test_a_computed_field_cannot_be_set(name, sources):
    words = f"^{name} is computed: set {sources} instead"
    config = IsicConfig()
    before = getattr(config, name)
    for make in (
        lambda: IsicConfig(**{name: 4}),
        lambda: config.replace(**{name: 4}),
        lambda: setattr(config, name, 4),
        lambda: config.parse_overrides([f"{name}=4"]),
        type("Shadowing", (IsicConfig,), {name: 4}),
        type("Declaring", (IsicConfig,), {name: 4, "__annotations__": {name: int}}),
        type("Computing", (IsicConfig,), {name: property(lambda self: 4)}),
    ):
        with pytest.raises(ValueError, match=words):
            make()
    assert getattr(config, name) == before


def test_a_computed_field_of_ones_own_is_shown(capsys):
    class Own(IsicConfig):
        @property
        def IMAGES_AN_EPOCH(self):
            return self.BATCH_SIZE * 10

    Own(IMAGES_PER_GPU=3).display()
    assert "IMAGES_AN_EPOCH                30\n" in capsys.readouterr().out


def test_a_typing_error_in_an_attribute_is_found():
    with pytest.raises(ValueError, match="did you mean LEARNING_RATE"):
        Config().LEARNING_RAT = 0.1


def test_a_config_with_an_init_of_its_own(tmp_path):
    class Spots(IsicConfig):
        def __init__(self, colours):
            self.NUM_CLASSES = 1 + colours
            self.CLASS_NAMES = ()
            super().__init__(IMAGES_PER_GPU=3)

    config = Spots(4)
    twin = config.replace(RPN_ANCHOR_RATIOS=[1])
    twin.LOSS_WEIGHTS["rpn_class_loss"] = 5.0
    assert type(twin) is Spots
    assert (twin.NUM_CLASSES, twin.IMAGES_PER_GPU) == (5, 3)
    assert twin.RPN_ANCHOR_RATIOS == (1,)
    assert config.RPN_ANCHOR_RATIOS == (0.5, 1, 2)
    assert config.LOSS_WEIGHTS["rpn_class_loss"] == 1.0
    with pytest.raises(ValueError, match="MALIGNANT_CLASS_IDS"):
        config.replace(NUM_CLASSES=2)
    twin.to_json(tmp_path / "config.json")
    assert Spots.from_json(tmp_path / "config.json").to_dict() == twin.to_dict()


def test_a_typing_error_in_a_subclass_is_found_and_a_declared_field_is_not_one():
    class Typo(Config):
        LEARNING_RAT = 0.1

    class Declared(Config):
        MY_FIELD: int = 3

    with pytest.raises(ValueError, match="LEARNING_RATE"):
        Typo()
    assert Declared(MY_FIELD=4).to_dict()["MY_FIELD"] == 4


def test_a_field_is_no_property():
    class Steps(Config):
        @property
        def STEPS_PER_EPOCH(self):
            return 5

    with pytest.raises(ValueError, match="STEPS_PER_EPOCH must be a value, got a prop"):
        Steps()


@pytest.mark.parametrize("name", Config().to_dict())
def test_no_field_may_be_none(name):
    with pytest.raises(ValueError, match=f"^{name} must be .*None"):
        Config(**{name: None})


def test_a_function_of_a_subclass_is_no_method():
    class WithBackbone(Config):
        BACKBONE = backbone

    assert WithBackbone().BACKBONE is backbone
    assert WithBackbone().replace(SEED=1).BACKBONE is backbone


class Own(Config):
    MY_FIELD: object = None


@pytest.mark.parametrize(
    "value", [object(), Path("x"), len, {1: "a"}, {"a": {2}}, float("nan"), [b"x"]]
)
def test_a_field_of_ones_own_that_json_cannot_hold_is_refused(value):
    with pytest.raises(ValueError, match="^MY_FIELD must be a number, text, .*, got "):
        Own(MY_FIELD=value)


@pytest.mark.parametrize(
    "value", [None, 0.5, "a", np.arange(3), [1, [2]], {"a": (1, {"b": [2]})}]
)
def test_a_field_of_ones_own_comes_back_from_json(value, tmp_path):
    config = Own(MY_FIELD=value)
    config.to_json(tmp_path / "own.json")
    assert Own.from_json(tmp_path / "own.json").MY_FIELD == config.MY_FIELD


class Backbone:
    def __call__(self, images, config): ...

    def method(self, images, config): ...


def backbone(images, config, depth=1): ...


@pytest.mark.parametrize(
    "function, name",
    [
        (backbone, "backbone"),
        (functools.partial(functools.partial(backbone, depth=2), depth=3), "backbone"),
        (Backbone(), "Backbone"),
        (Backbone().method, "Backbone.method"),
    ],
)
def test_any_backbone_of_ones_own_is_stored_by_its_name(function, name):
    config = Config(BACKBONE=function)
    assert json.loads(config.to_json())["BACKBONE"] == f"callable {name}"


def test_lists_become_tuples_and_nothing_is_shared():
    scales = [16, 32, 64, 128, 256]
    config = IsicConfig(RPN_ANCHOR_SCALES=scales, IMAGE_MIN_DIM=64)
    scales.append(512)
    assert config.RPN_ANCHOR_SCALES == (16, 32, 64, 128, 256)
    config.LOSS_WEIGHTS["rpn_class_loss"] = 5.0
    assert IsicConfig().LOSS_WEIGHTS["rpn_class_loss"] == 1.0


@pytest.mark.parametrize(
    "mode, shape, canvas",
    [
        ("square", (512, 512, 3), (512, 512, 3)),
        ("crop", (256, 256, 3), (None, None, 3)),
        ("pad64", (None, None, 3), (None, None, 3)),
        ("none", (None, None, 3), (None, None, 3)),
    ],
)
def test_image_shape_of_each_resize_mode(mode, shape, canvas):
    config = IsicConfig(
        IMAGE_RESIZE_MODE=mode, IMAGE_MIN_DIM=256, IMAGE_MAX_DIM=512, IMAGES_PER_GPU=1
    )
    assert config.IMAGE_SHAPE == shape
    assert config.CANVAS_SHAPE == canvas


def test_the_threshold_is_that_of_the_sensitivity():
    config = IsicConfig(OPERATING_POINTS=[[0.8, 0.4], [0.9, 0.3]])
    assert config.THRESHOLD is None
    assert config.replace(SENSITIVITY=0.9).THRESHOLD == 0.3
    with pytest.raises(ValueError, match=r"OPERATING_POINTS \(\[0.8, 0.9\]\), got 0.5"):
        config.replace(SENSITIVITY=0.5)


def test_detection_may_cut_what_training_pads():
    config = IsicConfig(DETECTION_CANVAS="content")
    assert config.IMAGE_SHAPE == (1024, 1024, 3)
    assert config.CANVAS_SHAPE == (None, None, 3)


def test_strides_of_the_rpns_levels():
    assert IsicConfig().RPN_STRIDES == (4, 8, 16, 32, 64)
    config = IsicConfig(RPN_LEVELS=(4, 5), RPN_ANCHOR_SCALES=(256, 512))
    assert config.RPN_STRIDES == (16, 32)


def test_overrides_from_text():
    config = IsicConfig()
    values = config.parse_overrides(
        [
            "MASK_SHAPE=56,56",
            "NORM=group",
            "TRAIN_BN=True",
            "FOCAL_BETA=1.5",
            "TASKS=segment",
        ]
    )
    assert values == {
        "MASK_SHAPE": (56, 56),
        "NORM": "group",
        "TRAIN_BN": True,
        "FOCAL_BETA": 1.5,
        "TASKS": ("segment",),
    }
    assert config.replace(**values).MASK_SHAPE == (56, 56)
    assert config.MASK_SHAPE == (28, 28)
    with pytest.raises(ValueError, match="NAME=VALUE"):
        config.parse_overrides(["NORM"])
    with pytest.raises(ValueError, match="did you mean NORM"):
        config.parse_overrides(["NORMM=group"])


def test_json_round_trip(tmp_path):
    path = tmp_path / "config.json"
    config = IsicConfig(
        TASKS=("segment",),
        FOCAL_BETA=1,
        LOSS_WEIGHTS=dict.fromkeys(Config.LOSS_WEIGHTS, 2.0),
    )
    config.to_json(path)
    assert IsicConfig.from_json(path).to_dict() == config.to_dict()
    assert config.LOSS_NAMES == ["rpn_class_loss", "rpn_bbox_loss", "mrcnn_mask_loss"]
    assert config.HEAD_CLASSES == 2
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("text", ["", "{", "[1]", "3", '{"LR": 1}', '{"SEED": "x"}'])
def test_a_file_that_is_no_configuration_is_named(tmp_path, text):
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"config\.json is not a configuration"):
        IsicConfig.from_json(path)


def test_every_field_has_a_rule():
    assert set(RULES) == set(Config().to_dict())


def test_display_lists_every_field_and_what_follows_from_them(capsys):
    IsicConfig().display()
    lines = capsys.readouterr().out.splitlines()
    shown = {
        name: value.strip() for name, _, value in (x.partition(" ") for x in lines)
    }
    assert set(shown) >= set(IsicConfig().to_dict())
    assert shown["BATCH_SIZE"] == "2" and shown["IMAGE_META_SIZE"] == "15"
