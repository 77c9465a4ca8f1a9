"""Masks that several people drew of one lesion: whose are taken, and how they join."""

import numpy as np

from .file_names import annotator

UNION, MAJORITY = "union", "majority"
# IMA++ adds what it made of the others: STAPLE and the majority of votes
_CONSENSUS = {"ST", "MV"}


def choose_masks(mask_paths, annotators=UNION):
    """Choose the masks of one image by who drew them, as their names say.

    Args:
        mask_paths: of one image.
        annotators: UNION or MAJORITY for those of all people, or the name of one, such
            as "2" or "A00". A mask that names nobody counts as anybody's if it is the
            only one.

    Returns:
        tuple of paths.
    """
    names = [annotator(path) for path in mask_paths]
    if annotators in (UNION, MAJORITY):
        chosen = [name not in _CONSENSUS for name in names]
    else:
        chosen = [str(name).lower() == annotators.lower() for name in names]
        if names == [None]:
            chosen = [True]
    if annotators in (UNION, MAJORITY) and not any(chosen):
        return tuple(mask_paths)
    return tuple(path for path, is_it in zip(mask_paths, chosen, strict=True) if is_it)


def choose_all(mask_paths, annotators=UNION):
    """Choose the masks of every image.

    Args:
        mask_paths: pandas Series of tuples of paths.
        annotators: as of choose_masks.

    Returns:
        the chosen ones, alike; and what was done, in words, "" if no image has several.

    Raises:
        ValueError: if nobody of that name drew a mask.
    """
    chosen = mask_paths.map(lambda paths: choose_masks(paths, annotators))
    several = int((mask_paths.map(len) > 1).sum())
    if not several:
        return chosen, ""
    if annotators in (UNION, MAJORITY):
        done = {
            UNION: "their union is taken (or choose the majority, or one annotator)",
            MAJORITY: "a pixel is lesion if more than half of them have it",
        }[annotators]
        return chosen, f"{several} images have several masks: {done}"
    if not chosen[mask_paths.map(len) > 1].map(len).any():
        names = {annotator(path) for paths in mask_paths for path in paths} - {None}
        known = ", ".join([UNION, MAJORITY, *sorted(names)])
        raise ValueError(f"annotators must be one of {known}, got {annotators!r}")
    return (
        chosen,
        f"{several} images have several masks: those by {annotators} are taken",
    )


def join_masks(masks, annotators=UNION):
    """Join the masks of one image, a list of bool [h, w] that is not empty; as above.

    Of two masks the majority is where both agree.
    """
    votes = np.sum(masks, axis=0)
    return 2 * votes > len(masks) if annotators == MAJORITY else votes > 0
