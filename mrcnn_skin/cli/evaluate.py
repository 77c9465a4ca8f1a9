"""Evaluate trained weights on ISIC images by the challenges' definitions.

Writes into --out:
  report.html         everything, on one page that needs no network
  model_card.md       the headings of TRIPOD+AI and CLEAR Derm, filled from the run
  metrics.json        all figures, with 95 % bootstrap intervals
  per_image.csv       a row an image: scores, age, sex, site, lesion size, skin
  contact_sheet.png   predictions beside the truth, from the worst outline to the best
  masks/, classification.csv   in the form that the challenges take
  dropped.csv         images that could not be scored, if any

What truth there is, is scored: masks alone (ISIC 2018 Task 1) give JA and DI, labels
alone (ISIC 2019, 2020) give AUC and AP.

    mrcnn-skin evaluate --dataset=DIR --split=test --calibration-split=val
    mrcnn-skin evaluate --dataset=DIR --split=all

Exit status: 0 all images were scored; 1 some were left out, the others are written; 2
a mistake in the options or the data, nothing is written.
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
    model = models.load_model(args.weights, args)
    folder = args.dataset or datasets.default_dataset()
    dataset = open_split(folder, args.split, model.config, args)
    dropped = ()
    if folder != "synthetic":
        dropped = datasets.report_dropped({args.split: dataset})
    calibration = None
    if args.calibration_split:
        calibration = open_split(folder, args.calibration_split, model.config, args)
        run.refuse_shared_images(calibration, dataset)
    facts = run.facts(model, dataset, folder, dropped, args)
    warnings = run.calibration_warnings(folder, args)
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
    parser.add_argument(
        "--dataset",
        help="folder of images with masks, labels or both, or synthetic; default: "
        "datasets/isic, $MRCNN_SKIN_DATA, or generated lesions. "
        + datasets.KNOWN_LAYOUTS,
    )
    parser.add_argument(
        "--split",
        choices=(*datasets.SYNTHETIC_SEEDS, "all"),
        default="val",
        help="images to score; all takes every image of the folder, as for one of "
        "your own. Without official splits, val and test are a tenth each, at random",
    )
    parser.add_argument(
        "--calibration-split",
        choices=tuple(datasets.SYNTHETIC_SEEDS),
        help="choose the temperature and the thresholds for 80, 90 and 95 %% "
        "sensitivity on these images, none of which may be among those of --split "
        "(default: no such figures)",
    )
    parser.add_argument(
        "--save-operating-points",
        metavar="NEW.h5",
        help="write the weights with this temperature and these thresholds in their "
        "Config, so that the other commands use them; needs --calibration-split "
        "(default: they are only reported)",
    )
    parser.add_argument("--weights", default="pretrained", help=options.WEIGHTS_HELP)
    parser.add_argument("--out", default="evaluation", help="folder for the results")
    parser.add_argument("--logs", default="logs", help="folder of the runs")
    parser.add_argument("--limit", type=int, help="evaluate so many images only")
    parser.add_argument(
        "--bootstrap",
        type=int,
        default=2000,
        metavar="N",
        help="resamples for the intervals; 0: no intervals (default: 2000)",
    )
    parser.add_argument(
        "--compare",
        metavar="PER_IMAGE.csv",
        help="per_image.csv of another model's evaluation, for a paired test",
    )
    parser.add_argument(
        "--tta",
        action="store_true",
        help="average the answers for four mirror images, and show the gain",
    )
    parser.add_argument(
        "--robustness",
        action="store_true",
        help="score the images again under hair, rulers, ink, blur ..., nine times",
    )
    parser.add_argument(
        "--explain",
        action="store_true",
        help="Grad-CAM of P(malignant), and its share inside the true outline",
    )
    parser.add_argument("--seed", type=int, default=0, help="of resamples and overlays")
    datasets.add_label_options(parser.add_argument)
    options.add_precision_option(parser)
    options.add_config_options(parser)
    return parser


def parse_arguments(argv):
    """Parse the options; raises ValueError for those that contradict each other."""
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
    return args


def open_split(folder, split, config, args):
    """A prepared dataset of one split, of files or of generated lesions."""
    if folder == "synthetic":
        if split == "all":
            raise ValueError("--split=all needs a folder of images, got synthetic")
        side = config.IMAGE_MAX_DIM
        return datasets.open_synthetic(args.limit or 100, side, split)
    part = None if split == "all" else split
    return datasets.open_scored(folder, part, config, args)
