"""Evaluate trained weights on ISIC images by the challenges' definitions.

Writes into --out: metrics.json, per_image.csv, masks/<image>_segmentation.png and
classification.csv, the last two in the form that the challenges take. Images that
cannot be scored are named, and listed in dropped.csv.

    python samples/isic/evaluate.py --dataset=DIR --split=val --weights=last --out=DIR

Exit status: 0 all images were scored; 1 some were left out, the others are written; 2
a mistake in the options or the data, nothing is written.
"""

from pathlib import Path

import common
import isic_data


def main():
    parser = common.Parser(description=__doc__)
    parser.add_argument(
        "--dataset",
        help="folder of ISIC images, or synthetic; default: datasets/isic, "
        "$MRCNN_SKIN_DATA, or generated lesions",
    )
    parser.add_argument("--split", choices=("train", "val", "test"), default="val")
    parser.add_argument("--weights", default="last", help=common.WEIGHTS_HELP)
    parser.add_argument("--out", default="evaluation", help="folder for the results")
    parser.add_argument("--logs", default="logs", help="folder of the runs")
    parser.add_argument("--limit", type=int, help="evaluate so many images only")
    common.add_config_options(parser)
    args = parser.parse_args()

    from mrcnn_skin.evaluation.report import evaluate, format_metrics

    model = common.load_model(args.weights, args)
    folder = args.dataset or common.default_dataset()
    dropped = ()
    if folder == "synthetic":
        side = model.config.IMAGE_MAX_DIM
        dataset = common.open_synthetic(args.limit or 100, side, args.split)
    else:
        dataset = isic_data.open_isic(
            folder, args.split, model.config, args.logs, args.limit
        )
        dropped = isic_data.report_dropped({args.split: dataset})
    metrics = evaluate(model.detector, dataset, args.out)
    isic_data.write_dropped(dropped, args.out)
    print(format_metrics(metrics))
    print(f"written to {Path(args.out).resolve()}")
    return 1 if len(dropped) or metrics["unreadable"] else 0


if __name__ == "__main__":
    common.run(main)
