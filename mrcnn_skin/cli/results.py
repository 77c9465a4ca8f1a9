"""Describe rows of per_image.csv, and protect folders that hold ground truth."""

from pathlib import Path


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
