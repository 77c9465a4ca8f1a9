"""Compute the content of metrics.json from per_image tables, without a model.

It holds scores, intervals, calibration, operating points, risk and coverage, subgroups
and comparisons.
"""

from . import calibration as cal
from .bootstrap import RESAMPLES, compare, confidence_intervals
from .subgroups import subgroup_table
from .summary import summarize


def analyse(
    per_image,
    calibration=None,
    other=None,
    resamples=RESAMPLES,
    seed=0,
    *,
    unreadable=0,
    coco=None,
    plain=None,
    robustness=None,
    warnings=(),
):
    """Turn the table of a test set into the content of metrics.json.

    Args:
        per_image: DataFrame of scoring.score_images.
        calibration: the same of other images, on which thresholds and temperature are
            chosen; None to choose none.
        other: the same of another model on the test images, to compare with.
        resamples: of the bootstrap; 0 for no intervals.
        seed: of the bootstrap.
        unreadable: number of images that could not be read.
        coco: scores of coco.CocoScorer.
        plain: per_image of the same model without test-time augmentation.
        robustness: DataFrame of robustness.robustness_table.
        warnings: texts about the evaluation, placed before those found here.

    Returns:
        The dict of summarize, the number of unreadable images and, as far as they are
        defined,
        bootstrap {"resamples", "seed"};
        confidence_intervals {task: {score: [low, high]}};
        calibration {"images", "temperature", "raw": scores, "scaled": scores};
        operating_points [{"target", "threshold", "calibration_SE", score: value,
            score_interval: [low, high]}];
        risk_coverage {"AURC", "risk_at_80"};
        coco, as it was given;
        explanation {"images", "heat_inside", "true_area_share"}, means of the columns;
        subgroups, comparison, tta and robustness, as lists of the rows of their tables;
        warnings [text], always.
    """
    metrics = {"unreadable": unreadable, **summarize(per_image)}
    if resamples:
        metrics["bootstrap"] = {"resamples": resamples, "seed": seed}
        metrics["confidence_intervals"] = confidence_intervals(
            per_image, resamples, seed
        )
        groups = subgroup_table(per_image, resamples, seed)
        if len(groups):
            metrics["subgroups"] = as_records(groups)
        if other is not None:
            rows = compare(per_image, other, resamples, seed)
            metrics["comparison"] = as_records(rows)
    test = diagnoses(per_image)
    if len(test[0]):
        metrics |= _of_probabilities(test, calibration)
        for point in metrics.get("operating_points", ()) if resamples else ():
            _add_intervals(point, per_image, resamples, seed)
    if coco is not None:
        metrics["coco"] = coco
    if "heat_inside" in per_image:
        metrics["explanation"] = _explanation(per_image)
    if plain is not None:
        metrics["tta"] = as_records(compare(per_image, plain, resamples, seed))
    if robustness is not None:
        metrics["robustness"] = as_records(robustness)
    metrics["warnings"] = [*warnings, *temperature_warnings(metrics)]
    return metrics


def temperature_warnings(metrics):
    """Return a list with a warning if the temperature makes probabilities worse."""
    calibration = metrics.get("calibration", {})
    raw, scaled = calibration.get("raw"), calibration.get("scaled")
    worse = [name for name in raw or () if scaled and scaled[name] > raw[name]]
    if not worse:
        return []
    listed = ", ".join(f"{n} {scaled[n]:.3f} instead of {raw[n]:.3f}" for n in worse)
    return [
        f"temperature-scaled probabilities are worse than the raw ones: {listed}; the "
        "calibration images differ from these"
    ]


def _explanation(per_image):
    """Average the share of heat inside the outline, and the outline's share."""
    columns = ["heat_inside", "true_area_share"]
    table = per_image.reindex(columns=columns).dropna()
    return {"images": len(table), **{n: float(table[n].mean()) for n in columns}}


def diagnoses(per_image):
    """Return labels bool [n] and P(malignant) float [n] of images that have both."""
    table = per_image.dropna(subset=["true_class", "p_malignant"])
    labels = (table["true_class"] == "malignant").to_numpy()
    return labels, table["p_malignant"].to_numpy(float)


def as_records(table):
    """Return the rows of a DataFrame as dicts of plain Python values."""
    return table.astype(object).where(table.notna(), None).to_dict("records")


def _of_probabilities(test, calibration):
    """Return calibration, operating points, risk and coverage of diagnoses."""
    curve = cal.risk_coverage(*test)
    answered = curve[curve["coverage"] <= 0.8]["risk"]
    risk = {"AURC": cal.area_under_risk(curve)}
    risk["risk_at_80"] = float(answered.iloc[-1]) if len(answered) else float("nan")
    metrics = {
        "calibration": {"raw": cal.calibration_scores(*test)},
        "risk_coverage": risk,
    }
    if calibration is None:
        return metrics
    chosen_on = diagnoses(calibration)
    temperature = cal.fit_temperature(*chosen_on)
    scaled = cal.apply_temperature(test[1], temperature)
    metrics["calibration"] |= {
        "images": len(chosen_on[0]),
        "temperature": temperature,
        "scaled": cal.calibration_scores(test[0], scaled),
    }
    metrics["operating_points"] = cal.operating_points(chosen_on, test)
    return metrics


def _add_intervals(point, per_image, resamples, seed):
    images = per_image.dropna(subset=["true_class", "p_malignant"])
    intervals = confidence_intervals(images, resamples, seed, point["threshold"])
    for name in ("SE", "SP", "PPV", "NPV", "AC"):
        point[f"{name}_interval"] = intervals["classification"][name]


def choose_cases(per_image, count=3):
    """Choose the best, median and worst cases by Jaccard index, and wrong diagnoses.

    Without masks, cases are ranked by the IoU of the boxes.

    Returns:
        {heading: list of at most `count` rows as dicts}.
    """
    score = "JA" if per_image["JA"].notna().any() else "box_iou"
    ranked = per_image.dropna(subset=[score]).sort_values(
        score, ascending=False, kind="stable"
    )
    middle = max(0, (len(ranked) - count) // 2)
    cases = {
        "best outlines": ranked[:count],
        "median outlines": ranked[middle : middle + count],
        "worst outlines": ranked[::-1][:count],
    }
    known = per_image.dropna(subset=["true_class", "p_malignant"])
    malignant = known[known["true_class"] == "malignant"].sort_values("p_malignant")
    benign = known[known["true_class"] == "benign"].sort_values("p_malignant")
    missed = malignant[malignant["p_malignant"] <= 0.5]
    alarms = benign[benign["p_malignant"] > 0.5]
    cases["malignant lesions with the lowest probability"] = missed[:count]
    cases["benign lesions with the highest probability"] = alarms[::-1][:count]
    return {name: as_records(rows) for name, rows in cases.items() if len(rows)}
