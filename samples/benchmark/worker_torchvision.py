"""Worker of contest.py: torchvision's maskrcnn_resnet50_fpn with random weights.

For an environment of its own with torch and torchvision; README.md says which. Its
RPN is half as wide as Matterport's and its boxes are the same 1000 proposals, so it
has 0.82 times the arithmetic.
"""

import argparse

import worker

PROPOSALS, DETECTIONS = 1000, 10
CLASSES = 3  # as IsicConfig's, the background included


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--frame", default="1x1", help="aspect ratio, HEIGHTxWIDTH")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--image", help="whole way: from this file to its masks")
    args = parser.parse_args()

    import torch
    import torchvision

    torch.manual_seed(0)
    model = torchvision.models.detection.maskrcnn_resnet50_fpn(
        weights=None,
        weights_backbone=None,
        num_classes=CLASSES,
        min_size=args.size,
        max_size=args.size,
        rpn_pre_nms_top_n_test=PROPOSALS,
        rpn_post_nms_top_n_test=PROPOSALS,
        box_detections_per_img=DETECTIONS,
        box_score_thresh=0.0,
    ).eval()
    # Channels last and bfloat16 belong together: it is slower with one alone
    half = args.precision == "bfloat16"
    if half:
        model.to(memory_format=torch.channels_last)
    casting = torch.autocast("cpu", torch.bfloat16, enabled=half)
    images = None if args.image else noise(args)

    def run():
        with torch.inference_mode(), casting:
            return model(images or [read(args.image)])

    versions = f"torch {torch.__version__}, torchvision {torchvision.__version__}"
    worker.serve(versions, run)


def noise(args):
    """A batch of random images of the frame's shape, the longer side `size`."""
    import torch

    height, width = (int(side) for side in args.frame.split("x"))
    scale = args.size / max(height, width)
    shape = 3, round(height * scale), round(width * scale)
    return [torch.rand(shape) for _ in range(args.batch)]


def read(path):
    """A file as a tensor 0..1, [3, h, w]."""
    from PIL import Image
    from torchvision.transforms.functional import to_tensor

    return to_tensor(Image.open(path).convert("RGB"))


if __name__ == "__main__":
    main()
