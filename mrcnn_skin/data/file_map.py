"""Apply a function to many files at once, and remember the results on disk.

A result holds as long as the file's size and time of change do. It knows nothing of
images; what is asked of the files is the caller's business.
"""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from ..atomic import written_whole

# Decoders run outside Python's lock. More workers would hold more images in memory.
_WORKERS = min(os.cpu_count() or 1, 8)


def map_files(function, paths, name, cache=None):
    """Call a function with each path, several at a time, with a progress bar.

    function: path -> a value that JSON can hold. It may raise OSError or ValueError.
    paths: of any number; equal ones are read once.
    name: says what the function finds out, arguments included; the key in the cache,
        its first word the title of the bar (shown on a terminal only).
    cache: JSON file of earlier results, made here; None remembers nothing. Errors are
        never remembered.
    Returns {path: value, or the exception that it raised}.
    """
    paths = list(dict.fromkeys(paths))
    memory = _read_cache(cache)
    known = memory.setdefault(name, {})
    states = {path: _state(path) for path in paths}
    results = {
        path: known[os.path.abspath(path)][1]
        for path in paths
        if states[path] and known.get(os.path.abspath(path), [0])[0] == states[path]
    }
    missing = [path for path in paths if path not in results]
    with ThreadPoolExecutor(_WORKERS) as pool:
        values = pool.map(lambda path: _attempt(function, path), missing)
        bar = tqdm(values, name.split()[0], len(missing), leave=False, disable=None)
        results.update(zip(missing, bar, strict=True))
    new = {
        os.path.abspath(path): [states[path], results[path]]
        for path in missing
        if states[path] and not isinstance(results[path], Exception)
    }
    if cache is not None and new:
        known.update(new)
        _write_cache(cache, memory)
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


def _read_cache(path):
    """Return the cache's content; a broken one counts as empty."""
    try:
        memory = json.loads(Path(path).read_text(encoding="utf-8")) if path else {}
    except (FileNotFoundError, ValueError):
        return {}
    is_ours = isinstance(memory, dict) and all(
        isinstance(known, dict) for known in memory.values()
    )
    return memory if is_ours else {}


def _write_cache(path, memory):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as partial:
        partial.write_text(json.dumps(memory), encoding="utf-8")
