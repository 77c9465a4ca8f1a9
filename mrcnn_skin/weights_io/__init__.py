"""Weight files: by layer name, pretrained, ImageNet and COCO."""
