"""Dataset's book-keeping, with two sources whose class numbers overlap."""

import numpy as np
import pytest
from PIL import Image
from tiny import lean_config

from mrcnn_skin.data.dataset import Dataset, load_instances
from mrcnn_skin.data.pipeline import load_example
from mrcnn_skin.evaluation.scoring import score_images
from mrcnn_skin.matterport.molding import load_image_gt
from mrcnn_skin.training.loop import Trainer


def two_sources(**kwargs):
    dataset = Dataset(**kwargs)
    dataset.add_class("spots", 1, "spot")
    dataset.add_class("shapes", 1, "square")
    dataset.add_class("shapes", 7, "circle")
    dataset.add_image("spots", "s1", "s1.png", class_id=1)
    dataset.add_image("shapes", "q1", "q1.png", class_id=7, author="A")
    dataset.add_image("photos", "p1", "p1.png", class_id=0)
    return dataset


@pytest.fixture
def dataset():
    dataset = two_sources()
    dataset.prepare()
    return dataset


def test_prepare_numbers_classes_in_order(dataset):
    assert dataset.num_classes == 4
    assert dataset.class_names == ["BG", "spot", "square", "circle"]
    np.testing.assert_array_equal(dataset.class_ids, [0, 1, 2, 3])
    assert dataset.num_images == 3
    np.testing.assert_array_equal(dataset.image_ids, [0, 1, 2])
    assert dataset.sources == ["", "spots", "shapes"]
    assert dataset.source_class_ids == {"": [0], "spots": [0, 1], "shapes": [0, 2, 3]}


def test_class_ids_to_and_from_a_source(dataset):
    assert dataset.map_source_class_id("shapes.7") == 3
    assert dataset.get_source_class_id(3, "shapes") == 7
    with pytest.raises(ValueError, match="shapes.2"):
        dataset.map_source_class_id("shapes.2")
    with pytest.raises(ValueError, match="'spots' has no class with class_id 3"):
        dataset.get_source_class_id(3, "spots")


@pytest.mark.parametrize("class_id", [0, -1, "1", 1.0, None, True])
def test_class_ids_of_a_source_begin_at_1(class_id):
    with pytest.raises(ValueError, match=f"class_id must .*, got {class_id!r} for 'x'"):
        Dataset().add_class("spots", class_id, "x")


@pytest.mark.parametrize("value", [None, 3, "", b"a"])
@pytest.mark.parametrize(
    "add, name",
    [
        (lambda value: Dataset().add_class(value, 1, "x"), "source"),
        (lambda value: Dataset().add_image(value, "x", None), "source"),
        (lambda value: Dataset().add_class("s", 1, value), "class_name"),
    ],
)
def test_names_are_text(add, name, value):
    with pytest.raises(ValueError, match=f"{name} must be text, got {value!r}"):
        add(value)


class Forgetful(Dataset):
    def __init__(self):
        pass


@pytest.mark.parametrize(
    "use",
    [
        lambda dataset: dataset.prepare(),
        lambda dataset: dataset.add_class("s", 1, "x"),
        lambda dataset: dataset.add_image("s", "x", None),
        lambda dataset: dataset.image_ids,
        lambda dataset: dataset.load_image(0),
    ],
)
def test_a_subclass_must_call_its_parent(use):
    with pytest.raises(AttributeError, match=r"^Forgetful.__init__ must call super"):
        use(Forgetful())


@pytest.mark.parametrize("value", [None, [1], Dataset, "isic2017"])
def test_other_objects_are_refused(value, tmp_path):
    def train(images):
        others = {"val": None, "run_dir": tmp_path, "detector": None}
        Trainer(None, lean_config(), train=images, **others)

    for use in (
        lambda: load_example(value, lean_config(), 0),
        lambda: load_image_gt(value, lean_config(), 0),
        lambda: score_images(None, value),
        lambda: train(value),
    ):
        with pytest.raises(ValueError, match="must be a prepared Dataset, got"):
            use()


def test_a_data_set_that_is_not_prepared_is_not_loaded_from():
    with pytest.raises(AttributeError, match=r"call prepare\(\)"):
        load_image_gt(two_sources(), lean_config(), 0)


@pytest.mark.parametrize(
    "use",
    [
        lambda dataset: dataset.num_images,
        lambda dataset: dataset.image_ids,
        lambda dataset: dataset.class_names,
        lambda dataset: dataset.labels(),
        lambda dataset: dataset.map_source_class_id("spots.1"),
        lambda dataset: dataset.active_class_ids(0),
    ],
)
@pytest.mark.parametrize(
    "change",
    [
        lambda dataset: None,
        lambda dataset: dataset.prepare() or dataset.add_image("spots", "s2", "s2.png"),
        lambda dataset: dataset.prepare() or dataset.add_class("spots", 2, "stripe"),
    ],
)
def test_missing_prepare_is_reported(change, use):
    dataset = two_sources()
    change(dataset)
    with pytest.raises(AttributeError, match=r"call prepare\(\) after the last add_"):
        use(dataset)
    dataset.prepare()
    use(dataset)


def test_an_unknown_attribute_is_named(dataset):
    with pytest.raises(AttributeError, match="Dataset has no attribute 'num_pictures'"):
        dataset.num_pictures  # noqa: B018


def test_active_class_ids(dataset):
    active = [dataset.active_class_ids(i) for i in dataset.image_ids]
    assert active[0].dtype == np.int32
    # A source without classes tells nothing but what is background.
    np.testing.assert_array_equal(active, [[1, 1, 0, 0], [1, 0, 1, 1], [1, 0, 0, 0]])


def test_class_map_merges_classes():
    dataset = two_sources()
    dataset.prepare(class_map={"shapes.7": "spots.1"})
    assert dataset.class_names == ["BG", "spot", "square"]
    assert dataset.map_source_class_id("shapes.7") == 1
    assert dataset.get_source_class_id(1, "shapes") == 7
    assert dataset.get_source_class_id(1, "spots") == 1
    assert dataset.source_class_ids["shapes"] == [0, 1, 2]
    np.testing.assert_array_equal(dataset.labels(), [1, 1, 0])
    dataset.prepare()  # a second time changes nothing
    assert dataset.class_names == ["BG", "spot", "square"]


def test_class_map_of_the_constructor():
    dataset = two_sources(class_map={"shapes.7": "shapes.1"})
    dataset.prepare()
    assert dataset.class_names == ["BG", "spot", "square"]
    assert dataset.map_source_class_id("shapes.7") == 2


@pytest.mark.parametrize("class_map", [{"a.1": "spots.1"}, {"shapes.1": "b.1"}])
def test_class_map_of_unknown_classes(class_map):
    with pytest.raises(ValueError, match="class_map"):
        two_sources().prepare(class_map)


def test_add_class_twice_and_with_a_dot():
    dataset = Dataset()
    dataset.add_class("a", 1, "one")
    dataset.add_class("a", 1, "again")
    assert [info["name"] for info in dataset.class_info] == ["BG", "one"]
    with pytest.raises(ValueError, match="dot"):
        dataset.add_class("a.b", 1, "one")


def test_image_info_keeps_what_is_given(dataset):
    info = dataset.image_info[1]
    assert info["id"] == "q1" and info["source"] == "shapes" and info["author"] == "A"
    assert dataset.source_image_link(1) == "q1.png"
    assert dataset.image_reference(1) == "q1 (q1.png)"
    dataset.image_info[1]["path"] = None
    assert dataset.image_reference(1) == "q1"


def test_load_image(tmp_path):
    Image.new("L", (5, 4), 9).save(tmp_path / "grey.png")
    dataset = Dataset()
    dataset.add_image("a", "grey", tmp_path / "grey.png")
    dataset.prepare()
    np.testing.assert_array_equal(dataset.load_image(0), np.full((4, 5, 3), 9))


def test_load_mask_of_the_base_class_is_empty(dataset):
    masks, class_ids = dataset.load_mask(0)
    assert masks.shape == (0, 0, 0) and masks.dtype == bool
    assert class_ids.shape == (0,) and class_ids.dtype == np.int32


def test_labels_are_numbered_by_the_dataset(dataset):
    labels = dataset.labels()
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, [1, 3, 0])


def test_labels_ask_for_masks_only_where_no_class_id_is_given():
    asked = []

    class Masked(Dataset):
        def load_mask(self, image_id):
            asked.append(int(image_id))
            ids = [[], [], [2, 1, 2]][image_id]
            return np.ones((2, 2, len(ids)), bool), np.array(ids, np.int32)

    dataset = Masked()
    dataset.add_class("a", 1, "one")
    dataset.add_class("a", 2, "two")
    dataset.add_image("a", "known", "", class_id=1)
    dataset.add_image("a", "without instances", "")
    dataset.add_image("a", "three instances", "")
    dataset.prepare()
    np.testing.assert_array_equal(dataset.labels(), [1, 0, 2])
    assert asked == [1, 2]


def test_datasets_share_nothing():
    two_sources()
    assert [info["name"] for info in Dataset().class_info] == ["BG"]


def returning(answer):
    """A data set of one image whose load_mask returns this."""

    class Answering(Dataset):
        def load_mask(self, image_id):
            return answer

    dataset = Answering()
    dataset.add_class("a", 1, "one")
    dataset.add_class("a", 2, "two")
    dataset.add_image("a", "x1", "photos/x1.png")
    dataset.prepare()
    return dataset


MASKS = np.zeros((4, 5, 2), bool)
MASKS[1:3, 2:4, 0] = MASKS[0, 0, 1] = True


@pytest.mark.parametrize("masks", [MASKS, MASKS.astype(float), MASKS * np.uint8(255)])
@pytest.mark.parametrize("class_ids", [[-2, 0], np.array([-2, 0], np.int64)])
def test_instances_become_bool_and_int32(masks, class_ids):
    found, ids = load_instances(returning((masks, class_ids)), 0, (4, 5))
    assert found.dtype == bool and ids.dtype == np.int32
    np.testing.assert_array_equal(found, MASKS)
    np.testing.assert_array_equal(ids, [-2, 0])


@pytest.mark.parametrize("masks", [MASKS[..., :0], np.empty((0, 0, 0))])
def test_no_instances_have_the_size_of_the_image(masks):
    found, ids = load_instances(returning((masks, [])), 0, (4, 5))
    assert found.shape == (4, 5, 0) and found.dtype == bool
    assert ids.shape == (0,) and ids.dtype == np.int32


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (MASKS, "must return masks and class_ids, got ndarray"),
        (None, "got NoneType"),
        (([MASKS[..., 0]], [1]), r"as large as its image, \(4, 5\), got \(1, 4\)"),
        ((MASKS[..., 0], [1]), r"a mask \[height, width, n\], got bool \[4, 5\]"),
        (("mask.png", [1]), r"got the path 'mask.png'"),
        ((MASKS, [1]), r"one class id for each mask, got 2 masks .* shape \(1,\)"),
        ((MASKS, [1, 2, 1]), r"got 2 masks .* \(3,\)"),
        ((MASKS, 1), r"got 2 masks .* \(\)"),
        ((MASKS[..., :0], [1]), "got 0 masks"),
        ((MASKS[:3], [1, 2]), r"as large as its image, \(4, 5\), got \(3, 5\)"),
        ((np.moveaxis(MASKS, -1, 0), [1] * 5), r"got \(2, 4\)"),
        ((MASKS * 7, [1, 2]), "must be bool, 0 and 1, .* got int64 from 0 to 7"),
        ((MASKS, [1, 3]), r"integers from 1 to 2, .* got \[1, 3\]"),
        ((MASKS, [-3, 1]), r"from 1 to 2, negative for crowds, got \[-3, 1\]"),
        ((MASKS, [1.0, 2.0]), r"got \[1.0, 2.0\]"),
        ((MASKS, ["one", "two"]), r"got \['one', 'two'\]"),
        ((MASKS * 0.5, [1, 2]), "a foreground above 0.5, got values up to 0.5"),
        ((MASKS * [0.4, 0.9], [1, 2]), "a foreground above 0.5"),
    ],
)
def test_the_result_of_load_mask_is_checked(answer, words):
    with pytest.raises(ValueError, match=rf"image x1 \(photos/x1.png\).*{words}"):
        load_instances(returning(answer), 0, (4, 5))


@pytest.mark.parametrize("error", [KeyError("x9"), IndexError("out of range")])
def test_errors_of_load_mask_name_the_image(error):
    dataset = returning(None)

    def fail(image_id):
        raise error

    dataset.load_mask = fail
    words = rf"load_mask of image x1 .* failed: {type(error).__name__}: .*{error}"
    with pytest.raises(ValueError, match=words):
        load_instances(dataset, 0)


@pytest.mark.parametrize(
    "image_id, class_ids, words",
    [
        (0, [2], r"were added to its source 'spots', got \[2\]"),
        (1, [2, -1], r"were added to its source 'shapes', got \[2, -1\]"),
        (2, [1], r"were added to its source 'photos', got \[1\]"),
        (1, [-(2**31)], "integers from 1 to 3"),
    ],
)
def test_classes_of_another_source_are_refused(dataset, image_id, class_ids, words):
    masks = np.ones((4, 5, len(class_ids)), bool)
    dataset.load_mask = lambda _: (masks, np.array(class_ids, np.int32))
    with pytest.raises(ValueError, match=words):
        load_instances(dataset, image_id, (4, 5))


def test_classes_and_crowds_of_the_own_source_are_taken(dataset):
    dataset.load_mask = lambda _: (np.ones((4, 5, 3), bool), np.array([2, -3, 0]))
    assert load_instances(dataset, 1, (4, 5))[1].tolist() == [2, -3, 0]
