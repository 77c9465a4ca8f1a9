"""Run the paper's ablation study on any data set, with attention and dilation added.

    mrcnn-skin ablation --dataset=DIR --weights=coco --out=study
    mrcnn-skin ablation --out=study        # resume the study
    mrcnn-skin ablation --out=study --tables backbones --seeds 0 1 2 3

A cell is one combination of settings. Each is trained in a folder of its own,
OUT/CELL-seedN, and the weights of its best validation epoch are scored on the test
images. After each cell, ablation.md, a .csv per table, runs.csv (all single runs) and
not_run.csv are updated. Finished cells are not run again; interrupted ones resume. The
method in all tables is FL + JL with all tasks.

Exit status: 0 all requested cells are finished; 1 some could not be run and are listed
with a reason; 2 a mistake in the options or the data.
"""

import argparse
import gc
import json
from pathlib import Path

from ..atomic import write_text
from . import command, datasets, options, training_run

RESUME = "the same command resumes the study"
# Options that may change between two calls; the others define the study
FREE = {"tables", "cells", "seeds", "batches"}
DEFAULTS = {
    **training_run.DEFAULTS,
    "weights": "coco",
    "backbone": "resnet50",
    "split": "test",
    "tables": ["losses", "tasks"],
    "cells": None,
    "seeds": [0, 1, 2],
    "batches": [1, 2],
}


def main(argv=None):
    """Run the command with options argv (None: of sys.argv); returns its status."""
    args = read_options(argv)
    from . import ablation_study as study

    config = training_run.make_config(args)
    training_run.make_model(config, args, args.out)  # refuse it now, not in every cell
    tables = study.make_tables(
        args.backbone, args.weights, config.IMAGES_PER_GPU, args.batches
    )
    cells = choose_cells(tables, args)
    data = open_data(args, config)
    if args.check_only:
        return 0
    remember_options(args)

    todo = [(cell, seed) for seed in args.seeds for cell in cells]
    reasons = {(cell.name, seed): "not finished yet" for cell, seed in todo}
    results = study.read_results(args.out)
    for number, (cell, seed) in enumerate(todo, 1):
        print(f"\ncell {number} of {len(todo)}: {cell.name}, seed {seed}")
        if (cell.name, seed) in results:
            print("finished before")
        else:
            reasons[cell.name, seed] = run_cell(cell, seed, data, args)
            results = study.read_results(args.out)
        missing = study.not_run(tables, args.seeds, results, reasons)
        scores = study.all_scores(results)
        study.write_report(args.out, tables, introduce(args), scores, missing)
    print(f"written to {Path(args.out).resolve() / 'ablation.md'}")
    return 0 if all(key in results for key in reasons) else 1


def read_options(argv):
    """Merge the options of the command line, of the study in --out, and defaults."""
    given = vars(make_parser().parse_args(argv))
    path = Path(given["out"]) / "study.json"
    stored = training_run.read_options(path) if path.exists() else {}
    quick = {**training_run.QUICK, "backbone": training_run.QUICK_CONFIG["BACKBONE"]}
    if "tables" in given:
        stored.pop("cells", None)
    options = {**DEFAULTS, **(quick if given.get("quick") else {}), **stored, **given}
    options["dataset"] = options["dataset"] or datasets.default_dataset()
    changed = [n for n in stored if n not in FREE and options[n] != stored[n]]
    if changed:
        name = changed[0]
        raise ValueError(
            f"{given['out']} holds a study with {name} {stored[name]!r}, got "
            f"{options[name]!r}: choose another --out"
        )
    options["logs"] = options["out"]
    return argparse.Namespace(**options)


def remember_options(args):
    """Write OUT/study.json, from which the study resumes."""
    names = sorted(set(DEFAULTS) - {"logs", "run", "seed", "check_only"})
    training_run.write_options(Path(args.out) / "study.json", args, names)


def make_parser():
    """Build the parser of the command's options."""
    from .ablation_study import list_cells

    parser = command.Parser(
        "ablation",
        description=__doc__,
        epilog=list_cells(),
        argument_default=argparse.SUPPRESS,
    )
    add = parser.add_argument
    add("--out", default="ablation", help="folder of the study (default: ablation)")
    add(
        "--tables",
        nargs="+",
        metavar="TABLE",
        help="run the cells of these tables, listed below (default: losses tasks)",
    )
    add(
        "--cells",
        nargs="+",
        metavar="CELL",
        help="run these cells, listed below, instead of whole tables",
    )
    add("--seeds", nargs="+", type=int, metavar="N", help="(default: 0 1 2)")
    add(
        "--batches",
        nargs="+",
        type=int,
        metavar="N",
        help="batch sizes per device for the table batch (default: 1 2)",
    )
    add(
        "--split",
        choices=("val", "test"),
        help="images to score; val also chooses the epoch (default: test)",
    )
    add(
        "--weights",
        metavar="coco|imagenet|none|PATH",
        help="weights to start from, but in the table initialisation (default: coco)",
    )
    training_run.add_data_options(add)
    training_run.add_recipe_options(add)
    options.add_config_options(parser, DEFAULTS["backbone"], options.SIDES_IN_WORDS)
    return parser


def choose_cells(tables, args):
    """Return the cells of --cells, or else of --tables, each once, in order."""
    known = {cell.name: [cell] for rows in tables.values() for cell in rows.values()}
    option, names = "--cells", args.cells
    if args.cells is None:
        option, names = "--tables", args.tables
        known = {table: rows.values() for table, rows in tables.items()}
    for name in names:
        if name not in known:
            raise ValueError(f"{option} must be of {', '.join(known)}, got {name}")
    return list({cell.name: cell for name in names for cell in known[name]}.values())


def open_data(args, config):
    """Open the training, validation and test images."""
    train, val, test, dropped = training_run.open_datasets(args, config)
    datasets.write_dropped(dropped, args.out)
    if args.split == "val":
        test = val
    elif args.dataset != "synthetic":
        test = datasets.open_scored(args.dataset, "test", config, args)
    return train, val, test


def run_cell(cell, seed, data, args):
    """Train and score a cell, or resume it; return why it failed, or None."""
    from ..weights_io.downloads import DownloadError

    # Errors of this cell alone: settings or weights that do not fit, a loss that is
    # not finite, memory, another process
    no_cell = ValueError, ArithmeticError, MemoryError, BlockingIOError, DownloadError
    try:
        train_and_score(cell, seed, data, args)
    except no_cell as error:
        print(f"skipped: {error}")
        return str(error)
    return None


def train_and_score(cell, seed, data, args):
    """Train and score a cell; write cell.json last, as the mark of a finished cell."""
    import keras

    from ..evaluation.scoring import evaluate
    from ..training.checkpoint import CheckpointFolder
    from . import ablation_study as study

    options = argparse.Namespace(**{**vars(args), **cell.options, "seed": seed})
    config = training_run.make_config(options).replace(**cell.settings)
    train, val, test = data

    keras.utils.clear_session()  # of the cell before
    gc.collect()
    model, stages = training_run.make_model(config, options, args.out)
    run_dir = model.set_log_dir(f"{cell.name}-seed{seed}")
    if not CheckpointFolder(run_dir).states():
        weights = training_run.find_weights(options.weights)
        if weights:
            model.load_weights(weights)
    model.train(train, val, stages=stages, verbose=2)
    training_run.load_best(model, run_dir)
    evaluate(model.ready_detector(), test, run_dir / "evaluation")
    text = json.dumps({**cell._asdict(), "seed": seed}, indent=2)
    write_text(run_dir / study.FINISHED, text + "\n")


def introduce(args):
    """Return a paragraph on the settings and on how to read the tables."""
    stages = training_run.find_stages(args)
    steps = f", {args.steps_per_epoch} steps an epoch" if args.steps_per_epoch else ""
    side = f" at {args.image_size} px" if args.image_size else ""
    chosen = ", which also chose the epoch" if args.split == "val" else ""
    return (
        f"Trained on {args.dataset}{side}: backbone {args.backbone}, weights "
        f"{args.weights}, stages {stages}{steps}; scored on the {args.split} "
        f"images{chosen}. Mean ± standard deviation over seeds, which does not include "
        "the sampling of the images. SE of masks counts pixels, SE counts images."
    )
