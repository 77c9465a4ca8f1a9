"""Files that are written whole or not at all."""

import os
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path):
    """Yield a temporary path beside `path`; it takes its place at the end.

    Whoever opens `path` meanwhile, or after a crash, finds the file of before. If the
    block raises, the temporary file goes.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.part")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
