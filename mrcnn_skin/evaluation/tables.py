"""The tables of report.html and model_card.md, from the content of metrics.json.

Each function of metrics returns a DataFrame, which is empty if they do not hold it.
"""

import pandas as pd

from .summary import flatten

MEANINGS = {
    "segmentation": {
        "JA": "Jaccard index: intersection over union of predicted and true mask",
        "JA65": "Jaccard index, 0 for images below .65 (ISIC 2018)",
        "DI": "Dice coefficient of the masks",
        "AC": "accuracy: share of correct pixels",
        "SE": "sensitivity: share of lesion pixels predicted as lesion",
        "SP": "specificity: share of other pixels predicted as no lesion",
    },
    "detection": {"box_iou": "intersection over union of the boxes"},
    "classification": {
        "AC": "accuracy: share of correct predictions",
        "SE": "sensitivity: share of malignant images predicted as malignant",
        "SP": "specificity: share of benign images predicted as benign",
        "DI": "Dice coefficient (F1) of the class malignant",
        "PPV": "positive predictive value: share of correct malignant predictions",
        "NPV": "negative predictive value: share of correct benign predictions",
        "AUC": "area under the ROC curve",
        "AUC_SENS80": "area under the ROC curve where the sensitivity is .80 or more",
        "AP": "average precision: area under the curve of precision and recall",
        "BMA": "balanced accuracy: mean of the recalls of the two classes",
    },
}


def score_rows(metrics):
    """Return all scores with their intervals and meanings."""
    intervals = metrics.get("confidence_intervals", {})
    rows = [
        {
            "task": task,
            "score": name,
            "value": number(value),
            "95 %": interval(intervals.get(task, {}).get(name)),
            "images": metrics[task]["images"],
            "meaning": MEANINGS[task].get(name, ""),
        }
        for task, name, value in flatten(metrics)
    ]
    return pd.DataFrame(rows)


def operating_rows(metrics):
    """Return the operating points."""
    rows = []
    for point in metrics.get("operating_points", ()):
        row = {"target SE": f"{point['target']:.0%}", "threshold": point["threshold"]}
        row["SE on calibration images"] = point["calibration_SE"]
        for name in ("SE", "SP", "PPV", "NPV", "AC"):
            row[name] = with_interval(point[name], point.get(f"{name}_interval"))
        rows.append(row)
    return pd.DataFrame(rows)


def calibration_rows(metrics):
    """Return the errors of P(malignant) before and after temperature scaling."""
    names = {"raw": "uncalibrated", "scaled": "temperature-scaled"}
    found = metrics.get("calibration", {})
    rows = [{"P(malignant)": names[k]} | found[k] for k in names if k in found]
    return pd.DataFrame(rows)


def robustness_rows(metrics):
    """Return the drop of each score, one row per corruption."""
    rows = {}
    for drop in metrics.get("robustness", ()):
        row = rows.setdefault(drop["corruption"], {"corruption": drop["corruption"]})
        score = f"{drop['metric']}, clean {number(drop['clean'])}"
        row[score] = with_interval(drop["drop"], (drop["low"], drop["high"]))
    return pd.DataFrame(rows.values())


def explanation_rows(metrics):
    """Return the share of heat inside the outlines, and the share expected of it."""
    shares = metrics.get("explanation")
    if not shares:
        return pd.DataFrame()
    row = {
        "images": shares["images"],
        "heat inside the true outline": shares["heat_inside"],
        "lesion's share of the image": shares["true_area_share"],
    }
    return pd.DataFrame([row])


def listed_rows(metrics, key):
    """Return a list of rows, or a dict of rows; NAME_low and NAME_high join NAME."""
    value = metrics.get(key, [])
    if isinstance(value, dict):
        value = [{"": name} | row for name, row in value.items()]
    table = pd.DataFrame(value)
    for name in [n for n in table if f"{n}_low" in table]:
        bounds = zip(table.pop(f"{name}_low"), table.pop(f"{name}_high"), strict=True)
        table[name] = list(map(with_interval, table[name], bounds))
    return table


def cell(value):
    """Return a number with three decimals, and any other value as text."""
    return number(value) if isinstance(value, float) or value is None else str(value)


def number(value):
    """Return a number with three decimals; "-" if unknown."""
    if value is None or pd.isna(value):
        return "-"
    return f"{round(value, 3) + 0.0:.3f}"  # no -0.000


def interval(bounds):
    """Return "[low, high]"; "" if unknown."""
    if bounds is None or pd.isna(list(bounds)).any():
        return ""
    return f"[{', '.join(map(number, bounds))}]"


def with_interval(value, bounds):
    """Return a number with its interval in a second line."""
    return f"{number(value)}\n{interval(bounds)}".strip()


def markdown_table(table):
    """Return a DataFrame as a Markdown table; "" if empty."""
    if table.empty:
        return ""
    rows = [[cell(value) for value in row] for row in table.itertuples(index=False)]
    rows = [[c.replace("|", "\\|").replace("\n", " ") for c in row] for row in rows]
    rows = [list(table), ["---"] * table.shape[1], *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
