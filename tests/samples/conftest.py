"""Fixtures for tests that call the commands' modules."""

import importlib
import subprocess
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


@pytest.fixture
def in_process(commands, monkeypatch, capsys):
    """A function that runs a command as its script would, in this process.

    Returns what subprocess.run would. A new process takes five seconds to import
    TensorFlow; the tests that start one show that the script and its silence are right.
    """
    # Else the command would move this process's standard error
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")

    def run(name, *options, cwd):
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *options])
        with pytest.raises(SystemExit) as ended:
            commands("common").run(commands(name).main)
        said, status = capsys.readouterr(), ended.value.code or 0
        return subprocess.CompletedProcess(sys.argv, status, said.out, said.err)

    return run
