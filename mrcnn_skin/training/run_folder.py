"""The folder of a run: one process at a time, and a record of what it was made of.

The record, environment.json, holds versions, data and command line; the settings are
in config.json. A run reads nothing of it but the data's fingerprint, to notice when it
resumes with other data.
"""

import datetime
import fcntl
import hashlib
import json
import os
import platform
import socket
import sys
from contextlib import contextmanager
from importlib.metadata import distributions
from pathlib import Path

from ..atomic import written_whole

FILE = "environment.json"


@contextmanager
def locked(run_dir):
    """Hold RUN/lock while the block runs.

    The lock is the kernel's: it ends with the process, so none is ever left over. The
    file only says who has it.

    Raises BlockingIOError naming the other process if one holds it.
    """
    path = Path(run_dir) / "lock"
    with open(path, "a+", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            handle.seek(0)
            raise BlockingIOError(
                f"{run_dir} is in use by {handle.read().strip()}: wait for its end, or "
                "choose another run folder"
            ) from error
        handle.truncate(0)
        handle.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        handle.flush()
        yield


def record_start(run_dir, **datasets):
    """Add this start of a run to RUN/environment.json, a list of its starts.

    datasets: {split: Dataset}, None for one that is absent.
    Prints which data changed since the start before.
    Returns the new entry: started, command, python, platform, packages
    {name: version}, data {split: fingerprint}.
    """
    path = Path(run_dir) / FILE
    starts = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    entry = {
        "started": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": [sys.executable, *sys.argv],
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": installed_packages(),
        "data": {
            split: fingerprint(dataset)
            for split, dataset in datasets.items()
            if dataset is not None
        },
    }
    before = starts[-1]["data"] if starts else {}
    for split in sorted(set(before) & set(entry["data"])):
        if before[split] != entry["data"][split]:
            print(f"the {split} images differ from those at the start of the run")
    with written_whole(path) as partial:
        partial.write_text(json.dumps([*starts, entry], indent=2) + "\n", "utf-8")
    return entry


def installed_packages():
    """Return {name: version} of all that is installed, sorted by name."""
    found = {d.metadata["Name"]: d.version for d in distributions()}
    return dict(sorted((n, v) for n, v in found.items() if n))


def fingerprint(dataset):
    """Return {"images": count, "sha256": digest} of a data set.

    The digest is over each image's id, source, class and size of its files in bytes,
    in order: not over the files' content, which would be read for that alone; nor
    their folder or dates, which differ from copy to copy.
    """
    digest = hashlib.sha256()
    for info in dataset.image_info:
        paths = [info["path"], *info.get("mask_paths", ())]
        sizes = [_size(path) for path in paths]
        facts = [str(info["id"]), info["source"], info.get("class_id"), sizes]
        digest.update(json.dumps(facts, default=int).encode())
    return {"images": len(dataset.image_info), "sha256": digest.hexdigest()}


def _size(path):
    """Bytes of a file; None for an image that has no file, or lost it."""
    try:
        return os.path.getsize(path)
    except (TypeError, OSError):
        return None
