"""Logs that a run leaves in its folder: CSV and TensorBoard."""

import csv
import os

import keras
import tensorflow as tf

from ..atomic import written_whole
from .checkpoint import writing


class CsvLog(keras.callbacks.Callback):
    """One line an epoch; a resumed run appends to the existing lines."""

    def __init__(self, path):
        super().__init__()
        self.path = str(path)

    def on_epoch_end(self, epoch, logs=None):
        """Write the epoch's line; it replaces lines of this and later epochs.

        Keras counts epochs from 0, the file from 1, as progress bars and charts do.
        """
        row = {"epoch": epoch + 1, **(logs or {})}
        rows = [r for r in self._rows() if int(r["epoch"]) <= epoch] + [row]
        names = list(dict.fromkeys(name for r in rows for name in r))
        with written_whole(self.path) as partial:
            with open(partial, "w", newline="", encoding="utf-8") as handle:
                writer = csv.DictWriter(handle, names)
                writer.writeheader()
                writer.writerows(rows)

    def _rows(self):
        if not os.path.exists(self.path):
            return []
        with open(self.path, newline="", encoding="utf-8") as handle:
            return list(csv.DictReader(handle))


class TensorBoardLog(keras.callbacks.Callback):
    """Every number of the epoch's log as a TensorBoard scalar."""

    def __init__(self, folder):
        super().__init__()
        self.folder = str(folder)

    def on_train_begin(self, logs=None):
        with writing(f"{self.folder} cannot be written"):
            self.writer = tf.summary.create_file_writer(self.folder)

    def on_epoch_end(self, epoch, logs=None):
        with writing(f"{self.folder} cannot be written"):
            with self.writer.as_default():
                for name, value in (logs or {}).items():
                    tf.summary.scalar(name, value, step=epoch + 1)

    def on_train_end(self, logs=None):
        with writing(f"{self.folder} cannot be written"):
            self.writer.close()
