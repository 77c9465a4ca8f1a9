"""mrcnn-skin info and the command itself: versions, devices, help."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import mrcnn_skin
from mrcnn_skin.cli import info
from mrcnn_skin.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "flags, fast",
    [("fpu avx2 fma", "float32"), ("fpu avx512f avx512_bf16 amx_bf16", "bfloat16")],
)
def test_the_fast_precision_follows_from_the_processor(
    in_process, monkeypatch, tmp_path, flags, fast
):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor : 0\nflags\t\t: {flags}\nprocessor : 1\n")
    assert info.cpu_flags(cpuinfo) == set(flags.split())
    monkeypatch.setattr(info, "cpu_flags", lambda: set(flags.split()))
    done = in_process("info", cwd=tmp_path)
    assert (
        done.returncode == 0 and f"mrcnn_skin {mrcnn_skin.__version__}" in done.stdout
    )
    assert f"--precision={fast}" in done.stdout and "devices: " in done.stdout


def test_no_cpuinfo_is_no_error(tmp_path):
    assert info.cpu_flags(tmp_path / "none") == set()


@pytest.mark.parametrize(
    "arguments, status, words",
    [
        (["--version"], 0, mrcnn_skin.__version__),
        (["--help"], 0, "fit-familiarity"),
        (["trian"], 2, "invalid choice: 'trian'"),
        ([], 2, "COMMAND"),
    ],
)
def test_the_module_is_the_command(arguments, status, words, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mrcnn_skin", *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == status
    assert words in done.stdout + done.stderr


def test_every_command_has_a_module_and_a_script():
    for name in COMMANDS:
        assert find_spec(f"mrcnn_skin.cli.{name.replace('-', '_')}"), name
    scripts = (ROOT / "samples" / "isic").glob("*.py")
    called = re.findall(
        r'^    main\("(.+)"\)', "".join(map(Path.read_text, scripts)), re.M
    )
    assert set(called) == set(COMMANDS) - {"info"}
