"""The cells, tables and results of the paper's ablation study.

A cell is one combination of settings, run once per seed. It may be in several tables.
Training and scoring are in ablation.py.
"""

import json
import textwrap
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from ..atomic import write_text
from ..evaluation.tables import markdown_table, number

FINISHED = "cell.json"  # in the run folder of a finished cell
FIRST_SETTINGS = {
    "RPN_CLASS_LOSS": "cross_entropy",
    "CLASS_LOSS": "cross_entropy",
    "MASK_LOSS": "bce",
}
# The paper's method: focal loss as in its equation, Jaccard loss of the masks
METHOD = {
    **FIRST_SETTINGS,
    "RPN_CLASS_LOSS": "focal",
    "MASK_LOSS": "bce+jaccard",
}
# {column: (task, name) in metrics.json}
SCORES = {
    "JA": ("segmentation", "JA"),
    "DI": ("segmentation", "DI"),
    "SE of masks": ("segmentation", "SE"),
    "box IoU": ("detection", "box_iou"),
    "AC": ("classification", "AC"),
    "SE": ("classification", "SE"),
    "SP": ("classification", "SP"),
    "AP": ("classification", "AP"),
    "AUC": ("classification", "AUC"),
}


class Cell(NamedTuple):
    """A named combination of settings.

    Attributes:
        name: of the cell.
        options: of the command train that differ from the study's.
        settings: Config fields.
    """

    name: str
    options: dict
    settings: dict


def make_tables(backbone, weights, images_per_device, batches):
    """Return {table: {row: Cell}}, the tables of the paper and two more.

    Cells that do not differ from the options of the study, backbone, weights and
    images_per_device, are one cell: the paper's method. batches: images per device in
    the table of batch sizes.
    """
    method = Cell("fl+jl", {}, METHOD)

    def cell(name, **settings):
        return Cell(name, {}, METHOD | settings)

    def loss(name, **settings):
        return Cell(name, {}, FIRST_SETTINGS | settings)

    def options(option, values, base):
        rows = {}
        for value in dict.fromkeys([*values, base]):
            name = Path(str(value)).stem  # weights may be a path
            other = Cell(f"{option}-{name}", {option: value}, METHOD)
            rows[name] = method if value == base else other
        return rows

    jaccard = loss("jl", MASK_LOSS="bce+jaccard")
    return {
        "losses": {
            "CE": loss("ce"),
            "FL": loss("fl", RPN_CLASS_LOSS="focal"),
            "JL": jaccard,
            "FL + JL": method,
        },
        # Not in the paper, which does not say where its focal loss is used
        "focal": {
            "in neither": jaccard,
            "in the RPN": method,
            "in Classify": cell(
                "head-fl+jl", RPN_CLASS_LOSS="cross_entropy", CLASS_LOSS="focal"
            ),
            "in both": cell("both-fl+jl", CLASS_LOSS="focal"),
        },
        "tasks": {
            "multi-task": method,
            "no mask head": cell("classify", TASKS=("classify", "detect")),
            "no diagnosis": cell("segment", TASKS=("detect", "segment")),
        },
        "backbones": options("backbone", ("resnet50", "resnet101"), backbone),
        "initialisation": options("weights", ("none", "imagenet", "coco"), weights),
        "batch": options("images_per_device", batches, images_per_device),
        # The paper's future work
        "attention": {
            "none": method,
            "squeeze-and-excitation": cell("se", FPN_ATTENTION="se"),
            "CBAM": cell("cbam", FPN_ATTENTION="cbam"),
            "context": cell("context", CLASSIFY_CONTEXT=64),
            "dilation": cell("dilation", BACKBONE_DILATION=2),
        },
    }


CAPTIONS = {
    "losses": "Cross-entropy (CE), focal loss in the RPN (FL), Jaccard loss added to "
    "the masks' cross-entropy (JL).",
    "focal": "Position of the focal loss, all with JL. Not a table of the paper.",
    "tasks": "FL + JL with all heads, and without one of them.",
    "backbones": "FL + JL with other backbones.",
    "initialisation": "FL + JL with other initial weights.",
    "batch": "FL + JL by images per device. With a fixed number of steps per epoch, a "
    "larger batch sees more images.",
    "attention": "FL + JL with attention after each pyramid level, with the mean of "
    "the whole image for the diagnosis, and with a dilated last backbone stage.",
}


def list_cells():
    """List the cells of each table, for --help."""
    lines = ["tables and their cells, with the default options:"]
    for table, rows in make_tables("resnet50", "coco", 2, [1, 2]).items():
        cells = ", ".join(f"{cell.name} ({row})" for row, cell in rows.items())
        lines += textwrap.wrap(f"{table}: {cells}", 80, subsequent_indent="    ")
    return "\n  ".join(lines)


def read_results(out):
    """Read the finished cells of a study: {(cell name, seed): metrics}."""
    found = {}
    for path in sorted(Path(out).glob(f"*/{FINISHED}")):
        cell = json.loads(path.read_text(encoding="utf-8"))
        metrics = path.with_name("evaluation") / "metrics.json"
        text = metrics.read_text(encoding="utf-8")
        found[cell["name"], cell["seed"]] = json.loads(text)
    return found


def all_scores(results):
    """Return a DataFrame of the single runs: cell, seed, SCORES (nan if missing)."""
    rows = [
        {"cell": cell, "seed": seed}
        | {name: metrics.get(task, {}).get(key) for name, (task, key) in SCORES.items()}
        for (cell, seed), metrics in results.items()
    ]
    table = pd.DataFrame(rows, columns=["cell", "seed", *SCORES])
    return table.astype(dict.fromkeys(SCORES, float))


def summarize_table(rows, scores):
    """Average the scores of one table, {row: Cell}, over seeds.

    Returns:
        DataFrame of row, cell, seeds, and for each of SCORES "<score>_mean" and
        "<score>_std", the standard deviation over seeds (n - 1), nan for one seed.
    """
    summary = pd.DataFrame(
        {"row": [*rows], "cell": [cell.name for cell in rows.values()]}
    )
    runs = scores.groupby("cell")
    counts = runs.size().reindex(summary["cell"], fill_value=0)
    summary["seeds"] = counts.to_numpy()
    averages = runs[list(SCORES)].agg(["mean", "std"]).reindex(summary["cell"])
    averages.columns = [f"{score}_{kind}" for score, kind in averages.columns]
    return summary.join(averages.reset_index(drop=True))


def in_words(summary):
    """Format a table of summarize_table as "mean ± deviation"; drop empty columns."""
    shown = summary[["row", "seeds"]].rename(columns={"row": ""})
    for name in SCORES:
        means, spreads = summary[f"{name}_mean"], summary[f"{name}_std"]
        if means.notna().any():
            shown[name] = [
                number(mean) + ("" if pd.isna(std) else f" ± {std:.3f}")
                for mean, std in zip(means, spreads, strict=True)
            ]
    shown["seeds"] = [str(n) if n else "not run" for n in shown["seeds"]]
    return shown


def not_run(tables, seeds, results, reasons):
    """Return a DataFrame of cell, seed and reason of all cells without results.

    reasons: {(cell name, seed): why}, of the cells that were requested.
    """
    cells = {cell.name for rows in tables.values() for cell in rows.values()}
    keys = [(name, seed) for name in sorted(cells) for seed in seeds]
    rows = [
        (*key, reasons.get(key, "not requested")) for key in keys if key not in results
    ]
    return pd.DataFrame(rows, columns=["cell", "seed", "reason"])


def write_report(out, tables, introduction, scores, missing):
    """Write OUT/ablation.md, a .csv per table, runs.csv and not_run.csv.

    scores: of all_scores; missing: of not_run.
    """
    parts = ["# Ablation study", introduction]
    files = {"runs": scores, "not_run": missing}
    for name, rows in tables.items():
        files[name] = summarize_table(rows, scores)
        parts += [f"## {name.capitalize()}", CAPTIONS[name]]
        parts.append(markdown_table(in_words(files[name])))
    parts += ["## Not run", markdown_table(missing) or "None."]
    for name, table in files.items():
        write_text(Path(out, f"{name}.csv"), table.to_csv(index=False))
    write_text(Path(out, "ablation.md"), "\n\n".join(parts) + "\n")
