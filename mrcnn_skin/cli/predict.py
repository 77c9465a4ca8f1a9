"""Predict the diagnosis, box and mask of the lesion in any image.

Writes into --out, for each image: masks/<image>.png of the image's own size (255 is
lesion), overlays/<image>.png, and a line of predictions.csv. A file that cannot be
read is named and passed over.

    mrcnn-skin predict photo.jpg
    mrcnn-skin predict photo.jpg FOLDER --weights=last --out=predictions

Exit status: 0 every image has its answer; 1 some were passed over, the others are
written; 2 a mistake in the options, nothing is written.

Research software, no medical device.
"""

import itertools
from pathlib import Path

from . import command, models, options, results


def main(argv=None):
    parser = command.Parser("predict", description=__doc__)
    parser.add_argument(
        "images", nargs="+", metavar="IMAGE|FOLDER", help="image files, or folders"
    )
    parser.add_argument("--weights", default="pretrained", help=options.WEIGHTS_HELP)
    parser.add_argument("--out", default="predictions", help="folder for the results")
    parser.add_argument("--logs", default="logs", help="folder of the runs")
    options.add_precision_option(parser)
    options.add_config_options(parser)
    args = parser.parse_args(argv)

    results.require_own_results(args.out)
    paths = find_images(args.images)
    model = models.load_model(args.weights, args)
    rows, failures = [], []
    for number, path in enumerate(paths, start=1):
        print(f"[{number}/{len(paths)}] {path}", end="", flush=True)
        try:
            rows.append(predict(model, path, Path(args.out)))
        except (ValueError, OSError) as error:
            print(f": passed over, {error}")
            failures.append(path)
            continue
        print(f": {caption(rows[-1])}")
    if not rows:
        raise OSError("none of the images could be read")
    write_csv(rows, Path(args.out) / "predictions.csv")
    print(f"{len(rows)} of {len(paths)} images, in {Path(args.out).resolve()}")
    for path in failures:
        print(f"passed over: {path}")
    return 1 if failures else 0


def find_images(arguments):
    """Files named, and the photographs of folders named, each once and in order.

    Masks, superpixels and hidden files of a folder are no photographs (see
    data.file_names); folders inside it are not searched.

    Raises FileNotFoundError for a path that is not there or a folder without images,
    ValueError for two files whose results would have one name.
    """
    from ..data.file_names import photographs, walk_files

    paths = []
    for argument in map(Path, arguments):
        found = [argument]
        if argument.is_dir():
            names = itertools.takewhile(lambda n: "/" not in n, walk_files(argument))
            found = [argument / name for name in photographs(names)]
        if not found or not found[0].exists():
            raise FileNotFoundError(f"there is no photograph at {argument}")
        paths += found
    paths = list(dict.fromkeys(paths))
    by_stem = {}
    for path in paths:
        if by_stem.setdefault(path.stem, path) != path:
            raise ValueError(
                f"{path} and {by_stem[path.stem]} would both be written as {path.stem}"
            )
    return paths


def predict(model, path, out):
    """Detect in one image file, write its pictures, return its row of the table."""
    from ..data.files import read_image
    from ..evaluation.submission import write_mask
    from ..visualize import save_image

    image = read_image(path, model.config.MAX_IMAGE_PIXELS)
    result = model.detect([image])[0]
    row, mask = describe(image, result, model.config)
    if "masks" in result:
        write_mask(out / "masks" / f"{path.stem}.png", mask)
    folder = out / "overlays"
    folder.mkdir(parents=True, exist_ok=True)
    save_image(draw(image, result, row, mask), folder / f"{path.stem}.png")
    return {"image": path.name, **row}


def describe(image, result, config):
    """What is said of an image, as a row of predictions.csv, and its official mask.

    image: uint8 [h, w, 3]; result: of MaskRCNN.detect.
    Returns a dict (p_malignant, class, confidence, low_confidence, unfamiliar,
    unfamiliar_score, y1, x1, y2, x2 in pixels, lesion_area in pixels) and bool [h, w],
    empty without a mask.
    """
    import numpy as np

    from ..evaluation.submission import official_mask

    found = len(result["rois"])
    row = {"p_malignant": result["p_malignant"]}
    row["class"] = config.CLASS_NAMES[result["class_ids"][0]] if found else "none"
    row["confidence"] = float(result["scores"][0]) if found else 0.0
    for name in ("low_confidence", "unfamiliar", "unfamiliar_score"):
        row[name] = result[name]
    box = result["rois"][0] if found else np.full(4, np.nan)
    row |= dict(zip(("y1", "x1", "y2", "x2"), box.round(1).tolist(), strict=True))
    mask = np.zeros(image.shape[:2], bool)
    if found and "masks" in result:
        mask = official_mask(result["masks"][..., 0])
    row["lesion_area"] = int(mask.sum())
    return row, mask


def draw(image, result, row, mask):
    """Outline, box and caption of the best lesion; the arguments are of describe."""
    from ..visualize import overlay

    return overlay(image, mask[..., None], result["rois"][:1], [caption(row)])


def caption(row):
    """What stands above the box: class, P(malignant), and what speaks against it."""
    text = row["class"]
    if row["p_malignant"] is not None:
        text += f"  P(malignant) {row['p_malignant']:.2f}"
    text += "  (low confidence)" if row["low_confidence"] else ""
    return text + ("  (unfamiliar image)" if row["unfamiliar"] else "")


def write_csv(rows, path):
    """Write the table, whole or not at all."""
    import pandas as pd

    from ..atomic import written_whole

    with written_whole(path) as partial:
        pd.DataFrame(rows).to_csv(partial, index=False)
