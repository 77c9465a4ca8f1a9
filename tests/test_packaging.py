"""The wheel: the package, the command and the shipped network with its licence."""

import configparser
import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

import mrcnn_skin

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
PARTS = "setup.py", "README.md", "LICENSE", "requirements.txt"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel that pip builds from a copy of the sources, as a ZipFile."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("out")
    for name in PARTS:
        shutil.copy(ROOT / name, source)
    for name in ("mrcnn_skin", "weights"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    (source / "weights" / "mask_rcnn_coco.h5").write_bytes(b"a download")
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", f"--wheel-dir={out}"]
    done = subprocess.run([*build, source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(next(out.iterdir())) as archive:
        yield archive


def test_the_wheel_holds_the_package_and_the_shipped_network(wheel):
    held = {name for name in wheel.namelist() if not name.startswith("mrcnn_skin-")}
    sources = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "mrcnn_skin").rglob("*.*")
        if path.suffix != ".pyc"
    }
    network = [
        "README.md",
        *(f"mrcnn_skin_lite_isic.{x}" for x in ("h5", "json", "md")),
    ]
    assert held == sources | {f"mrcnn_skin/weights/{name}" for name in network}


def test_the_metadata_name_both_licences_and_the_command(wheel):
    def read(name):
        path = next(n for n in wheel.namelist() if n.endswith(f".dist-info/{name}"))
        return wheel.read(path)

    about = message_from_bytes(read("METADATA"))
    assert about["Version"] == mrcnn_skin.__version__
    assert about["License"] == "MIT AND CC-BY-NC-SA-4.0"
    assert about.get_payload().startswith("# mrcnn_skin\n")
    extras = {"gpu", "dicom", "serving", "onnx", "archive", "coco", "demo", "test"}
    assert extras <= set(about.get_all("Provides-Extra"))
    scripts = configparser.ConfigParser()
    scripts.read_string(read("entry_points.txt").decode())
    assert dict(scripts["console_scripts"]) == {
        "mrcnn-skin": "mrcnn_skin.cli.main:main"
    }
