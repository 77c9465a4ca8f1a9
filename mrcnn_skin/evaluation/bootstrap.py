"""Bootstrap confidence intervals, and paired comparison of two models.

Images are drawn with replacement; those of one patient or lesion are drawn together,
since they are alike. A resample is passed to summarize as weights of the images. The
tables are DataFrames as for summarize; images of one patient_id or lesion_id belong
together.
"""

import numpy as np
import pandas as pd

from .summary import flatten, summarize

RESAMPLES = 2000
LEVEL = 0.95
CLUSTERS = ("patient_id", "lesion_id")  # columns, the larger groups first
MAX_CELLS = 2_000_000  # resamples x images at a time, which limits the memory


def confidence_intervals(per_image, resamples=RESAMPLES, seed=0, threshold=0.5):
    """Compute 95 % percentile intervals of all metrics.

    Returns:
        {task: {name: [low, high]}}, nan where no resample defines the metric.
    """
    intervals = {}
    (resampled,) = _resample([per_image], resamples, seed, threshold)
    for (task, name), values in resampled.items():
        intervals.setdefault(task, {})[name] = interval(values)
    return intervals


def interval(values):
    """Return [low, high] of the middle share LEVEL of values [n], without nan."""
    values = np.asarray(values)[~np.isnan(values)]
    if not values.size:
        return [float("nan")] * 2
    tail = (1 - LEVEL) / 2
    return np.quantile(values, [tail, 1 - tail]).tolist()


def compare(per_image, other, resamples=RESAMPLES, seed=0):
    """Compare two models on the images that both have scored (paired bootstrap test).

    Each resample draws the same images for both, so that their difficulty cancels out.

    Returns:
        DataFrame, one row per metric: task, metric, value, other, difference (value -
        other), low, high (95 %), p (two-sided: twice the share of resampled differences
        on the rarer side of 0; not corrected for the number of metrics), images.

    Raises:
        ValueError: if no image is in both, or a true_class differs.
    """
    first, second = align(per_image, other)
    values, others = _resample([first, second], resamples, seed)
    points = [
        {(task, name): value for task, name, value in flatten(summarize(table))}
        for table in (first, second)
    ]
    rows = []
    for key in [key for key in values if key in others]:
        differences = values[key] - others[key]
        low, high = interval(differences)
        row = {"task": key[0], "metric": key[1]}
        row |= {"value": points[0][key], "other": points[1][key]}
        row |= {"difference": points[0][key] - points[1][key], "low": low, "high": high}
        rows.append(row | {"p": _p_value(differences), "images": len(first)})
    return pd.DataFrame(rows)


def align(per_image, other):
    """Return the rows of two tables whose image is in both, in the first's order."""
    both = per_image["image"].isin(other["image"])
    first = per_image[both].reset_index(drop=True)
    if first.empty:
        raise ValueError("the two tables to compare share no image")
    second = other.drop_duplicates("image").set_index("image")
    second = second.loc[first["image"]].reset_index()
    labels = first["true_class"].fillna(""), second["true_class"].fillna("")
    differ = labels[0] != labels[1]
    if differ.any():
        raise ValueError(
            "the two tables to compare must have the same true_class, got "
            f"{labels[0][differ].iloc[0]!r} and {labels[1][differ].iloc[0]!r} "
            f"for {first['image'][differ].iloc[0]}"
        )
    return first, second


def draw(per_image, resamples, seed):
    """Yield weights of the images, int [resamples, n], in chunks."""
    rng = np.random.default_rng(seed)
    cluster, count = clusters(per_image)
    chunk = max(1, MAX_CELLS // max(len(per_image), 1))
    for start in range(0, resamples, chunk):
        size = min(chunk, resamples - start)
        yield rng.multinomial(count, np.full(count, 1 / count), size)[:, cluster]


def clusters(per_image):
    """Return the cluster of each image, int [n], and the number of clusters."""
    names = per_image["image"].astype(str)
    for column in reversed(CLUSTERS):
        if column in per_image:
            known = per_image[column].astype(str).radd(f"{column} ")
            names = known.where(per_image[column].notna(), names)
    numbers, uniques = pd.factorize(names)
    return numbers, len(uniques)


def _resample(tables, resamples, seed, threshold=0.5):
    """Return {(task, name): values [resamples]} of each table, with equal draws."""
    parts = [{} for _ in tables]
    for weights in draw(tables[0], resamples, seed):
        for table, part in zip(tables, parts, strict=True):
            for task, name, value in flatten(summarize(table, weights, threshold)):
                part.setdefault((task, name), []).append(value)
    parts = [{key: np.concatenate(v) for key, v in part.items()} for part in parts]
    for part in parts:
        _forget_lost_classes(part)
    return parts


def _forget_lost_classes(part):
    """Set the diagnoses' scores to nan where a resample has only one class of two.

    The challenge's 1 for a denominator of 0 would widen the interval.
    """
    area = part.get(("classification", "AUC"), np.array([np.nan]))
    if not np.isnan(area).all():
        for (task, _), values in part.items():
            if task == "classification":
                values[np.isnan(area)] = np.nan


def _p_value(differences):
    """Return the two-sided p; ties count for both sides, and p is never 0."""
    differences = differences[~np.isnan(differences)]
    rarer = min(np.sum(differences <= 0), np.sum(differences >= 0))
    return float(min(1.0, 2 * (rarer + 1) / (differences.size + 1)))
