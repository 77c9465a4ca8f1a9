"""Write model_card.md: the items of TRIPOD+AI and CLEAR Derm, filled from a run.

templates/model_card.md has the items. Those that a run cannot know, such as consent or
ethics, are marked as unknown.
TRIPOD+AI: 27 items, Collins et al., BMJ 2024;385:e078378. CLEAR Derm: 25 items,
Daneshjou et al., JAMA Dermatology 2022;158(1):90. The headings are our own wording.
"""

import re
from collections import defaultdict

import pandas as pd

from ..atomic import write_text
from .html_report import NOTICE, template
from .tables import (
    calibration_rows,
    listed_rows,
    markdown_table,
    operating_rows,
    robustness_rows,
    score_rows,
)

UNKNOWN = "Unknown to the evaluation; to be stated by the publisher of the model."
NETWORK = "network", "losses", "training", "weights"  # facts of one item


def write_model_card(path, title, facts, metrics, per_image):
    """Write the card.

    Args:
        path: of the file.
        title: of the model.
        facts: {name: text} of the run, by the names in templates/model_card.md; those
            of NETWORK are one item.
        metrics: of statistics.analyse.
        per_image: DataFrame of scoring.score_images.
    """
    counts = per_image["true_class"].value_counts().items()
    balance = ", ".join(f"{count} {label}" for label, count in counts)
    items = facts | {
        "title": title,
        "notice": NOTICE,
        "images": len(per_image),
        "network": "\n\n".join(facts[name] for name in NETWORK if name in facts),
        "balance": balance or "no diagnosis is known",
        "participants": _participants(per_image),
        "skin": _skin(metrics),
        "artefacts": _artefacts(metrics),
        "calibration": _calibration(metrics),
        "benchmark": markdown_table(listed_rows(metrics, "comparison")),
        "uncertain": _uncertain(metrics),
        "methods": _methods(metrics),
    }
    known = defaultdict(lambda: UNKNOWN, {k: text for k, text in items.items() if text})
    known |= {
        "scores": markdown_table(score_rows(metrics)),
        "subgroups": markdown_table(listed_rows(metrics, "subgroups")),
        "operating_points": markdown_table(operating_rows(metrics)),
    }
    card = template("model_card.md").substitute(known)
    write_text(path, re.sub("\n{3,}", "\n\n", card))


def _uncertain(metrics):
    text = (
        f"{metrics['low_confidence']} of {metrics['images']} images have low "
        "confidence: no region exceeds the detector's minimum score. "
    )
    if "unfamiliar" in metrics:
        text += f"{metrics['unfamiliar']} are flagged as unlike the training images. "
    return text + "Images without a lesion were not tested."


def _methods(metrics):
    text = "Scores by the definitions of the ISIC challenges; threshold 0.5."
    if "bootstrap" in metrics:
        text += (
            " 95 % percentile intervals from {resamples} bootstrap resamples (seed "
            "{seed}); images of one patient or lesion are drawn together where the "
            "table names them."
        ).format(**metrics["bootstrap"])
    return text


def _participants(per_image):
    parts = []
    ages = per_image.get("age", pd.Series(dtype=float))
    ages = pd.to_numeric(ages, errors="coerce").dropna()
    if len(ages):
        parts.append(
            f"Age: median {ages.median():.0f}, {ages.min():.0f} to {ages.max():.0f} "
            f"years ({len(ages)} images)."
        )
    for column in ("sex", "site"):
        if column in per_image and per_image[column].notna().any():
            counts = per_image[column].value_counts().items()
            listed = ", ".join(f"{name} {count}" for name, count in counts)
            parts.append(f"{column.capitalize()}: {listed}.")
    return " ".join(parts)


def _skin(metrics):
    if not any(row["by"] == "skin tone" for row in metrics.get("subgroups", [])):
        return None
    return (
        "Estimated from each image: the individual typology angle (ITA) of the skin "
        "around the lesion. The scores by skin tone are under 23."
    )


def _artefacts(metrics):
    table = markdown_table(robustness_rows(metrics))
    return table and f"Drops on test images with synthetic artefacts:\n\n{table}"


def _calibration(metrics):
    parts = [markdown_table(calibration_rows(metrics))]
    calibration = metrics.get("calibration", {})
    if "temperature" in calibration:
        parts.append(
            f"Temperature {calibration['temperature']:.3f}, chosen on "
            f"{calibration['images']} other images."
        )
    if calibration:
        parts += [f"Warning: {text}." for text in metrics.get("warnings", ())]
    return "\n\n".join(parts)
