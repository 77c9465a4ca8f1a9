"""What evaluate.py computes, with a detector that needs no network."""

import argparse
from types import SimpleNamespace

import numpy as np

from mrcnn_skin.data.synthetic import SyntheticDataset


def find_dark(image):
    """The dark part of an image, the more malignant the darker it is."""
    mask = image.mean(axis=-1) < 0.8 * np.median(image)
    y, x = np.nonzero(mask)
    found = min(len(y), 1)
    box = [y.min(), x.min(), y.max() + 1, x.max() + 1] if found else []
    return {
        "rois": np.reshape(box, (found, 4)),
        "class_ids": np.ones(found, int),
        "scores": np.ones(found),
        "masks": mask[:, :, None][:, :, :found],
        "p_malignant": float(1 - image.mean() / 255),
        "low_confidence": False,
    }


def test_robustness_is_in_the_metrics(commands, tmp_path):
    run = commands("evaluation_run")
    dataset = SyntheticDataset(6, (64, 64), seed=0)
    model = SimpleNamespace(detector=find_dark)
    args = argparse.Namespace(
        tta=False, explain=False, robustness=True, bootstrap=20, seed=0
    )
    scored = run.score(model, dataset, None, None, tmp_path, args)
    rows = scored.metrics["robustness"]
    assert len({row["corruption"] for row in rows}) == 9
    assert {row["clean"] for row in rows if row["metric"] == "JA"} == {
        scored.metrics["segmentation"]["JA"]
    }
    assert len(list((tmp_path / "masks").iterdir())) == 6
    cases = run.draw_cases(scored, dataset)
    (caption, picture), *_ = cases["worst outlines"]
    worst = scored.per_image.sort_values("JA").iloc[0]
    assert caption == f"{worst['image']}: {worst['label']}"
    assert picture.shape[1:] == (64, 3)
