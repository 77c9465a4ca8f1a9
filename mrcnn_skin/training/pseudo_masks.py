"""Pseudo-masks: a trained network outlines training images that have no mask.

With them, sets that have diagnoses only, such as ISIC 2019 and 2020, train all heads
(pseudo-labelling; Lee, 2013). Only confident outlines are kept. Their files are marked
as predictions, so that no data set reads them as ground truth.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from ..atomic import written_whole
from ..data.files import UnreadableImage
from ..evaluation.metrics import segmentation_scores
from ..evaluation.scoring import predicted_mask
from ..evaluation.submission import mask_path, write_mask

MIN_SCORE = 0.9  # of the region: the network takes it for a lesion
MIN_AGREEMENT = 0.9  # Jaccard index of the outlines in the image and its mirror image
TABLE = "pseudo_masks.csv"


def add_pseudo_masks(dataset, detector, folder, progress=True) -> pd.DataFrame:
    """Give the images without a mask a predicted one, and drop the others.

    An outline is kept if no `low_confidence` is flagged, its score is at least
    MIN_SCORE, and the mirrored image's outline agrees with it by MIN_AGREEMENT. Masks
    that are in the folder already are not computed again.

    Args:
        dataset: a prepared IsicDataset for training, loaded with require_masks=False.
        detector: function of an image, as evaluation.scoring.score_images takes it.
        folder: gets masks/ and TABLE, the table that is returned.
        progress: show a progress bar.

    Returns:
        DataFrame of image_id, file, score, agreement, mask (its path; "" where the
        outline is not kept).

    Raises:
        ValueError: if the network has no masks.
    """
    folder = Path(folder)
    without = [
        image_id
        for image_id, info in enumerate(dataset.image_info)
        if not (info["mask_paths"] or info["outlines"])
    ]
    known = _known(folder / TABLE)
    rows = []
    for image_id in tqdm(without, desc="pseudo-masks", disable=not progress):
        info = dataset.image_info[image_id]
        row = known.get(info["path"]) or _outline(dataset, image_id, detector, folder)
        rows.append(row)
        if row["mask"]:
            info.update(mask_paths=(row["mask"],), is_pseudo_mask=True)
    columns = ["image_id", "file", "score", "agreement", "mask"]
    table = pd.DataFrame(rows, columns=columns)
    folder.mkdir(parents=True, exist_ok=True)
    with written_whole(folder / TABLE) as partial:
        table.to_csv(partial, index=False)
    dropped = table.loc[table["mask"] == "", ["image_id", "file"]]
    if len(dropped):
        dataset.drop(dropped.assign(reason="no mask, and no confident pseudo-mask"))
    return table


def _known(path):
    """Return {image file: row} of a table whose masks are all there."""
    if not path.is_file():
        return {}
    table = pd.read_csv(path, dtype={"image_id": str, "file": str, "mask": str})
    rows = table.fillna({"mask": ""}).to_dict("records")
    return {r["file"]: r for r in rows if not r["mask"] or Path(r["mask"]).is_file()}


def _outline(dataset, image_id, detector, folder):
    """Outline one image; returns its row of the table, and writes a confident mask."""
    info = dataset.image_info[image_id]
    row = {"image_id": info["id"], "file": info["path"], "score": 0.0, "agreement": 0.0}
    try:
        image = dataset.load_image(image_id)
    except (UnreadableImage, FileNotFoundError):
        return row | {"mask": ""}
    result = detector(image)
    if "masks" not in result:
        raise ValueError("a network for pseudo-masks must have the task 'segment'")
    if result["low_confidence"] or not len(result["rois"]):
        return row | {"mask": ""}
    mirrored = detector(np.ascontiguousarray(image[:, ::-1]))
    mask, again = (predicted_mask(r, image.shape[:2]) for r in (result, mirrored))
    row["score"] = float(result["scores"][0])
    row["agreement"] = segmentation_scores(mask, again[:, ::-1])["JA"]
    if row["score"] < MIN_SCORE or row["agreement"] < MIN_AGREEMENT:
        return row | {"mask": ""}
    path = mask_path(folder, str(info["id"]).replace("/", "_"))
    write_mask(path, mask)
    return row | {"mask": str(path)}
