"""The entry point mrcnn-skin, which runs the module of a command."""

import argparse
import importlib
import sys

from .. import __version__
from .command import run

COMMANDS = {
    "train": "train a network on your images, ISIC, or generated lesions",
    "predict": "predict diagnosis, box and mask of image files and folders",
    "evaluate": "score a network on images with ground truth; report and model card",
    "ablation": "train and compare the variants of the paper",
    "export": "write a SavedModel for TensorFlow Serving, or an ONNX file",
    "client": "send image files to a TensorFlow Serving server",
    "score": "predict diagnosis and box for archives of millions of images",
    "demo": "serve a local web page to drop images on",
    "fit-familiarity": "add the statistics that flag unfamiliar images",
    "info": "print versions, devices, and the precision that is fast here",
}


def main(command=None):
    """Run a command with the options of sys.argv, and exit.

    Args:
        command: name of the command; None for the first word of sys.argv.
    """
    options = sys.argv[1:]
    if command is None:
        args = make_parser().parse_args(options)
        command, options = args.command, args.options
    module = importlib.import_module(f".{command.replace('-', '_')}", __package__)
    resume = {"resume": module.RESUME} if hasattr(module, "RESUME") else {}
    run(command, lambda: module.main(options), **resume)


def make_parser():
    """Build the parser of the command's name."""
    lines = [f"  {name:16} {text}" for name, text in COMMANDS.items()]
    parser = argparse.ArgumentParser(
        "mrcnn-skin",
        usage="mrcnn-skin COMMAND [OPTIONS]",
        description="Diagnosis, box and mask of skin lesions in dermoscopy images. "
        "Research software, no medical device.",
        epilog="commands:\n" + "\n".join(lines) + "\n\n"
        "mrcnn-skin COMMAND --help shows the options of a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument(
        "command", choices=COMMANDS, metavar="COMMAND", help=argparse.SUPPRESS
    )
    parser.add_argument("options", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser
