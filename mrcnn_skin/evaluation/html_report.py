"""Write report.html, a self-contained page.

Pictures are embedded, there is no script, and a policy forbids the browser to load
anything. On narrow screens each row of a table becomes a block.
"""

import base64
import html
import io

import pandas as pd
from PIL import Image

from ..atomic import written_whole
from . import figures
from .statistics import diagnoses
from .summary import flatten

PICTURE_SIDE = 420  # pixels, of the longer side
NOTICE = "Research software. It is no medical device, and nothing here is a diagnosis."
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff;
       max-width: 1400px; margin: 2em auto; padding: 0 1em; }
h1 { margin-bottom: 0; } h2 { margin-top: 2.2em; border-bottom: 1px solid #ccc; }
.notice { background: #fff3cd; border: 1px solid #e0c060; padding: .6em 1em; }
.note { color: #555; max-width: 48em; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25em .8em; text-align: left; vertical-align: top;
         white-space: pre-line; border-bottom: 1px solid #e4e4e4; }
td { overflow-wrap: anywhere; }
.figures, .cases { display: grid; gap: 1em;
                   grid-template-columns: repeat(auto-fill, minmax(240px, 1fr)); }
.figures { grid-template-columns: repeat(auto-fill, minmax(320px, 1fr)); }
.cases figure { margin: 0; } img { width: 100%; max-width: 420px; }
figcaption { font-size: 14px; overflow-wrap: anywhere; white-space: pre-line; }
.truth { color: #12852b; } .prediction { color: #b35400; }
@media (max-width: 760px) {
  table, tbody, tr, td { display: block; } thead { display: none; }
  tr { padding: .5em 0; border-bottom: 1px solid #ccc; }
  td { border: 0; padding: .1em 0 .1em 9em; text-indent: -9em; white-space: normal; }
  td::before { content: attr(data-label); display: inline-block; width: 9em;
               text-indent: 0; color: #555; }
}
"""


def write_page(path, title, facts, metrics, per_image, cases=None):
    """Write report.html.

    Args:
        path: of the file.
        title: of the page.
        facts: {name: text}, what was evaluated.
        metrics: of statistics.analyse.
        per_image: DataFrame of scoring.score_images.
        cases: {heading: list of (caption lines, picture uint8 [h, w, 3])}.
    """
    body = "".join(
        [
            _facts(facts),
            _warnings(metrics),
            _section("Scores", _table(score_rows(metrics)), SCORES_NOTE),
            _figures(metrics, per_image),
            _probabilities(metrics),
            *(_rows(metrics, *section) for section in SECTIONS),
            _robustness(metrics),
            _explanation(metrics),
            *(_cases(name, pictures) for name, pictures in (cases or {}).items()),
        ]
    )
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    page = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head>\n"
        f'<body><h1>{html.escape(title)}</h1><p class="notice">{NOTICE}</p>\n'
        f"{body}</body></html>\n"
    )
    with written_whole(path) as partial:
        partial.write_text(page, encoding="utf-8")


SCORES_NOTE = (
    "By the definitions of the ISIC challenges; malignant is positive, the threshold "
    "0.5. In brackets: 95 % bootstrap intervals."
)
CURVES_NOTE = (
    "ROC (receiver operating characteristic): sensitivity against 1 - specificity for "
    "all thresholds. Reliability: share of malignant images by predicted probability; "
    "ECE is the mean distance from the diagonal. Risk and coverage: the error rate of "
    "the most certain images; AURC is the area below."
)
_IMAGES = {
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
}
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
    "classification": _IMAGES,
}
# Key of the metrics, heading, note; each is a list of rows.
SECTIONS = [
    (
        "comparison",
        "Against another model",
        "Paired bootstrap on the same images. p is two-sided and not corrected for the "
        "number of rows.",
    ),
    (
        "tta",
        "Test-time augmentation",
        "value: mean over four mirror images, as on this page; other: without it.",
    ),
    (
        "subgroups",
        "Subgroups",
        "Small groups have wide intervals. An interval of width 0 means that all "
        "images of the group agree, not that the value is certain. One difference "
        "among many groups proves nothing. Skin tone is estimated from the image. See "
        "Scores for abbreviations.",
    ),
    (
        "coco",
        "Average precision as in COCO",
        "All detections, ranked by score. AP is averaged over IoU thresholds from .50 "
        "to .95; AP50 and AP75 are at .50 and .75.",
    ),
]


def score_rows(metrics):
    """Return a DataFrame of all scores with their intervals, as text."""
    rows = []
    for task, name, value in flatten(metrics):
        row = {"task": task, "score": name, "value": _number(value)}
        interval = metrics.get("confidence_intervals", {}).get(task, {}).get(name)
        row["95 %"] = _interval(interval)
        row["images"] = metrics[task]["images"]
        rows.append(row | {"meaning": MEANINGS[task].get(name, "")})
    return pd.DataFrame(rows)


def operating_rows(metrics):
    """Return a DataFrame of the operating points, as text."""
    rows = []
    for point in metrics.get("operating_points", ()):
        row = {"target SE": f"{point['target']:.0%}"}
        row["threshold"] = _number(point["threshold"])
        row["SE on calibration images"] = _number(point["calibration_SE"])
        for name in ("SE", "SP", "PPV", "NPV", "AC"):
            interval = _interval(point.get(f"{name}_interval"))
            row[name] = f"{_number(point[name])}\n{interval}".strip()
        rows.append(row)
    return pd.DataFrame(rows)


def robustness_rows(metrics):
    """Return a DataFrame, one row per corruption, of the drop of each metric."""
    rows = {}
    for drop in metrics.get("robustness", ()):
        row = rows.setdefault(drop["corruption"], {"corruption": drop["corruption"]})
        text = f"{_number(drop['drop'])}\n{_interval((drop['low'], drop['high']))}"
        row[f"{drop['metric']}, clean {_number(drop['clean'])}"] = text
    return pd.DataFrame(rows.values())


def _facts(facts):
    rows = pd.DataFrame(facts.items(), columns=["item", "value"])
    return _section("What was evaluated", _table(rows))


def _warnings(metrics):
    texts = metrics.get("warnings", ())
    return "".join(f'<p class="notice">Warning: {html.escape(t)}</p>' for t in texts)


def _figures(metrics, per_image):
    drawn = []
    labels, p = diagnoses(per_image)
    if labels.any() and not labels.all():
        temperature = metrics.get("calibration", {}).get("temperature")
        points = metrics.get("operating_points", ())
        drawn += [
            figures.plot_roc(labels, p, points),
            figures.plot_precision_recall(labels, p),
            figures.plot_reliability(labels, p, temperature),
            figures.plot_risk_coverage(labels, p),
        ]
    jaccard = per_image["JA"].dropna()
    if len(jaccard):
        drawn.append(figures.plot_jaccard(jaccard))
    pictures = [_img(_figure_bytes(f), f.axes[0].get_title()) for f in drawn]
    inside = f'<div class="figures">{"".join(pictures)}</div>'
    return _section("Curves", inside, CURVES_NOTE if len(drawn) > 1 else "")


def _probabilities(metrics):
    text = ""
    if "operating_points" in metrics:
        note = "Thresholds chosen on the calibration images, applied to these."
        text += _section("Operating points", _table(operating_rows(metrics)), note)
    calibration = metrics.get("calibration", {})
    rows = [
        {"P(malignant)": name} | {n: _number(v) for n, v in calibration[key].items()}
        for key, name in (("raw", "uncalibrated"), ("scaled", "temperature-scaled"))
        if key in calibration
    ]
    if rows:
        risk = metrics["risk_coverage"]
        note = (
            "ECE: expected calibration error; brier: Brier score; NLL: negative "
            "log-likelihood; 0 is best. Error rate of the most certain 80 %: "
            f"{_number(risk['risk_at_80'])}; area under risk and coverage (AURC): "
            f"{_number(risk['AURC'])}."
        )
        text += _section("Calibration", _table(pd.DataFrame(rows)), note)
    return text


def _rows(metrics, key, heading, note):
    """Return the section of a list of rows or a dict of dicts; "" if absent."""
    value = metrics.get(key)
    if not value:
        return ""
    if isinstance(value, dict):
        value = [{"": name} | row for name, row in value.items()]
    table = pd.DataFrame(value)
    for name in [n for n in table if f"{n}_low" in table]:
        bounds = zip(table.pop(f"{name}_low"), table.pop(f"{name}_high"), strict=True)
        table[name] = [
            f"{_number(v)}\n{_interval(b)}".strip()
            for v, b in zip(table[name], bounds, strict=True)
        ]
    return _section(heading, _table(table), note)


def _robustness(metrics):
    if not metrics.get("robustness"):
        return ""
    note = (
        "Drop of each score from the clean to the corrupted images, with its paired "
        "95 % interval; negative values are gains."
    )
    return _section("Robustness", _table(robustness_rows(metrics)), note)


def _explanation(metrics):
    shares = metrics.get("explanation")
    if not shares:
        return ""
    note = (
        "Grad-CAM (gradient-weighted class activation map) of P(malignant). The share "
        "of uniform heat inside the outline is the lesion's share of the image."
    )
    row = {
        "images": shares["images"],
        "heat inside the true outline": shares["heat_inside"],
        "lesion's share of the image": shares["true_area_share"],
    }
    return _section("Explanation", _table(pd.DataFrame([row])), note)


def _cases(heading, pictures):
    shown = []
    for lines, picture in pictures:
        image = _img(_picture_bytes(picture), ", ".join(lines))
        marked = [_line(html.escape(line)) for line in lines]
        shown.append(
            f"<figure>{image}<figcaption>{'<br>'.join(marked)}</figcaption></figure>"
        )
    inside = f'<div class="cases">{"".join(shown)}</div>'
    return _section(f"Cases: {heading}", inside)


def _line(text):
    """Colour a caption line like the outline that it describes."""
    for start, kind in (("ground truth", "truth"), ("prediction", "prediction")):
        if text.startswith(start):
            return f'<span class="{kind}">{text}</span>'
    return f"<b>{text}</b>"


def _section(heading, content, note=""):
    note = f'<p class="note">{html.escape(note)}</p>' if note else ""
    return f"<section><h2>{html.escape(heading)}</h2>{note}{content}</section>\n"


def _table(rows):
    """Return a DataFrame as HTML; cells repeat their heading for narrow screens."""
    names = [html.escape(str(name)) for name in rows]
    lines = []
    for row in rows.itertuples(index=False):
        cells = zip(names, map(_cell, row), strict=True)
        cells = [f'<td data-label="{name}">{cell}</td>' for name, cell in cells]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    heads = "".join(f"<th>{name}</th>" for name in names)
    return (
        f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    )


def _cell(value):
    if isinstance(value, float) or value is None:
        return _number(value)
    return html.escape(str(value))


def _number(value):
    if value is None or pd.isna(value):
        return "-"
    return f"{round(value, 3) + 0.0:.3f}"  # no -0.000


def _interval(bounds):
    if bounds is None or any(value is None or pd.isna(value) for value in bounds):
        return ""
    return f"[{bounds[0]:.3f}, {bounds[1]:.3f}]"


def _img(png, text):
    data = base64.b64encode(png).decode("ascii")
    return f'<img alt="{html.escape(text)}" src="data:image/png;base64,{data}">'


def _figure_bytes(figure):
    file = io.BytesIO()
    figure.savefig(file, dpi=130, format="png")
    return file.getvalue()


def _picture_bytes(picture):
    image = Image.fromarray(picture)
    image.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
