"""Masks as tools write them, and the lesion that each must give: a table of cases.

The lesion is rows 10..29, columns 15..39 of 40 x 60 pixels, 500 pixels in all.
"""

import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mrcnn_skin.data.file_checks import check_files
from mrcnn_skin.data.files import UnreadableImage, check_mask_header, read_mask

LESION = np.zeros((40, 60), bool)
LESION[10:30, 15:40] = True
FRAME = np.ones((40, 60), bool)  # VOC's void: two pixels round the lesion
FRAME[8:32, 13:42] = False
BORDER = np.zeros((40, 60), bool)
BORDER[8:32, 13:42] = True
BORDER &= ~LESION
SPOT = np.zeros((40, 60), bool)
SPOT[33:38, 45:55] = True  # something else than the lesion


def grey(inside, outside=0, border=None, spot=None, dtype=np.uint8):
    """A mask of these values; border and spot are as outside unless given."""
    pixels = np.where(LESION, inside, outside)
    for part, value in ((BORDER, border), (SPOT, spot)):
        pixels = pixels if value is None else np.where(part, value, pixels)
    return Image.fromarray(pixels.astype(dtype))


def palette(colours, inside, **values):
    """An image with a palette, whose indices are those of grey()."""
    indexed = grey(inside, **values)
    image = Image.frombytes("P", indexed.size, indexed.tobytes())
    table = np.zeros((256, 3), np.uint8)
    for index, colour in colours.items():
        table[index] = colour
    image.putpalette(table.ravel().tolist())
    return image


def colours(inside, outside=(0, 0, 0), border=None, spot=None):
    pixels = np.where(LESION[..., None], inside, outside)
    for part, value in ((BORDER, border), (SPOT, spot)):
        pixels = pixels if value is None else np.where(part[..., None], value, pixels)
    return Image.fromarray(pixels.astype(np.uint8))


def smooth(size=(120, 80)):
    """Edges as a resize leaves them; above 128 it is the lesion again."""
    return grey(255).resize(size, Image.Resampling.BILINEAR).resize((60, 40))


RED, DARK_RED, BLUE = (255, 0, 0), (128, 0, 0), (0, 0, 255)
WHITE, VOID, BLACK = (255, 255, 255), (224, 224, 192), (0, 0, 0)
VOC = {1: DARK_RED, 2: (0, 128, 0), 255: VOID}

READ = {
    "bilevel": grey(255).convert("1"),
    **{f"grey 0/{v}": grey(v) for v in (1, 2, 100, 127, 128, 254, 255)},
    "grey 0/1 with a frame of 255": grey(1, border=255),
    "RGB of grey": colours(WHITE),
    "RGB of grey 1": colours((1, 1, 1)),
    "RGB red": colours(RED),
    "RGB blue": colours(BLUE),
    "RGB VOC with border": colours(DARK_RED, border=VOID),
    "palette of labelme": palette(VOC, inside=1),
    "palette of VOC with border": palette(VOC, inside=1, border=255),
    "palette with index 2 alone": palette(VOC, inside=2),
    "palette black and white": palette({1: WHITE}, inside=1),
    "palette white and black": palette({0: WHITE}, inside=0, outside=1),
    "palette of grey values": palette({i: (i,) * 3 for i in range(256)}, inside=255),
    "palette of blacks": palette({}, inside=1),
    "palette with red first": palette({0: RED}, inside=0, outside=1),
    "alpha": Image.merge("RGBA", [*colours(WHITE, WHITE).split(), grey(255)]),
    "alpha of black": Image.merge("LA", [grey(0), grey(255)]),
    "alpha and the same colours": Image.merge(
        "RGBA", [*colours(RED, spot=None).split(), grey(255)]
    ),
    "colours, alpha opaque": Image.merge(
        "RGBA", [*colours(RED).split(), grey(255, 255)]
    ),
    "colours, alpha transparent": Image.merge("RGBA", [*colours(RED).split(), grey(0)]),
    "16 bits 0/1": grey(1, dtype=np.uint16),
    "16 bits 0/255": grey(255, dtype=np.uint16),
    "16 bits 0/65535": grey(65535, dtype=np.uint16),
    "32 bits 0/1": grey(1, dtype=np.int32),
    "floating point 0/1": grey(1, dtype=np.float32),
    "smooth": smooth(),
}


def save(image, path, **options):
    image.save(path, **options)
    return path


@pytest.mark.parametrize("name", READ)
def test_the_lesion_is_read(tmp_path, name):
    suffix = "tif" if READ[name].mode in ("F", "I") else "png"
    mask = read_mask(save(READ[name], tmp_path / f"mask.{suffix}"))
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, LESION)


CUT = np.zeros((40, 60), bool)
CUT[5:35, :30] = True  # a lesion at the left border
EDGE = np.ones((40, 60), bool)
EDGE[1:-1, 1:-1] = False
LARGE = np.ones((40, 60), bool)
LARGE[:3, :3] = LARGE[:3, -3:] = False  # a lesion that leaves two corners free


def boolean(mask):
    return Image.fromarray(255 * mask.astype(np.uint8))


REFUSED = {
    "inverted": (grey(0, 255), "inverted: it has 79% of the image and 100% of its bor"),
    "lesion in a frame": (boolean(LESION | EDGE), "inverted: it has 29% .* and 100%"),
    "inverted, at the border": (boolean(~CUT), "inverted: it has 62% .* and 85% of"),
    "inverted, in colour": (colours(BLACK, RED), "inverted"),
    "inverted, of a palette": (palette({1: WHITE}, inside=0, outside=1), "inverted"),
    "three classes": (grey(1, spot=2), r"grey 0 \(77.1 %\), 1 \(20.8 %\), 2 \(2.1 %\)"),
    "two greys without 0": (grey(2, 1), "grey 1 .*, 2 "),
    "128 and 129": (grey(129, 128), "128 .*, 129 "),
    "1 and void": (grey(255, 1), "grey 1 .*255"),
    "more void than 1": (grey(1, border=255, spot=255, outside=255), "255 .*1 "),
    "much void": (
        Image.fromarray(np.where(FRAME, 255, LESION).astype(np.uint8)),
        "255",
    ),
    "class 2 and void": (grey(255, border=2), "grey 0 .*2 "),
    "classes 1, 2 and void": (grey(1, spot=2, border=255), "grey 0 .*1 .*255 .*2 "),
    "one value": (grey(100, 100), r"grey 100 \(100.0 %\)"),
    "a soft mask": (grey(255).resize((6, 4)).resize((60, 40)), "and .* more"),
    "0, half and 255": (grey(255, 127, spot=0), "127"),
    "several palette classes": (
        palette(VOC, inside=1, spot=2),
        "palette index 0 .*, 2 ",
    ),
    "several classes, all black": (palette({}, 1, spot=2), "palette index 0 .*, 2 "),
    "nothing but void": (palette(VOC, inside=255), "palette index 0 .*, 255 "),
    "several colours": (colours(RED, spot=BLUE), r"colour #000000 .*#ff0000 .*#0000ff"),
    "red on white": (colours(RED, WHITE), "#ffffff .*#ff0000"),
    "red on green": (colours(RED, (0, 255, 0)), "#00ff00"),
    "one colour": (colours(RED, RED), "#ff0000"),
    "alpha and other colours": (
        Image.merge("RGBA", [*colours(WHITE, spot=RED).split(), grey(255, spot=255)]),
        "its colours and its alpha|#ffffff",
    ),
    "float": (grey(0.5, 0.1, dtype=np.float32), "0.1 .*0.5 "),
    "deep classes": (grey(1, spot=300, dtype=np.uint16), "grey 0 .*1"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_ambiguous_masks_are_refused_with_their_values(tmp_path, name):
    image, words = REFUSED[name]
    suffix = "tif" if image.mode == "F" else "png"
    path = save(image, tmp_path / f"mask.{suffix}")
    with pytest.raises(UnreadableImage, match=rf"mask.{suffix}: .*({words})"):
        read_mask(path)


@pytest.mark.parametrize("suffix", ["tif", "png"])
def test_a_file_of_several_pages_is_refused(tmp_path, suffix):
    pages = [grey(0), grey(255)]
    path = tmp_path / f"mask.{suffix}"
    save(pages[0], path, save_all=True, append_images=pages[1:])
    for read in (read_mask, check_mask_header):
        with pytest.raises(UnreadableImage, match="it has 2 pages, and a mask has one"):
            read(path)


def test_a_photograph_is_no_mask(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    for image in (Image.fromarray(noise), Image.fromarray(noise[..., 0])):
        for name in ("photo.png", "photo.jpg"):
            with pytest.raises(UnreadableImage, match="and [0-9]+ more"):
                read_mask(save(image, tmp_path / name))


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("quality", [40, 75, 95])
def test_a_lossy_mask_is_above_128(tmp_path, mode, quality):
    path = save(grey(255).convert(mode), tmp_path / "mask.jpg", quality=quality)
    mask = read_mask(path)
    assert (mask & LESION).sum() / (mask | LESION).sum() > 0.98
    # The same pixels in a file without loss mean the same
    copy = save(Image.open(path).convert("L"), tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask(copy), mask)


def test_the_threshold_is_that_of_the_challenge(tmp_path):
    pixels = np.where(LESION, 255, 0).astype(np.uint8)
    pixels[0, :4] = 127, 128, 129, 130
    expected = LESION.copy()
    expected[0, 2:4] = True
    mask = read_mask(save(Image.fromarray(pixels), tmp_path / "mask.png"))
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize("value", [0, 255, 1])
def test_blank_and_full_masks(tmp_path, value):
    path = save(grey(value, value), tmp_path / "mask.png")
    assert read_mask(path).all() == read_mask(path).any() == (value > 0)


@pytest.mark.parametrize("lesion", [LARGE, CUT, ~LARGE, LESION | CUT, EDGE | True])
def test_lesions_at_the_border_are_not_taken_for_inverted(tmp_path, lesion):
    mask = read_mask(save(boolean(lesion), tmp_path / "mask.png"))
    np.testing.assert_array_equal(mask, lesion)


@pytest.mark.parametrize("quality", [60, 75, 95])
@pytest.mark.parametrize(
    ("value", "inside"), [(0, 0), (0, 255), (255, 0), (255, 255), (250, 255)]
)
def test_values_of_lossy_masks_need_not_be_exact(tmp_path, value, inside, quality):
    """A JPEG, and the same pixels as PNG, whose values are many as well."""
    path = tmp_path / "mask.jpg"
    save(grey(inside, 255 - inside), path, quality=quality)
    copies = [path] + [tmp_path / "mask.png"] * (value in (0, 255))
    save(Image.open(path), tmp_path / "mask.png")
    expected = LESION if abs(value - inside) < 128 else ~LESION
    for copy in copies:
        mask = read_mask(copy, values=[value])
        assert (mask & expected).sum() / (mask | expected).sum() > 0.98


def test_other_values_of_a_jpeg_are_refused(tmp_path):
    for image in (grey(100, spot=200), colours(RED, spot=BLUE)):
        path = save(image, tmp_path / "mask.jpg")
        with pytest.raises(UnreadableImage, match="of a JPEG are not exact: save the"):
            read_mask(path, values=[100, 0xFF0000])


@pytest.mark.parametrize(
    ("image", "values"),
    [
        (grey(100, spot=200), [100]),
        (grey(0, 255), [0]),
        (grey(1, border=255, spot=255), {1}),
        (palette(VOC, inside=2, spot=1), [2]),
        (colours(RED, WHITE), [0xFF0000]),
        (grey(255).convert("1"), [255]),
        (Image.merge("RGBA", [*colours(RED, spot=BLUE).split(), grey(9)]), [0xFF0000]),
    ],
)
def test_values_may_be_given(tmp_path, image, values):
    mask = read_mask(save(image, tmp_path / "mask.png"), values=values)
    np.testing.assert_array_equal(mask, LESION)
    union = read_mask(tmp_path / "mask.png", values=[*values, 200, 0x0000FF])
    assert union.sum() >= 500


GREEN = (0, 255, 0)
ON_WHITE = [*colours(WHITE, WHITE).split(), grey(255)]
SETS = {  # masks of a set, the kept ones, words of the others' reason
    "classes 1 and 2, one file with both": (
        [grey(1, spot=2), grey(1), grey(2)],
        [],
        "1 in 1.png; 2 in 2.png; 1, 2 in 0.png; set mask_values",
    ),
    "classes 1 and 2": ([grey(1), grey(2), grey(1)], [], "1 in 0.png; 2 in 1.png; set"),
    "one class of several": ([grey(1), grey(1, spot=2)], [], "1 in 0.png; 1, 2 in 1."),
    "other classes": ([grey(1), grey(2, spot=3)], [0], "grey 0 .*, 2 .*, 3 "),
    "128 is skin": ([grey(128), grey(255, 128)], [], "128 in 0.png; 128, 255 in 1.png"),
    "128 beside white": ([grey(128), grey(255)], [1], "128 in 0.png; 255 in 1.png"),
    "half beside white": ([grey(255), grey(255, 127, spot=0)], [0], "grey 127 "),
    "palette": (
        [palette(VOC, 1, spot=2), palette(VOC, 1), palette(VOC, 2)],
        [],
        r"1 \(#800000\) in 1.png; 2 \(#008000\) in 2.png; 1 .*, 2 .* in 0.png; set",
    ),
    "palettes of their own": (
        [palette({1: RED}, 1), palette({1: GREEN}, 1)],
        [],
        r"1 \(#ff0000\) in 0.png; 1 \(#00ff00\) in 1.png",
    ),
    "colours": ([colours(RED), colours(GREEN)], [], "#ff0000 in 0.png; #00ff00 in 1."),
    "one colour of several": (
        [colours(RED), colours(RED, spot=BLUE)],
        [],
        "#ff0000 in 0.png; #0000ff, #ff0000 in 1.png",
    ),
    "colours on a transparent background": (
        [Image.merge("RGBA", [*colours(c, c).split(), grey(255)]) for c in (RED, BLUE)],
        [],
        "#ff0000 in 0.png; #0000ff in 1.png",
    ),
    "inverted, of another class": ([grey(1), grey(0, 2)], [], "1 in 0.png; 2 in 1.png"),
    "16 bits": (
        [grey(v, dtype=np.uint16) for v in (1, 300, 65535)],
        [2],
        "1 in 0.png; 300 in 1.png; 255 in 2.png",
    ),
    "all 1": ([grey(1), grey(1), grey(0)], [0, 1], "empty mask"),
    "all 100": ([grey(100), grey(100, 100)], [0], "grey 100"),
    "1 with and without void": ([grey(1), grey(1, border=255)], [0, 1], None),
    "all of VOC": (
        [palette(VOC, 1), palette(VOC, 1, border=255), palette(VOC, 255)],
        [0, 1],
        "palette index",
    ),
    "white in any form": (
        [
            *(grey(255), smooth(), grey(255).convert("1"), colours(WHITE)),
            *(grey(65535, dtype=np.uint16), palette({1: WHITE}, 1)),
            *(Image.merge("RGBA", ON_WHITE), grey(1), grey(0, dtype=np.uint16)),
        ],
        list(range(8)),
        "empty mask",
    ),
    "a photograph among masks": (
        [grey(1), Image.linear_gradient("L").resize((60, 40))],
        [0],
        "and [0-9]+ more",
    ),
}


def check_set(folder, masks, **options):
    """Write the masks of a data set, and return why each is refused, or None."""
    save(Image.new("RGB", (60, 40)), folder / "image.jpg")
    paths = [str(save(m, folder / f"{i}.png")) for i, m in enumerate(masks)]
    columns = {"path": str(folder / "image.jpg"), "reason": None, "file": ""}
    records = pd.DataFrame({"mask_paths": [(path,) for path in paths], **columns})
    return check_files(records, True, "header", 10**6, **options)["reason"].tolist()


@pytest.mark.parametrize("name", SETS)
def test_the_masks_of_a_set_show_the_lesion_by_one_value(tmp_path, name):
    masks, kept, words = SETS[name]
    cache = tmp_path / "checked.jsonl"
    reasons = check_set(tmp_path, masks, cache=cache)
    assert [i for i, reason in enumerate(reasons) if reason is None] == kept
    assert words is None or re.search(words, "|".join(filter(None, reasons)))
    assert check_set(tmp_path, masks, cache=cache) == reasons


def test_a_large_mask_is_compared_as_well(tmp_path):
    """Its size on disk does not show that it has one class only."""
    noise = np.random.default_rng(0).integers(0, 2, (400, 600), np.uint8)
    noise[[0, -1]] = noise[:, [0, -1]] = 0
    masks = [Image.fromarray(noise), Image.fromarray(2 * noise)]
    assert all("1 in 0.png; 2 in 1.png" in r for r in check_set(tmp_path, masks))


def test_given_values_may_differ_among_the_masks(tmp_path):
    masks = [grey(1, spot=3), grey(2), colours(RED)]
    assert check_set(tmp_path, masks, mask_values=[1, 2, 0xFF0000]) == [None] * 3


def test_the_masks_of_other_splits_are_compared(tmp_path):
    other = str(save(grey(2), tmp_path / "other.png"))
    [reason] = check_set(tmp_path, [grey(1)], siblings=[other])
    assert "1 in 0.png; 2 in other.png" in reason
