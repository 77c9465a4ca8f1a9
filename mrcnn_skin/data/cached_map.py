"""Apply a function to many files in parallel, and cache the results on disk.

A result is valid while the file's size and modification time are the same.
"""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

# Decoders release Python's lock; each worker holds an image in memory
_WORKERS = min(os.cpu_count() or 1, 8)
_PORTION = 256  # files between two writes to the cache


def map_files(function, paths, name, cache=None):
    """Call a function for each path in parallel, with a progress bar.

    Args:
        function: path -> a JSON value. It may raise OSError or ValueError.
        paths: iterable; duplicates are read once.
        name: of the function and its arguments: the key in the cache. Its first word
            is the title of the bar (shown on a terminal only).
        cache: file of earlier results, created if needed; None for no cache. Results
            are added every _PORTION files. Errors are not cached.

    Returns:
        {path: value, or the exception that it raised}.
    """
    paths = list(dict.fromkeys(paths))
    known = _read_cache(cache, name)
    states = {path: _state(path) for path in paths}
    results = {p: known[state] for p, state in states.items() if state in known}
    missing = [path for path in paths if path not in results]
    portions = range(0, len(missing), _PORTION)
    with (
        ThreadPoolExecutor(_WORKERS) as pool,
        tqdm(
            desc=f"check {name.split()[0]}",
            total=len(missing),
            leave=False,
            disable=None,
        ) as bar,
    ):
        for portion in (missing[start : start + _PORTION] for start in portions):
            values = list(pool.map(lambda path: _attempt(function, path), portion))
            results.update(zip(portion, values, strict=True))
            bar.update(len(portion))
            _add_to_cache(cache, name, {states[p]: results[p] for p in portion})
    return results


def _attempt(function, path):
    try:
        return function(path)
    except (OSError, ValueError) as error:
        return error


def _state(path):
    """Return (path, size, modification time) of a file, or None if there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return os.path.abspath(path), status.st_size, status.st_mtime_ns


def _read_cache(path, name):
    """Return {state: value} of a name; skip invalid lines."""
    known = {}
    if path is None or not os.path.exists(path):
        return known
    with open(path, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                kind, file, state, value = json.loads(line)
                if kind == name:
                    known[(file, *state)] = value
            except (ValueError, TypeError):
                continue
    return known


def _add_to_cache(path, name, entries):
    """Append {state: value}, except errors, to the cache, one per line."""
    lines = [
        json.dumps([name, state[0], state[1:], value]) + "\n"
        for state, value in entries.items()
        if state and not isinstance(value, Exception)
    ]
    if path is None or not lines:
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8") as cache:
        # The newline ends a line that an earlier process left incomplete
        cache.write("\n" + "".join(lines))
