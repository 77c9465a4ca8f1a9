"""Whose masks are taken, of several of one image."""

import re

import numpy as np
import pytest

from mrcnn_skin.data.annotators import choose_all, join_masks

NAMED = [["masks/x_mask_1.png", "masks/x_mask_02.png"], ["masks/y.png"]]
SINGLE = [["masks/x_mask_1.png"], ["masks/y.png"]]
FOLDERS = [["reader 1/x.png", "reader 2/x.png"]]
NOBODY = [["masks/x.png"], ["masks/y.png"], []]


@pytest.mark.parametrize(
    ("paths", "annotators", "chosen", "words"),
    [
        (NAMED, "union", [[True, True], [True]], "1 images .*: their union is taken"),
        (NAMED, "majority", [[True, True], [True]], "in more than half|more than half"),
        (NAMED, "2", [[False, True], [True]], "those by 2 are taken"),
        (
            NAMED,
            "annotator01",
            [[True, False], [True]],
            "x_mask_1.png, masks/x_mask_02",
        ),
        (FOLDERS, "2", [[False, True]], "those by 2 are taken"),
        (FOLDERS, "Reader 1", [[True, False]], "those by Reader 1 are taken"),
        (
            SINGLE,
            "1",
            [[True], [True]],
            "1 masks that name no annotator are taken for 1",
        ),
        (NOBODY, "3", [[True], [True], []], "2 masks that name no annotator are taken"),
        (NOBODY, "union", [[True], [True], []], "^$"),
        ([["a.png", "b.png"]], "3", [[False, False]], "those by 3 are taken"),
    ],
)
def test_masks_are_chosen_by_name(paths, annotators, chosen, words):
    found, done = choose_all(paths, annotators)
    assert found == chosen and re.search(words, done)


@pytest.mark.parametrize(
    ("paths", "annotators", "words"),
    [
        (NAMED, "3", "one of union, majority, 02, 1, got '3'"),
        (SINGLE, "3", "one of union, majority, 1, got '3'"),
        (FOLDERS, "", "one of union, majority, reader 1, reader 2, got ''"),
        (NAMED, ("1",), r"must be text, got \('1',\)"),
    ],
)
def test_an_unknown_annotator_is_refused(paths, annotators, words):
    with pytest.raises(ValueError, match=words):
        choose_all(paths, annotators)


def test_the_majority_is_more_than_half():
    masks = [np.array([[1, 1, 0, 0]], bool), np.array([[1, 0, 1, 0]], bool)]
    assert join_masks(masks, "majority").tolist() == [[True, False, False, False]]
    assert join_masks(masks).tolist() == [[True, True, True, False]]
