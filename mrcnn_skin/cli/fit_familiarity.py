"""Teach trained weights which images they know, so that others are flagged.

Writes the weights with the statistics of the training images' features, by which
detect() and all commands say of every image whether it is `unfamiliar`, that is,
unlike the images of the training.

    mrcnn-skin fit-familiarity --dataset=DIR --weights=last --out=mine.h5

It needs neither masks nor labels, and takes one pass over the images; 1000 are enough.
"""

from pathlib import Path

from . import command, datasets, models, options


def main(argv=None):
    """Run the command with options argv (None: of sys.argv); returns its status."""
    parser = command.Parser("fit-familiarity", description=__doc__)
    parser.add_argument(
        "--dataset",
        action="append",
        required=True,
        help="folder of ISIC images that the network was trained on, of which the "
        "training split is taken; may be repeated",
    )
    parser.add_argument(
        "--held-out",
        action="append",
        metavar="DIR",
        help="leave out the photographs of this folder; may be repeated",
    )
    parser.add_argument("--limit", type=int, help="images of each folder")
    parser.add_argument(
        "--components",
        type=int,
        default=64,
        help="principal components that the weights hold",
    )
    parser.add_argument("--weights", default="pretrained", help=options.WEIGHTS_HELP)
    parser.add_argument("--out", default="familiar.h5", help="weight file to write")
    parser.add_argument("--logs", default="logs", help="folder of the runs")
    parser.add_argument("--seed", type=int, default=0, help="of the held-out images")
    options.add_config_options(parser)
    args = parser.parse_args(argv)
    out = Path(args.out)
    if out.suffix != ".h5":
        raise ValueError(f"--out must end in .h5, got {args.out}")
    if args.components < 1:
        raise ValueError(f"--components must be at least 1, got {args.components}")
    return fit(args, out)


def fit(args, out):
    """Run the command; returns its exit status."""
    from ..data.leaks import find_leaks
    from ..inference.familiarity import LAYER, fit_familiarity

    path = models.trained_weights(args.weights, args.logs)
    config = models.trained_config(path, args)
    config = config.replace(UNFAMILIAR_COMPONENTS=args.components)
    model = models.build_model(path, config, exclude=LAYER)
    dataset = open_images(args.dataset, "train", args.limit)
    if args.held_out:
        held_out = open_images(args.held_out, None)
        dataset.drop(find_leaks(dataset, [held_out]))
    dropped = datasets.report_dropped({"train": dataset})
    scores = fit_familiarity(model, dataset, args.seed)
    model.save_weights(out)
    print(f"{sum(scores > 1)} of {len(scores)} held-out images are unfamiliar")
    print(f"written to {out.resolve()}")
    return 1 if len(dropped) else 0


def open_images(folders, split, limit=None):
    """Read a split of some folders of ISIC images; None for all of it."""
    from .. import IsicDataset

    dataset = IsicDataset()
    anything = {"require_masks": False, "require_labels": False}
    for folder in folders:
        dataset.load_isic(folder, split, limit=limit, **anything)
    dataset.prepare()
    return dataset
