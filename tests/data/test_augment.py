"""A contract with imgaug 0.4.0: what each augmentation of the paper does to pixels."""

import operator
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy import ndimage

from mrcnn_skin.data.augment import augment, paper_augmentation, strong_augmentation

BLOB = (240, 10, 10)


def random_image(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


def random_masks(shape, n, seed=1):
    return np.random.default_rng(seed).random((*shape, n)) < 0.5


def blob_image():
    """A red rectangle, off-centre and without symmetry, on grey; and its mask."""
    image = np.full((96, 96, 3), 90, np.uint8)
    masks = np.zeros((96, 96, 1), bool)
    masks[15:40, 18:70] = True
    image[masks[:, :, 0]] = BLOB
    return image, masks


@pytest.mark.parametrize(("name", "axis"), [("Fliplr", 1), ("Flipud", 0)])
def test_flips_equal_numpy(iaa, name, axis):
    image, masks = random_image((20, 31)), random_masks((20, 31), 3)
    new_image, new_masks = augment(getattr(iaa, name)(1.0), image, masks, seed=0)
    np.testing.assert_array_equal(new_image, np.flip(image, axis))
    np.testing.assert_array_equal(new_masks, np.flip(masks, axis))


@pytest.mark.parametrize(("angle", "turns"), [(90, -1), (180, 2), (270, 1)])
def test_quarter_turns_equal_numpy_on_a_square(iaa, angle, turns):
    image, masks = random_image((32, 32)), random_masks((32, 32), 2)
    new_image, new_masks = augment(iaa.Affine(rotate=angle), image, masks, seed=0)
    np.testing.assert_array_equal(new_image, np.rot90(image, turns))
    np.testing.assert_array_equal(new_masks, np.rot90(masks, turns))


def test_a_quarter_turn_keeps_the_shape_of_an_oblong(iaa):
    """The middle square turns; what leaves the frame is lost, corners come in black."""
    image, masks = random_image((20, 40)), np.ones((20, 40, 1), bool)
    new_image, new_masks = augment(iaa.Affine(rotate=90), image, masks, seed=0)
    middle = np.rot90(image[:, 10:30], -1)
    np.testing.assert_array_equal(new_image[:, 10:30], middle)
    assert not new_image[:, :10].any() and not new_image[:, 30:].any()
    assert new_masks[:, 10:30].all()
    assert not new_masks[:, :10].any() and not new_masks[:, 30:].any()


def test_multiply_stays_in_its_range_and_leaves_masks_alone(iaa):
    image, masks = np.full((8, 8, 3), 100, np.uint8), random_masks((8, 8), 1)
    values = []
    for seed in range(60):
        new_image, new_masks = augment(iaa.Multiply((0.8, 1.5)), image, masks, seed)
        np.testing.assert_array_equal(new_masks, masks)
        assert np.unique(new_image).size == 1
        values.append(int(new_image[0, 0, 0]))
    assert min(values) >= 80 and max(values) <= 150
    assert min(values) < 90 and max(values) > 140  # the range is used to its ends


def test_multiply_clips_at_white(iaa):
    image = np.full((4, 4, 3), 200, np.uint8)
    new_image, _ = augment(iaa.Multiply(1.5), image, random_masks((4, 4), 1), 0)
    assert (new_image == 255).all()


def test_blur_smooths_the_image_and_leaves_masks_alone(iaa):
    image, masks = random_image((64, 64)), random_masks((64, 64), 1)
    new_image, new_masks = augment(iaa.GaussianBlur(2.0), image, masks, seed=0)
    np.testing.assert_array_equal(new_masks, masks)
    expected = ndimage.gaussian_filter(image.astype(float), (2, 2, 0), mode="mirror")
    # OpenCV cuts its kernel shorter than SciPy: equal but for a few grey levels.
    assert np.abs(new_image - expected).mean() < 2.0
    assert new_image.std() < 0.3 * image.std()


def test_the_blur_shrinks_with_the_image():
    """The strongest of many draws leaves what sigma = 5 * side / 1024 leaves."""
    image, masks = random_image((64, 64)), random_masks((64, 64), 1)

    def least_contrast(side):
        images = [
            augment(paper_augmentation(side), image, masks, seed)[0]
            for seed in range(150)
        ]
        return min(new_image.std() / image.std() for new_image in images)

    blurred = ndimage.gaussian_filter(image.astype(float), (0.625, 0.625, 0))
    assert least_contrast(128) >= 0.9 * blurred.std() / image.std()
    assert least_contrast(1024) < 0.2


def test_image_and_masks_stay_aligned():
    """Half of the greatest redness finds the blob's edge, blurred or not."""
    image, masks = blob_image()
    augmenter = paper_augmentation()
    moved = 0
    for seed in range(80):
        new_image, new_masks = augment(augmenter, image, masks, seed)
        mask = new_masks[:, :, 0]
        moved += not (mask == masks[:, :, 0]).all()
        assert mask.sum() == masks.sum()
        redness = new_image[..., 0].astype(int) - new_image[..., 1]
        red = redness > redness.max() / 2
        assert (red & mask).sum() / (red | mask).sum() > 0.85
    assert moved > 15


def test_the_strong_augmentation_keeps_image_and_masks_aligned():
    """Turned, scaled, shifted, blurred, in other colours: each image differently."""
    image, masks = blob_image()
    augmenter = strong_augmentation(64)
    sizes, places, levels = [], set(), set()
    for seed in range(60):
        new_image, new_masks = augment(augmenter, image, masks, seed)
        mask = new_masks[:, :, 0]
        redness = new_image[..., 0].astype(int) - new_image[..., 1]
        red = redness > redness.max() / 2
        assert (red & mask).sum() / (red | mask).sum() > 0.75
        sizes.append(mask.sum() / masks.sum())
        places.add(tuple(np.argwhere(mask).mean(axis=0).round()))
        levels.add(int(new_image.max()))
    assert 0.5 < min(sizes) < 0.7 and 1.4 < max(sizes) < 1.75  # 0.75^2 and 1.3^2
    assert len(places) > 40 and len(levels) > 20


def test_masks_are_moved_by_nearest_neighbour(iaa):
    """Both instances of an overlapping pair keep their own pixels."""
    image = random_image((40, 40))
    masks = np.zeros((40, 40, 2), bool)
    masks[10:30, 10:30, 0] = True
    masks[20:35, 20:35, 1] = True
    _, new_masks = augment(iaa.Affine(translate_px={"x": 3, "y": -2}), image, masks, 0)
    expected = np.zeros_like(masks)
    expected[8:28, 13:33, 0] = True
    expected[18:33, 23:38, 1] = True
    np.testing.assert_array_equal(new_masks, expected)
    assert new_masks.dtype == bool


def test_none_to_two_augmenters_are_sampled():
    """Counted on an image on which each of the five shows by itself."""
    image = np.full((64, 64, 3), 60, np.uint8)
    image[4:8, 4:24] = 120  # an L: flips and turns give distinct pictures
    image[4:44, 4:8] = 120
    masks = image[:, :, :1] == 120
    counts = [
        count_changes(masks, *augment(paper_augmentation(), image, masks, seed))
        for seed in range(150)
    ]
    assert set(counts) == {0, 1, 2}


def count_changes(masks, new_image, new_masks):
    """How many augmenters it took; two flips look like a turn and count as one."""
    levels = np.unique(new_image)
    blurred = levels.size > 2
    multiplied = levels.min() != 60
    flips = [masks, masks[::-1], masks[:, ::-1]]
    turns = [np.rot90(masks, k) for k in (1, 2, 3)]
    pictures = [*flips, *turns]
    flips_of_turns = [np.rot90(masks[::-1], k) for k in (1, 3)]
    if (new_masks == masks).all():
        moves = 0
    elif any((new_masks == picture).all() for picture in pictures):
        moves = 1
    else:
        assert any((new_masks == picture).all() for picture in flips_of_turns)
        moves = 2
    return int(blurred) + int(multiplied) + moves


def test_each_augmenter_of_the_paper_occurs():
    image, masks = blob_image()
    results = [augment(paper_augmentation(), image, masks, s) for s in range(200)]
    for picture in [np.rot90(masks, k) for k in (1, 2, 3)] + [masks[::-1]]:
        assert any((m == picture).all() for _, m in results)
    assert any((m == masks[:, ::-1]).all() for _, m in results)
    assert any(np.unique(i).size > 6 for i, _ in results)  # blurred
    backgrounds = {int(i[-1, -1, 0]) for i, _ in results}
    assert min(backgrounds) < 80 and max(backgrounds) > 120  # multiplied


def test_the_result_depends_on_the_seed_only():
    image, masks = random_image((40, 56)), random_masks((40, 56), 2)
    augmenter = paper_augmentation()
    seeds = [*range(40)] * 3

    def run(seed):
        return augment(augmenter, image, masks, seed)

    one_by_one = [run(seed) for seed in seeds]
    with ThreadPoolExecutor(8) as pool:
        threaded = list(pool.map(run, seeds))
    fresh = [augment(paper_augmentation(), image, masks, seed) for seed in seeds[:40]]
    for a, b in zip(one_by_one, threaded, strict=True):
        np.testing.assert_array_equal(a[0], b[0])
        np.testing.assert_array_equal(a[1], b[1])
    for a, b in zip(one_by_one[:40], fresh, strict=True):
        np.testing.assert_array_equal(a[0], b[0])
    assert len({a[0].tobytes() for a in one_by_one[:40]}) > 15


@pytest.mark.parametrize("seed", [2**31, 2**63, np.int64(2**62), np.uint32(7)])
def test_large_and_numpy_seeds(seed):
    image, masks = blob_image()
    first, _ = augment(paper_augmentation(), image, masks, seed)
    second, _ = augment(paper_augmentation(), image, masks, int(seed))
    np.testing.assert_array_equal(first, second)


def test_no_masks_give_the_same_image_as_with_masks():
    image = random_image((32, 32))
    augmenter = paper_augmentation()
    for seed in range(20):
        bare, none = augment(augmenter, image, np.zeros((32, 32, 0), bool), seed)
        full, _ = augment(augmenter, image, random_masks((32, 32), 1), seed)
        assert none.shape == (32, 32, 0) and none.dtype == bool
        np.testing.assert_array_equal(bare, full)


def test_results_are_copies_and_the_input_is_kept(iaa):
    image, masks = blob_image()
    kept_image, kept_masks = image.copy(), masks.copy()
    for augmenter in (iaa.Identity(), iaa.Fliplr(1.0), iaa.Multiply(1.3)):
        new_image, new_masks = augment(augmenter, image, masks, 0)
        new_image[:], new_masks[:] = 0, False
        np.testing.assert_array_equal(image, kept_image)
        np.testing.assert_array_equal(masks, kept_masks)


def test_more_instances_than_opencv_has_channels(iaa):
    masks = random_masks((24, 24), 9)
    _, new_masks = augment(iaa.Affine(rotate=90), random_image((24, 24)), masks, 0)
    np.testing.assert_array_equal(new_masks, np.rot90(masks, -1))


def test_an_augmenter_that_changes_the_size_is_refused(iaa):
    image, masks = blob_image()
    with pytest.raises(ValueError, match="must keep the image's size"):
        augment(iaa.Crop(px=4, keep_size=False), image, masks, 0)


def test_wrong_arguments_are_named():
    image, masks = blob_image()
    augmenter = paper_augmentation()
    with pytest.raises(ValueError, match="image must be uint8"):
        augment(augmenter, image.astype(np.float32), masks, 0)
    with pytest.raises(ValueError, match=r"masks must be bool \[96, 96, n\]"):
        augment(augmenter, image, masks[:40], 0)
    with pytest.raises(ValueError, match="got uint8"):
        augment(augmenter, image, masks.astype(np.uint8), 0)
    with pytest.raises(ValueError, match="seed must not be negative, got -1"):
        augment(augmenter, image, masks, -1)


@pytest.mark.parametrize(
    "augmenter",
    [
        ("ElasticTransformation", 30, 5),
        ("Fog",),
        ("Clouds",),
        ("pillike.Autocontrast", 10),
        ("pillike.Autocontrast", (10, 20), True),
    ],
)
def test_augmenters_that_fail_on_numpy_2_by_themselves(iaa, augmenter):
    name, *arguments = augmenter
    image = np.random.default_rng(0).integers(60, 180, (96, 96, 3), np.uint8)
    changed = operator.attrgetter(name)(iaa)(*arguments)(image=image)
    assert changed.shape == image.shape and changed.dtype == np.uint8
    assert (changed != image).any()


def test_elastic_transformation_moves_image_and_masks_alike(iaa):
    _, masks = blob_image()
    image = np.repeat(255 * masks[:, :, :1].astype(np.uint8), 3, axis=2)
    warp = iaa.ElasticTransformation(30, 5, order=0)
    new_image, new_masks = augment(warp, image, masks, 0)
    np.testing.assert_array_equal(new_image[:, :, 0] == 255, new_masks[:, :, 0])
    assert (new_masks != masks).any()


def test_importing_the_package_makes_imgaug_importable():
    code = """
import sys
import numpy as np
import mrcnn_skin
assert "imgaug" not in sys.modules
from imgaug import augmenters
image = np.eye(32, dtype="uint8")[:, :, None] * [[[9, 9, 9]]]
augmenters.ElasticTransformation(9, 5)(image=image.astype("uint8"))
print("works")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "works", done.stderr
