"""Joint diagnosis, detection and segmentation of skin lesions with Mask R-CNN."""

from .config import Config
from .data.dataset import Dataset
from .data.isic import IsicDataset
from .isic_config import IsicConfig, IsicLiteConfig
from .model import MaskRCNN

__version__ = "0.1.0"
__all__ = [
    "Config",
    "Dataset",
    "IsicConfig",
    "IsicDataset",
    "IsicLiteConfig",
    "MaskRCNN",
]
