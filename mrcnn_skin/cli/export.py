"""Export a trained network as a SavedModel for TensorFlow Serving, or as an ONNX file.

The SavedModel is BASE/NAME/<version>. It takes JPEG or PNG files of any size and
returns boxes, classes, P(malignant) and masks. BASE also gets model.config,
batching.config and monitoring.config, the settings of the server.

    mrcnn-skin export --out=served/skin

    docker run --rm -p 8500:8500 -p 8501:8501 -v "$PWD/served:/models" \\
        tensorflow/serving --model_config_file=/models/model.config \\
        --enable_batching --batching_parameters_file=/models/batching.config \\
        --monitoring_config_file=/models/monitoring.config

`mrcnn-skin client` sends images to such a server.

The ONNX file takes pixels and runs in onnxruntime, without TensorFlow and this package
(samples/isic/onnx_predict.py).

    mrcnn-skin export --format=onnx --out=lesion.onnx

Research software, no medical device.
"""

from pathlib import Path

from . import command, models, options


def main(argv=None):
    """Run the command with options argv (None: of sys.argv); returns its status."""
    parser = command.Parser("export", description=__doc__)
    options.add_network_options(parser)
    parser.add_argument(
        "--format", choices=("saved_model", "onnx"), default="saved_model"
    )
    parser.add_argument(
        "--out",
        metavar="BASE/NAME|FILE.onnx",
        help="folder of the model, or ONNX file (default: served/skin, lesion.onnx)",
    )
    parser.add_argument(
        "--licence", help="of the weights, stored in the ONNX file (default: none)"
    )
    parser.add_argument(
        "--version", type=int, help="default: the one after the highest in --out"
    )
    parser.add_argument(
        "--warmup",
        action="append",
        metavar="FILE",
        help="JPEG or PNG that the server analyses on loading, so that the first "
        "request is fast; may be repeated (default: a generated lesion)",
    )
    options.add_precision_option(parser)
    options.add_sensitivity_option(parser)
    args = parser.parse_args(argv)

    if args.format == "onnx":
        return write_onnx(args)
    return write_saved_model(args)


def write_onnx(args):
    """Write the ONNX file --out."""
    for option in ("version", "warmup"):
        if getattr(args, option) is not None:
            raise ValueError(f"--{option} needs --format=saved_model, got onnx")
    out = Path(args.out or "lesion.onnx")
    if out.suffix != ".onnx":
        raise ValueError(f"--out must be FILE.onnx for --format=onnx, got {out}")
    command.require("onnxscript", "onnx")
    licence = args.licence
    if licence is None and args.weights == "pretrained":
        from ..weights_io.pretrained import DEFAULT, PRETRAINED

        licence = PRETRAINED[DEFAULT].licence
    model = models.load_model(args.weights, args)
    from ..serving.onnx.export import export_onnx

    out.parent.mkdir(parents=True, exist_ok=True)
    export_onnx(model, out, {"licence": licence} if licence else None)
    print(f"{out}, {out.stat().st_size / 1e6:.1f} MB")
    return 0


def write_saved_model(args):
    """Write the next version to --out, and the server's settings to its parent."""
    if args.licence is not None:
        raise ValueError("--licence needs --format=onnx, got saved_model")
    command.require("tensorflow_serving", "serving")  # for the warm-up requests
    warmup = [Path(name).read_bytes() for name in args.warmup or []]
    model = models.load_model(args.weights, args)
    from ..serving.saved_model import export_saved_model
    from ..serving.server_files import write_server_files

    out = Path(args.out or "served/skin").resolve()
    path = export_saved_model(model, out, args.version, warmup or [generated_file()])
    write_server_files(out.parent)
    print(f"version {path.name} of {out.name}, in {path}")
    print(f"settings for the server in {out.parent}")
    return 0


def generated_file():
    """Return a generated lesion as the bytes of a JPEG."""
    import io

    from PIL import Image

    from ..data.lesion_painter import synthetic_lesion

    buffer = io.BytesIO()
    Image.fromarray(synthetic_lesion(0, (600, 800))[0]).save(buffer, "JPEG")
    return buffer.getvalue()
