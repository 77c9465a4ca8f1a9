"""Logs that a run leaves in its folder: CSV and TensorBoard."""

import os

import keras
import pandas as pd
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
        rows = pd.DataFrame([{name: str(value) for name, value in row.items()}])
        if os.path.exists(self.path) and os.path.getsize(self.path):
            before = pd.read_csv(self.path, dtype=str, keep_default_na=False)
            rows = pd.concat([before[before["epoch"].astype(int) <= epoch], rows])
        with written_whole(self.path) as partial:
            rows.to_csv(partial, index=False)


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
