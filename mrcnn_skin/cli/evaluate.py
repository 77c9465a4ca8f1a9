"""Evaluate a trained network by the definitions of the ISIC challenges.

Writes to --out:
  report.html         all results on one self-contained page
  model_card.md       the items of TRIPOD+AI and CLEAR Derm, filled from the run
  metrics.json        all figures, with 95 % bootstrap intervals
  per_image.csv       one row per image: scores, age, sex, site, lesion size, skin tone
  contact_sheet.png   predictions and ground truth, from the worst outline to the best
  masks/, classification.csv   in the format of a challenge submission
  dropped.csv         images that could not be scored, if any

The scores depend on the ground truth: masks alone (ISIC 2018 Task 1) give JA and DI,
labels alone (ISIC 2019, 2020) give AUC and AP.

    mrcnn-skin evaluate --dataset=DIR --split=test --calibration-split=val
    mrcnn-skin evaluate --dataset=DIR --split=all

Exit status: 0 all images were scored; 1 some were skipped; 2 a mistake in the options
or the data, nothing is written.
"""

from pathlib import Path

from . import command, datasets, models, options, results
from . import evaluation_run as run


def main(argv=None):
    """Run the command with options argv (None: of sys.argv); returns its status."""
    args = parse_arguments(argv)
    from ..atomic import files_written_whole
    from ..evaluation.scoring import format_metrics

    results.require_own_results(args.out)
    other = run.read_other(args.compare)
    args.weights = models.trained_weights(args.weights, args.logs)
    model = models.load_model(args.weights, args)
    folder = args.dataset or datasets.default_dataset()
    dataset = open_split(folder, args.split, model.config, args)
    dropped = ()
    if folder != "synthetic":
        dropped = datasets.report_dropped({args.split: dataset})
    warnings = run.require_shared_images(other, dataset)
    calibration = None
    if args.calibration_split:
        calibration = open_split(folder, args.calibration_split, model.config, args)
        run.refuse_shared_images(calibration, dataset)
    facts = run.facts(model, dataset, folder, dropped, args)
    warnings += run.training_warnings(folder, args)
    with files_written_whole(args.out) as out:
        scored = run.score(model, dataset, calibration, other, out, args, warnings)
        title = f"{model.config.NAME}, {args.split} images of {Path(folder).name}"
        run.write_results(out, title, facts, scored, dataset)
        datasets.write_dropped(dropped, out)
    print(format_metrics(scored.metrics))
    if args.save_operating_points:
        run.save_operating_points(model, scored.metrics, args.save_operating_points)
    for warning in scored.metrics["warnings"]:
        print(f"WARNING: {warning}")
    print(f"written to {Path(args.out).resolve()}")
    return 1 if len(dropped) or scored.metrics["unreadable"] else 0


def make_parser():
    """Build the parser of the command's options."""
    parser = command.Parser("evaluate", description=__doc__)
    datasets.add_dataset_option(parser.add_argument)
    parser.add_argument(
        "--split",
        choices=(*datasets.SYNTHETIC_SEEDS, "all"),
        default="val",
        help="images to score; all: every image of the folder. Without official "
        "splits, val and test are a random tenth each",
    )
    parser.add_argument(
        "--calibration-split",
        choices=tuple(datasets.SYNTHETIC_SEEDS),
        help="choose the temperature and the thresholds for 80, 90 and 95 %% "
        "sensitivity on these images, which may share none with --split (default: "
        "do not choose them)",
    )
    parser.add_argument(
        "--save-operating-points",
        metavar="NEW.h5",
        help="write the weights with this temperature and these thresholds in their "
        "Config, for the other commands to use; needs --calibration-split (default: "
        "only report them)",
    )
    options.add_network_options(parser, out="evaluation")
    parser.add_argument("--limit", type=int, metavar="N", help="score only N images")
    parser.add_argument(
        "--bootstrap",
        type=int,
        default=2000,
        metavar="N",
        help="resamples for the intervals; 0: none (default: 2000)",
    )
    parser.add_argument(
        "--compare",
        metavar="PER_IMAGE.csv",
        help="per_image.csv of another model, for a paired test",
    )
    parser.add_argument(
        "--tta",
        action="store_true",
        help="test-time augmentation: average over four mirror images, report the gain",
    )
    parser.add_argument(
        "--robustness",
        action="store_true",
        help="score again under nine corruptions: hair, rulers, ink, blur ...",
    )
    parser.add_argument(
        "--explain",
        action="store_true",
        help="Grad-CAM of P(malignant), and its share inside the true outline",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the random choices")
    datasets.add_label_options(parser.add_argument)
    options.add_precision_option(parser)
    return parser


def parse_arguments(argv):
    """Parse the options; refuse those that contradict each other."""
    args = make_parser().parse_args(argv)
    if args.save_operating_points:
        if not args.calibration_split:
            raise ValueError("--save-operating-points needs --calibration-split")
        if Path(args.save_operating_points).suffix != ".h5":
            given = args.save_operating_points
            raise ValueError(f"--save-operating-points must be NEW.h5, got {given}")
    if args.bootstrap < 0:
        raise ValueError(f"--bootstrap must be 0 or more, got {args.bootstrap}")
    if not args.bootstrap and (args.compare or args.robustness or args.tta):
        raise ValueError(
            "--compare, --tta and --robustness need --bootstrap above 0, got 0"
        )
    splits = {args.split, args.calibration_split}
    if args.fold and splits.isdisjoint(("train", "val")):
        raise ValueError(f"--fold divides train and val, got --split={args.split}")
    return args


def open_split(folder, split, config, args):
    """Open one split of a folder, or of generated lesions."""
    if folder == "synthetic":
        if split == "all" or args.fold:
            name = "--split=all" if split == "all" else "--fold"
            raise ValueError(f"{name} needs a folder of images, got synthetic")
        side = config.IMAGE_MAX_DIM
        return datasets.open_synthetic(args.limit or 100, side, split)
    part = None if split == "all" else split
    return datasets.open_scored(folder, part, config, args)
