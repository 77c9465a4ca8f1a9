"""The paper's ablation study on any data set, and attention and dilation beside it.

    mrcnn-skin ablation --dataset=DIR --weights=coco --out=study
    mrcnn-skin ablation --out=study        resumes the study
    mrcnn-skin ablation --out=study --tables backbones --seeds 0 1 2 3

Every cell is trained like a run of train.py, in a folder of its own, OUT/CELL-seedN,
and scored with the weights of its best validation epoch on images that chose nothing.
After each, ablation.md, a .csv of every table and of the single runs (runs.csv), and
not_run.csv are written anew. A finished cell is not run again; one that was stopped
goes on from its checkpoint. The method that all tables share is FL + JL with all tasks.

Exit status: 0 all that was asked for is there; 1 some cells could not be run, and are
listed with the reason; 2 a mistake in the options or the data.
"""

import argparse
import gc
import json
from pathlib import Path

from . import command, datasets, options, training_run

RESUME = "the same command resumes the study"
# Between two calls only these may change; all else makes another study.
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
    training_run.require_stages(args, config)  # a mistake in them ends the study
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
    """Options of the command line, of the study that --out holds, and defaults.

    Raises ValueError if the study was begun with others.
    """
    given = vars(make_parser().parse_args(argv))
    path = Path(given["out"]) / "study.json"
    stored = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    quick = {
        **training_run.QUICK,
        "backbone": training_run.QUICK_CONFIG["BACKBONE"],
    }
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
    """Write OUT/study.json, from which the study goes on."""
    from ..atomic import written_whole

    names = set(DEFAULTS) - {"logs", "run", "seed", "check_only"}
    kept = {name: getattr(args, name) for name in sorted(names)}
    path = Path(args.out) / "study.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as partial:
        partial.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


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
        help="images per device in the table of batch sizes (default: 1 2)",
    )
    add(
        "--split",
        choices=("val", "test"),
        help="images to score on; those of val also choose the epoch (default: test)",
    )
    add(
        "--weights",
        metavar="coco|imagenet|none|PATH",
        help="that all cells start from but those on initialisation (default: coco)",
    )
    training_run.add_data_options(add)
    training_run.add_recipe_options(add)
    options.add_config_options(parser, DEFAULTS["backbone"], options.SIDES_IN_WORDS)
    return parser


def choose_cells(tables, args):
    """The cells that --cells, or else --tables, ask for, each once, in order."""
    known = {cell.name: cell for rows in tables.values() for cell in rows.values()}
    if args.cells is not None:
        require_known("--cells", args.cells, known)
        return [known[name] for name in dict.fromkeys(args.cells)]
    require_known("--tables", args.tables, tables)
    wanted = [cell for table in args.tables for cell in tables[table].values()]
    return list({cell.name: cell for cell in wanted}.values())


def require_known(option, names, known):
    for name in names:
        if name not in known:
            raise ValueError(f"{option} must be of {', '.join(known)}, got {name}")


def open_data(args, config):
    """Images to train on, to validate with, and to score on."""
    train, val, test, dropped = training_run.open_datasets(args, config)
    datasets.write_dropped(dropped, args.out)
    if args.split == "val":
        test = val
    elif args.dataset != "synthetic":
        test = datasets.open_scored(args.dataset, "test", config, args)
    return train, val, test


def run_cell(cell, seed, data, args):
    """Train and score a cell, or what is left of it. Returns why it cannot be, or None.

    The reasons are what concerns this cell alone: settings or weights that do not fit
    it, a loss that is not finite, memory, another process. Anything else ends the
    study.
    """
    from ..weights_io.downloads import DownloadError

    no_cell = ValueError, ArithmeticError, MemoryError, BlockingIOError, DownloadError
    try:
        train_and_score(cell, seed, data, args)
    except no_cell as error:
        print(f"left out: {error}")
        return str(error)
    return None


def train_and_score(cell, seed, data, args):
    """Leave a whole run folder; cell.json comes last, and says that it is finished."""
    import keras

    from .. import MaskRCNN
    from ..atomic import written_whole
    from ..training.checkpoint import CheckpointFolder
    from ..training.stages import parse_stages
    from . import ablation_study as study

    options = argparse.Namespace(**{**vars(args), **cell.options, "seed": seed})
    config = training_run.make_config(options).replace(**cell.settings)
    stages = parse_stages(training_run.find_stages(options))
    train, val, test = data

    keras.utils.clear_session()  # of the cell before
    gc.collect()
    model = MaskRCNN("training", config, args.out)
    run_dir = model.set_log_dir(f"{cell.name}-seed{seed}")
    if not CheckpointFolder(run_dir).states():
        weights = training_run.find_weights(options.weights)
        if weights:
            model.load_weights(weights)
    model.train(train, val, stages=stages, verbose=2)
    training_run.score_best(model, test, run_dir)
    with written_whole(run_dir / study.FINISHED) as partial:
        text = json.dumps({**cell._asdict(), "seed": seed}, indent=2)
        partial.write_text(text + "\n", encoding="utf-8")


def introduce(args):
    """What was trained on what, and how to read the tables."""
    stages = training_run.find_stages(args)
    steps = f", {args.steps_per_epoch} steps an epoch" if args.steps_per_epoch else ""
    side = f" at {args.image_size} px" if args.image_size else ""
    chosen = ", which also chose the epoch" if args.split == "val" else ""
    return (
        f"Trained on {args.dataset}{side}: backbone {args.backbone}, weights "
        f"{args.weights}, stages {stages}{steps}; scored on the {args.split} "
        f"images{chosen}. Mean ± standard deviation between seeds; the images' own "
        "sampling is not in it. SE of masks counts pixels, SE images."
    )
