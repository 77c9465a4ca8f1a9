"""Find training images that leak into validation or test.

Two images belong together if they share a patient, a lesion or an ISIC id, or if one is
a copy of the other: up to size, brightness, compression, mirroring and rotation by 90
degrees. Other crops, and other photographs of a lesion, are not recognised as copies.
IsicDataset.drop removes the images found here.
"""

import re
from functools import partial

import numpy as np
import pandas as pd
from PIL import Image
from scipy.fft import dctn
from scipy.sparse import csr_array

from . import files
from .cached_map import map_files
from .image_names import ImageNames
from .isic_tables import read_table

THUMBNAIL = 32  # pixels a side
FREQUENCIES = 16  # a side, so that a fingerprint has 16 * 16 - 1 = 255 signs

# Of 255 signs. Among 28.8 million pairs of ISIC 2017 and HAM10000 images that are not
# known to show one lesion, four are copies and differ in 4 to 14; two more, with other
# colours, in 35 and 36, and are missed. The least of the rest is 32. Whole frames and
# their central squares of 512 pixels differ in up to 7.
MAX_DIFFERENCE = 28

# Globally unique ids; others are unique within their folder only
_GLOBAL_ID = re.compile(r"(ISIC|HAM|IL|IP)_\d+")
_SIGNS = FREQUENCIES**2 - 1
_BAND_BITS = 17  # 15 bands: as many as MAX_DIFFERENCE needs
_BLOCK = 1024  # fingerprints compared with all others at a time
_FEW_PAIRS = 1 << 23  # fewer pairs are compared faster without bands


def find_leaks(dataset, held_out, cache=None):
    """Find the images of a dataset that belong together with held-out ones.

    Args:
        dataset: an IsicDataset.
        held_out: list of IsicDatasets.
        cache: file of earlier fingerprints, as in cached_map.map_files.

    Returns:
        DataFrame of image_id, file, reason for IsicDataset.drop, one row per image. The
        reason is the first that applies: same id, patient, lesion, group, or a copy.
    """
    others = [info for other in held_out for info in other.image_info]
    reasons = {}
    for kind, name in (
        ("id", lambda info: info["id"]),
        ("patient", lambda info: info["metadata"].get("patient_id")),
        ("lesion", lambda info: info["metadata"].get("lesion_id")),
        ("group", lambda info: info["metadata"].get("group_id")),
    ):
        owners = {_identity(info, name(info)): info for info in others if name(info)}
        for i, info in enumerate(dataset.image_info):
            owner = owners.get(_identity(info, name(info)))
            if owner is not None:
                reasons.setdefault(i, f"same {kind} as held out: {_describe(owner)}")
    left = [i for i in range(len(dataset.image_info)) if i not in reasons]
    paths = [dataset.image_info[i]["path"] for i in left]
    other_paths = [info["path"] for info in others]
    found = find_copies(
        fingerprints(paths, dataset.max_image_pixels, cache),
        fingerprints(other_paths, dataset.max_image_pixels, cache),
    )
    for index, other, difference in found:
        reasons[left[index]] = (
            f"looks like held out: {_describe(others[other])}, "
            f"{difference} of {_SIGNS} signs differ"
        )
    return _to_drop(dataset, reasons)


def find_listed(dataset, table_path):
    """Find the images of a dataset that a table lists, such as an official test set.

    Returns a DataFrame like find_leaks.
    Raises ValueError if the table has no column of image names.
    """
    names = ImageNames([info["id"] for info in dataset.image_info])
    table = read_table(table_path, names)
    column = table.attrs["image_column"]
    if column is None:
        raise ValueError(f"{table_path} has no column of image names")
    listed = {i for places in names.places(table[column]) for i in places}
    return _to_drop(dataset, dict.fromkeys(listed, f"listed as held out: {table_path}"))


def _to_drop(dataset, reasons):
    """Return {index of an image: reason} as the table of IsicDataset.drop."""
    infos = [(dataset.image_info[i], reasons[i]) for i in sorted(reasons)]
    rows = [(info["id"], info["path"], reason) for info, reason in infos]
    return pd.DataFrame(rows, columns=["image_id", "file", "reason"])


def fingerprints(paths, max_pixels=files.MAX_PIXELS, cache=None):
    """Return the fingerprints of image files, int8 [paths, 16, 16].

    A fingerprint holds the signs -1, 0, 1 of the low frequencies of the central square
    in grey. It is all 0, and matches no other, for an image of one colour or an
    unreadable file. max_pixels: of an image. cache: as in cached_map.map_files.
    """
    compute = partial(_fingerprint, max_pixels=max_pixels)
    found = map_files(compute, paths, "fingerprints", cache)
    nothing = "1" * FREQUENCIES**2
    texts = [nothing if isinstance(found[p], Exception) else found[p] for p in paths]
    signs = np.frombuffer("".join(texts).encode("ascii"), np.uint8).astype(np.int8)
    return signs.reshape(-1, FREQUENCIES, FREQUENCIES) - np.int8(ord("1"))


def find_copies(signs, other_signs, max_difference=MAX_DIFFERENCE):
    """Find for each fingerprint the most similar other one, in eight orientations.

    This is multi-index hashing (Norouzi et al., CVPR 2012): two fingerprints that
    differ in at most d of 255 signs differ in at most one sign in one of d // 2 + 1
    bands, so only pairs with such a band are compared in full. The few fingerprints
    with a zero sign, which has no bit, are compared with all.

    Args:
        signs: int8 [n, 16, 16]. other_signs: int8 [m, 16, 16].
        max_difference: number of signs that may differ; a zero counts as half.

    Returns:
        list of (index, index of the most similar other one, difference rounded up)
        for those of `signs` that have one; the first if several are equally similar.
    """
    if not len(signs) or not len(other_signs):
        return []
    nothing = np.iinfo(np.int64).max
    best = np.full(len(signs), nothing)  # twice the difference, and index of the other
    _, others = np.unique(_flat(other_signs), axis=0, return_index=True)
    known, others_known = _all_known(signs), _all_known(other_signs[others])
    for is_own, is_other, search in (
        (known, others_known, _near_in_bands),
        (known, ~others_known, _near_of_all),
        (~known, np.ones_like(others_known), _near_of_all),
    ):
        own, other = np.flatnonzero(is_own), others[is_other]
        if len(own) * len(other) < _FEW_PAIRS:
            search = _near_of_all
        for i, j, doubled in search(signs[own], other_signs[other], max_difference):
            np.minimum.at(best, own[i], (doubled << 32) | other[j])
    found = np.flatnonzero(best < nothing)
    doubled, nearest = best[found] >> 32, best[found] & 0xFFFFFFFF
    differences = (doubled + 1) // 2
    return list(
        zip(found.tolist(), nearest.tolist(), differences.tolist(), strict=True)
    )


def _all_known(signs):
    """Whether all signs except that of the mean are nonzero, bool [n]."""
    return np.count_nonzero(_flat(signs), axis=1) == _SIGNS


def _near_of_all(signs, other_signs, max_difference):
    """Yield (i, j, doubled differences) of near pairs by comparing all pairs."""
    other = _flat(other_signs).astype(np.float32)
    for start in range(0, len(signs), _BLOCK):
        for view in orientations(signs[start : start + _BLOCK]):
            agreement = _flat(view).astype(np.float32) @ other.T
            doubled = (_SIGNS - agreement).astype(np.int64)
            i, j = np.nonzero(doubled <= 2 * max_difference)
            yield start + i, j, doubled[i, j]


def _near_in_bands(signs, other_signs, max_difference):
    """Yield (i, j, doubled differences) of near pairs; all signs are -1 or 1."""
    bands = max(max_difference // 2 + 1, -(-_SIGNS // _BAND_BITS))
    other_bits = _flat(other_signs)[:, 1:] > 0  # without the mean
    other_packed = _packed(other_bits)
    other_keys = _band_keys(other_bits, bands).T.tocsr()
    for start in range(0, len(signs), _BLOCK):
        for view in orientations(signs[start : start + _BLOCK]):
            bits = _flat(view)[:, 1:] > 0
            i, j = (_band_keys(bits, bands, flips=True) @ other_keys).nonzero()
            differ = np.bitwise_count(_packed(bits)[i] ^ other_packed[j])
            difference = differ.sum(axis=1, dtype=np.int64)
            near = difference <= max_difference
            yield start + i[near], j[near], 2 * difference[near]


def _band_keys(bits, bands, flips=False):
    """Return which key each row has in each band, or with one bit of it flipped.

    It is sparse, [n, keys of all bands].
    """
    keys = []
    for band in range(bands):
        # Neighbouring frequencies are correlated: a band takes every nth
        own = bits[:, band::bands]
        powers = 1 << np.arange(own.shape[1])
        key = (own @ powers) + (band << _BAND_BITS)
        keys += [key ^ flip for flip in [0, *powers][: None if flips else 1]]
    keys = np.stack(keys, axis=1).astype(np.int32)
    starts = np.arange(0, keys.size + 1, keys.shape[1])
    ones = np.ones(keys.size, np.int8)
    return csr_array((ones, keys.ravel(), starts), (len(bits), bands << _BAND_BITS))


def _packed(bits):
    """Return uint64 [n, 4]."""
    return np.packbits(np.pad(bits, [(0, 0), (0, 1)]), axis=1).view(np.uint64)


def orientations(signs):
    """Yield the fingerprints [n, 16, 16] in all 8 orientations of the images.

    Mirroring an image changes the sign of its odd frequencies along that axis.
    """
    alternating = (-1) ** np.arange(FREQUENCIES, dtype=np.int8)
    for view in (signs, signs.swapaxes(1, 2)):
        for upright in (view, view * alternating[:, None]):
            yield upright
            yield upright * alternating


def thumbnail(path, max_pixels=files.MAX_PIXELS):
    """Return the central square of an image in grey, float32 [32, 32]."""
    image = Image.fromarray(files.read_image(path, max_pixels)).convert("L")
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    box = (left, top, left + side, top + side)
    size = (THUMBNAIL, THUMBNAIL)
    return np.asarray(image.resize(size, Image.Resampling.BOX, box), np.float32)


def _fingerprint(path, max_pixels):
    """Return the signs of one image as text of "0", "1", "2"."""
    small = thumbnail(path, max_pixels)
    waves = dctn(small, norm="ortho")[:FREQUENCIES, :FREQUENCIES]
    waves[0, 0] = 0  # the mean brightness
    if small.std() < 1:  # grey level: an image of one colour
        waves[:] = 0
    signs = np.sign(waves).astype(int) + 1
    return "".join(map(str, signs.ravel()))


def _flat(signs):
    return signs.reshape(len(signs), FREQUENCIES**2)


def _identity(info, name):
    """Return a key that two images share only if both names mean the same."""
    if name is None or _GLOBAL_ID.fullmatch(str(name)):
        return name
    return info["folder"], name


def _describe(info):
    return f"{info['id']} of {info['folder'].name}"
