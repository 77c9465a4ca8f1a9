"""Images: the four modes by hand, filters against loops, mask and image together."""

import numpy as np
import pytest

from mrcnn_skin.geometry import images


def picture(height, width, channels=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, channels), dtype=np.uint8)


def triangle_by_loop(line, size):
    """One line of pixels, resized with a triangle as wide as the shrinking asks."""
    factor = len(line) / size
    reach = max(1, factor)
    out = []
    for i in range(size):
        center = (i + 0.5) * factor
        weights = [max(0, 1 - abs(j + 0.5 - center) / reach) for j in range(len(line))]
        out.append(np.dot(weights, line) / sum(weights))
    return np.array(out)


def centroid(weights):
    y, x = np.indices(weights.shape) + 0.5
    return np.array([(y * weights).sum(), (x * weights).sum()]) / weights.sum()


@pytest.mark.parametrize("size", [5, 12, 31])
def test_resize_to_uses_a_triangle_filter_along_each_axis(size):
    line = picture(1, 20, 1)[0, :, 0]
    expected = triangle_by_loop(line.astype(float), size)
    for image in (line[None, :, None], line[:, None, None]):
        shape = [size if side == 20 else 1 for side in image.shape[:2]]
        found = images.resize_to(image, *shape)
        assert found.dtype == np.uint8
        np.testing.assert_allclose(found.ravel(), expected, atol=1)


def test_resize_to_averages_where_it_shrinks():
    # A checkerboard of single pixels is grey from afar, not black or white.
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)[:, :, None]
    small = images.resize_to(board, 8, 8)
    assert abs(small.astype(int) - 127).max() <= 2


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
def test_resize_to_treats_channels_alone(channels):
    image = picture(10, 14, channels)
    found = images.resize_to(image, 6, 20)
    assert found.shape == (6, 20, channels)
    for c in range(channels):
        alone = images.resize_to(image[:, :, c : c + 1], 6, 20)
        np.testing.assert_array_equal(found[:, :, c : c + 1], alone)


@pytest.mark.parametrize("image", [np.zeros((4, 4, 3)), np.zeros((4, 0), np.uint8)])
def test_resize_to_refuses_other_arrays(image):
    with pytest.raises(ValueError, match="image must be uint8"):
        images.resize_to(image, 2, 2)


def test_none_leaves_the_image_alone():
    image = picture(30, 50)
    found, window, scale, padding, crop = images.resize_image(
        image, min_dim=128, max_dim=128, mode="none"
    )
    np.testing.assert_array_equal(found, image)
    assert (window, scale, crop) == ((0, 0, 30, 50), 1, None)
    assert padding == [(0, 0), (0, 0), (0, 0)]


def test_square_shrinks_to_max_dim_and_pads_around():
    # 200 x 400 by 0.32 is 64 x 128: 64 rows missing, 32 above and 32 below.
    found, window, scale, padding, crop = images.resize_image(
        np.full((200, 400, 3), 9, np.uint8), min_dim=100, max_dim=128
    )
    assert found.shape == (128, 128, 3)
    assert (window, scale, crop) == ((32, 0, 96, 128), 0.32, None)
    assert padding == [(32, 32), (0, 0), (0, 0)]
    assert (found[32:96] == 9).all()
    assert not found[:32].any() and not found[96:].any()


def test_square_grows_to_min_dim_and_pads_the_odd_pixel_after():
    # 20 x 31 by 2 is 40 x 62: 24 rows and 2 columns missing of 64.
    found, window, scale, padding, _ = images.resize_image(
        picture(20, 31), min_dim=40, max_dim=64
    )
    assert (window, scale) == ((12, 1, 52, 63), 2)
    assert padding == [(12, 12), (1, 1), (0, 0)]
    _, window, _, padding, _ = images.resize_image(picture(21, 40), max_dim=64)
    assert (window, padding[0], padding[1]) == ((21, 12, 42, 52), (21, 22), (12, 12))


def test_square_keeps_small_images_without_min_dim_and_obeys_min_scale():
    assert images.resize_image(picture(20, 30), max_dim=64)[2] == 1
    assert images.resize_image(picture(20, 30), max_dim=64, min_scale=1.5)[2] == 1.5
    # max_dim has the last word: 30 * 3 would be 90.
    found = images.resize_image(picture(20, 30), max_dim=60, min_scale=3)
    assert found[2] == 2


def test_square_of_a_line_keeps_one_row():
    found, window, *_ = images.resize_image(picture(1, 1000), max_dim=64)
    assert found.shape == (64, 64, 3)
    assert window[2] - window[0] == 1


def test_an_image_decoded_at_half_its_size_lies_where_the_whole_would():
    whole = np.kron(picture(30, 40), np.ones([2, 2, 1], np.uint8))
    image, *place = images.resize_image(whole, 32, 64)
    half, *place_of_half = images.resize_image(
        whole[::2, ::2], 32, 64, whole_shape=whole.shape
    )
    assert place == place_of_half
    assert place[:2] == [(8, 0, 56, 64), 0.8]
    difference = np.abs(image.astype(int) - half)
    assert half.shape == (64, 64, 3) and difference.max() < 64


def test_pad64_by_hand():
    # 50 x 100 by 1.28 is 64 x 128: nothing to pad. 65 x 70 needs 128 x 128.
    found, window, scale, padding, _ = images.resize_image(
        picture(50, 100), min_dim=64, mode="pad64"
    )
    assert (found.shape, window, scale) == ((64, 128, 3), (0, 0, 64, 128), 1.28)
    found, window, scale, padding, _ = images.resize_image(
        picture(65, 70), min_dim=64, mode="pad64"
    )
    assert (found.shape, window, scale) == ((128, 128, 3), (31, 29, 96, 99), 1)
    assert padding == [(31, 32), (29, 29), (0, 0)]


def test_crop_by_hand():
    image = picture(40, 50)
    found, window, scale, padding, crop = images.resize_image(
        image, min_dim=32, mode="crop", rng=np.random.default_rng(5)
    )
    y, x, height, width = crop
    assert (height, width, scale, window) == (32, 32, 1, (0, 0, 32, 32))
    assert padding == [(0, 0), (0, 0), (0, 0)]
    np.testing.assert_array_equal(found, image[y : y + 32, x : x + 32])


def test_crop_reaches_every_place_and_repeats_with_the_seed():
    def places(seed):
        rng = np.random.default_rng(seed)
        arguments = {"min_dim": 32, "mode": "crop", "rng": rng}
        image = picture(32, 34)
        return [images.resize_image(image, **arguments)[4][:2] for _ in range(40)]

    assert set(places(0)) == {(0, 0), (0, 1), (0, 2)}
    assert places(0) == places(0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"mode": "round"},
            "mode must be one of none, square, pad64, crop, got 'round'",
        ),
        ({"mode": "square"}, "'square' needs a positive max_dim, got None"),
        ({"min_dim": 80, "max_dim": 64}, "must not exceed max_dim, got 80 and 64"),
        ({"mode": "pad64", "min_dim": 100}, "divisible by 64, got 100"),
        ({"mode": "pad64"}, "divisible by 64, got None"),
        ({"mode": "crop"}, "'crop' needs a positive min_dim, got None"),
        ({"mode": "crop", "min_dim": 8}, "needs rng"),
    ],
)
def test_missing_or_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        images.resize_image(picture(20, 20), **arguments)


def test_resize_mask_by_hand():
    # Four pixels to two: weights 3, 3, 1 of 7 and 1, 3, 3 of 7. Two to four: samples
    # a quarter of a pixel from each centre, so that each pixel counts twice.
    line = np.array([[True, False, False, True]])[:, :, None]
    padding = [(0, 0), (0, 1), (0, 0)]
    for row, expected in (
        ([1, 0, 0, 1], [False, False]),
        ([1, 1, 0, 0], [True, False]),
        ([1, 0, 1, 0], [True, False]),
        ([0, 0, 1, 0], [False, False]),
        ([0, 1, 1, 1], [True, True]),
    ):
        mask = np.array([row] * 4, bool)[:, :, None]
        half = images.resize_mask(mask, 0.5, padding)
        assert half[:, :, 0].tolist() == [[*expected, False]] * 2
    twice = images.resize_mask(line, 2, padding)
    row = [True, True] + [False] * 4 + [True, True, False]
    assert twice[:, :, 0].tolist() == [row] * 2
    assert twice.dtype == bool
    assert images.resize_mask(line[:, :, :0], 2, padding).shape == (2, 9, 0)
    three = np.concatenate([line, ~line, line], axis=2).astype(np.uint8)
    many = images.resize_mask(three, 2, padding)
    assert many.dtype == bool and many[0, :8, 1].tolist() == [
        0,
        0,
        1,
        1,
        1,
        1,
        0,
        0,
    ]


@pytest.mark.parametrize("side", [40, 80])
def test_a_mask_at_half_its_size_stays_where_it_was(side):
    y, x = np.mgrid[:side, :side]
    centre, radius = 0.45 * side, 0.3 * side
    disc = (y - centre) ** 2 + (x - centre) ** 2 <= radius**2
    half = images.resize_mask(disc[:, :, None], 0.5, [(0, 0)] * 3)[:, :, 0]
    assert half.sum() == pytest.approx(disc.sum() / 4, rel=0.02)
    np.testing.assert_allclose(centroid(half), centroid(disc) / 2, atol=0.06)


@pytest.mark.parametrize(
    ("size", "arguments"),
    [
        ((97, 180), {"max_dim": 64}),
        ((31, 40), {"min_dim": 90, "max_dim": 128}),
        ((77, 130), {"min_dim": 128, "mode": "pad64"}),
        ((50, 60), {"min_dim": 64, "mode": "crop"}),
        ((50, 60), {"mode": "none"}),
    ],
)
def test_image_and_mask_stay_together(size, arguments):
    y, x = np.indices(size)
    shape = (y - size[0] * 0.45) ** 2 / 60 + (x - size[1] * 0.55) ** 2 / 90 <= 1
    image = np.repeat(shape[:, :, None] * np.uint8(255), 3, axis=2)
    found, _, scale, padding, crop = images.resize_image(
        image, **arguments, rng=np.random.default_rng(0)
    )
    mask = images.resize_mask(shape[:, :, None], scale, padding, crop)
    assert mask.shape[:2] == found.shape[:2]
    distance = centroid(mask[:, :, 0]) - centroid(found[:, :, 0].astype(float))
    assert abs(distance).max() < 0.5
