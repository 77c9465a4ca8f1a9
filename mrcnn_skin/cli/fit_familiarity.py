"""Add the statistics that flag images unlike the training images.

Writes the weights together with statistics of the training images' features. With
them, detect() and all commands report for every image whether it is `unfamiliar`.

    mrcnn-skin fit-familiarity --dataset=DIR --weights=last --out=mine.h5

Needs neither masks nor labels, and one pass over the images; 1000 are enough.
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
        help="folder of images that the network was trained on; its training split is "
        "used; may be repeated",
    )
    parser.add_argument(
        "--held-out",
        action="append",
        metavar="DIR",
        help="skip images that are also in this folder; may be repeated",
    )
    parser.add_argument(
        "--limit", type=int, metavar="N", help="use N images per folder"
    )
    parser.add_argument(
        "--components",
        type=int,
        default=64,
        help="number of principal components to store",
    )
    options.add_network_options(parser, out="familiar.h5")
    parser.add_argument("--seed", type=int, default=0, help="of the held-out images")
    args = parser.parse_args(argv)
    out = Path(args.out)
    if out.suffix != ".h5":
        raise ValueError(f"--out must end in .h5, got {args.out}")
    if args.components < 1:
        raise ValueError(f"--components must be at least 1, got {args.components}")

    from ..data.leaks import find_leaks
    from ..inference.familiarity import DOUBT, LAYER, fit_familiarity

    path = models.trained_weights(args.weights, args.logs)
    config = models.trained_config(path, args)
    config = config.replace(UNFAMILIAR_COMPONENTS=args.components)
    model = models.build_model(path, config, exclude=(LAYER, DOUBT))
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
    """Read one split of several folders; None for all images."""
    from .. import IsicDataset

    dataset = IsicDataset()
    anything = {"require_masks": False, "require_labels": False}
    for folder in folders:
        dataset.load_isic(folder, split, limit=limit, **anything)
    dataset.prepare()
    return dataset
