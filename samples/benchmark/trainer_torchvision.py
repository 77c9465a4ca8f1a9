"""Worker of harness.py: a training step of torchvision's Mask R-CNN, random weights.

For an environment of its own with torch and torchvision; README.md says which. The
network is that of maskrcnn_resnet50_fpn with the FrozenBatchNorm it has when weights
are loaded. Its RPN is half as wide as Matterport's; its mask head sees positive
regions only.
"""

import worker

TRAINABLE = {"all": 5, "heads": 0}  # of the backbone's five parts


def main():
    args = worker.training_options(__doc__, layers=tuple(TRAINABLE)).parse_args()

    import torch
    import torchvision

    torch.manual_seed(0)
    model = build_model(args)
    # Channels last and bfloat16 belong together, as in detection
    half = args.precision == "bfloat16"
    if half:
        model.to(memory_format=torch.channels_last)
    casting = torch.autocast("cpu", torch.bfloat16, enabled=half)
    learning = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.SGD(learning, lr=1e-4, momentum=0.9, weight_decay=1e-4)
    images = [torch.rand(3, args.size, args.size) for _ in range(args.batch)]
    targets = [lesion(args.size) for _ in images]

    def step():
        with casting:
            loss = sum(model(images, targets).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if not loss.isfinite():
            raise ArithmeticError(f"the loss must be finite, got {loss}")

    versions = f"torch {torch.__version__}, torchvision {torchvision.__version__}"
    worker.serve(versions, step)


def build_model(args):
    """The network in training mode; with "heads" the ResNet does not learn."""
    import torch
    from torchvision.models.detection import MaskRCNN
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

    backbone = resnet_fpn_backbone(
        backbone_name=args.backbone,
        weights=None,
        trainable_layers=TRAINABLE[args.layers],
    )
    with torch.no_grad():
        # Residual branches off: random weights explode under frozen BatchNorm. The
        # arithmetic stays the same
        for name, values in backbone.named_buffers():
            if name.endswith("bn3.weight"):
                values.zero_()
    return MaskRCNN(
        backbone,
        worker.CLASSES,
        min_size=args.size,
        max_size=args.size,
        rpn_batch_size_per_image=args.anchors,
        rpn_post_nms_top_n_train=args.proposals,
        box_batch_size_per_image=args.rois,
    ).train()


def lesion(side):
    """Box, label and mask of one disc, half as wide as the image."""
    import torch

    places = torch.arange(side) - (side - 1) / 2
    disc = places[:, None] ** 2 + places**2 < (side / 4) ** 2
    rows = torch.nonzero(disc.any(1)).flatten()
    first, last = float(rows[0]), float(rows[-1]) + 1
    return {
        "boxes": torch.tensor([[first, first, last, last]]),  # x1, y1, x2, y2
        "labels": torch.tensor([1]),
        "masks": disc[None].to(torch.uint8),
    }


if __name__ == "__main__":
    main()
