"""Worker of harness.py: torchvision's Mask R-CNN, exported and run by onnxruntime.

For an environment of its own with torch, torchvision, onnx and onnxruntime; README.md
says which. The network, resizing and masks of full size included, is that of
worker_torchvision.py. onnxruntime has no bfloat16 convolution for CPUs.
"""

import os
import tempfile
from pathlib import Path

import worker

PRECISIONS = ("float32",)


def main():
    args = worker.detection_options(__doc__, PRECISIONS).parse_args()

    import onnxruntime
    import torch
    from worker_torchvision import build_model, noise, read

    examples = [read(args.image)] if args.image else noise(args)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mask_rcnn.onnx"
        export(build_model(args.size), examples, path)
        session = open_session(path)
    names = [entry.name for entry in session.get_inputs()]

    def run():
        # As in other workers a photograph is read anew every time
        images = [read(args.image)] if args.image else examples
        arrays = [image.numpy() for image in images]
        session.run(None, dict(zip(names, arrays, strict=True)))

    versions = f"onnxruntime {onnxruntime.__version__}, torch {torch.__version__}"
    worker.serve(versions, run)


def export(model, images, path):
    """Write the network as an .onnx file for so many images of these shapes.

    By tracing: the exporter that is torch's default ("dynamo") stops at torchvision's
    batched_nms, which takes another way for many boxes than for few.
    """
    import torch

    with torch.inference_mode():
        torch.onnx.export(model, (images,), str(path), dynamo=False, opset_version=17)


def open_session(path):
    """The network on all cores; threads sleep while they wait, as other peers' do."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # silent about shapes that differ from the export's
    providers = ["CPUExecutionProvider"]
    return onnxruntime.InferenceSession(str(path), options, providers=providers)


if __name__ == "__main__":
    main()
