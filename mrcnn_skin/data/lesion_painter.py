"""Generate images similar to dermoscopy, for tests, tutorials and smoke runs.

A lesion is painted by adding pigment to skin: optical densities add up, as by the
Beer-Lambert law. Benign and malignant differ as the ABC rule says (asymmetry, border,
colours) and overlap. What a model scores here says nothing about patients.
"""

from typing import NamedTuple

import numpy as np
from scipy import fft, ndimage

MIN_SIDE = 32  # fewer pixels do not resolve the pigment network or a hair

# Difficulty of the task: Beta distributions of atypia, 0 (harmless) to 1, to which the
# traits add TRAIT_NOISE. They are far apart, so that a small network learns the
# difference within minutes from random weights: logistic regression on measured shape
# and colour has an AUC of 0.98. Closer distributions or more noise are harder.
ATYPIA = {False: (2.0, 8.0), True: (8.0, 2.0)}
TRAIT_NOISE = 0.1

# Share of the image, drawn on a log scale: mostly small, as in the ISIC archive.
LESION_AREA = (0.04, 0.45)

# Probabilities of artefacts, the same for both classes
HAIR_CHANCE, RULER_CHANCE, APERTURE_CHANCE, BUBBLES_CHANCE = 0.4, 0.15, 0.25, 0.3
EDGE_CHANCE = 0.12  # a lesion cut off by the image's edge

# RGB of skin under the dermatoscope, light to dark; a tone lies between neighbours.
SKIN_TONES = np.array(
    [
        (236, 200, 192),
        (226, 178, 162),
        (208, 156, 132),
        (180, 124, 98),
        (136, 90, 68),
        (94, 62, 50),
    ],
    np.float32,
)

# Optical density per unit, for red, green and blue light. A lesion's melanin lies
# between reddish and black-brown, as phaeo- and eumelanin do.
MELANIN = (0.5, 0.75, 1.0)
REDDISH_MELANIN, BLACKISH_MELANIN = (0.42, 0.74, 1.0), (0.68, 0.87, 1.0)
HAEMOGLOBIN = (0.08, 0.5, 0.42)
HAIR_DENSITY, INK_DENSITY = 2.2, 1.6  # alike for all light

# Colours other than the browns of melanin, more frequent in malignant lesions
PATCH_COLOURS = np.array(
    [
        (42, 32, 36),  # black
        (96, 102, 122),  # blue-grey
        (222, 196, 196),  # white, a scar-like regression
        (168, 74, 78),  # red
    ],
    np.float32,
)


class Traits(NamedTuple):
    """How pronounced each criterion of the ABC rule is, 0 to 1."""

    asymmetry: float
    border: float
    colours: float


class Grid(NamedTuple):
    """Pixel centres, float32 [h, 1] and [1, w]; the shorter side has length 1."""

    y: np.ndarray
    x: np.ndarray

    @property
    def shape(self):
        return self.y.shape[0], self.x.shape[1]


def synthetic_lesion(seed, size=(128, 128), malignant=None):
    """Paint one lesion.

    Args:
        seed: int >= 0 or numpy SeedSequence. The scene is the same at all sizes of one
            aspect ratio, except for the grain.
        size: (height, width), pixels, MIN_SIDE or more.
        malignant: the class; None draws it with equal probability.

    Returns:
        image: uint8 [h, w, 3].
        mask: bool [h, w], one region within the visible field, 4 to 45 % of the image.
        malignant: bool.

    Raises:
        ValueError: if a side is too short.
    """
    if min(size) < MIN_SIDE:
        raise ValueError(f"size must be {MIN_SIDE} or more on each side, got {size}")
    rng = np.random.default_rng(seed)
    drawn = rng.random() < 0.5
    malignant = bool(drawn if malignant is None else malignant)
    traits = _traits(rng, malignant)
    grid = _grid(size)
    aperture, light = _illumination(rng, grid)
    distance, angle = _outline(rng, grid, traits, aperture > 0.5)

    density = _skin(rng, grid)
    density = _add_lesion(rng, grid, density, distance, angle, traits)
    density += HAIR_DENSITY * _hairs(rng, grid) + INK_DENSITY * _ruler(rng, grid)
    image = np.exp(-density) * light
    image += (1 - image) * _bubbles(rng, grid)
    image *= aperture
    image += 0.01 * rng.standard_normal(grid.shape, np.float32)  # the sensor's grain
    image = np.clip(255 * image, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(image.transpose(1, 2, 0)), distance <= 1, malignant


def _traits(rng, malignant):
    atypia = rng.beta(*ATYPIA[malignant])
    return Traits(*np.clip(atypia + rng.normal(0, TRAIT_NOISE, 3), 0, 1))


def _grid(size):
    h, w = size
    y = (np.arange(h, dtype=np.float32) + 0.5) / min(size)
    x = (np.arange(w, dtype=np.float32) + 0.5) / min(size)
    return Grid(y[:, None], x[None, :])


def _noise(rng, grid, waves, falloff=1.0):
    """A random field of mean 0 and deviation 1: a cosine series.

    waves: half waves along the shorter side; falloff: the amplitude's power of 1 / f.
    Returns float32 [h, w].
    """
    h, w = grid.shape
    side = min(h, w)
    fy = np.arange(waves * h // side, dtype=np.float32)[:, None] * side / h
    fx = np.arange(waves * w // side, dtype=np.float32)[None, :] * side / w
    series = rng.standard_normal((fy.size, fx.size), dtype=np.float32)
    series /= np.maximum(np.hypot(fy, fx), 1) ** falloff
    series[0, 0] = 0
    # Not as two matrix products: BLAS threads of several callers stall each other.
    field = fft.idct(fft.idct(series, n=w, axis=1), n=h, axis=0)
    return field / field.std()


def _step(values, width):
    """From 0 to 1 around 0, smoothly: the logistic function."""
    return 1 / (1 + np.exp(np.clip(-values / width, -30, 30)))


def _illumination(rng, grid):
    """Return aperture (transmission of the dermatoscope's tube) and light, [h, w]."""
    h, w = grid.shape
    side = min(h, w)
    off_y, off_x = rng.normal(0, 0.02, 2).astype(np.float32)
    y, x = grid.y - h / side / 2 - off_y, grid.x - w / side / 2 - off_x
    squared = (y / (h / side)) ** 2 + (x / (w / side)) ** 2  # 0.5 in the corners
    light = 1.02 - rng.uniform(0.05, 0.5) * squared
    light = light + rng.normal(0, 0.06) * y + rng.normal(0, 0.06) * x
    radius, sharpness = rng.uniform(0.54, 0.66), rng.uniform(0.004, 0.02)
    if rng.random() < APERTURE_CHANCE:
        aperture = _step(radius - np.sqrt(squared), sharpness)
    else:
        aperture = np.ones_like(squared)
    return aperture, light


def _outline(rng, grid, traits, visible):
    """Place a lesion: a Fourier series on the logarithm of its radius.

    Low orders give the asymmetric shape, high ones the notches of an irregular border.
    Returns distance [h, w], 1 on the outline and 0 in the centre, infinite outside of
    the visible field, and angle [h, w] around the centre, radians.
    """
    h, w = grid.shape
    centre = rng.normal(0.5, 0.07, 2)
    if rng.random() < EDGE_CHANCE:
        centre[rng.integers(2)] = rng.choice([0.16, 0.84])
    y = grid.y - np.float32(centre[0] * h / min(h, w))
    x = grid.x - np.float32(centre[1] * w / min(h, w))
    angle = np.arctan2(y, x)

    order = np.arange(1, 31)
    amplitude = np.where(
        order < 6,
        (0.035 + 0.12 * traits.asymmetry) / order**0.7,
        (0.004 + 0.03 * traits.border) * (6 / order) ** 1.1,
    )
    amplitude[1] += rng.uniform(0, 0.14)  # order 2: every lesion is somewhat oval
    amplitude *= rng.normal(0, 1, order.size)
    turns = np.linspace(-np.pi, np.pi, 1024)
    phase = rng.uniform(0, 2 * np.pi, (order.size, 1))
    waves = amplitude[:, None] * np.cos(order[:, None] * turns + phase)
    radius = np.exp(waves.sum(axis=0)).astype(np.float32)
    nearest = ((angle + np.pi) * (turns.size - 1) / (2 * np.pi)).astype(int)
    distance = np.hypot(y, x) / radius[nearest]

    # The level set with the wanted area, however much of the lesion is cut off.
    distance[~visible] = np.inf
    area = np.exp(rng.uniform(*np.log(LESION_AREA)))
    pixels = int(area * distance.size)
    return distance / np.partition(distance, pixels, axis=None)[pixels], angle


def _skin(rng, grid):
    """Return the optical density of skin without a lesion, float32 [3, h, w]."""
    tones = -np.log(SKIN_TONES / 255)
    tone = rng.beta(1.2, 2.0) * (len(tones) - 1)
    lower = int(tone)
    base = tones[lower] + (tone - lower) * (tones[lower + 1] - tones[lower])
    base = base * rng.normal(1, 0.03, 3)  # the camera's white balance
    spacing = rng.uniform(0.03, 0.06)
    fine = _noise(rng, grid, 100, 0.6) + 0.7 * _lattice(rng, grid, spacing, 4.0)
    melanin = 0.03 * _noise(rng, grid, 6) + (0.014 + 0.007 * tone) * fine
    blood = 0.09 * _noise(rng, grid, 40, 1.1)
    return _stack(base) + _stack(MELANIN) * melanin + _stack(HAEMOGLOBIN) * blood


def _stack(colour):
    return np.asarray(colour, np.float32)[:, None, None]


def _lattice(rng, grid, spacing, disorder):
    """A honeycomb of lines around holes, the pattern of rete ridges seen from above.

    Three plane waves at 60 degrees, with phases that wander by disorder (radians).
    Returns float32 [h, w], mean near 0 and deviation near 1; high on the lines.
    """
    spacing = max(spacing, 3.5 / min(grid.shape))  # finer would be aliased
    start = rng.uniform(0, np.pi)
    total = 0
    for angle in start + np.array([0, np.pi / 3, 2 * np.pi / 3]):
        wave = np.float32(np.sin(angle)) * grid.y + np.float32(np.cos(angle)) * grid.x
        phase = disorder * _noise(rng, grid, 24, 0.9)
        total = total + np.cos(np.float32(2 * np.pi / spacing) * wave + phase)
    return -total / 1.22  # three cosines have the variance 3 / 2


def _add_lesion(rng, grid, density, distance, angle, traits):
    """Lay the lesion's pigment, its coloured patches and its structures on skin."""
    distance = np.minimum(distance, 5)
    # Pigment frays at its border; the mask, like an annotator, ignores that
    fray = (0.03 + 0.04 * traits.border) * _noise(rng, grid, 40, 1.2)
    inside = _step(1 - distance + fray, rng.uniform(0.025, 0.09))
    # From -1 on one side of the lesion to 1 on the other: asymmetry of colour.
    lean = np.cos(angle - rng.uniform(0, 2 * np.pi)) * np.minimum(distance, 1)
    body = 1 + rng.uniform(-0.3, 0.4) * (1 - distance)  # paler or darker centre
    body += (0.08 + 0.32 * traits.asymmetry) * lean
    body += (0.10 + 0.28 * traits.colours) * _noise(rng, grid, 24, 1.2)

    level = rng.uniform(0.5, 1.4)
    red, black = np.array(REDDISH_MELANIN), np.array(BLACKISH_MELANIN)
    pigment = _stack(red + rng.random() * (black - red))
    blood = rng.uniform(0.0, 0.3) * inside
    density = density + pigment * (level * inside * np.maximum(body, 0.1))
    density += _stack(HAEMOGLOBIN) * blood
    density = _add_patches(rng, grid, density, inside, lean, traits)
    structure = 0.06 * _noise(rng, grid, 70, 0.8) + _structures(rng, grid)
    return density + pigment * (level**0.5 * inside * structure)


def _add_patches(rng, grid, density, inside, lean, traits):
    """Blend none to four of PATCH_COLOURS into parts of the lesion."""
    count = min(rng.poisson(0.05 + 4.5 * traits.colours**2), len(PATCH_COLOURS))
    for colour in rng.permutation(PATCH_COLOURS)[:count]:
        side = lean if rng.random() < 0.5 else -lean
        where = _noise(rng, grid, 40, 1.3) + 1.5 * side - rng.uniform(0.2, 1.0)
        alpha = rng.uniform(0.7, 0.95) * _step(where, 0.25) * inside
        density += alpha * (_stack(-np.log(colour / 255)) - density)
    return density


def _structures(rng, grid):
    """Pigment network or globules, fading in and out over the lesion."""
    spacing = rng.uniform(0.018, 0.036)
    lattice = _lattice(rng, grid, spacing, rng.uniform(2.5, 4.5))
    strength = rng.uniform(0.0, 0.25)
    where = _step(_noise(rng, grid, 8) + rng.uniform(-0.5, 1.0), 0.3)
    if rng.random() < 0.35:  # globules: only the peaks between the lines
        lattice = 2.5 * _step(-lattice - 1.2, 0.15)
    return strength * where * lattice


def _hairs(rng, grid):
    """Return the optical density of hairs, 0 to 1, float32 [h, w]."""
    h, w = grid.shape
    side = min(h, w)
    hairs = np.zeros((h, w), np.float32)
    if rng.random() >= HAIR_CHANCE:
        return hairs
    main = rng.uniform(0, np.pi)  # most hairs of a patch of skin lie one way
    steps = np.linspace(0, 1, 3 * side)[:, None]
    taper = np.minimum(5 * (1 - steps[:, 0]), 1)  # thins towards the tip
    for _ in range(min(rng.geometric(0.2), 20)):
        direction = main + rng.normal(0, 0.5)
        middle = rng.uniform(0, 1, 2) * (h, w) / side
        half = rng.uniform(0.2, 0.8) * np.array([np.sin(direction), np.cos(direction)])
        bend = middle + rng.normal(0, 0.15, 2)
        start, end = middle - half, middle + half
        curve = (1 - steps) ** 2 * start + 2 * steps * (1 - steps) * bend
        curve = ((curve + steps**2 * end) * side).astype(int)
        seen = ((curve >= 0) & (curve < (h, w))).all(axis=1)
        curve = curve[seen]
        hairs[curve[:, 0], curve[:, 1]] = rng.uniform(0.4, 1.0) * taper[seen]
    width = rng.uniform(0.001, 0.0025) * side
    drawn = max(width, 0.45)  # hairs thinner than a pixel are drawn fainter instead
    blurred = ndimage.gaussian_filter(hairs, drawn, truncate=3)
    return np.minimum(blurred * (drawn * 3.0), 1) * np.float32(width / drawn)


def _ruler(rng, grid):
    """Return the optical density of a scale along one edge, 0 to 1, [h, w]."""
    h, w = grid.shape
    scale = np.zeros((h, w), np.float32)
    if rng.random() >= RULER_CHANCE:
        return scale
    edge, spacing = rng.integers(4), rng.uniform(0.03, 0.06)
    depth = rng.uniform(0.02, 0.06)
    y, x = (grid.y, grid.x) if edge < 2 else (grid.x.T, grid.y.T)
    number = np.round(x / spacing)
    line = np.abs(x - number * spacing) < max(0.003, 0.5 / min(h, w))
    length = np.where(number % 5 == 0, 0.06, 0.035)
    ticks = line & (y > depth) & (y < depth + length)
    ticks = ticks[::-1] if edge % 2 else ticks
    scale[:] = ticks if edge < 2 else ticks.T
    return scale


def _bubbles(rng, grid):
    """Return the whiteness of reflexes on bubbles in the gel, 0 to 1, [h, w]."""
    h, w = grid.shape
    side = min(h, w)
    white = np.zeros((h, w), np.float32)
    if rng.random() >= BUBBLES_CHANCE:
        return white
    lamp = rng.uniform(0, 2 * np.pi)
    for _ in range(rng.integers(1, 12)):
        centre_y, centre_x = rng.uniform(0, 1, 2) * (h / side, w / side)
        radius = rng.uniform(0.006, 0.03)
        y, x = grid.y - centre_y, grid.x - centre_x
        rows = np.flatnonzero(np.abs(y[:, 0]) < 1.5 * radius)
        columns = np.flatnonzero(np.abs(x[0]) < 1.5 * radius)
        window = np.ix_(rows, columns)
        y, x = y[rows], x[:, columns]
        rim = np.exp(-(((np.hypot(y, x) - radius) / (0.18 * radius)) ** 2))
        facing = (y * np.sin(lamp) + x * np.cos(lamp)) / radius
        glint = rim * np.clip(0.25 + 0.6 * facing, 0, 0.9)
        white[window] = np.maximum(white[window], glint)
    return white
