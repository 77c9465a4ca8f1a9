"""Measure programs side by side: each in a process of its own, in turn, A B A B.

A contestant is any command that answers the lines of worker.py's protocol; peers run
in environments of their own. Nothing here knows TensorFlow or PyTorch.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path


class Contestant:
    """A program under test, started and ready to run again and again.

    command: starts a worker.serve(). name: in the table. environment: variables
    besides those of this process.
    """

    def __init__(self, name, command, environment=None):
        self.name = name
        self.runs = []  # dicts of worker.serve
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        self.about = self._read()

    def ask(self, request):
        """Send a request, "run" or "end", and return the answer."""
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        return self._read()

    def close(self):
        """End the program and return its "peak_gb"."""
        with self.process:  # closes its pipes and waits
            return self.ask("end")["peak_gb"]

    def _read(self):
        line = self.process.stdout.readline()
        while line and not line.startswith("{"):  # what libraries print when imported
            line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(
                f"{self.name} ended without an answer; run it by hand to see why: "
                f"{' '.join(map(str, self.process.args))}"
            )
        return json.loads(line)


def take_turns(contestants, rounds):
    """Run all contestants in turn, `rounds` times; a first run each is not counted."""
    for contestant in contestants:
        contestant.ask("run")
    for _ in range(rounds):
        for contestant in contestants:
            contestant.runs.append(contestant.ask("run"))


def summary(contestant, reference):
    """Figures of one contestant, and its ratios to the reference's, round by round.

    Neighbouring runs are compared, so that a machine that slows down for a while
    slows both. CPU seconds are those of all threads: other programs on the machine
    hardly change them.
    """
    figures = {"name": contestant.name, **contestant.about}
    for unit in ("wall", "cpu"):
        mine = [run[unit] for run in contestant.runs]
        its = [run[unit] for run in reference.runs]
        ratios = [a / b for a, b in zip(mine, its, strict=True)]
        for what, values in ((unit, mine), (f"{unit}_ratio", ratios)):
            figures[what] = statistics.median(values)
            figures[f"{what}_min"], figures[f"{what}_max"] = min(values), max(values)
    return figures


def print_table(rows):
    """Print summaries, one a line; ratios with their extremes."""
    width = max(len(row["name"]) for row in rows)
    print(f"{'':{width}}  seconds  ratio (min .. max)   CPU s  ratio (min .. max)   GB")
    for row in rows:
        print(
            f"{row['name']:{width}} {row['wall']:8.3f} {row['wall_ratio']:6.2f} "
            f"({row['wall_ratio_min']:.2f} .. {row['wall_ratio_max']:.2f}) "
            f"{row['cpu']:7.2f} {row['cpu_ratio']:6.2f} "
            f"({row['cpu_ratio_min']:.2f} .. {row['cpu_ratio_max']:.2f}) "
            f"{row['peak_gb']:4.1f}"
        )


def run_contest(contestants, rounds):
    """Let contestants take turns and print the table; the first is the reference.

    Returns the rows of the table.
    """
    take_turns(contestants, rounds)
    rows = [summary(contestant, contestants[0]) for contestant in contestants]
    for row, contestant in zip(rows, contestants, strict=True):
        row["peak_gb"] = contestant.close()
    print_table(rows)
    for versions in dict.fromkeys(row["versions"] for row in rows):
        print(versions)
    return rows


def ours(name, *options, script="worker_mrcnn_skin.py"):
    """A contestant of this package, run by this Python."""
    command = [sys.executable, Path(__file__).with_name(script), *map(str, options)]
    return Contestant(name, command)


def add_peer_option(parser):
    """Add --peer, what `peers` takes."""
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        metavar="NAME=PYTHON",
        help=f"also run {known_peers()} with that Python; may be repeated",
    )


def peers(arguments, *options):
    """Contestants for NAME=PYTHON arguments: worker_NAME.py, run by that Python."""
    found = []
    for argument in arguments:
        name, _, python = argument.partition("=")
        script = Path(__file__).with_name(f"worker_{name}.py")
        if not python or not script.is_file():
            raise SystemExit(
                f"--peer must be NAME=PYTHON with a NAME of {known_peers()}, "
                f"got {argument!r}"
            )
        found.append(Contestant(f"{name}, {options[-1]}", [python, script, *options]))
    return found


def known_peers():
    """Names of the peers that there is a worker for."""
    scripts = Path(__file__).parent.glob("worker_*.py")
    names = {script.stem.removeprefix("worker_") for script in scripts}
    return ", ".join(sorted(names - {"mrcnn_skin"}))


def write_json(path, **content):
    """Write figures and what they were measured on; whole or not at all."""
    content["machine"] = {
        "processor": platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
    }
    path = Path(path)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as handle:
        json.dump(content, handle, indent=2)
    Path(handle.name).replace(path)
    print(f"written to {path.resolve()}")
