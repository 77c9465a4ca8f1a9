"""Export trained weights as a SavedModel for TensorFlow Serving.

Writes BASE/NAME/<version>, which takes JPEG or PNG files of any size and answers with
boxes, classes, P(malignant) and masks; and beside it BASE/model.config, batching.config
and monitoring.config, the server's settings for all models in BASE.

    python samples/isic/export.py --weights=last --out=served/skin

    docker run --rm -p 8500:8500 -p 8501:8501 -v "$PWD/served:/models" \\
        tensorflow/serving --model_config_file=/models/model.config \\
        --enable_batching --batching_parameters_file=/models/batching.config \\
        --monitoring_config_file=/models/monitoring.config

samples/isic/client.py asks such a server. Research software, no medical device.
"""

from pathlib import Path

import common


def main():
    parser = common.Parser(description=__doc__)
    parser.add_argument("--weights", default="last", help=common.WEIGHTS_HELP)
    parser.add_argument(
        "--out", default="served/skin", metavar="BASE/NAME", help="folder of the model"
    )
    parser.add_argument(
        "--version", type=int, help="default: the one after the highest in --out"
    )
    parser.add_argument(
        "--warmup",
        action="append",
        metavar="FILE",
        help="JPEG or PNG that the server analyses on loading, so that the first user "
        "does not wait; may be repeated (default: a generated lesion)",
    )
    parser.add_argument("--logs", default="logs", help="folder of the runs")
    common.add_precision_option(parser)
    common.add_config_options(parser)
    args = parser.parse_args()

    check_stubs()
    warmup = [Path(name).read_bytes() for name in args.warmup or []]
    model = common.load_model(args.weights, args)
    from mrcnn_skin.export import export_saved_model
    from mrcnn_skin.serving import write_server_files

    out = Path(args.out).resolve()
    path = export_saved_model(model, out, args.version, warmup or [generated_file()])
    write_server_files(out.parent)
    print(f"version {path.name} of {out.name}, in {path}")
    print(f"settings for the server in {out.parent}")
    return 0


def check_stubs():
    """Warm-up requests need tensorflow-serving-api; say so before the long work."""
    import importlib.util

    if importlib.util.find_spec("tensorflow_serving") is None:
        raise ValueError(
            'tensorflow-serving-api is not installed: pip install -e ".[serving]"'
        )


def generated_file():
    """A generated lesion as the bytes of a JPEG."""
    import io

    from PIL import Image

    from mrcnn_skin.data.lesion_painter import synthetic_lesion

    buffer = io.BytesIO()
    Image.fromarray(synthetic_lesion(0, (600, 800))[0]).save(buffer, "JPEG")
    return buffer.getvalue()


if __name__ == "__main__":
    common.run(main)
