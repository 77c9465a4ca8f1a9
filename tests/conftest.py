"""Fixtures shared by all tests."""

import importlib.util
import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data():
    """The folder of real dermoscopy images; skips the test where it is absent."""
    default = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
    folder = Path(os.environ.get("MRCNN_SKIN_REAL_DATA", default)).resolve()
    if not folder.is_dir():
        pytest.skip(f"no real images in {folder}; MRCNN_SKIN_REAL_DATA may name them")
    return folder


@pytest.fixture(scope="session")
def coco_layout(real_data):
    """The module that writes a file of the COCO file's layout, beside the images."""
    tool = real_data.parent / "tools" / "make_coco_layout.py"
    if not tool.is_file():
        pytest.skip(f"no {tool}")
    spec = importlib.util.spec_from_file_location("make_coco_layout", tool)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
