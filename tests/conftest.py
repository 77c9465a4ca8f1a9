"""Fixtures shared by all tests."""

import importlib.util
import os
from pathlib import Path

import numpy as np
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
def iaa():
    """imgaug.augmenters, which need mrcnn_skin imported first."""
    import mrcnn_skin  # noqa: F401, I001
    from imgaug import augmenters

    return augmenters


@pytest.fixture(scope="session")
def served_model():
    """The tiny model behind served_path, with the parts that a Config may add."""
    from exported import tiny_model

    model = tiny_model(CLASSIFY_CONTEXT=16, FPN_ATTENTION="se")
    for layer in model.keras_model.layers:
        if layer.name.endswith(("_context_logits", "_se_excite")):
            kernel = layer.kernel  # starts at 0
            kernel.assign(np.random.default_rng(0).normal(size=kernel.shape))
    return model


@pytest.fixture(scope="session")
def served_path(served_model, tmp_path_factory):
    """BASE/skin/1, an export for all tests, which must leave it as it is.

    With two warm-up requests, if tensorflow-serving-api is there.
    """
    from exported import good_files

    from mrcnn_skin.export import export_saved_model

    has_stubs = importlib.util.find_spec("tensorflow_serving") is not None
    warmup = good_files()[:2] if has_stubs else ()
    folder = tmp_path_factory.mktemp("base") / "skin"
    return export_saved_model(served_model, folder, warmup=warmup)
