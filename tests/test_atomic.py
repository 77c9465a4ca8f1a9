"""Folders of results appear as a whole, or not at all."""

import pytest

from mrcnn_skin.atomic import files_written_whole


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
