"""Choose and join the masks of one lesion by several annotators."""

import re
from collections import Counter

import numpy as np

from .file_names import annotator

UNION, MAJORITY = "union", "majority"
# IMA++ adds the consensus of the others: STAPLE and majority vote
_CONSENSUS = {"ST", "MV"}


def choose_all(paths, annotators=UNION):
    """Choose the masks of every image by the annotators in their names.

    Args:
        paths: one list per image, of its mask or annotation files, relative to the data
            set.
        annotators: UNION or MAJORITY of all annotators, or the name of one, such as "2"
            or "A00". An image's only mask is also chosen if it names no annotator.

    Returns:
        chosen: one list of bool per image, as long as its paths.
        note: description of the choice, "" if there was none to make.

    Raises:
        ValueError: if the masks name annotators, but not this one.
    """
    if not isinstance(annotators, str):
        raise ValueError(f"annotators must be text, got {annotators!r}")
    names = [[annotator(path) for path in of_image] for of_image in paths]
    known = {name for of_image in names for name in of_image} - {None}
    if annotators in (UNION, MAJORITY):
        chosen = [_of_all(of_image) for of_image in names]
        done = {
            UNION: "their union is taken (or choose the majority, or one annotator)",
            MAJORITY: "a pixel is lesion if more than half of them have it",
        }[annotators]
    else:
        if known and _key(annotators) not in map(_key, known):
            listed = ", ".join([UNION, MAJORITY, *sorted(known)])
            raise ValueError(f"annotators must be one of {listed}, got {annotators!r}")
        chosen = [_of_one(of_image, annotators) for of_image in names]
        done = f"those by {annotators} are taken"
    several = [of_image for of_image in paths if len(of_image) > 1]
    if several:
        listed = f"such as {', '.join(several[0][:4])}"
        return chosen, f"{len(several)} images have several masks: {done}; {listed}"
    named = Counter(who is not None for of_image in names for who in of_image)
    if annotators in (UNION, MAJORITY) or not named:
        return chosen, ""
    done = f"{named[False]} masks that name no annotator are taken for {annotators}'s"
    return chosen, done if named[False] else ""


def _of_all(names):
    """Choose all masks except the consensus of the others."""
    chosen = [name not in _CONSENSUS for name in names]
    return chosen if any(chosen) else [True] * len(names)


def _of_one(names, who):
    """Choose the masks by one annotator."""
    if names == [None]:
        return [True]
    return [name is not None and _key(name) == _key(who) for name in names]


def _key(name):
    """Normalise an annotator's name: "02" and "annotator2" become "2"."""
    name = re.sub(r"^(annotator|expert|rater|reader)[ _-]*", "", name.strip().lower())
    return re.sub(r"(?<!\d)0+(?=\d)", "", name)


def join_masks(masks, annotators=UNION):
    """Join the masks of one image, a non-empty list of bool [h, w], by annotators.

    The majority of two masks is their intersection.
    """
    if len(masks) == 1:
        return masks[0]
    votes = np.sum(masks, axis=0)
    return 2 * votes > len(masks) if annotators == MAJORITY else votes > 0
