"""Draw outlines, boxes and captions into the pixels of an image.

Images, masks, boxes and colours are those that geometry.inputs accepts.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import distance_transform_edt

from ..atomic import written_whole
from ..evaluation.metrics import segmentation_scores
from ..evaluation.submission import official_mask
from ..geometry.inputs import as_boxes, as_color, as_image, as_list, as_mask

TRUTH_COLOR = (60, 220, 90)
PREDICTION_COLOR = (255, 130, 20)
GAP = 6  # pixels between the pictures of a contact sheet


def overlay(
    image: np.ndarray,
    masks: ArrayLike,
    boxes: ArrayLike,
    captions: Sequence[str] = (),
    color: Sequence[int] = PREDICTION_COLOR,
) -> np.ndarray:
    """Draw outlines of masks and boxes into an image, and lines of text above it.

    Lines and letters grow with the image.

    Args:
        image: uint8 [h, w, 3].
        masks: bool [h, w, n].
        boxes: [m, (y1, x1, y2, x2)], pixels.
        captions: text lines, on a strip above the image.
        color: (r, g, b), 0..255.

    Returns:
        uint8 [h + strip, w, 3].
    """
    image = as_image(image)
    masks = as_mask(masks, image.shape[:2], ndim=3, name="masks")
    boxes, color = as_boxes(boxes), as_color(color, 255)
    width = _line_width(image)
    for i in range(masks.shape[-1]):
        image = draw_outline(image, masks[..., i], color, width)
    picture = Image.fromarray(image)
    draw = ImageDraw.Draw(picture)
    for y1, x1, y2, x2 in boxes:
        last = max(x1, x2 - 1), max(y1, y2 - 1)  # a box may be thinner than a pixel
        draw.rectangle([x1, y1, *last], outline=color, width=max(1, width // 2))
    return _with_captions(np.asarray(picture), [(text, color) for text in captions])


def overlay_truth(
    image: np.ndarray,
    truth: ArrayLike,
    result: dict,
    captions: Sequence[tuple] | None = None,
    width: int | None = None,
) -> np.ndarray:
    """Draw the outlines of the ground truth (green) and of the best lesion (orange).

    Args:
        image: uint8 [h, w, 3].
        truth: bool [h, w].
        result: as of Detector.
        captions: list of (text, colour), a line each; None: the Jaccard index and
            P(malignant), where the model gives them.
        width: of the picture in pixels; None: that of the image.

    Returns:
        uint8 [h + strip, w, 3].
    """
    image = as_image(image)
    truth = as_mask(truth, image.shape[:2], name="truth")
    outlines = [(truth, TRUTH_COLOR)]
    found = len(result["rois"]) > 0
    text = "prediction" if found else "no lesion found"
    if found and "masks" in result:
        mask = official_mask(result["masks"][..., 0])
        outlines.append((mask, PREDICTION_COLOR))
        text += f"  Jaccard {segmentation_scores(truth, mask)['JA']:.2f}"
    if result["p_malignant"] is not None:
        text += f"  P(malignant) {result['p_malignant']:.2f}"
    if captions is None:
        captions = [("ground truth", TRUTH_COLOR), (text, PREDICTION_COLOR)]
    if width:  # before drawing, so that lines and letters stay legible
        image = scale_to_width(image, width)
    for mask, color in outlines:
        mask = scale_to_width(mask, width) if width else mask
        image = draw_outline(image, mask, color, _line_width(image))
    return _with_captions(image, captions)


def scale_to_width(image: np.ndarray, width: int) -> np.ndarray:
    """Resize an image or a mask, [h, w, ...], to a width in pixels."""
    kept = Image.Resampling.NEAREST if image.dtype == bool else Image.Resampling.LANCZOS
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    return np.asarray(Image.fromarray(image).resize((width, height), kept))


def draw_outline(
    image: np.ndarray, mask: ArrayLike, color: Sequence[int], width: int
) -> np.ndarray:
    """Draw the outline of a mask, just outside of it.

    Args:
        image: uint8 [h, w, 3].
        mask: bool [h, w].
        color: (r, g, b), 0..255.
        width: of the line, pixels.

    Returns:
        A new uint8 [h, w, 3].
    """
    image, color = as_image(image).copy(), as_color(color, 255)
    mask = as_mask(mask, image.shape[:2])
    if mask.any():
        rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
        window = tuple(
            slice(max(0, there[0] - width), there[-1] + width + 1)
            for there in (rows, columns)
        )  # the lesion and its rim: distances elsewhere are not needed
        outside = ~mask[window]
        image[window][outside & (distance_transform_edt(outside) <= width)] = color
    return image


def apply_mask(
    image: np.ndarray, mask: ArrayLike, color: Sequence[float], alpha: float = 0.5
) -> np.ndarray:
    """Blend a colour into an image where a mask is true.

    Args:
        image: uint8 [h, w, 3].
        mask: bool [h, w].
        color: (r, g, b), 0..1.
        alpha: share of the colour, 0..1.

    Returns:
        A new uint8 [h, w, 3].
    """
    image = as_image(image)
    mask = as_mask(mask, image.shape[:2])
    color = np.array(as_color(color, 1))
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must be from 0 to 1, got {alpha!r}")
    blended = (1 - alpha) * image[mask] + alpha * 255 * color
    image = image.copy()
    image[mask] = blended.round().astype(np.uint8)
    return image


def draw_box(
    image: np.ndarray, box: Sequence[int], color: Sequence[float]
) -> np.ndarray:
    """Draw a box, two pixels wide, into an image in place, and return it.

    Args:
        image: [h, w, channels].
        box: whole (y1, x1, y2, x2), y2 and x2 outside.
        color: a number for each channel, in the image's own range.
    """
    if np.ndim(image) != 3 or image.shape[2] != len(color):
        raise ValueError(
            f"image must be [h, w, {len(color)}], as many channels as the color has, "
            f"got {list(np.shape(image))}"
        )
    if image.dtype == np.uint8:
        color = as_color(color, 255, channels=image.shape[2])
    (box,) = as_boxes([box], whole=True, name="box")
    y1, x1, y2, x2 = np.clip(box, 0, [*image.shape[:2]] * 2)
    image[y1 : y1 + 2, x1:x2] = color
    image[max(y2 - 2, 0) : y2, x1:x2] = color
    image[y1:y2, x1 : x1 + 2] = color
    image[y1:y2, max(x2 - 2, 0) : x2] = color
    return image


def contact_sheet(
    pictures: Sequence[np.ndarray], columns: int = 4, width: int = 320
) -> np.ndarray:
    """Arrange pictures on a sheet, each row as high as its highest picture.

    Args:
        pictures: list of uint8 [h, w, 3], of any sizes, at least one.
        columns: pictures per row.
        width: to which each is scaled, pixels; its height follows.

    Returns:
        uint8 [sheet_h, sheet_w, 3].
    """
    pictures = as_list(pictures, "pictures")
    if not pictures:
        raise ValueError("pictures must be a list of at least one image, got none")
    pictures = [scale_to_width(as_image(picture), width) for picture in pictures]
    cells = [Image.fromarray(picture) for picture in pictures]
    columns = min(columns, len(cells))
    rows = [cells[i : i + columns] for i in range(0, len(cells), columns)]
    heights = [max(cell.height for cell in row) + GAP for row in rows]
    size = columns * (width + GAP) + GAP, sum(heights) + GAP
    sheet = Image.new("RGB", size, "white")
    for number, row in enumerate(rows):
        for column, cell in enumerate(row):
            place = GAP + column * (width + GAP), GAP + sum(heights[:number])
            sheet.paste(cell, place)
    return np.asarray(sheet)


def save_image(image: np.ndarray, path: str | Path) -> None:
    """Write pixels, uint8 [h, w, 3] or [h, w], as PNG, whole or not at all."""
    image = as_image(image, None if np.ndim(image) == 2 else 3)
    with written_whole(path) as partial:
        Image.fromarray(image).save(partial, format="PNG")


def _line_width(image):
    """Width of a line that is visible at the image's size, pixels."""
    return max(1, round(max(image.shape[:2]) / 200))


def _with_captions(image, captions):
    """Draw lines of (text, colour) on a dark strip above an image."""
    if not captions:
        return image
    width = image.shape[1] - 8
    size = max(11, round(image.shape[1] / 28))
    font = ImageFont.load_default(size)
    lines = [
        (line, as_color(color, 255))
        for text, color in captions
        for line in _wrap(text, font, width)
    ]
    # A part without double spaces may still be too wide
    widest = max(font.getlength(line) for line, _ in lines)
    size = max(8, min(size, int(size * width / max(widest, 1))))
    font, height = ImageFont.load_default(size), round(1.4 * size)
    strip = Image.new("RGB", (image.shape[1], height * len(lines)), "#222")
    draw = ImageDraw.Draw(strip)
    for row, (line, color) in enumerate(lines):
        draw.text((4, height * row), line, fill=color, font=font)
    return np.concatenate([np.asarray(strip), image])


def _wrap(text, font, width):
    """Break a text at double spaces into lines that fit a width in pixels."""
    lines = []
    for part in text.split("  "):
        if lines and font.getlength(f"{lines[-1]}  {part}") <= width:
            lines[-1] += f"  {part}"
        else:
            lines.append(part)
    return lines
