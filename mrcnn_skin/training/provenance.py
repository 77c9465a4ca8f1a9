"""The origin of a run: package versions, data and command line, stored with it.

The settings themselves are in config.json; nothing here is read back by a run but the
data's fingerprint, to tell when a run goes on with other data.
"""

import datetime
import hashlib
import json
import os
import platform
import sys
from importlib.metadata import distributions
from pathlib import Path

from ..atomic import written_whole

FILE = "environment.json"


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
