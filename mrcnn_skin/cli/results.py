"""Write the contact sheet, and protect folders that hold ground truth."""

from pathlib import Path

SHEET = 24  # pictures on a contact sheet
CELL_WIDTH = 320  # pixels of each
WHITE = (255, 255, 255)


def write_contact_sheet(detector, dataset, folder):
    """Write contact_sheet.png: predictions and ground truth, the worst outline first.

    It shows SHEET images, evenly spread over the ranking by Jaccard index. Without
    masks nothing is written.

    Args:
        detector: function of an image, as for evaluation.scoring.score_images.
        dataset: a prepared Dataset.
        folder: holds the detector's per_image.csv.
    """
    import numpy as np
    import pandas as pd

    from ..visualize import (
        PREDICTION_COLOR,
        TRUTH_COLOR,
        contact_sheet,
        draw_prediction,
        save_image,
    )

    table = pd.read_csv(Path(folder) / "per_image.csv", dtype={"image": str})
    ranked = table.dropna(subset=["JA"]).sort_values("JA")
    if ranked.empty:
        return
    places = np.linspace(0, len(ranked) - 1, min(SHEET, len(ranked))).round()
    rows = ranked.iloc[places.astype(int)].to_dict("records")
    ids = image_ids_of(dataset, [row["image"] for row in rows])
    colors = WHITE, TRUTH_COLOR, PREDICTION_COLOR
    pictures = []
    for row, image_id in zip(rows, ids, strict=True):
        captions = list(zip(describe_case(row), colors, strict=True))
        pictures.append(
            draw_prediction(dataset, image_id, detector, captions, CELL_WIDTH)
        )
    sheet = contact_sheet(pictures, width=CELL_WIDTH)
    save_image(sheet, Path(folder) / "contact_sheet.png")


def describe_case(row):
    """Return three lines on a row of per_image.csv: name, ground truth, prediction."""
    import pandas as pd

    known = {name: value for name, value in row.items() if pd.notna(value)}
    prediction = known.get("predicted_class", "lesion")
    parts = [prediction if "score" in known else "no lesion found"]
    if "p_malignant" in known:
        parts.append(f"P(malignant) {known['p_malignant']:.2f}")
    if "JA" in known:
        parts.append(f"Jaccard {known['JA']:.2f}")
    return [
        str(row["image"]),
        f"ground truth: {known.get('true_class', 'no diagnosis')}",
        f"prediction: {'  '.join(parts)}",
    ]


def image_ids_of(dataset, names):
    """Return the dataset's image ids of the names in per_image.csv."""
    ids = {str(dataset.image_info[i]["id"]): i for i in dataset.image_ids}
    return [ids[name] for name in names]


def require_own_results(folder):
    """Refuse an output folder whose masks/ was not written by this package.

    It may be the data set itself, whose ground truth would be overwritten.

    Raises:
        ValueError: for such a folder.
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
