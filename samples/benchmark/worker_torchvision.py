"""Worker of harness.py: torchvision's maskrcnn_resnet50_fpn with random weights.

For an environment of its own with torch and torchvision; README.md says which. Its
RPN is half as wide as Matterport's and its boxes are the same 1000 proposals, so it
has 0.82 times the arithmetic.
"""

import worker


def main():
    args = worker.detection_options(__doc__).parse_args()

    import torch
    import torchvision

    model = build_model(args.size)
    # Channels last and bfloat16 belong together: it is slower with one alone
    half = args.precision == "bfloat16"
    if half:
        model.to(memory_format=torch.channels_last)
    casting = torch.autocast("cpu", torch.bfloat16, enabled=half)
    images = None if args.image else noise(args)

    def run():
        with torch.inference_mode(), casting:
            model(images or [read(args.image)])

    versions = f"torch {torch.__version__}, torchvision {torchvision.__version__}"
    worker.serve(versions, run)


def build_model(size):
    """The network for images whose longer side is or becomes `size` pixels."""
    import torch
    from torchvision.models.detection import maskrcnn_resnet50_fpn

    torch.manual_seed(0)
    return maskrcnn_resnet50_fpn(
        weights=None,
        weights_backbone=None,
        num_classes=worker.CLASSES,
        min_size=size,
        max_size=size,
        rpn_pre_nms_top_n_test=worker.PROPOSALS,
        rpn_post_nms_top_n_test=worker.PROPOSALS,
        box_detections_per_img=worker.DETECTIONS,
        box_score_thresh=0.0,
    ).eval()


def noise(args):
    """A batch of random images of the frame's shape, a list of [3, h, w]."""
    import torch

    shape = 3, *worker.sides(args.size, args.frame)
    return [torch.rand(shape) for _ in range(args.batch)]


def read(path):
    """A file as a tensor 0..1, [3, h, w]."""
    from PIL import Image
    from torchvision.transforms.functional import to_tensor

    return to_tensor(Image.open(path).convert("RGB"))


if __name__ == "__main__":
    main()
