"""Folders of results appear as a whole, or not at all."""

import errno
import os
import re
import time

import pytest

from mrcnn_skin.atomic import (
    files_written_whole,
    folder_written_whole,
    remove_partial,
    written_whole,
)


def test_files_move_into_the_folder_and_older_ones_stay(tmp_path):
    results = tmp_path / "results"
    results.mkdir()
    (results / "kept").write_text("old")
    (results / "replaced").write_text("old")
    with files_written_whole(results) as partial:
        (partial / "masks").mkdir()
        (partial / "masks" / "a.png").write_text("new")
        (partial / "replaced").write_text("new")
        assert (results / "replaced").read_text() == "old"
    found = {p.name: p.read_text() for p in results.rglob("*") if p.is_file()}
    assert found == {"kept": "old", "replaced": "new", "a.png": "new"}
    assert list(tmp_path.iterdir()) == [results]


def test_nothing_is_left_of_a_block_that_raises(tmp_path):
    with pytest.raises(ValueError), files_written_whole(tmp_path / "results") as part:
        (part / "a.png").write_text("new")
        raise ValueError
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_there_is_named_before_the_work(tmp_path):
    missing = tmp_path / "missing"
    for path, kind, named in (
        (missing / "a.csv", FileNotFoundError, missing),
        (tmp_path, IsADirectoryError, tmp_path),
    ):
        with pytest.raises(kind, match=re.escape(f"folder: '{named}'")):
            with written_whole(path):
                raise AssertionError("the block must not begin")


def test_a_full_disk_is_told_in_one_line_with_the_file(tmp_path):
    """As HDF5 says it, with the bytes of each write."""
    path = tmp_path / "log.csv"
    path.write_text("before")
    with pytest.raises(OSError) as error, written_whole(path) as partial:
        partial.write_text("ha")
        raise OSError(errno.ENOSPC, "Can't write (time = now\n, buf = 0x56)")
    assert str(error.value) == f"[Errno 28] No space left on device: '{path}'"
    assert [p.name for p in tmp_path.iterdir()] == ["log.csv"]
    assert path.read_text() == "before"


def test_of_two_writers_the_last_to_finish_wins(tmp_path):
    path = tmp_path / "log.csv"
    with written_whole(path) as first:
        with written_whole(path) as second:
            first.write_text("first")
            second.write_text("second")
        assert path.read_text() == "second"
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_of_two_writers_of_a_folder_the_first_to_finish_wins(tmp_path):
    path = tmp_path / "1"
    with pytest.raises(OSError), folder_written_whole(path) as slow:
        (slow / "graph").write_text("slow")
        with folder_written_whole(path) as fast:
            (fast / "graph").write_text("fast")
    assert (path / "graph").read_text() == "fast"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_is_removed(tmp_path):
    (tmp_path / "kept.part").write_text("a download")
    with written_whole(tmp_path / "log.csv") as partial:
        partial.write_text("killed")
        remove_partial(tmp_path)
        assert not partial.exists()
        partial.write_text("")
    assert {p.name for p in tmp_path.iterdir()} == {"kept.part", "log.csv"}


def test_a_folder_that_a_killed_process_left_is_removed_after_a_day(tmp_path):
    ages = {"old": 25 * 3600, "young": 23 * 3600}  # the young one may be in use
    for name, age in ages.items():
        (tmp_path / f".7.{name}.part").mkdir()
        (tmp_path / f".7.{name}.part" / "graph").touch()
        then = time.time() - age
        os.utime(tmp_path / f".7.{name}.part", (then, then))
    with folder_written_whole(tmp_path / "7") as partial:
        (partial / "new").touch()
    assert {entry.name for entry in tmp_path.iterdir()} == {"7", ".7.young.part"}
    assert [entry.name for entry in (tmp_path / "7").iterdir()] == ["new"]
