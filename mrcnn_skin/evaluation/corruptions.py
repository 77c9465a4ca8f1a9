"""Corruptions of dermoscopy images: hair, rulers, ink, blur ...

Each function takes an image uint8 [h, w, 3] and a NumPy Generator, and returns a new
image. Sizes are relative to the shorter side. Only "rotation" moves the lesion.
"""

import io

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

SUPERSAMPLING = 2  # lines are drawn larger and shrunk, for smooth edges


def hair(image, rng):
    """Draw forty dark, curved hairs."""
    side, tone = min(image.shape[:2]), tuple(rng.integers(15, 60, 3).tolist())

    def paint(draw, scale):
        for _ in range(40):
            start = rng.uniform(0, 1, 2) * image.shape[1::-1]
            angle, bend = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.15)
            steps = rng.uniform(0.03, 0.09) * side
            angles = angle + bend * np.arange(12)
            moves = steps * np.stack([np.cos(angles), np.sin(angles)], axis=1)
            points = (start + np.cumsum(moves, axis=0)) * scale
            width = max(1, round(rng.uniform(0.004, 0.009) * side * scale))
            draw.line([tuple(p) for p in points.tolist()], tone, width, joint="curve")

    return _painted(image, paint)


def ruler(image, rng):
    """Draw black tick marks along one edge, every fifth twice as long."""
    h, w = image.shape[:2]
    side, at_top = min(h, w), rng.random() < 0.5

    def paint(draw, scale):
        for number, x in enumerate(np.arange(0.02 * side, w, 0.04 * side)):
            length = (0.10 if number % 5 == 0 else 0.05) * side
            ends = (0, length) if at_top else (h - length, h)
            line = [(x * scale, end * scale) for end in ends]
            draw.line(line, (20, 20, 20), max(1, round(0.006 * side * scale)))

    return _painted(image, paint)


def ink(image, rng):
    """Draw three strokes of a violet marker near the corners."""
    h, w = image.shape[:2]
    side = min(h, w)

    def paint(draw, scale):
        for corner in rng.permutation(4)[:3]:
            x, y = (corner % 2) * w, (corner // 2) * h
            box = [x - 0.3 * side, y - 0.3 * side, x + 0.3 * side, y + 0.3 * side]
            width = round(rng.uniform(0.03, 0.05) * side * scale)
            draw.ellipse([v * scale for v in box], outline=(70, 40, 130), width=width)

    return _painted(image, paint)


def patch(image, rng):
    """Draw a coloured patch at an edge, as next to many lesions of children."""
    h, w = image.shape[:2]
    side = min(h, w)
    colours = [(240, 170, 40), (60, 140, 200), (230, 80, 90), (80, 170, 90)]
    colour = colours[rng.integers(len(colours))]
    x, y = rng.integers(2) * w, rng.uniform(0.1, 0.9) * h
    radius = 0.22 * side

    def paint(draw, scale):
        box = [x - radius, y - radius, x + radius, y + radius]
        draw.ellipse([v * scale for v in box], fill=colour)

    return _painted(image, paint)


def dark_corners(image, rng):
    """Black out the corners, as the round field of a dermatoscope does."""
    h, w = image.shape[:2]
    y, x = np.ogrid[:h, :w]
    radius = rng.uniform(0.40, 0.45) * np.hypot(h, w)
    distance = np.hypot(y - (h - 1) / 2, x - (w - 1) / 2)
    light = np.clip((radius - distance) / (0.02 * min(h, w)), 0, 1)
    return _pixels(image * light[:, :, None])


def blur(image, rng):
    """Blur by a Gaussian of 1 to 1.5 % of the shorter side."""
    sigma = rng.uniform(0.010, 0.015) * min(image.shape[:2])
    return _pixels(gaussian_filter(image.astype(np.float32), (sigma, sigma, 0)))


def jpeg(image, rng):
    """Compress as JPEG at quality 8 to 14."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=int(rng.integers(8, 15)))
    with Image.open(file) as read:
        return np.asarray(read.convert("RGB"))


def brightness(image, rng):
    """Make the image a third darker or brighter."""
    return _pixels(image * (0.67 if rng.random() < 0.5 else 1.33))


def rotation(image, rng):
    """Rotate by 90, 180 or 270 degrees; also for masks."""
    return np.ascontiguousarray(np.rot90(image, rng.integers(1, 4)))


CORRUPTIONS = {
    "hair": hair,
    "ruler": ruler,
    "ink": ink,
    "coloured patch": patch,
    "dark corners": dark_corners,
    "blur": blur,
    "JPEG": jpeg,
    "brightness": brightness,
    "rotation": rotation,
}


def _painted(image, paint):
    """Draw over an image with paint(draw, scale), with smooth edges."""
    h, w = image.shape[:2]
    size = (w * SUPERSAMPLING, h * SUPERSAMPLING)
    picture = Image.fromarray(image).resize(size, Image.Resampling.NEAREST)
    paint(ImageDraw.Draw(picture), SUPERSAMPLING)
    return np.asarray(picture.resize((w, h), Image.Resampling.BOX))


def _pixels(values):
    return np.clip(np.round(values), 0, 255).astype(np.uint8)
