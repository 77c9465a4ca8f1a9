"""Predict the diagnosis, box and mask of the lesion in each image.

Writes to --out, for each image, masks/NAME.png of the size of the image (255 is
lesion), overlays/NAME.png, and a row of predictions.csv:

  image             its path, relative to the FOLDER that it was found in
  p_malignant       probability that the lesion is malignant
  predicted_class   by the threshold of P(malignant), see --sensitivity; without one,
                    class of the region with the highest score
  threshold         the threshold that decided, if any
  score             confidence that this region is a lesion, not the certainty of the
                    diagnosis
  low_confidence    no region exceeded DETECTION_MIN_CONFIDENCE: the best one is shown
  unfamiliar        the image is unlike the training images (unfamiliar_score > 1)
  y1, x1, y2, x2    box, pixels
  lesion_area       pixels of the mask

A FOLDER is searched recursively for photographs; masks, hidden files and results of
this package are skipped. Unreadable files are listed and skipped.

    mrcnn-skin predict photo.jpg
    mrcnn-skin predict photo.jpg FOLDER --weights=last --out=predictions

Exit status: 0 every image was analysed; 1 some were skipped; 2 a mistake in the
options, nothing is written.

Research software, no medical device.
"""

import os
from pathlib import Path, PurePosixPath

from . import command, models, options, results


def main(argv=None):
    """Run the command with options argv (None: of sys.argv); returns its status."""
    parser = command.Parser("predict", description=__doc__)
    parser.add_argument(
        "images", nargs="+", metavar="IMAGE|FOLDER", help="image files, or folders"
    )
    options.add_network_options(parser, out="predictions")
    options.add_precision_option(parser)
    options.add_sensitivity_option(parser)
    args = parser.parse_args(argv)

    import pandas as pd

    from ..atomic import write_text
    from ..data.files import read_image

    results.require_own_results(args.out)
    images = find_images(args.images)
    files = result_files(images)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    model = models.load_model(args.weights, args)
    rows, failures = [], []
    try:
        for number, (name, path) in enumerate(images.items(), start=1):
            print(f"[{number}/{len(images)}] {path}", end="", flush=True)
            try:
                image = read_image(path, model.config.MAX_IMAGE_PIXELS)
                result = model.detect([image])[0]
            except (ValueError, OSError) as error:
                print(f": skipped, {error}")
                failures.append(path)
                continue
            row = write_answer(image, result, files[name], model.config, out)
            rows.append({"image": name, **row})
            print(f": {caption(row)}")
    finally:  # also after Ctrl-C
        if rows:
            table = pd.DataFrame(rows).to_csv(index=False)
            write_text(out / "predictions.csv", table)
    if not rows:
        raise OSError("none of the images could be read")
    print(f"{len(rows)} of {len(images)} images, in {out.resolve()}")
    for path in failures:
        print(f"skipped: {path}")
    return 1 if failures else 0


def find_images(arguments):
    """Find the files named, and the photographs (data.file_names) in the folders named.

    Returns:
        {name: Path}, each file once; the name of a file in a folder is its path from
        there, with forward slashes. If names repeat, all are paths from the folder
        that holds all files.
    """
    names = {}
    for argument in map(Path, arguments):
        found, folder = [argument.name], argument.parent
        if argument.is_dir():
            found, folder = photographs_in(argument), argument
        if not found or not (folder / found[0]).exists():
            raise FileNotFoundError(f"there is no photograph at {argument}")
        for name in found:
            names.setdefault(folder / name, name)
    if len(set(names.values())) < len(names):
        root = os.path.commonpath([path.parent.absolute() for path in names])
        names = {p: Path(os.path.relpath(p, root)).as_posix() for p in names}
    return {name: path for path, name in names.items()}


def photographs_in(folder):
    """List the photographs below a folder, and print what else is there."""
    from ..data.file_names import is_image_file, photographs, walk_files

    skipped = []
    pictures = list(filter(is_image_file, walk_files(folder, skipped)))
    found = list(photographs(pictures))
    others = [name for name in pictures if name not in set(found)]
    if found and others:
        print(
            f"{folder}: skipped {len(others)} masks and other pictures, such as "
            f"{others[0]}; name a file to analyse it"
        )
    if skipped:
        print(f"{folder}: {describe_skipped(skipped)}")
    return found


def describe_skipped(results):
    """Say which results of this package were not taken for photographs."""
    return f"skipped {len(results)} results of this package, such as {results[0]}"


def result_files(names):
    """File names of the results, {name: PurePosixPath}: x.png for x.jpg.

    If two images differ in their suffix only, all files keep it: x.jpg.png.
    """
    files = {name: PurePosixPath(name).with_suffix(".png") for name in names}
    if len(set(files.values())) < len(files):
        files = {name: PurePosixPath(f"{name}.png") for name in names}
    return files


def write_answer(image, result, file, config, out):
    """Write mask and overlay under a relative path; return the row without `image`."""
    from ..evaluation.scoring import describe_answer
    from ..evaluation.submission import write_mask
    from ..visualize import save_image

    row, mask = describe_answer(result, image.shape[:2], config.CLASS_NAMES)
    if mask is not None:
        write_mask(out / "masks" / file, mask)
    overlay = out / "overlays" / file
    overlay.parent.mkdir(parents=True, exist_ok=True)
    save_image(draw(image, result, row, mask), overlay)
    return row


def draw(image, result, row, mask):
    """Draw outline, box and caption of the best lesion, uint8 [h + strip, w, 3].

    result: of a detector; row, mask: of evaluation.scoring.describe_answer.
    """
    import numpy as np

    from ..visualize import overlay

    masks = np.zeros((*image.shape[:2], 0), bool) if mask is None else mask[..., None]
    return overlay(image, masks, result["rois"][:1], [caption(row)])


def caption(row):
    """Return one line with class, P(malignant) and warnings."""
    text = "no lesion found" if row["score"] is None else "lesion"
    text = row["predicted_class"] or text
    if row["p_malignant"] is not None:
        text += f"  P(malignant) {row['p_malignant']:.2f}"
    text += "  (low confidence)" if row["low_confidence"] else ""
    return text + ("  (unfamiliar image)" if row["unfamiliar"] else "")
