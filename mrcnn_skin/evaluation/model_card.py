"""model_card.md: the headings of TRIPOD+AI and CLEAR Derm, filled from a run.

What a run cannot know, such as consent or ethics, is said to be unknown: the card never
guesses. TRIPOD+AI: Collins et al., BMJ 2024; CLEAR Derm: Daneshjou et al., JAMA
Dermatology 2022.
"""

import pandas as pd

from mrcnn_skin.atomic import written_whole
from mrcnn_skin.evaluation.page import (
    NOTICE,
    operating_rows,
    robustness_rows,
    score_rows,
)

UNKNOWN = "Not known to the evaluation; whoever publishes the model has to state it."


def write_model_card(path, title, facts, metrics, per_image):
    """Write the card.

    title: of the model. facts: {name: text} of the run, of which "weights", "data",
    "network", "training", "losses", "left out" and "software" are placed under their
    headings. metrics: of analyse, with what the command added; per_image: the table.
    """
    known = _known(facts, metrics, per_image)
    parts = [f"# Model card: {title}", f"**{NOTICE}**"]
    for guideline, headings in (("TRIPOD+AI", TRIPOD), ("CLEAR Derm", CLEAR_DERM)):
        parts.append(f"## {guideline}")
        for heading, key in headings:
            parts += [f"### {heading}", known.get(key) or UNKNOWN]
    with written_whole(path) as partial:
        partial.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


TRIPOD = [
    ("Title", "title"),
    ("Background and intended use", "use"),
    ("Objectives", "objective"),
    ("Source of data", "data"),
    ("Participants", "participants"),
    ("Data preparation", "preparation"),
    ("Outcome", "outcome"),
    ("Predictors", "predictors"),
    ("Sample size", "sample"),
    ("Missing data", "left out"),
    ("Analytical methods", "methods"),
    ("Class imbalance", "balance"),
    ("Fairness", "fairness"),
    ("Model output", "output"),
    ("Training versus evaluation", "split"),
    ("Ethical approval", None),
    ("Open science: funding, conflicts, protocol, registration", None),
    ("Data and code sharing", "software"),
    ("Patient and public involvement", None),
    ("Model development and specification", "network"),
    ("Model performance", "performance"),
    ("Model updating", None),
    ("Interpretation and limitations", "limits"),
    ("Usability in current care", "usability"),
]
CLEAR_DERM = [
    ("Data: image types", "predictors"),
    ("Data: artefacts", "artefacts"),
    ("Data: acquisition and devices", None),
    ("Data: pre-processing", "preparation"),
    ("Data: synthetic images", "synthetic"),
    ("Data: public availability", "data"),
    ("Data: participants and metadata", "participants"),
    ("Data: skin tone", "skin"),
    ("Data: potential biases", "limits"),
    ("Data: partitions", "split"),
    ("Data: sample sizes and class distribution", "balance"),
    ("Data: images out of distribution", "uncertain"),
    ("Data: labels and histopathology", "outcome"),
    ("Technique: algorithm and training", "network"),
    ("Technique: how to evaluate it publicly", "software"),
    ("Technical assessment: performance measures", "performance"),
    ("Technical assessment: operating points", "operating"),
    ("Technical assessment: calibration", "calibration"),
    ("Technical assessment: benchmark against others", "benchmark"),
    ("Technical assessment: bias", "fairness"),
    ("Application: use cases and target conditions", "use"),
    ("Application: impact on patients and clinicians", None),
]


def _known(facts, metrics, per_image):
    """Text by the keys of the headings."""
    counts = per_image["label"].value_counts()
    balance = ", ".join(f"{count} {label}" for label, count in counts.items())
    network = [facts.get(k) for k in ("network", "losses", "training", "weights")]
    return FIXED | {
        "title": facts.get("model"),
        "data": facts.get("data"),
        "synthetic": facts.get("synthetic"),
        "left out": facts.get("left out"),
        "software": facts.get("software"),
        "split": facts.get("split"),
        "network": "\n\n".join(text for text in network if text),
        "sample": f"{len(per_image)} test images. No sample size was calculated.",
        "balance": f"{balance or 'No diagnosis is known'}, of {len(per_image)} images.",
        "participants": _participants(per_image),
        "skin": _groups(metrics, ["skin tone"]),
        "fairness": _groups(metrics),
        "artefacts": _robustness(metrics),
        "performance": _markdown(score_rows(metrics)),
        "operating": _markdown(operating_rows(metrics)),
        "calibration": _calibration(metrics),
        "benchmark": _comparison(metrics),
        "uncertain": f"{metrics['low_confidence']} of {metrics['images']} images were "
        "answered with low confidence, that is, no region exceeded the detector's "
        "minimal score. Images that show no lesion were not tested.",
        "methods": _methods(metrics),
    }


# What holds for every model of this package.
FIXED = {
    "use": "Research on methods for dermoscopic images of single lesions. Not for "
    "diagnosis, triage or screening of patients.",
    "objective": "To say whether a lesion is benign or malignant, where it is, and "
    "what its outline is, from one image.",
    "preparation": "The image is resized into the network's square, with zeros where "
    "it is no square, and the training set's mean colour is subtracted. Nothing is "
    "removed from it, neither hair nor rulers.",
    "outcome": "The labels of the collection, as benign or malignant; how they were "
    "established, by histopathology or otherwise, is the collection's to say.",
    "predictors": "One RGB image of one lesion. No age, sex, site or history.",
    "output": "P(malignant), a box, an outline, and a flag for low confidence. Every "
    "image gets an answer.",
    "limits": "One collection's images are no population: malignant lesions are more "
    "frequent than in practice, so PPV and NPV do not carry over. Images of dark skin "
    "are rare in public collections. Intervals cover the sampling of the test images, "
    "not that of training.",
    "usability": "None was studied.",
}


def _methods(metrics):
    text = "Scores by the definitions of the ISIC challenges; threshold 0.5."
    if "bootstrap" in metrics:
        text += (
            f" 95 % percentile intervals from {metrics['bootstrap']['resamples']} "
            f"bootstrap resamples (seed {metrics['bootstrap']['seed']}); images of one "
            "patient or lesion are drawn together where the table names them."
        )
    return text


def _participants(per_image):
    parts = []
    if "age" in per_image:
        ages = pd.to_numeric(per_image["age"], errors="coerce").dropna()
        if len(ages):
            parts.append(
                f"Age: median {ages.median():.0f}, {ages.min():.0f} to "
                f"{ages.max():.0f} years ({len(ages)} images)."
            )
    for column in ("sex", "site"):
        if column in per_image and per_image[column].notna().any():
            counts = per_image[column].value_counts().items()
            listed = ", ".join(f"{name} {count}" for name, count in counts)
            parts.append(f"{column.capitalize()}: {listed}.")
    return " ".join(parts)


def _groups(metrics, columns=None):
    table = pd.DataFrame(metrics.get("subgroups", []))
    if columns and len(table):
        table = table[table["by"].isin(columns)]
    bounds = [name for name in table if name.endswith(("_low", "_high"))]
    return _markdown(table.drop(columns=bounds))


def _robustness(metrics):
    table = _markdown(robustness_rows(metrics))
    return table and f"Drops when they are overlaid on the test images:\n\n{table}"


def _calibration(metrics):
    calibration = metrics.get("calibration")
    if not calibration:
        return None
    rows = {k: calibration[k] for k in ("raw", "scaled") if k in calibration}
    table = pd.DataFrame(rows).T.rename_axis("P(malignant)").reset_index()
    text = _markdown(table)
    if "temperature" in calibration:
        text += (
            f"\n\nTemperature {calibration['temperature']:.3f}, chosen on "
            f"{calibration['images']} other images."
        )
    return text


def _comparison(metrics):
    return _markdown(pd.DataFrame(metrics.get("comparison", [])))


def _markdown(table):
    """A Markdown table; "" for an empty one."""
    if table.empty:
        return ""
    rows = [list(table), ["---"] * table.shape[1]]
    rows += [[_cell(value) for value in row] for row in table.itertuples(index=False)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(value):
    if isinstance(value, float):
        return "-" if pd.isna(value) else f"{value:.3f}"
    return "-" if value is None else str(value).replace("|", "\\|")
