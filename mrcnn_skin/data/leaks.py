"""Find training images that validation or test images give away.

Two images belong together when they share a patient, a lesion or an ISIC id, or when
they look alike but for size, brightness, compression, mirroring or quarter turns.
Other crops of a photograph, and other photographs of a lesion, are not recognised by
their looks. Nothing is dropped here; IsicDataset.drop does that.
"""

import re
from functools import partial

import numpy as np
import pandas as pd
from PIL import Image
from scipy.fft import dctn

from . import files
from .file_map import map_files
from .image_names import ImageNames
from .isic_tables import read_table

THUMBNAIL = 32  # pixels a side
FREQUENCIES = 16  # a side, so that a fingerprint has 16 * 16 - 1 = 255 signs

# Of 255 signs. Among 28.8 million pairs of ISIC 2017 and HAM10000 images that are not
# known to show one lesion, four are copies and differ in 4 to 14; two more, with other
# colours, in 35 and 36, and are missed. The least of the rest is 32. Whole frames and
# their central squares of 512 pixels differ in up to 7.
MAX_DIFFERENCE = 28

# Ids that name the same thing in every folder; others do so within their folder only.
_GLOBAL_ID = re.compile(r"(ISIC|HAM|IL|IP)_\d+")
_BLOCK = 2048  # fingerprints compared with all others at a time


def find_leaks(dataset, held_out, cache=None):
    """Find the images of a dataset that belong together with held-out ones.

    dataset: an IsicDataset. held_out: list of IsicDatasets.
    cache: JSON file that remembers fingerprints, as in file_map.map_files.
    Returns a DataFrame of image_id, file, reason for IsicDataset.drop: one row an
    image, the first of id, patient, lesion and looks that it shares.
    """
    others = [info for other in held_out for info in other.image_info]
    reasons = {}
    for kind, name in (
        ("id", lambda info: info["id"]),
        ("patient", lambda info: info["metadata"].get("patient_id")),
        ("lesion", lambda info: info["metadata"].get("lesion_id")),
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
            f"{difference} of {FREQUENCIES**2 - 1} signs differ"
        )
    infos = [(dataset.image_info[i], reasons[i]) for i in sorted(reasons)]
    rows = [(info["id"], info["path"], reason) for info, reason in infos]
    return pd.DataFrame(rows, columns=["image_id", "file", "reason"])


def find_listed(dataset, table_path):
    """Find the images of a dataset whose ids a table lists, such as an official test.

    Returns a DataFrame like find_leaks.
    Raises ValueError, naming the table, if it has no column of image names.
    """
    names = ImageNames([info["id"] for info in dataset.image_info])
    table = read_table(table_path, names)
    column = table.attrs["image_column"]
    if column is None:
        raise ValueError(f"{table_path} has no column of image names")
    listed = set(names.find(table[column]))
    reason = f"listed as held out: {table_path}"
    rows = [
        (info["id"], info["path"], reason)
        for info in dataset.image_info
        if info["id"] in listed
    ]
    return pd.DataFrame(rows, columns=["image_id", "file", "reason"])


def fingerprints(paths, max_pixels=files.MAX_PIXELS, cache=None):
    """Return the fingerprints of image files, int8 [paths, 16, 16].

    They are the signs -1, 0, 1 of the low frequencies of the central square in grey;
    all 0, and so like no other, for an image of one colour or a file that cannot be
    read. max_pixels: of an image. cache: as in file_map.map_files.
    """
    compute = partial(_fingerprint, max_pixels=max_pixels)
    found = map_files(compute, paths, "fingerprints", cache)
    nothing = "1" * FREQUENCIES**2
    texts = [nothing if isinstance(found[p], Exception) else found[p] for p in paths]
    signs = np.frombuffer("".join(texts).encode("ascii"), np.uint8).astype(np.int8)
    return signs.reshape(-1, FREQUENCIES, FREQUENCIES) - np.int8(ord("1"))


def find_copies(signs, other_signs, max_difference=MAX_DIFFERENCE):
    """Compare fingerprints, all with all, in eight orientations.

    signs: int8 [n, 16, 16]. other_signs: int8 [m, 16, 16].
    max_difference: number of signs that may differ; a zero counts as half.
    Returns a list of (index, index of the most similar other one, difference), for
    those of `signs` that have one.
    """
    if not len(signs) or not len(other_signs):
        return []
    turned = [_flat(view) for view in orientations(other_signs)]
    copies = []
    for start in range(0, len(signs), _BLOCK):
        block = _flat(signs[start : start + _BLOCK])
        agreement = np.full((len(block), len(other_signs)), -np.inf, np.float32)
        for view in turned:
            np.maximum(agreement, block @ view.T, out=agreement)
        nearest = agreement.argmax(axis=1)
        differences = (FREQUENCIES**2 - 1 - agreement.max(axis=1)) / 2
        for i in np.flatnonzero(differences <= max_difference):
            difference = int(np.ceil(differences[i]))
            copies.append((start + int(i), int(nearest[i]), difference))
    return copies


def orientations(signs):
    """Yield fingerprints [n, 16, 16] as of the mirrored and turned images, 8 times.

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
    """Return the signs of one image as text of "0", "1", "2", which JSON can hold."""
    small = thumbnail(path, max_pixels)
    waves = dctn(small, norm="ortho")[:FREQUENCIES, :FREQUENCIES]
    waves[0, 0] = 0  # the mean brightness
    if small.std() < 1:  # grey level: nothing to recognise it by
        waves[:] = 0
    signs = np.sign(waves).astype(int) + 1
    return "".join(map(str, signs.ravel()))


def _flat(signs):
    """Return one row a fingerprint; the matrix product counts agreements quickly."""
    return signs.reshape(len(signs), -1).astype(np.float32)


def _identity(info, name):
    """Return what equals that of another image only if both names mean the same."""
    if name is None or _GLOBAL_ID.fullmatch(str(name)):
        return name
    return info["folder"], name


def _describe(info):
    return f"{info['id']} of {info['folder'].name}"
