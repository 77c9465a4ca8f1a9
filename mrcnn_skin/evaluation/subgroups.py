"""Metrics of subgroups: by sex, age, site, lesion size and skin tone.

Small groups have wide intervals, and one difference among many groups proves nothing.
"""

import pandas as pd

from .bootstrap import confidence_intervals
from .skin_tone import TONES, tone, typology_angle
from .summary import flatten, summarize

SHOWN = {
    "segmentation": ("JA", "DI"),
    "classification": ("AUC", "SE", "SP"),
}
RECALLS = {"SE": "malignant", "SP": "benign"}
NAMED = ["sex", "site", "source"]  # columns whose values are groups
MAX_GROUPS = 12  # columns with more values are ignored
AGE_EDGES = [0, 30, 50, 70, 200]
AGE_NAMES = ["under 30", "30 to 49", "50 to 69", "70 and over"]
SIZE_EDGES = [0, 0.05, 0.20, 1.01]
SIZE_NAMES = ["under 5 %", "5 to 20 %", "over 20 %"]
# {column: its names in the tables of the collections}
METADATA = {
    "age": ("age", "age_approximate", "age_approx"),
    "sex": ("sex",),
    "site": ("site", "localization", "anatom_site_general", "anatom_site"),
    "source": ("source", "attribution", "dataset"),
    "patient_id": ("patient_id",),
    "lesion_id": ("lesion_id",),
}


def describe(case):
    """Return the columns that images are grouped by, for scoring.score_images.

    They are age, sex, site, source, patient_id and lesion_id if known, height and width
    in pixels, and with a true mask true_area_share, its share of the image, and ITA,
    see skin_tone.
    """
    height, width = case.image.shape[:2]
    columns = metadata_columns(case.info) | {"height": height, "width": width}
    truth = case.truth
    if truth is not None:
        columns["true_area_share"] = float(truth.mean())
        columns["ITA"] = typology_angle(case.image, truth)
    return columns


def metadata_columns(info):
    """Return {name of METADATA: value}, as known from an image_info of a Dataset."""
    known = info.get("metadata") or {}
    return {"source": info.get("source")} | {
        name: known[spelling]
        for name, spellings in METADATA.items()
        for spelling in reversed(spellings)  # the first one decides
        if spelling in known
    }


def groupings(per_image):
    """Return {column: group of each image, [n]} of columns with two or more groups.

    Numbers are binned by age, lesion size and skin tone.
    """
    known = per_image.reindex(columns=["age", *NAMED, "true_area_share", "ITA"])
    ages = pd.to_numeric(known["age"], errors="coerce")
    shares, tones = known["true_area_share"], known["ITA"].map(tone)
    groups = {
        "age": pd.cut(ages, AGE_EDGES, right=False, labels=AGE_NAMES),
        **known[NAMED],
        "lesion size": pd.cut(shares, SIZE_EDGES, right=False, labels=SIZE_NAMES),
        "skin tone": tones.astype(pd.CategoricalDtype(list(TONES))),
    }
    return {n: g for n, g in groups.items() if 2 <= g.nunique() <= MAX_GROUPS}


def subgroup_table(per_image, resamples, seed=0):
    """Score every group of `groupings`, with intervals of `resamples`.

    Returns:
        DataFrame of by (column), group, images, malignant, and each score of SHOWN with
        its 95 % interval, NAME_low and NAME_high.
    """
    rows = []
    for column, names in groupings(per_image).items():
        for group in sorted(names.dropna().unique(), key=_order(names)):
            part = per_image[names == group]
            row = {"by": column, "group": str(group), "images": len(part)}
            row["malignant"] = int((part["true_class"] == "malignant").sum())
            rows.append(row | _shown(part, resamples, seed))
    return pd.DataFrame(rows)


def _order(names):
    if isinstance(names.dtype, pd.CategoricalDtype):
        return list(names.cat.categories).index
    return str


def _shown(part, resamples, seed):
    """Score a group, with intervals; omit recalls of a class without images."""
    intervals = confidence_intervals(part, resamples, seed)
    labels = set(part.loc[part["p_malignant"].notna(), "true_class"].dropna())
    columns = {}
    for task, name, value in flatten(summarize(part)):
        is_recall = task == "classification" and name in RECALLS
        if is_recall and RECALLS[name] not in labels:
            continue
        if name in SHOWN.get(task, ()):
            columns[name] = value
            columns[f"{name}_low"], columns[f"{name}_high"] = intervals[task][name]
    return columns
