"""Which image comes when: in passes, by a seed, in turn among groups."""

import numpy as np
import pytest

from mrcnn_skin.data.pipeline import ExampleOrder


def test_a_pass_shows_every_image_once_and_the_next_in_another_order():
    order = ExampleOrder([np.arange(20)], seed=3)
    first = [order(position) for position in range(20)]
    second = [order(position) for position in range(20, 40)]
    assert sorted(first) == sorted(second) == list(range(20))
    assert first != second
    assert first != list(range(20))


def test_order_depends_on_the_seed_and_on_nothing_else():
    orders = [ExampleOrder([np.arange(20)], seed=seed) for seed in (3, 3, 4)]
    # Asked backwards, so that no position can lean on the one before it
    same, again, other = ([o(p) for p in reversed(range(50))] for o in orders)
    assert same == again
    assert same != other


def test_without_shuffle_the_order_is_the_groups_own():
    order = ExampleOrder([np.array([5, 2, 7])], seed=0, shuffle=False)
    assert [order(position) for position in range(7)] == [5, 2, 7, 5, 2, 7, 5]


def test_groups_take_turns_and_the_small_one_repeats():
    order = ExampleOrder([np.arange(8), np.array([100, 200])], seed=1)
    drawn = [order(position) for position in range(16)]
    assert sorted(drawn[::2]) == list(range(8))
    for start in range(1, 16, 4):
        assert sorted(drawn[start : start + 4 : 2]) == [100, 200]


def test_no_images_is_an_error():
    with pytest.raises(ValueError, match="at least one image"):
        ExampleOrder([np.array([], int)], seed=0)
