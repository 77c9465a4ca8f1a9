"""Fixtures for tests that call the commands' modules."""

import importlib
import sys
from pathlib import Path

import pytest

SAMPLES = Path(__file__).resolve().parents[2] / "samples" / "isic"


@pytest.fixture
def commands(monkeypatch):
    """A function of a name that imports the module of samples/isic, afresh each test.

    They are no package: each command finds the others beside itself.
    """
    monkeypatch.syspath_prepend(SAMPLES)
    for path in SAMPLES.glob("*.py"):
        monkeypatch.delitem(sys.modules, path.stem, raising=False)
    yield importlib.import_module
    for path in SAMPLES.glob("*.py"):
        sys.modules.pop(path.stem, None)
