"""Write report.html, a self-contained page (templates/report.html).

Pictures are embedded, there is no script, and a policy forbids the browser to load
anything. On narrow screens each row of a table becomes a block.
"""

import base64
import html
import io
from importlib import resources
from string import Template

import pandas as pd
from PIL import Image

from ..atomic import write_text
from . import figures
from .statistics import diagnoses
from .tables import (
    calibration_rows,
    cell,
    explanation_rows,
    listed_rows,
    number,
    operating_rows,
    robustness_rows,
    score_rows,
)

PICTURE_SIDE = 420  # pixels, of the longer side
NOTICE = "Research software. It is no medical device, and nothing here is a diagnosis."
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
# Heading, note and table of the sections that are shown if there are rows
SECTIONS = [
    (
        "Operating points",
        "Thresholds chosen on the calibration images, applied to these.",
        operating_rows,
    ),
    (
        "Calibration",
        "ECE: expected calibration error; brier: Brier score; NLL: negative "
        "log-likelihood; 0 is best. Error rate of the most certain 80 %: {risk_at_80}; "
        "area under risk and coverage (AURC): {AURC}.",
        calibration_rows,
    ),
    (
        "Against another model",
        "Paired bootstrap on the same images. p is two-sided and not corrected for the "
        "number of rows.",
        lambda metrics: listed_rows(metrics, "comparison"),
    ),
    (
        "Test-time augmentation",
        "value: mean over four mirror images, as on this page; other: without it.",
        lambda metrics: listed_rows(metrics, "tta"),
    ),
    (
        "Subgroups",
        "Small groups have wide intervals. An interval of width 0 means that all "
        "images of the group agree, not that the value is certain. One difference "
        "among many groups proves nothing. Skin tone is estimated from the image. See "
        "Scores for abbreviations.",
        lambda metrics: listed_rows(metrics, "subgroups"),
    ),
    (
        "Average precision as in COCO",
        "All detections, ranked by score. AP is averaged over IoU thresholds from .50 "
        "to .95; AP50 and AP75 are at .50 and .75.",
        lambda metrics: listed_rows(metrics, "coco"),
    ),
    (
        "Robustness",
        "Drop of each score from the clean to the corrupted images, with its paired "
        "95 % interval; negative values are gains.",
        robustness_rows,
    ),
    (
        "Explanation",
        "Grad-CAM (gradient-weighted class activation map) of P(malignant). The share "
        "of uniform heat inside the outline is the lesion's share of the image.",
        explanation_rows,
    ),
]


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
    evaluated = pd.DataFrame(facts.items(), columns=["item", "value"])
    warned = map(html.escape, metrics.get("warnings", ()))
    risk = {name: number(x) for name, x in metrics.get("risk_coverage", {}).items()}
    tables = [(heading, note, rows(metrics)) for heading, note, rows in SECTIONS]
    body = [
        _section("What was evaluated", _table(evaluated)),
        *(f'<p class="notice">Warning: {text}</p>' for text in warned),
        _section("Scores", _table(score_rows(metrics)), SCORES_NOTE),
        _curves(metrics, per_image),
        *(
            _section(heading, _table(rows), note.format(**risk))
            for heading, note, rows in tables
            if len(rows)
        ),
        *(_cases(name, pictures) for name, pictures in (cases or {}).items()),
    ]
    title = html.escape(title)
    fields = {"title": title, "notice": NOTICE, "body": "".join(body)}
    write_text(path, template("report.html").substitute(fields))


def template(name):
    """Return a file of mrcnn_skin/templates as a string.Template."""
    path = resources.files("mrcnn_skin") / "templates" / name
    return Template(path.read_text(encoding="utf-8"))


def img(pixels, text, side=PICTURE_SIDE, kind="png"):
    """Return a picture, uint8 [h, w, 3], as an HTML element that holds its bytes.

    Args:
        pixels: the picture, which is shrunk to the side.
        text: for readers who do not see it.
        side: longest side in pixels.
        kind: png or jpeg.
    """
    picture, file = Image.fromarray(pixels), io.BytesIO()
    picture.thumbnail((side, side))
    picture.save(file, kind, quality=90)
    return _embedded(file, text, kind)


def _embedded(file, text, kind="png"):
    data = base64.b64encode(file.getvalue()).decode("ascii")
    return f'<img alt="{html.escape(text)}" src="data:image/{kind};base64,{data}">'


def _curves(metrics, per_image):
    drawn = []
    labels, p = diagnoses(per_image)
    if labels.any() and not labels.all():
        temperature = metrics.get("calibration", {}).get("temperature")
        drawn = [
            figures.plot_roc(labels, p, metrics.get("operating_points", ())),
            figures.plot_precision_recall(labels, p),
            figures.plot_reliability(labels, p, temperature),
            figures.plot_risk_coverage(labels, p),
        ]
    jaccard = per_image["JA"].dropna()
    if len(jaccard):
        drawn.append(figures.plot_jaccard(jaccard))
    pictures = []
    for figure in drawn:
        file = io.BytesIO()
        figure.savefig(file, dpi=130, format="png")
        pictures.append(_embedded(file, figure.axes[0].get_title()))
    inside = f'<div class="figures">{"".join(pictures)}</div>'
    return _section("Curves", inside, CURVES_NOTE if len(drawn) > 1 else "")


def _cases(heading, pictures):
    shown = []
    for lines, picture in pictures:
        caption = "<br>".join(_line(html.escape(line)) for line in lines)
        image = img(picture, ", ".join(lines))
        shown.append(f"<figure>{image}<figcaption>{caption}</figcaption></figure>")
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
        cells = zip(names, row, strict=True)
        cells = [
            f'<td data-label="{n}">{html.escape(cell(value))}</td>'
            for n, value in cells
        ]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    heads = "".join(f"<th>{name}</th>" for name in names)
    return (
        f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    )
