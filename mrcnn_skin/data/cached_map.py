"""Apply a function to many files at once, and remember the results on disk.

A result holds as long as the file's size and time of change do. It knows nothing of
images; what is asked of the files is the caller's business.
"""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

# Decoders run outside Python's lock. More workers would hold more images in memory.
_WORKERS = min(os.cpu_count() or 1, 8)
_PORTION = 256  # files between two additions to the cache


def map_files(function, paths, name, cache=None):
    """Call a function with each path, several at a time, with a progress bar.

    function: path -> a value that JSON can hold. It may raise OSError or ValueError.
    paths: of any number; equal ones are read once.
    name: says what the function finds out, arguments included; the key in the cache,
        its first word the title of the bar (shown on a terminal only).
    cache: file of earlier results, made here; None remembers nothing. Results are added
        to it every _PORTION files, so that an interrupted call loses few. Errors are
        never remembered.
    Returns {path: value, or the exception that it raised}.
    """
    paths = list(dict.fromkeys(paths))
    known = _read_cache(cache, name)
    states = {path: _state(path) for path in paths}
    results = {}
    for path in paths:
        state, value = known.get(os.path.abspath(path), (None, None))
        if state is not None and state == states[path]:
            results[path] = value
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
            _add_to_cache(cache, name, {p: (states[p], results[p]) for p in portion})
    return results


def _attempt(function, path):
    try:
        return function(path)
    except (OSError, ValueError) as error:
        return error


def _state(path):
    """Return what tells a changed file, [bytes, time]; None for one that is absent."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]


def _read_cache(path, name):
    """Return what the cache knows under a name, {absolute path: (state, value)}.

    Lines that are no entries, such as one that was cut off, are passed over.
    """
    known = {}
    if path is None or not os.path.exists(path):
        return known
    with open(path, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                kind, file, state, value = json.loads(line)
                if kind == name:
                    known[file] = (state, value)
            except (ValueError, TypeError):
                continue
    return known


def _add_to_cache(path, name, entries):
    """Append {path: (state, value)} to the cache, one line each; no errors."""
    lines = [
        json.dumps([name, os.path.abspath(file), state, value]) + "\n"
        for file, (state, value) in entries.items()
        if state and not isinstance(value, Exception)
    ]
    if path is None or not lines:
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8") as cache:
        # The newline ends a line that an earlier process was cut off in
        cache.write("\n" + "".join(lines))
