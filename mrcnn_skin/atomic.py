"""Files and folders that are written whole or not at all."""

import errno
import os
import secrets
import shutil
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

STALE = 24 * 3600  # seconds after which a temporary folder belongs to a killed process


@contextmanager
def written_whole(path):
    """Yield a temporary path beside `path`; it replaces `path` at the end.

    Whoever opens `path` meanwhile, or after a crash, finds the previous file. Of
    several writers each has a temporary path of its own, and the last to finish wins.
    If the block raises, the temporary file is removed; a killed process leaves it, see
    `remove_partial`. An OSError for want of room, or of a folder to write into, names
    `path`.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(
            errno.ENOENT, "There is no such folder", str(path.parent)
        )
    if path.is_dir():
        raise IsADirectoryError(
            errno.EISDIR, "A file cannot replace the folder", str(path)
        )
    partial = _temporary_path(path)
    try:
        with _naming_full_disk(path):
            yield partial
            os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path, text):
    """Write a file of UTF-8 text by `written_whole`; make its folder."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


@contextmanager
def folder_written_whole(path):
    """Yield a new temporary folder beside `path`; it becomes `path` at the end.

    Of several writers the first to finish wins, and the others raise OSError. If the
    block raises, the temporary folder is removed; what a killed process left, hidden,
    is removed by the first call after a day.
    Raises FileExistsError if there is something at `path`.
    """
    path = Path(path)
    if path.exists():
        raise FileExistsError(f"there is already something at {path}")
    for rest in path.parent.glob(f".{path.name}.*.part"):
        if time.time() - rest.stat().st_mtime > STALE:
            shutil.rmtree(rest, ignore_errors=True)
    partial = _temporary_path(path)
    partial.mkdir(parents=True)
    try:
        with _naming_full_disk(path):
            yield partial
            os.rename(partial, path)  # fails if somebody has filled `path` meanwhile
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def files_written_whole(folder):
    """Yield a temporary folder; its files move into `folder` at the end.

    If the block raises, `folder` is as it was before. Files of before that the block
    does not write stay.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=f".{folder.name}-", dir=folder.parent
    ) as name:
        partial = Path(name)
        yield partial
        for path in sorted(p for p in partial.rglob("*") if p.is_file()):
            target = folder / path.relative_to(partial)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, target)


def remove_partial(folder):
    """Remove what killed processes left of `written_whole` in a folder.

    Only for a folder in which no other process writes.
    """
    for rest in Path(folder).glob(".*.part"):
        rest.unlink()


def _temporary_path(path):
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")


@contextmanager
def _naming_full_disk(path):
    """Say in one line what found no room; Python says nothing of it, HDF5 too much."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
