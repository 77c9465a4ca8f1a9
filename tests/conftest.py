"""Fixtures shared by all tests."""

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
