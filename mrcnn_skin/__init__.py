"""Joint diagnosis, detection and segmentation of skin lesions with Mask R-CNN."""

import os

import lazy_loader

from .data import imgaug_fixes  # noqa: F401  makes `import imgaug` work on NumPy 2

# Without TensorFlow's native notes and warnings, which fill the screen; errors remain
NATIVE_LOG_LEVEL = "2"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", NATIVE_LOG_LEVEL)

__version__ = "0.2.0"

# TensorFlow is loaded with MaskRCNN, so that --help and errors in options come at once
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "config": ["Config"],
        "data.dataset": ["Dataset"],
        "data.isic": ["IsicDataset"],
        "isic_config": ["IsicConfig", "IsicLiteConfig"],
        "model": ["MaskRCNN"],
    },
)
