"""Choose and read the drawings of a lesion: its masks, or else its outlines."""

from itertools import compress
from pathlib import Path

import numpy as np
from skimage import measure

from . import files
from .annotators import choose_all, join_masks
from .polygons import draw_outlines


def choose_drawings(records, dataset_dir, annotators):
    """Keep the masks, or else outlines, of the chosen annotators; return notes."""
    notes, files_of = [], []
    both = (records["mask_paths"].map(len) > 0) & records["outlines"].notna()
    records.loc[both, "outlines"] = None
    if both.any():
        notes.append(f"{both.sum()} images have masks and outlines: masks are taken")
    root = Path(dataset_dir).expanduser()
    for paths, outlines in zip(records["mask_paths"], records["outlines"], strict=True):
        names = [Path(path).relative_to(root).as_posix() for path in paths]
        files_of.append(names + [one.source for one in outlines or ()])
    chosen, done = choose_all(files_of, annotators)
    for column in ("mask_paths", "outlines"):
        records[column] = [
            drawings and tuple(compress(drawings, own))
            for drawings, own in zip(records[column], chosen, strict=True)
        ]
    records["outlines"] = [outlines or None for outlines in records["outlines"]]
    return notes + [done] * bool(done)


def read_union(info, max_pixels):
    """Join the drawings of an image by its annotators option, bool [height, width].

    info: of the image, see IsicDataset. max_pixels: of a mask.
    """
    shape = (info["height"], info["width"])
    options = (shape, max_pixels, info["mask_values"], info["is_pseudo_mask"])
    masks = [files.read_mask(path, *options) for path in info["mask_paths"]]
    masks = masks or [draw_outlines(one, shape) for one in info["outlines"] or ()]
    return join_masks(masks, info["annotators"]) if masks else np.zeros(shape, bool)


def split_components(mask, min_area):
    """Split a mask into its connected components (8 neighbours).

    Args:
        mask: bool [height, width].
        min_area: share of the image's area below which a component is dropped, unless
            it is the largest one.

    Returns:
        bool [height, width, components], the largest first.
    """
    components = measure.label(mask, connectivity=2)
    areas = np.bincount(components.ravel())[1:]
    order = np.argsort(-areas, kind="stable")
    large = [i for i in order if areas[i] >= min_area * mask.size]
    numbers = np.array(large or order[:1], int) + 1
    return components[:, :, None] == numbers
