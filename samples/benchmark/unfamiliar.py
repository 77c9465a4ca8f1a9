"""How many pictures that show no lesion are called unfamiliar, and how many that do.

The other pictures are sample images of installed packages, text, charts, patterns,
plain surfaces, and skin without a lesion from the corners of dermoscopy images.

    python samples/benchmark/unfamiliar.py --isic=ISIC2017 --ham=HAM10000 --frames=DIR

Prints a table: pictures of each kind, how many are unfamiliar, and the quantiles of
unfamiliar_score. Each of the folders may be left out.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from mrcnn_skin import IsicDataset  # noqa: E402
from mrcnn_skin.cli import command, models, options  # noqa: E402

SIDE = 320  # pixels of the pictures that are drawn here
PACKAGES = ("skimage/data", "sklearn/datasets/images", "imgaug", "networkx")
PACKAGES += ("matplotlib/mpl-data/sample_data",)
SKIN = ((236, 196, 177), (224, 172, 150), (198, 134, 105), (141, 85, 60), (90, 56, 37))
WORDS = "the lesion was seen under oil and compared with an image of last year".split()
CORNER = 0.3  # of the shorter side of a dermoscopy image


def photographs():
    """Sample images of installed packages, RGB."""
    for package, _, folder in (name.partition("/") for name in PACKAGES):
        spec = find_spec(package)
        root = Path(spec.origin).parent / folder if spec else Path("absent")
        for path in sorted(p for s in ("png", "jpg") for p in root.glob(f"*.{s}")):
            image = Image.open(path).convert("RGB")
            if min(image.size) >= 128:
                yield np.asarray(image)


def quarters():
    """The four quarters of each sample image of at least 256 pixels."""
    for image in photographs():
        height, width = (size // 2 for size in image.shape[:2])
        if min(height, width) >= 128:
            for y, x in np.ndindex(2, 2):
                yield image[y * height :, x * width :][:height, :width]


def faces(count=20):
    """Grey portraits of 25 pixels, enlarged."""
    from skimage import data

    for face in data.lfw_subset()[:count]:
        face = Image.fromarray(np.uint8(255 * face)).convert("RGB")
        yield np.asarray(face.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def text_pages(rng, count=30):
    """Dark lines of text on light paper, or the other way round."""
    for number in range(count):
        paper, ink = rng.integers(200, 256, 3), rng.integers(0, 80, 3)
        if number % 3 == 2:
            paper, ink = ink, paper
        page = Image.new("RGB", (SIDE, SIDE + 100), tuple(map(int, paper)))
        size = int(rng.integers(9, 40))
        lines = [" ".join(rng.choice(WORDS, 12)) for _ in range(60)]
        ImageDraw.Draw(page).text(
            (10, 10),
            "\n".join(lines),
            tuple(map(int, ink)),
            ImageFont.load_default(size),
        )
        yield np.asarray(page)


def charts(rng, count=20):
    """Lines, bars, points and images as matplotlib draws them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    for number in range(count):
        figure = Figure((4, 3), dpi=100)
        axes, values = figure.subplots(), rng.normal(size=(4, 20)).cumsum(axis=1)
        if number % 4 == 0:
            axes.plot(values.T)
        elif number % 4 == 1:
            axes.bar(range(20), np.abs(values[0]))
        elif number % 4 == 2:
            axes.scatter(values[0], values[1], c=values[2])
        else:
            axes.imshow(values)
        axes.set_title(" ".join(rng.choice(WORDS, 4)))
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        yield np.asarray(canvas.buffer_rgba())[..., :3].copy()


def patterns(rng, count=40):
    """Two colours in stripes, squares, rings, or at random."""
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    for number in range(count):
        period, angle = rng.uniform(6, 60), rng.uniform(0, np.pi)
        u = x * np.cos(angle) + y * np.sin(angle)
        v = y * np.cos(angle) - x * np.sin(angle)
        wave = (
            np.sin(2 * np.pi * u / period),
            np.sin(2 * np.pi * u / period) * np.sin(2 * np.pi * v / period),
            np.sin(2 * np.pi * np.hypot(x, y) / period),
            rng.normal(size=(SIDE // 8, SIDE // 8)).repeat(8, 0).repeat(8, 1),
        )[number % 4]
        first, second = rng.integers(0, 256, (2, 3))
        yield np.where(wave[..., None] > 0, first, second).astype(np.uint8)


def plain_colours(rng, count=20):
    for colour in [(0, 0, 0), (255, 255, 255), *rng.integers(0, 256, (count - 2, 3))]:
        yield np.full((SIDE, SIDE, 3), colour, np.uint8)


def gradients(rng, count=20):
    """From one colour to another, along a line or from the middle outwards."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    for number in range(count):
        part = (x, y, (x + y) / 2, np.hypot(x - 0.5, y - 0.5))[number % 4][..., None]
        first, second = rng.integers(0, 256, (2, 3))
        yield (first + (second - first) * part).astype(np.uint8)


def noise(rng, count=20):
    """Independent pixels, or blurred ones, grey or coloured."""
    for number in range(count):
        cells = SIDE // (1, 2, 8, 32)[number % 4]
        image = rng.integers(0, 256, (cells, cells, 3 if number % 8 < 4 else 1))
        image = Image.fromarray(np.uint8(image + np.zeros(3)))
        yield np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def skin_surfaces(rng, count=30):
    """Skin colours with soft shading and fine grain, without a lesion."""
    for number in range(count):
        colour = np.array(SKIN[number % len(SKIN)]) + rng.normal(0, 6, 3)
        shade = Image.fromarray(rng.normal(0, 1, (4, 4)).astype(np.float32))
        shade = np.asarray(shade.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
        grain = rng.normal(0, rng.uniform(0, 6), (SIDE, SIDE))
        image = colour + (rng.uniform(0, 15) * shade + grain)[..., None]
        yield np.clip(image, 0, 255).astype(np.uint8)


def skin_corners(dataset, count=60):
    """Corners of dermoscopy images that no lesion reaches, of CORNER of the side."""
    found = 0
    for image_id in dataset.image_ids:
        mask = dataset.load_mask(image_id)[0].any(axis=-1)
        side = int(CORNER * min(mask.shape))
        if found < count and not mask[-side:, -side:].any():
            found += 1
            yield dataset.load_image(image_id)[-side:, -side:]


def other_pictures(skin_dataset=None):
    """{kind: list of uint8 [h, w, 3]} of what is no dermoscopy image of a lesion.

    skin_dataset: a dataset with masks, for skin without a lesion; None: no such kind.
    """
    rng = np.random.default_rng(0)
    kinds = {
        "sample photographs": photographs(),
        "their quarters": quarters(),
        "faces": faces(),
        "text pages": text_pages(rng),
        "charts": charts(rng),
        "patterns": patterns(rng),
        "plain colours": plain_colours(rng),
        "gradients": gradients(rng),
        "noise": noise(rng),
        "skin surfaces": skin_surfaces(rng),
    }
    if skin_dataset is not None:
        kinds["skin without a lesion"] = skin_corners(skin_dataset)
    return {kind: list(images) for kind, images in kinds.items()}


def main():
    parser = command.Parser("unfamiliar", description=__doc__)
    parser.prog = "unfamiliar.py"
    parser.add_argument("--isic", metavar="DIR", help="its validation images are taken")
    parser.add_argument(
        "--ham",
        metavar="DIR",
        help="its test split is taken",
    )
    parser.add_argument("--frames", metavar="DIR", help="whole frames, all of them")
    parser.add_argument("--limit", type=int, help="images of each folder")
    parser.add_argument("--weights", default="pretrained", help=options.WEIGHTS_HELP)
    parser.add_argument("--logs", default="logs", help="folder of the runs")
    options.add_config_options(parser)
    args = parser.parse_args()
    detector = models.load_model(args.weights, args).ready_detector()

    lesions = {
        f"{Path(folder).name}, {split or 'all'}": open_images(folder, split, args.limit)
        for folder, split in (
            (args.isic, "val"),
            (args.ham, "test"),
            (args.frames, None),
        )
        if folder
    }
    print(f"{'pictures':32}{'number':>8}{'unfamiliar':>12}   score: 5, 50, 95 %")
    total = {}
    for kind, dataset in lesions.items():
        images = map(dataset.load_image, dataset.image_ids)
        total.setdefault("dermoscopy", []).extend(report(kind, images, detector))
    skin = next(iter(lesions.values())) if args.isic else None
    for kind, images in other_pictures(skin).items():
        total.setdefault("other pictures", []).extend(report(kind, images, detector))
    for kind, scores in total.items():
        print_row(f"all {kind}", scores)


def open_images(folder, split, limit):
    """A prepared dataset; masks are only needed for skin without a lesion."""
    dataset = IsicDataset()
    anything = {"require_masks": split == "val", "require_labels": False}
    dataset.load_isic(folder, split, limit=limit, **anything)
    dataset.prepare()
    return dataset


def report(kind, images, detector):
    """Print a row of the table; returns the scores."""
    scores = [detector(image)["unfamiliar_score"] for image in images]
    print_row(kind, scores)
    return scores


def print_row(kind, scores):
    low, middle, high = np.quantile(scores, [0.05, 0.5, 0.95])
    share = np.mean(np.array(scores) > 1)
    print(
        f"{kind:32}{len(scores):8}{share:11.1%}   {low:8.2f}{middle:8.2f}{high:8.2f}",
        flush=True,
    )


if __name__ == "__main__":
    command.run("unfamiliar", main)
