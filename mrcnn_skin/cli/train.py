"""Train the multi-task network and evaluate it.

Writes a run folder, LOGS/RUN: config.json, run.json, checkpoints/, log.csv,
tensorboard/, losses.png, the weights of the last and of the best epoch as .h5, and
evaluation/ with the files that `mrcnn-skin evaluate` writes. Unusable files are skipped
and listed with a reason, also in dropped.csv.

    mrcnn-skin train --weights=coco
    mrcnn-skin train --dataset=DIR --weights=none --image-size=256
    mrcnn-skin train --dataset=synthetic --weights=none --quick
    mrcnn-skin train --weights=last                  # resume the newest run
    mrcnn-skin train --dataset=DIR --check-only      # check options and data

Exit status: 0 done; 1 a system error, such as a full disk; 2 a mistake in the options
or the data, or with --strict a dropped image.
"""

import argparse
from pathlib import Path

from . import command, datasets, evaluate, evaluation_run, info, options, training_run
from .trained_images import warn_of_trained_images
from .training_run import DEFAULTS, QUICK

RESUME = "mrcnn-skin train --weights=last resumes a run that has saved a state"


def main(argv=None):
    """Run the command with options argv (None: of sys.argv); returns its status."""
    given = vars(make_parser().parse_args(argv))
    stored, run_dir = stored_options(given)
    options = {**DEFAULTS, **(QUICK if given.get("quick") else {}), **stored, **given}
    args = argparse.Namespace(**options)

    from ..training.checkpoint import CheckpointFolder

    resuming = args.weights == "last"
    args.dataset = args.dataset or datasets.default_dataset()
    args.weights = stored.get("weights", args.weights)
    args.stages = training_run.find_stages(args)
    config = training_run.make_config(args)
    model, stages = training_run.make_model(config, args, args.logs)
    if args.check_only:
        training_run.open_datasets(args, model.config)
        return
    begun = resuming and CheckpointFolder(run_dir).states()
    weight_file = None if begun else training_run.find_weights(args.weights)
    if weight_file and args.dataset != "synthetic":
        folder = args.val_dataset or args.dataset
        splits = {"all" if args.val_dataset else "val"}
        for warning in warn_of_trained_images(weight_file, folder, splits, args):
            print(f"WARNING: {warning}")
    train, val, test, dropped = training_run.open_datasets(args, model.config)
    run_dir = model.set_log_dir(run_dir.name if resuming else args.run)
    if model.is_chief:
        if not resuming:
            start_folder(run_dir, args)
        datasets.write_dropped(dropped, run_dir)
        datasets.write_pseudo_masks(train, run_dir)
    if weight_file:
        model.load_weights(weight_file)
    print(f"run folder: {run_dir.resolve()}")
    info.print_devices()
    callbacks = [loss_curves(run_dir)] if model.is_chief else []
    model.train(train, val, stages=stages, custom_callbacks=callbacks)
    if model.is_chief:
        report(model, test, run_dir, dropped, args, chose_epoch=test is val)


def make_parser():
    """Build the parser of the command's options."""
    parser = command.Parser(
        "train", description=__doc__, argument_default=argparse.SUPPRESS
    )
    training_run.add_data_options(parser.add_argument)
    add_run_options(parser.add_argument)
    training_run.add_recipe_options(parser.add_argument)
    backbone = "resnet101 for --weights=coco, else resnet50"
    options.add_config_options(parser, backbone, options.SIDES_IN_WORDS)
    return parser


def add_run_options(add):
    """Add the options on the start and the folder of a run."""
    add(
        "--weights",
        default="coco",
        metavar="coco|imagenet|last|none|PATH",
        help="weights to start from: coco and imagenet are downloaded; last resumes "
        "the run --run, or the newest in --logs (default: coco)",
    )
    add("--logs", metavar="DIR", help="folder of all runs (default: logs)")
    add("--run", metavar="NAME", help="run folder in --logs (default: name and date)")
    add("--seed", type=int, help="of all random choices (default: 0)")


def stored_options(given):
    """Return options and folder of the run that --weights=last resumes; or {}, None.

    Options on the command line override the stored ones.
    """
    if given["weights"] != "last":
        return {}, None
    from ..training.checkpoint import find_last_run

    logs = Path(given.get("logs", DEFAULTS["logs"]))
    run_dir = logs / given["run"] if "run" in given else find_last_run(logs)
    path = run_dir / "run.json"
    if not path.exists():
        raise FileNotFoundError(f"{run_dir} holds no run to resume: no {path}")
    stored = training_run.read_options(path)
    fold = stored.get("fold")
    if given.get("fold", fold) != fold:
        raise ValueError(
            f"{run_dir} was begun with fold {fold}: --fold must not change, got "
            f"{given['fold']}; start another --run"
        )
    return stored, run_dir


def start_folder(run_dir, args):
    """Make the folder of a new run with run.json, the options for --weights=last."""
    if (run_dir / "run.json").exists():
        raise FileExistsError(
            f"{run_dir} already holds a run: resume it with --weights=last "
            f"--run={run_dir.name}, or choose another --run"
        )
    names = [name for name in (*DEFAULTS, "weights") if name != "check_only"]
    training_run.write_options(run_dir / "run.json", args, names)


def loss_curves(run_dir):
    """Return a callback that redraws losses.png after every epoch."""
    import keras

    from ..visualize import plot_losses, save_figure

    def draw(epoch, logs):
        save_figure(plot_losses(run_dir / "log.csv"), run_dir / "losses.png")

    return keras.callbacks.LambdaCallback(on_epoch_end=draw)


def report(model, dataset, run_dir, dropped, args, chose_epoch):
    """Evaluate the best weights, write RUN/evaluation, and print the results.

    chose_epoch: whether the images of `dataset` also chose the best epoch.
    """
    from ..evaluation.scoring import format_metrics

    best = training_run.load_best(model, run_dir)
    model.ready_detector()
    split = "val" if chose_epoch else "test"
    options = [f"--weights={best}", f"--split={split}", f"--seed={args.seed}"]
    options += [f"--fold={args.fold}"] if args.fold else []
    asked = evaluate.parse_arguments([*options, "--bootstrap=1000"])
    folder = run_dir / "evaluation"
    scored = evaluation_run.score(model, dataset, None, None, folder, asked)
    known = evaluation_run.facts(model, dataset, args.dataset, dropped, asked)
    title = f"{model.config.NAME}, run {run_dir.name}"
    evaluation_run.write_results(folder, title, known, scored, dataset)
    limit = ", which also chose the epoch" if chose_epoch else ""
    print(f"\n{best.name} on {dataset.num_images} images not trained on{limit}:")
    print(format_metrics(scored.metrics))
    print(f"\nwritten to {run_dir.resolve()}:")
    for path in sorted(run_dir.iterdir()):
        print(f"  {path.name}{'/' if path.is_dir() else ''}")
