"""model_card.md: the headings of TRIPOD+AI and CLEAR Derm, filled from a run.

What a run cannot know, such as consent or ethics, is said to be unknown: the card
never guesses. TRIPOD+AI: the 27 items of Collins et al., BMJ 2024;385:e078378; CLEAR
Derm: the 25 of Daneshjou et al., JAMA Dermatology 2022;158(1):90; in words of our own.
"""

import pandas as pd

from ..atomic import written_whole
from .html_report import NOTICE, operating_rows, robustness_rows, score_rows

UNKNOWN = "Not known to the evaluation; whoever publishes the model has to state it."


def write_model_card(path, title, facts, metrics, per_image):
    """Write the card; an item that stands above under another heading is referred to.

    title: of the model. facts: {name: text} of the run, of which "weights", "data",
    "network", "training", "losses", "skipped" and "software" are placed under their
    headings. metrics: of analyse; per_image: the table.
    """
    known = _known(facts, metrics, per_image)
    parts = [f"# Model card: {title}", f"**{NOTICE}**"]
    places = {}  # {key: heading that it stands under}
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
    """Text by the keys of the headings."""
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
    "output": "P(malignant), a box, an outline, and flags for low confidence and for "
    "images unlike the training images. Every image gets an answer.",
    "limits": "One collection's images are no population: malignant lesions are more "
    "frequent than in practice, so PPV and NPV do not carry over. Images of dark skin "
    "are rare in public collections. Intervals cover the sampling of the test images, "
    "not that of training.",
    "labels": "Benign and malignant only: the collection's diagnoses are put into "
    "these two classes.",
    "fairness": "Nothing was done for it; the scores by subgroup are under 23.",
    "external": "The card tells of one collection. A test on another one is an "
    "evaluation, and a card, of its own.",
    "usability": "A file that cannot be decoded is named and gets no answer; every "
    "other image gets one, flagged where the detector is unsure. Image quality is not "
    "assessed. How clinicians would use the answers was not studied.",
}


def _uncertain(metrics):
    text = (
        f"{metrics['low_confidence']} of {metrics['images']} images were answered with "
        "low confidence, that is, no region exceeded the detector's minimal score. "
    )
    if "unfamiliar" in metrics:
        text += f"{metrics['unfamiliar']} were flagged as unlike the training images. "
    return text + "Images that show no lesion were not tested."


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
        "Estimated from each photograph: the individual typology angle (ITA) of the "
        "skin round the lesion. The scores by tone are under 23."
    )


def _groups(metrics):
    table = pd.DataFrame(metrics.get("subgroups", []))
    bounds = [name for name in table if name.endswith(("_low", "_high"))]
    return markdown_table(table.drop(columns=bounds))


def _robustness(metrics):
    table = markdown_table(robustness_rows(metrics))
    return table and f"Drops when they are overlaid on the test images:\n\n{table}"


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
    """A DataFrame without its index as a Markdown table; "" for an empty one.

    Numbers get three decimals, what is missing a dash.
    """
    if table.empty:
        return ""
    rows = [list(table), ["---"] * table.shape[1]]
    rows += [[_cell(value) for value in row] for row in table.itertuples(index=False)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(value):
    if isinstance(value, float):
        return "-" if pd.isna(value) else f"{value:.3f}"
    return "-" if value is None else str(value).replace("|", "\\|").replace("\n", " ")
