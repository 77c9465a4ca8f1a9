"""Results for many files, remembered as long as the files stay as they are."""

import os

import pytest

from mrcnn_skin.data.cached_map import map_files


@pytest.fixture
def paths(tmp_path):
    for name in "abc":
        (tmp_path / name).write_text(name * 3)
    return [str(tmp_path / name) for name in "abc"]


class Reader:
    """Reads files and keeps a list of those it was asked for."""

    def __init__(self):
        self.asked = []

    def __call__(self, path):
        self.asked.append(os.path.basename(path))
        with open(path) as handle:
            text = handle.read()
        if text.startswith("!"):
            raise ValueError(text)
        return text


def test_values_and_errors_by_path(paths):
    open(paths[1], "w").write("!broken")
    found = map_files(Reader(), [*paths, paths[0]], "text")
    assert found[paths[0]] == "aaa" and found[paths[2]] == "ccc"
    assert isinstance(found[paths[1]], ValueError) and len(found) == 3


def test_equal_paths_are_read_once(paths):
    reader = Reader()
    map_files(reader, paths[:1] * 5, "text")
    assert reader.asked == ["a"]


def test_only_new_changed_and_bad_files_are_read_again(paths, tmp_path):
    cache = tmp_path / "new folder" / "cache.json"
    map_files(Reader(), paths[:2], "text", cache)
    open(paths[0], "w").write("!bad")
    reader = Reader()
    found = map_files(reader, paths, "text", cache)
    assert sorted(reader.asked) == ["a", "c"]
    assert found[paths[1]] == "bbb" and isinstance(found[paths[0]], ValueError)
    reader = Reader()
    map_files(reader, paths, "text", cache)
    assert reader.asked == ["a"]


def test_a_file_of_the_same_size_but_another_time_is_read_again(paths, tmp_path):
    cache = tmp_path / "cache.json"
    map_files(Reader(), paths, "text", cache)
    open(paths[0], "w").write("xyz")
    os.utime(paths[0], ns=(1, 1))
    assert map_files(Reader(), paths, "text", cache)[paths[0]] == "xyz"


def test_each_name_has_its_own_results(paths, tmp_path):
    cache = tmp_path / "cache.json"
    map_files(Reader(), paths, "text", cache)
    assert map_files(len, paths[:1], "length", cache) == {paths[0]: len(paths[0])}
    reader = Reader()
    map_files(reader, paths, "text", cache)
    assert reader.asked == []


def test_an_interrupted_call_keeps_its_results(paths, tmp_path, monkeypatch):
    monkeypatch.setattr("mrcnn_skin.data.cached_map._PORTION", 2)
    cache = tmp_path / "cache.jsonl"

    def interrupted(path):
        if path == paths[2]:
            raise KeyboardInterrupt
        return Reader()(path)

    with pytest.raises(KeyboardInterrupt):
        map_files(interrupted, paths, "text", cache)
    reader = Reader()
    map_files(reader, paths, "text", cache)
    assert reader.asked == ["c"]


def test_a_truncated_line_loses_only_its_entry(paths, tmp_path):
    cache = tmp_path / "cache.jsonl"
    map_files(Reader(), paths[:2], "text", cache)
    cache.write_text(cache.read_text()[:-9])
    map_files(Reader(), paths[2:], "text", cache)
    reader = Reader()
    map_files(reader, paths, "text", cache)
    assert reader.asked == ["b"]


@pytest.mark.parametrize(
    "content", ["", "{", "[1]", '{"text": 3}', '{"text": [1]}', "\xff"]
)
def test_a_broken_cache_counts_as_empty(paths, tmp_path, content):
    cache = tmp_path / "cache.json"
    cache.write_text(content)
    assert map_files(Reader(), paths, "text", cache)[paths[2]] == "ccc"


def test_an_absent_file_is_an_error_of_its_own(paths, tmp_path):
    absent = str(tmp_path / "absent")
    found = map_files(Reader(), [absent, *paths], "text", tmp_path / "cache.json")
    assert isinstance(found[absent], FileNotFoundError) and len(found) == 4
