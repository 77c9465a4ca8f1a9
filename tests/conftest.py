"""Fixtures shared by all tests."""

import importlib.util
import os
import subprocess
import sys
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

    model = tiny_model(
        CLASSIFY_CONTEXT=16,
        FPN_ATTENTION="se",
        OPERATING_POINTS=((0.8, 0.5), (0.9, 0.2)),
        SENSITIVITY=0.9,
    )
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

    from mrcnn_skin.serving.saved_model import export_saved_model

    has_stubs = importlib.util.find_spec("tensorflow_serving") is not None
    warmup = good_files()[:2] if has_stubs else ()
    folder = tmp_path_factory.mktemp("base") / "skin"
    return export_saved_model(served_model, folder, warmup=warmup)


@pytest.fixture
def in_process(monkeypatch, capsys):
    """A function that runs a command of mrcnn-skin in this process.

    Returns what subprocess.run would. A new process takes five seconds to import
    TensorFlow; the tests that start one show that the script and its silence are right.
    """
    from mrcnn_skin.cli.main import main

    # Else the command would move this process's standard error
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")

    def run(name, *options, cwd):
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", [name, *options])
        with pytest.raises(SystemExit) as ended:
            main(name)
        said, status = capsys.readouterr(), ended.value.code or 0
        return subprocess.CompletedProcess(sys.argv, status, said.out, said.err)

    return run
