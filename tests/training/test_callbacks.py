"""The logs that a run leaves."""

import csv
import math
import struct

import numpy as np
import pytest
import tensorflow as tf

from mrcnn_skin.training.callbacks import CsvLog, TensorBoardLog


def read(path):
    with open(path, newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def test_csv_has_a_line_an_epoch(tmp_path):
    (tmp_path / "log.csv").touch()  # an empty file is written over
    log = CsvLog(tmp_path / "log.csv")
    log.on_epoch_end(0, {"loss": 2.5})
    log.on_epoch_end(1, {"loss": 1.25, "val_JA": 0.5})
    log.on_epoch_end(2, {"loss": np.float32(0.1), "val_JA": math.nan})
    log.on_epoch_end(3, {"loss": 1e-9, "val_JA": 1 / 3})
    assert read(tmp_path / "log.csv") == [
        {"epoch": "1", "loss": "2.5", "val_JA": ""},
        {"epoch": "2", "loss": "1.25", "val_JA": "0.5"},
        {"epoch": "3", "loss": "0.1", "val_JA": "nan"},
        {"epoch": "4", "loss": "1e-09", "val_JA": str(1 / 3)},
    ]


def test_csv_of_a_resumed_run_goes_on_and_replaces_what_is_done_again(tmp_path):
    path = tmp_path / "log.csv"
    for epoch in range(3):
        CsvLog(path).on_epoch_end(epoch, {"loss": 10.0 + epoch})
    CsvLog(path).on_epoch_end(1, {"loss": 5.0})
    assert read(path) == [
        {"epoch": "1", "loss": "10.0"},
        {"epoch": "2", "loss": "5.0"},
    ]
    assert [p.name for p in tmp_path.iterdir()] == ["log.csv"]


def events(folder):
    """Bytes of the records in the one event file of a folder (TFRecord format)."""
    (path,) = folder.iterdir()
    data = path.read_bytes()
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        yield data[12 : 12 + length]
        data = data[16 + length :]


def test_tensorboard_gets_every_number(tmp_path):
    log = TensorBoardLog(tmp_path / "events")
    log.on_train_begin()
    log.on_epoch_end(0, {"loss": 2.5, "val_JA": 0.5})
    text = b"".join(events(tmp_path / "events"))  # while the run still trains
    log.on_train_end()
    for name, value in (("loss", 2.5), ("val_JA", 0.5)):
        assert name.encode() in text
        assert struct.pack("<f", value) in text


def test_a_full_disk_is_told_in_one_line(tmp_path, monkeypatch):
    log = TensorBoardLog(tmp_path / "events")
    log.on_train_begin()

    def flush():
        told = "{{function_node __wrapped__}} events.1; No space left\n\tFlushing first"
        raise tf.errors.ResourceExhaustedError(None, None, told)

    monkeypatch.setattr(log.writer, "flush", flush)
    with pytest.raises(OSError) as error:
        log.on_epoch_end(0, {"loss": 2.5})
    told = f"{tmp_path / 'events'} cannot be written: events.1; No space left"
    assert str(error.value) == told
