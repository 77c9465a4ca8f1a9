"""The folder of results: which may be written to, and its contact sheet."""

from pathlib import Path

SHEET = 24  # pictures on a contact sheet


def write_contact_sheet(detector, dataset, folder):
    """Draw predictions beside the truth, from the worst outline to the best.

    detector: function of an image, as for evaluation.report.evaluate, whose results
    are in `folder`; contact_sheet.png joins them. It shows SHEET images, as far apart
    in the order of their Jaccard index as each other; nothing without masks.
    """
    import numpy as np
    import pandas as pd

    from ..visualize import contact_sheet, draw_prediction, save_image

    table = pd.read_csv(Path(folder) / "per_image.csv", dtype={"image": str})
    ranked = table.dropna(subset=["JA"]).sort_values("JA")["image"].tolist()
    if not ranked:
        return
    places = np.linspace(0, len(ranked) - 1, min(SHEET, len(ranked))).round()
    ids = image_ids_of(dataset, [ranked[place] for place in places.astype(int)])
    pictures = [draw_prediction(dataset, image_id, detector) for image_id in ids]
    save_image(contact_sheet(pictures), Path(folder) / "contact_sheet.png")


def image_ids_of(dataset, names):
    """The dataset's image ids of the names in an evaluation's table."""
    ids = {str(dataset.image_info[i]["id"]): i for i in dataset.image_ids}
    return [ids[name] for name in names]


def require_own_results(folder):
    """Refuse a folder for results whose masks/ was not written by this package.

    It may be the data set itself, whose ground truth would be replaced.
    """
    from ..data.files import PredictedMask, UnreadableImage, check_mask_header
    from ..data.own_outputs import is_output_folder

    folder = Path(folder)
    masks = folder / "masks"
    if not masks.is_dir() or is_output_folder([p.name for p in folder.iterdir()]):
        return
    for path in sorted(path for path in masks.rglob("*") if path.is_file()):
        try:
            check_mask_header(path)
        except PredictedMask:
            continue
        except UnreadableImage:
            pass
        raise ValueError(
            f"--out={folder} holds masks that this package did not write, such as "
            f"{path}: choose another folder, so that no ground truth is replaced"
        )
