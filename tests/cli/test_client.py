"""client.py and export.py of samples/isic, with servers over a tiny export."""

import io
import sys

import numpy as np
import pytest
from exported import detect_files, good_files
from PIL import Image
from prediction_server import grpc_server, rest_server

from mrcnn_skin.cli import client


def run(monkeypatch, *arguments):
    """The client's exit status."""
    monkeypatch.setattr(sys, "argv", ["client.py", *map(str, arguments)])
    return client.main()


def check(monkeypatch, capsys, model, server, tmp_path):
    """One good file and a bad one: what is printed and what is written."""
    good, bad = tmp_path / "good.jpg", tmp_path / "bad.png"
    good.write_bytes(good_files()[2])
    bad.write_bytes(b"nothing")
    out = tmp_path / "masks"
    options = [f"--server={server}", f"--out={out}", "--timeout=120"]
    assert run(monkeypatch, good, bad, *options) == 1
    lines = capsys.readouterr().out.splitlines()
    (result,) = detect_files(model, [good.read_bytes()], tmp_path)
    p = f"P(malignant) {result['p_malignant']:.2f} (operating point 0.20)"
    assert f"{p}, class malignant, " in lines[0]
    box = ", ".join(f"{value:.1f}" for value in result["rois"][0])
    assert f"box ({box})" in lines[0]
    assert lines[1] == (
        f"{bad}: no answer, the image cannot be decoded: no whole JPEG or PNG"
    )
    assert [entry.name for entry in out.iterdir()] == ["good.png"]
    mask = np.asarray(Image.open(io.BytesIO((out / "good.png").read_bytes())))
    np.testing.assert_array_equal(mask > 0, result["masks"][..., 0])


@pytest.mark.slow
def test_grpc(served_model, served_path, monkeypatch, capsys, tmp_path):
    pytest.importorskip("tensorflow_serving")
    with grpc_server(served_path) as server:
        check(monkeypatch, capsys, served_model, server, tmp_path)


def test_rest_after_two_refusals(
    served_model, served_path, monkeypatch, capsys, tmp_path
):
    monkeypatch.setattr(client.time, "sleep", lambda seconds: None)
    with rest_server(served_path, failures=[503, 429]) as server:
        check(monkeypatch, capsys, served_model, server, tmp_path)


def test_waits_grow_and_end(monkeypatch):
    waits = []
    monkeypatch.setattr(client.time, "sleep", waits.append)

    def ask(content):
        raise client.Busy("full")

    with pytest.raises(client.Busy):
        client.with_retries(ask, b"", retries=3)
    assert waits == [0.5, 1, 2]


def test_a_server_that_is_away_or_refuses(served_path, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(client.time, "sleep", lambda seconds: None)
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(good_files()[0])
    away = "http://127.0.0.1:9"  # the port of "discard", which nobody serves
    assert run(monkeypatch, photo, f"--server={away}") == 1
    assert "refused" in capsys.readouterr().out
    with rest_server(served_path, failures=[400]) as server:
        assert run(monkeypatch, photo, f"--server={server}") == 1
    assert "HTTP 400" in capsys.readouterr().out
