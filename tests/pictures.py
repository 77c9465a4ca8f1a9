"""Plain images and masks for the tests of pictures."""

import numpy as np

GREY = 100


def blank(height=64, width=80):
    return np.full((height, width, 3), GREY, np.uint8)


def rectangle(y1, x1, y2, x2, shape=(64, 80)):
    mask = np.zeros(shape, bool)
    mask[y1:y2, x1:x2] = True
    return mask
