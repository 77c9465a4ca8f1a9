"""report.html: one page with everything, which asks no other address for anything.

Pictures are part of the file, there is no script, and a policy in its head forbids the
browser to load anything. The page shows metrics; it computes none.
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
.scroll { overflow-x: auto; }
.facts td, .facts th { text-align: left; white-space: normal; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25em .8em; text-align: right; white-space: nowrap;
         border-bottom: 1px solid #e4e4e4; }
th:first-child, td:first-child { text-align: left; }
.figures, .cases { display: flex; flex-wrap: wrap; gap: 1em; }
.figures img { width: 340px; } .cases figure { margin: 0; width: 250px; }
.cases img { width: 100%; } figcaption { font-size: 13px; overflow-wrap: anywhere; }
"""


def write_page(path, title, facts, metrics, per_image, cases=None):
    """Write report.html.

    title: of the page. facts: {name: text}, what was evaluated. metrics: of analyse,
    with what the command added. per_image: of score_images.
    cases: {heading: list of (caption, picture uint8 [h, w, 3])}.
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
        '<meta name="viewport" content="width=device-width">'
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
# Key of the metrics, heading, note; each is a list of rows.
SECTIONS = [
    (
        "comparison",
        "Against another model",
        "The same images, resampled together. p is two-sided and not corrected for "
        "the number of rows.",
    ),
    (
        "tta",
        "Test-time augmentation",
        "value: the mean of four mirror images, which is what this page shows; other: "
        "one look at each image.",
    ),
    (
        "subgroups",
        "Subgroups",
        "Small groups have wide intervals, and one of no width says that no image of "
        "the group disagreed, not that the value is certain. A difference between two "
        "of many groups is no proof. Skin tone is estimated from the photograph.",
    ),
    ("coco", "Average precision as in COCO", "Every detection counts, by its score."),
]


def score_rows(metrics):
    """DataFrame of all scores with their intervals, as text."""
    rows = []
    for task, name, value in flatten(metrics):
        row = {"task": task, "score": name, "value": _number(value)}
        interval = metrics.get("confidence_intervals", {}).get(task, {}).get(name)
        row["95 %"] = _interval(interval)
        rows.append(row | {"images": metrics[task]["images"]})
    return pd.DataFrame(rows)


def operating_rows(metrics):
    """DataFrame of the operating points, as text."""
    rows = []
    for point in metrics.get("operating_points", ()):
        row = {"asked for": f"{point['target']:.0%}"}
        row["threshold"] = _number(point["threshold"])
        row["SE on calibration images"] = _number(point["calibration_SE"])
        for name in ("SE", "SP", "PPV", "NPV", "AC"):
            interval = _interval(point.get(f"{name}_interval"))
            row[name] = f"{_number(point[name])} {interval}".strip()
        rows.append(row)
    return pd.DataFrame(rows)


def robustness_rows(metrics):
    """DataFrame of a row a corruption: the drop of each metric, as text."""
    rows = {}
    for drop in metrics.get("robustness", ()):
        row = rows.setdefault(drop["corruption"], {"corruption": drop["corruption"]})
        text = f"{_number(drop['drop'])} {_interval((drop['low'], drop['high']))}"
        row[f"{drop['metric']}, clean {_number(drop['clean'])}"] = text
    return pd.DataFrame(rows.values())


def _facts(facts):
    rows = pd.DataFrame(facts.items(), columns=["what", "value"])
    table = f'<div class="facts">{_table(rows)}</div>'
    return _section("What was evaluated", table)


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
    return _section("Curves", f'<div class="figures">{"".join(pictures)}</div>')


def _probabilities(metrics):
    text = ""
    if "operating_points" in metrics:
        note = "Thresholds chosen on the calibration images, applied to these."
        text += _section("Operating points", _table(operating_rows(metrics)), note)
    calibration = metrics.get("calibration", {})
    rows = [
        {"P(malignant)": name} | {n: _number(v) for n, v in calibration[key].items()}
        for key, name in (("raw", "as it is"), ("scaled", "temperature-scaled"))
        if key in calibration
    ]
    if rows:
        risk = metrics["risk_coverage"]
        note = (
            "ECE, Brier score and negative log-likelihood; 0 is best. Error rate of "
            f"the surest 80 %: {_number(risk['risk_at_80'])}; area under risk and "
            f"coverage: {_number(risk['AURC'])}."
        )
        text += _section("Calibration", _table(pd.DataFrame(rows)), note)
    return text


def _rows(metrics, key, heading, note):
    """A section for a list of rows, or for a dict of dicts; "" without."""
    value = metrics.get(key)
    if not value:
        return ""
    if isinstance(value, dict):
        value = [{"": name} | row for name, row in value.items()]
    table = pd.DataFrame(value)
    for name in [n for n in table if f"{n}_low" in table]:
        bounds = zip(table.pop(f"{name}_low"), table.pop(f"{name}_high"), strict=True)
        table[name] = [
            f"{_number(v)} {_interval(b)}"
            for v, b in zip(table[name], bounds, strict=True)
        ]
    return _section(heading, _table(table), note)


def _robustness(metrics):
    if not metrics.get("robustness"):
        return ""
    note = (
        "The same images, spoiled: how far each score drops below that of the clean "
        "images, with the paired 95 % interval. Below 0 is a rise."
    )
    return _section("Robustness", _table(robustness_rows(metrics)), note)


def _explanation(metrics):
    shares = metrics.get("explanation")
    if not shares:
        return ""
    note = (
        "Grad-CAM of P(malignant): the share of its heat inside the true outline, "
        "beside the share of the image that the lesion covers, which is what heat "
        "spread evenly would have."
    )
    return _section("Explanation", _table(pd.DataFrame([shares])), note)


def _cases(heading, pictures):
    shown = [
        f"<figure>{_img(_picture_bytes(picture), caption)}"
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        for caption, picture in pictures
    ]
    inside = f'<div class="cases">{"".join(shown)}</div>'
    return _section(f"Cases: {heading}", inside)


def _section(heading, content, note=""):
    note = f'<p class="note">{html.escape(note)}</p>' if note else ""
    return f"<section><h2>{html.escape(heading)}</h2>{note}{content}</section>\n"


def _table(rows):
    table = rows.to_html(index=False, border=0, na_rep="-", float_format=_number)
    return f'<div class="scroll">{table}</div>'


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
