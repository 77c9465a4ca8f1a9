"""Estimate the tone of the skin around a lesion from the image.

The individual typology angle (ITA; Chardon et al., 1991) depends on light and camera:
it compares images of one collection, and does not measure a person.
"""

import numpy as np
from scipy.ndimage import distance_transform_edt
from skimage.color import rgb2lab

from ..geometry.inputs import as_image, as_mask

SIDE = 256  # pixels of the longer side; colour needs no detail
GAP, WIDTH = 0.03, 0.10  # of the ring around the lesion, relative to the longer side
BLACK, GLARE = 15.0, 97.0  # range of the lightness L* of skin
MIN_PIXELS = 30
# Lower bound of each tone in degrees (Del Bino & Bernerd, 2013)
TONES = {
    "very light": 55.0,
    "light": 41.0,
    "intermediate": 28.0,
    "tan": 10.0,
    "brown": -30.0,
    "dark": -90.0,
}


def typology_angle(image, lesion):
    """Estimate the ITA of the skin around a lesion.

    Args:
        image: uint8 [h, w, 3], RGB.
        lesion: bool [h, w].

    Returns:
        atan2(L* - 50, b*) in degrees, of the median colour of a ring around the lesion;
        nan without a lesion or with fewer than MIN_PIXELS of skin.
    """
    image = as_image(image)
    lesion = as_mask(lesion, image.shape[:2], name="lesion")
    step = max(1, -(-max(lesion.shape) // SIDE))
    image, lesion = image[::step, ::step], lesion[::step, ::step]
    if not lesion.any():
        return float("nan")
    distance = distance_transform_edt(~lesion) / max(lesion.shape)
    ring = (distance > GAP) & (distance <= GAP + WIDTH)
    colours = rgb2lab(image[ring]) if ring.any() else np.zeros((0, 3))
    skin = colours[(colours[:, 0] > BLACK) & (colours[:, 0] < GLARE)]
    if len(skin) < MIN_PIXELS:
        return float("nan")
    lightness, _, yellow = np.median(skin, axis=0)
    return float(np.degrees(np.arctan2(lightness - 50, yellow)))


def tone(angle):
    """Return the name in TONES of an ITA in degrees; None for nan."""
    return next((name for name, low in TONES.items() if angle > low), None)
