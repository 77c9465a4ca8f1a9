"""Measure programs side by side: each in a process of its own, in turn, A B A B.

A candidate is any command that answers the lines of worker.py's protocol; peers run
in environments of their own. Nothing here knows TensorFlow or PyTorch.
"""

import importlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import worker

# OpenMP's threads spin while they wait for each other, which on a busy machine doubles
# the CPU seconds of PyTorch; passive ones sleep
PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE"}


class Candidate:
    """A program under test.

    command: starts a worker of worker.py's protocol. name: in the table. environment:
    variables besides those of this process.
    """

    def __init__(self, name, command, environment=None):
        self.name, self.command = name, [str(word) for word in command]
        self.environment = {**os.environ, **(environment or {})}
        self.runs = []  # figures of the runs, or of turns of several
        self.first = self.peak_gb = 0.0  # seconds of the longest first run; memory

    def start(self):
        """Start the program and make its first run, which is not counted."""
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=self.environment,
        )
        self.about = self._read()
        self.first = max(self.first, self.ask("run")["wall"])

    def ask(self, request):
        """Send a request, "run" or "end", and return the answer."""
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        return self._read()

    def note(self, figures):
        """Keep a turn's figures, and show that it is over: turns can be long."""
        self.runs.append(figures)
        print(f"  {self.name}: {figures['cpu']:.2f} CPU s", flush=True)

    def end(self):
        """End the program and note its peak of memory."""
        with self.process:  # closes its pipes and waits
            self.peak_gb = max(self.peak_gb, self.ask("end")["peak_gb"])

    def _read(self):
        line = self.process.stdout.readline()
        while line and not line.startswith("{"):  # what libraries print when imported
            line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(
                f"{self.name} ended without an answer; run it by hand to see why: "
                f"{' '.join(self.command)}"
            )
        return json.loads(line)


def take_turns(candidates, rounds):
    """Run all candidates, which stand side by side, in turn, `rounds` times."""
    for candidate in candidates:
        candidate.start()
    for _ in range(rounds):
        for candidate in candidates:
            candidate.note(candidate.ask("run"))
    for candidate in candidates:
        candidate.end()


def take_turns_alone(candidates, rounds, steps):
    """Let candidates that need the memory for themselves take `rounds` turns.

    A turn is a program's start, `steps` runs after its first, of which the median
    counts, and its end.
    """
    for _ in range(rounds):
        for candidate in candidates:
            candidate.start()
            runs = [candidate.ask("run") for _ in range(steps)]
            candidate.end()
            medians = {k: statistics.median(run[k] for run in runs) for k in runs[0]}
            candidate.note(medians)


def ratios(candidate, reference, unit):
    """Median, smallest and largest ratio of two candidates' runs, round by round.

    Neighbouring runs are compared, so that a machine that slows down for a while
    slows both. unit: "wall" or "cpu", seconds on the clock or of all threads; other
    programs on the machine hardly change the latter.
    """
    pairs = zip(candidate.runs, reference.runs, strict=True)
    return _spread([mine[unit] / its[unit] for mine, its in pairs])


def _spread(values):
    return statistics.median(values), min(values), max(values)


def summary(candidate, reference):
    """Figures of one candidate, and its ratios to the reference's, as a flat dict."""
    figures = {"name": candidate.name, **candidate.about}
    for unit in ("wall", "cpu"):
        mine = _spread([run[unit] for run in candidate.runs])
        ratio = ratios(candidate, reference, unit)
        for what, values in ((unit, mine), (f"{unit}_ratio", ratio)):
            names = (what, f"{what}_min", f"{what}_max")
            figures.update(zip(names, values, strict=True))
    return {**figures, "first": candidate.first, "peak_gb": candidate.peak_gb}


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


def compare(candidates, rounds, steps=None):
    """Let candidates take turns and print the table; the first is the reference.

    steps: None if the candidates can stand side by side, else runs of each turn that
    one of them has alone. Returns the rows of the table.
    """
    if steps is None:
        take_turns(candidates, rounds)
    else:
        take_turns_alone(candidates, rounds, steps)
    rows = [summary(candidate, candidates[0]) for candidate in candidates]
    print_table(rows)
    for versions in dict.fromkeys(row["versions"] for row in rows):
        print(versions)
    return rows


def ours(name, *options, script="worker_mrcnn_skin.py"):
    """A candidate of this package, run by this Python."""
    command = [sys.executable, Path(__file__).with_name(script), *map(str, options)]
    return Candidate(name, command)


def add_peer_option(parser, kind="worker"):
    """Add --peer, what `peers` takes."""
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        metavar="NAME=PYTHON",
        help=f"also run {known_peers(kind)} with that Python; may be repeated",
    )


def peers(arguments, precision, *options, kind="worker"):
    """Candidates for NAME=PYTHON arguments: KIND_NAME.py, run by that Python.

    Those that have not this precision are left out, and it is said. kind: "worker"
    for detection, "trainer" for training.
    """
    found = []
    for argument in arguments:
        name, _, python = argument.partition("=")
        script = Path(__file__).with_name(f"{kind}_{name}.py")
        if not python or not script.is_file():
            raise SystemExit(
                f"--peer must be NAME=PYTHON with a NAME of {known_peers(kind)}, "
                f"got {argument!r}"
            )
        if precision in precisions(script.stem):
            command = [python, script, *options, f"--precision={precision}"]
            found.append(Candidate(f"{name} {precision}", command, PASSIVE))
        else:
            print(f"{name} has no {precision} and is left out of it")
    return found


def precisions(script):
    """What the script of a peer can calculate in; importing it needs only Python."""
    return getattr(importlib.import_module(script), "PRECISIONS", worker.PRECISIONS)


def known_peers(kind):
    """Names of the peers that there is a script of this kind for."""
    scripts = Path(__file__).parent.glob(f"{kind}_*.py")
    names = {script.stem.removeprefix(f"{kind}_") for script in scripts}
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
