"""The whole analysis of a small table, the page, and the card it is told in."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from mrcnn_skin.evaluation.html_report import template, write_page
from mrcnn_skin.evaluation.model_card import write_model_card
from mrcnn_skin.evaluation.scoring import write_tables
from mrcnn_skin.evaluation.statistics import analyse, choose_cases
from mrcnn_skin.evaluation.summary import COLUMNS, SEGMENTATION
from mrcnn_skin.evaluation.tables import interval, score_rows

TRIPOD, CLEAR_DERM = (
    re.findall("^### (.*)\n\n(.*)$", part, re.MULTILINE)
    for part in template("model_card.md").template.split("## CLEAR Derm")
)


def table(count=40, seed=0):
    rng = np.random.default_rng(seed)
    malignant = np.arange(count) % 4 == 0
    columns = {
        "image": [f"ISIC_{seed}{i:06d}" for i in range(count)],
        "true_class": np.where(malignant, "malignant", "benign"),
        "p_malignant": np.clip(rng.normal(0.4 + 0.2 * malignant, 0.2), 0.01, 0.99),
        "low_confidence": False,
        "box_iou": rng.random(count),
        **{name: rng.random(count) for name in SEGMENTATION},
        "sex": np.where(np.arange(count) % 2, "male", "female"),
        "age": rng.integers(20, 80, count),
    }
    return pd.DataFrame(columns, columns=list(dict.fromkeys([*COLUMNS, *columns])))


FACTS = {"model": "a <b>model</b>", "data": "generated", "weights": "x.h5"}


@pytest.fixture(scope="module")
def metrics():
    images = table()
    other = images.assign(JA=images["JA"] / 2)
    return analyse(images, table(seed=1), other, resamples=100)


def test_analysis_holds_everything_that_was_asked_for(metrics):
    low, high = metrics["confidence_intervals"]["segmentation"]["JA"]
    assert low < metrics["segmentation"]["JA"] < high
    assert metrics["calibration"]["images"] == 40
    assert [p["target"] for p in metrics["operating_points"]] == [0.8, 0.9, 0.95]
    for point in metrics["operating_points"]:
        low, high = point["SE_interval"]
        assert point["calibration_SE"] >= point["target"] and low <= point["SE"] <= high
    assert {row["by"] for row in metrics["subgroups"]} == {"sex", "age"}
    halved = next(row for row in metrics["comparison"] if row["metric"] == "JA")
    assert halved["difference"] == pytest.approx(metrics["segmentation"]["JA"] / 2)
    assert halved["p"] < 0.05


def test_warnings_are_on_the_page(tmp_path, metrics):
    warned = metrics | {"warnings": ["chosen on <training> images"]}
    write_page(tmp_path / "report.html", "x", FACTS, warned, table())
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Warning: chosen on &lt;training&gt; images" in page


def test_analysis_holds_what_the_detector_was_asked_besides():
    images = table().assign(heat_inside=0.5, true_area_share=0.25)
    images.loc[0, "heat_inside"] = np.nan
    metrics = analyse(
        images,
        resamples=20,
        unreadable=3,
        coco={"box": {"AP": 0.5}},
        plain=table().assign(JA=images["JA"] / 2),
        robustness=pd.DataFrame(ROBUSTNESS),
        warnings=["chosen on training images"],
    )
    assert metrics["unreadable"] == 3 and metrics["coco"]["box"]["AP"] == 0.5
    assert metrics["explanation"] == {
        "images": 39,
        "heat_inside": 0.5,
        "true_area_share": 0.25,
    }
    halved = next(row for row in metrics["tta"] if row["metric"] == "JA")
    assert halved["difference"] == pytest.approx(metrics["segmentation"]["JA"] / 2)
    assert metrics["robustness"] == ROBUSTNESS
    assert metrics["warnings"] == ["chosen on training images"]


def test_without_calibration_images_nothing_is_chosen():
    metrics = analyse(table(), resamples=0)
    assert "operating_points" not in metrics
    assert set(metrics["calibration"]) == {"raw"}
    assert not {"confidence_intervals", "subgroups", "comparison"} & set(metrics)


def test_metrics_are_valid_json(metrics, tmp_path):
    write_tables(tmp_path, table(), metrics)
    text = (tmp_path / "metrics.json").read_text()
    written = json.loads(text, parse_constant=pytest.fail)
    assert written["operating_points"][0]["SE"] == metrics["operating_points"][0]["SE"]


def test_cases_by_hand():
    images = table(5).assign(
        JA=[0.5, 0.9, 0.1, 0.7, np.nan], p_malignant=[0.2, 0.9, 0.1, 0.6, 0.3]
    )  # the first and the last are malignant
    cases = choose_cases(images, 1)
    chosen = {name: int(row["image"][-1]) for name, (row,) in cases.items()}
    assert chosen == {
        "best outlines": 1,
        "median outlines": 3,
        "worst outlines": 2,
        "malignant lesions with the lowest probability": 0,
        "benign lesions with the highest probability": 1,
    }


def test_the_page_asks_nobody_for_anything(metrics, tmp_path):
    picture = np.full((30, 40, 3), 120, np.uint8)
    cases = {"worst outlines": [(["<script>alert(1)</script>"], picture)]}
    more = {"coco": {"box": {"AP": 0.5}}, "robustness": ROBUSTNESS}
    write_page(tmp_path / "report.html", "A & B", FACTS, metrics | more, table(), cases)
    page = (tmp_path / "report.html").read_text()
    sources = re.findall(r'(?:src|href|action)="([^"]*)"', page)
    assert len(sources) == 6  # five curves, one case
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert "http:" not in page and "https:" not in page and "url(" not in page
    assert "default-src 'none'" in page
    assert "<script" not in page and "<b>model" not in page  # all text is escaped
    assert "A &amp; B" in page
    for heading in ("Scores", "Operating points", "Calibration", "Subgroups"):
        assert f"<h2>{heading}</h2>" in page
    assert "0.100\n[0.050, 0.150]" in page  # the drop under hair


ROBUSTNESS = [
    {
        "corruption": "hair",
        "metric": "JA",
        "clean": 0.8,
        "value": 0.7,
        "drop": 0.1,
        "low": 0.05,
        "high": 0.15,
        "images": 40,
    }
]


def test_a_model_of_one_task_has_a_page_too(tmp_path):
    outlines = table().assign(p_malignant=np.nan)
    write_page(tmp_path / "a.html", "t", {}, analyse(outlines, resamples=20), outlines)
    diagnoses = table().assign(**dict.fromkeys([*SEGMENTATION, "box_iou"], np.nan))
    metrics = analyse(diagnoses, resamples=20)
    write_page(tmp_path / "b.html", "t", {}, metrics, diagnoses)
    assert "Jaccard" not in (tmp_path / "b.html").read_text()
    assert set(score_rows(metrics)["task"]) == {"classification"}


def test_the_card_has_every_heading_and_the_numbers(metrics, tmp_path):
    write_model_card(tmp_path / "card.md", "skin", FACTS, metrics, table())
    card = (tmp_path / "card.md").read_text()
    headings = re.findall("^### (.*)$", card, re.MULTILINE)
    assert headings == [heading for heading, _ in TRIPOD + CLEAR_DERM]
    numbers = [heading.split()[0] for heading, _ in TRIPOD]
    assert {n.rstrip("abcdef") for n in numbers} == {str(n) for n in range(1, 28)}
    assert len(CLEAR_DERM) == 25
    assert f"| JA | {metrics['segmentation']['JA']:.3f} |" in card
    assert "10 malignant" in card and "female 20" in card
    items = dict(re.findall("^### (.*)\n\n(.*)$", card, re.MULTILINE))
    assert items["17 Ethical approval"].startswith("Unknown")
    assert items["Data: public images"] == "See *5 Data: sources and dates*, above."
    assert items["Technical assessment: bias"].startswith("See *23 Model performance")
    for titles in ("| task | score |", "| by | group |", "| P(malignant) | ECE |"):
        assert card.count(titles) == 1, titles


def test_the_card_says_how_the_tone_of_the_skin_was_assessed(tmp_path):
    images = table().assign(ITA=np.where(np.arange(40) % 2, 60.0, -40.0))
    for per_image, words in ((table(), "Unknown"), (images, "individual typology")):
        metrics = analyse(per_image, resamples=10)
        write_model_card(tmp_path / "card.md", "skin", FACTS, metrics, per_image)
        card = (tmp_path / "card.md").read_text()
        item = card.split("### Data: skin tone and how it was assessed\n\n")[1]
        assert words in item.split("###")[0]


def test_every_score_is_explained_and_every_cell_knows_its_heading(metrics, tmp_path):
    rows = score_rows(metrics)
    assert len(rows) == 17 and rows["meaning"].str.len().gt(0).all()
    write_page(tmp_path / "report.html", "x", FACTS, metrics, table())
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("<td ") == page.count("<td data-label=")
    assert '<td data-label="score">AUC_SENS80</td>' in page


def test_intervals_have_no_negative_zero():
    assert interval((-0.0001, 0.25)) == "[0.000, 0.250]"
    assert interval((float("nan"), 0.25)) == interval(None) == ""
