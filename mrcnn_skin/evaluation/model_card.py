"""Write model_card.md: the items of TRIPOD+AI and CLEAR Derm, filled from a run.

Items that a run cannot know, such as consent or ethics, are marked as unknown.
TRIPOD+AI: 27 items, Collins et al., BMJ 2024;385:e078378. CLEAR Derm: 25 items,
Daneshjou et al., JAMA Dermatology 2022;158(1):90. The headings are our own wording.
"""

import pandas as pd

from ..atomic import written_whole
from .html_report import NOTICE, operating_rows, robustness_rows, score_rows

UNKNOWN = "Unknown to the evaluation; to be stated by the publisher of the model."


def write_model_card(path, title, facts, metrics, per_image):
    """Write the card; items that repeat another one refer to it.

    Args:
        path: of the file.
        title: of the model.
        facts: {name: text} of the run; "weights", "data", "network", "training",
            "losses", "skipped" and "software" have items of their own.
        metrics: of statistics.analyse.
        per_image: DataFrame of scoring.score_images.
    """
    known = _known(facts, metrics, per_image)
    parts = [f"# Model card: {title}", f"**{NOTICE}**"]
    places = {}  # {key: first heading with its text}
    for guideline, headings in (("TRIPOD+AI", TRIPOD), ("CLEAR Derm", CLEAR_DERM)):
        parts.append(f"## {guideline}")
        for heading, key in headings:
            text = known.get(key) or UNKNOWN
            if key in places:
                text = f"See *{places[key]}*, above."
            elif known.get(key):
                places[key] = heading
            parts += [f"### {heading}", text]
    with written_whole(path) as partial:
        partial.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


TRIPOD = [
    ("1 Title", "title"),
    ("2 Abstract", None),
    ("3 Background: context, purpose, users, known inequalities", "use"),
    ("4 Objectives", "objective"),
    ("5 Data: sources and dates", "data"),
    ("6 Participants: setting, eligibility, treatments", None),
    ("7 Data preparation", "preparation"),
    ("8 Outcome and who assessed it", "outcome"),
    ("9 Predictors", "predictors"),
    ("10 Sample size", "sample"),
    ("11 Missing data", "skipped"),
    ("12 Analytical methods", "methods"),
    ("13 Class imbalance: methods against it", "imbalance"),
    ("14 Fairness: what was done for it", "fairness"),
    ("15 Model output and thresholds", "output"),
    ("16 Training versus evaluation data", "split"),
    ("17 Ethical approval", None),
    ("18a Funding", None),
    ("18b Conflicts of interest", None),
    ("18c Protocol", None),
    ("18d Registration", None),
    ("18e Data sharing", None),
    ("18f Code sharing", "software"),
    ("19 Patient and public involvement", None),
    ("20 Participants: flow and characteristics", "participants"),
    ("21 Model development: images and outcomes in each analysis", "numbers"),
    ("22 Model specification", "network"),
    ("23 Model performance, with subgroups", "performance"),
    ("24 Model updating", "calibration"),
    ("25 Interpretation", None),
    ("26 Limitations", "limits"),
    ("27 Usability in current care", "usability"),
]
CLEAR_DERM = [
    ("Data: image types", "predictors"),
    ("Data: image artefacts", "artefacts"),
    ("Data: technical acquisition", None),
    ("Data: pre-processing", "preparation"),
    ("Data: synthetic images", "synthetic"),
    ("Data: public images", "data"),
    ("Data: patients' metadata", "participants"),
    ("Data: skin tone and how it was assessed", "skin"),
    ("Data: potential biases", "limits"),
    ("Data: partitions", "split"),
    ("Data: sample sizes", "sample"),
    ("Data: external test set", "external"),
    ("Data: images of several vendors", None),
    ("Data: class distribution", "numbers"),
    ("Data: images out of distribution", "uncertain"),
    ("Technique: how the images were labelled", "outcome"),
    ("Technique: accepted diagnostic labels", "labels"),
    ("Technique: histopathology of malignant lesions", None),
    ("Technique: development of the algorithm", "network"),
    ("Technical assessment: how the public can evaluate it", "software"),
    ("Technical assessment: performance measures", "performance"),
    ("Technical assessment: benchmark against others", "benchmark"),
    ("Technical assessment: bias", "performance"),
    ("Application: use cases and target conditions", "use"),
    ("Application: impact on patients and the health care team", None),
]


def _known(facts, metrics, per_image):
    """Return {key of a heading: text}."""
    counts = per_image["true_class"].value_counts()
    balance = ", ".join(f"{count} {label}" for label, count in counts.items())
    network = [facts.get(k) for k in ("network", "losses", "training", "weights")]
    return FIXED | {
        "title": facts.get("model"),
        "data": facts.get("data"),
        "synthetic": facts.get("synthetic"),
        "skipped": facts.get("skipped"),
        "software": facts.get("software"),
        "split": facts.get("split"),
        "network": _paragraphs(*network),
        "sample": f"{len(per_image)} test images. No sample size was calculated.",
        "numbers": f"Evaluation: {balance or 'no diagnosis is known'}, of "
        f"{len(per_image)} images.",
        "participants": _participants(per_image),
        "skin": _skin(metrics),
        "imbalance": facts.get("imbalance"),
        "artefacts": _robustness(metrics),
        "performance": _paragraphs(
            markdown_table(score_rows(metrics)), _groups(metrics)
        ),
        "output": _paragraphs(FIXED["output"], markdown_table(operating_rows(metrics))),
        "calibration": _calibration(metrics),
        "benchmark": _comparison(metrics),
        "uncertain": _uncertain(metrics),
        "methods": _methods(metrics),
    }


# Texts for every model of this package
FIXED = {
    "use": "Research on methods for dermoscopic images of single lesions. Not for "
    "diagnosis, triage or screening of patients.",
    "objective": "Predict from one image whether a lesion is benign or malignant, "
    "where it is, and its outline.",
    "preparation": "The image is resized to the network's square, padded with zeros, "
    "and the training set's mean colour is subtracted. Hair and rulers are not "
    "removed.",
    "outcome": "The labels of the collection, as benign or malignant; the collection "
    "documents how they were established, by histopathology or otherwise.",
    "predictors": "One RGB image of one lesion. No age, sex, site or history.",
    "output": "P(malignant), a box, an outline, and flags for low confidence and for "
    "images unlike the training images. Every image gets an answer.",
    "limits": "A collection is not a population: malignant lesions are more frequent "
    "than in practice, so PPV and NPV do not transfer. Images of dark skin are rare in "
    "public collections. Intervals cover the sampling of the test images, not the "
    "variation between trainings.",
    "labels": "Benign and malignant; the collection's diagnoses are mapped to these "
    "two classes.",
    "fairness": "No measures; the scores by subgroup are under 23.",
    "external": "This card describes one collection. A test on another collection "
    "needs an evaluation and a card of its own.",
    "usability": "Files that cannot be decoded are listed; every other image gets an "
    "answer, flagged where the confidence is low. Image quality is not assessed. The "
    "use by clinicians was not studied.",
}


def _uncertain(metrics):
    text = (
        f"{metrics['low_confidence']} of {metrics['images']} images have low "
        "confidence: no region exceeds the detector's minimum score. "
    )
    if "unfamiliar" in metrics:
        text += f"{metrics['unfamiliar']} are flagged as unlike the training images. "
    return text + "Images without a lesion were not tested."


def _paragraphs(*texts):
    return "\n\n".join(text for text in texts if text)


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


def _skin(metrics):
    if not any(row["by"] == "skin tone" for row in metrics.get("subgroups", [])):
        return None
    return (
        "Estimated from each image: the individual typology angle (ITA) of the skin "
        "around the lesion. The scores by skin tone are under 23."
    )


def _groups(metrics):
    table = pd.DataFrame(metrics.get("subgroups", []))
    bounds = [name for name in table if name.endswith(("_low", "_high"))]
    return markdown_table(table.drop(columns=bounds))


def _robustness(metrics):
    table = markdown_table(robustness_rows(metrics))
    return table and f"Drops on test images with synthetic artefacts:\n\n{table}"


def _calibration(metrics):
    calibration = metrics.get("calibration")
    if not calibration:
        return None
    rows = {k: calibration[k] for k in ("raw", "scaled") if k in calibration}
    table = pd.DataFrame(rows).T.rename_axis("P(malignant)").reset_index()
    text = markdown_table(table)
    if "temperature" in calibration:
        text += (
            f"\n\nTemperature {calibration['temperature']:.3f}, chosen on "
            f"{calibration['images']} other images."
        )
    return text + "".join(f"\n\nWarning: {w}." for w in metrics.get("warnings", ()))


def _comparison(metrics):
    return markdown_table(pd.DataFrame(metrics.get("comparison", [])))


def markdown_table(table):
    """Return a DataFrame as a Markdown table, with three decimals; "" if empty."""
    if table.empty:
        return ""
    rows = [list(table), ["---"] * table.shape[1]]
    rows += [[_cell(value) for value in row] for row in table.itertuples(index=False)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(value):
    if isinstance(value, float):
        return "-" if pd.isna(value) else f"{value:.3f}"
    return "-" if value is None else str(value).replace("|", "\\|").replace("\n", " ")
