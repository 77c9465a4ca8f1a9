"""Pictures of images, masks, boxes and training logs.

Functions that draw with matplotlib return their Figure and need no screen; `overlay`
and `overlay_truth` return pixels. Nothing is computed here that metrics.py has.
"""

import colorsys

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import distance_transform_edt
from skimage.measure import find_contours

from .atomic import written_whole
from .evaluation.metrics import segmentation_scores
from .evaluation.submission import official_mask

TRUTH_COLOR = (60, 220, 90)
PREDICTION_COLOR = (255, 130, 20)


def random_colors(n, bright=True):
    """Return n colours (r, g, b) in 0..1, as far apart in hue as n allows.

    They are the same every time, so that two pictures can be compared.
    """
    value = 1.0 if bright else 0.7
    return [colorsys.hsv_to_rgb(i / max(n, 1), 1, value) for i in range(n)]


def apply_mask(image, mask, color, alpha=0.5):
    """Blend a colour (r, g, b), 0..1, into an image where a mask is true.

    image: uint8 [h, w, 3]; mask: bool [h, w]. Returns a new uint8 [h, w, 3].
    """
    blended = (1 - alpha) * image[mask] + alpha * 255 * np.asarray(color)
    image = image.copy()
    image[mask] = blended.round().astype(np.uint8)
    return image


def display_instances(
    image,
    boxes,
    masks,
    class_ids,
    class_names,
    scores=None,
    title="",
    figsize=(16, 16),
    ax=None,
    show_mask=True,
    show_bbox=True,
    colors=None,
    captions=None,
):
    """Draw instances over an image (Matterport's display_instances).

    image: uint8 [h, w, 3]. boxes: [n, (y1, x1, y2, x2)], pixels; masks: bool [h, w, n]
    or None; class_ids: [n]; class_names: by class id; scores: [n] or None.
    captions: one a box instead of class and score. Returns the Figure.
    """
    figure = ax.figure if ax is not None else Figure(figsize=figsize)
    ax = ax if ax is not None else figure.subplots()
    colors = colors or random_colors(len(boxes))
    for i, (y1, x1, y2, x2) in enumerate(boxes):
        if show_mask and masks is not None:
            image = apply_mask(image, masks[..., i], colors[i])
            _draw_contours(ax, masks[..., i], colors[i])
        if show_bbox:
            box = Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, ls="--", lw=2)
            box.set_edgecolor(colors[i])
            ax.add_patch(box)
        caption = captions[i] if captions else class_names[class_ids[i]]
        if not captions and scores is not None:
            caption += f" {scores[i]:.3f}"
        ax.text(x1, y1 + 8, caption, color="white", size=11, backgroundcolor="none")
    ax.imshow(image)
    ax.set_title(title)
    ax.axis("off")
    return figure


def _draw_contours(ax, mask, color):
    for line in find_contours(np.pad(mask, 1).astype(float), 0.5):
        ax.plot(line[:, 1] - 1, line[:, 0] - 1, color=color, lw=1)


def overlay(image, masks, boxes, captions=(), color=PREDICTION_COLOR):
    """Draw outlines of masks, boxes and a line of text for each into an image.

    image: uint8 [h, w, 3]. masks: bool [h, w, n]. boxes: [m, (y1, x1, y2, x2)],
    pixels. captions: text lines, on a strip above the image. color: (r, g, b), 0..255.
    Lines and letters grow with the image. Returns uint8 [h + strip, w, 3].
    """
    width = _line_width(image)
    for i in range(masks.shape[-1]):
        image = draw_outline(image, masks[..., i], color, width)
    picture = Image.fromarray(image)
    draw = ImageDraw.Draw(picture)
    for y1, x1, y2, x2 in boxes:
        draw.rectangle(
            [x1, y1, x2 - 1, y2 - 1], outline=color, width=max(1, width // 2)
        )
    return _with_captions(np.asarray(picture), [(text, color) for text in captions])


def overlay_truth(image, truth, result):
    """Draw the truth's outline (green) and the best prediction's (orange).

    image: uint8 [h, w, 3]; truth: bool [h, w]; result: as of Detector. The caption has
    the Jaccard index and P(malignant), where the model gives them.
    Returns uint8 [h + strip, w, 3].
    """
    width = _line_width(image)
    image = draw_outline(image, truth, TRUTH_COLOR, width)
    found = len(result["rois"]) > 0
    captions = [("truth", TRUTH_COLOR)]
    text = "prediction" if found else "no lesion found"
    if found and "masks" in result:
        mask = official_mask(result["masks"][..., 0])
        image = draw_outline(image, mask, PREDICTION_COLOR, width)
        text += f"  Jaccard {segmentation_scores(truth, mask)['JA']:.2f}"
    if result["p_malignant"] is not None:
        text += f"  P(malignant) {result['p_malignant']:.2f}"
    return _with_captions(image, [*captions, (text, PREDICTION_COLOR)])


def draw_outline(image, mask, color, width):
    """Draw the outline of a mask, `width` pixels wide, just outside of it.

    image: uint8 [h, w, 3]; mask: bool [h, w]. Returns a new image.
    """
    image = image.copy()
    if mask.any():
        rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
        window = tuple(
            slice(max(0, there[0] - width), there[-1] + width + 1)
            for there in (rows, columns)
        )  # the lesion and its rim: distances elsewhere are not needed
        outside = ~mask[window]
        image[window][outside & (distance_transform_edt(outside) <= width)] = color
    return image


def contact_sheet(images, titles, columns=4):
    """Show images side by side; returns the Figure.

    images: list of uint8 [h, w, 3]; titles: one an image.
    """
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(3 * columns, 3.2 * rows), layout="constrained")
    for i, ax in enumerate(np.ravel(figure.subplots(rows, columns, squeeze=False))):
        ax.axis("off")
        if i < len(images):
            ax.imshow(images[i])
            ax.set_title(titles[i], size=9)
    return figure


def plot_losses(log):
    """Draw the curves of a training log: total loss, its terms, validation scores.

    log: path of a log.csv, or its DataFrame. Dotted lines mark where a stage begins.
    Returns the Figure.
    """
    log = log if isinstance(log, pd.DataFrame) else pd.read_csv(log)
    terms = [n for n in log if n.endswith("_loss") and not n.startswith("val_")]
    scores = [n for n in ("val_JA", "val_DI", "val_AUC", "val_AC") if n in log]
    figure = Figure(figsize=(15, 4.2), layout="constrained")
    total, parts, quality = figure.subplots(1, 3)
    for name in ("loss", "val_loss"):
        if name in log:
            total.plot(log["epoch"] + 1, log[name], marker=".", label=name)
    for index, name in enumerate(terms):
        parts.plot(log["epoch"] + 1, log[name], color=f"C{index}", label=name)
        if f"val_{name}" in log:
            values = log[f"val_{name}"]
            parts.plot(log["epoch"] + 1, values, color=f"C{index}", ls="--")
    for name in scores:
        quality.plot(log["epoch"] + 1, log[name], marker=".", label=name[4:])
    total.set(title="loss", yscale="log")
    parts.set(title="terms (dashed: validation)", yscale="log")
    quality.set(title="validation", ylim=(0, 1))
    starts = log["epoch"][log["stage"].diff() > 0] if "stage" in log else []
    for ax in (total, parts, quality):
        ax.set_xlabel("epoch")
        ax.grid(alpha=0.3)
        for start in starts:
            ax.axvline(start + 0.5, color="grey", ls=":")
        if ax.get_legend_handles_labels()[0]:
            ax.legend(fontsize=8)
    return figure


def save_figure(figure, path, dpi=110):
    """Write a Figure as PNG, whole or not at all."""
    with written_whole(path) as partial:
        figure.savefig(partial, dpi=dpi, format="png")


def save_image(image, path):
    """Write pixels, uint8 [h, w, 3] or [h, w], as PNG, whole or not at all."""
    with written_whole(path) as partial:
        Image.fromarray(image).save(partial, format="PNG")


def _line_width(image):
    return max(1, round(max(image.shape[:2]) / 300))


def _with_captions(image, captions):
    """Put lines of text (text, colour) on a dark strip above an image.

    Where a line is wider than the image it breaks at its double spaces; a part that
    is still too wide gets smaller letters.
    """
    if not captions:
        return image
    width = image.shape[1] - 8
    size = max(11, round(image.shape[1] / 28))
    font = ImageFont.load_default(size)
    lines = [
        (line, color) for text, color in captions for line in _wrap(text, font, width)
    ]
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
