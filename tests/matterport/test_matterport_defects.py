"""Faults that users of Matterport's package report most do not exist here.

One short run on images that made it stumble. The others have their tests where their
code has: classes of one source for a whole batch in layers/test_loss_layers.py,
detection in full batches only in test_model.py, coarse masks in test_inference.py and
graph/test_mask_rcnn.py, a resumed run without its optimizer in
training/test_loop.py, weights that load wrongly without a word in test_weights.py.
"""

from pathlib import Path

import keras
import numpy as np
import pytest
from tiny import lean_config

from mrcnn_skin import Dataset, MaskRCNN
from mrcnn_skin.data.pipeline import training_batches


class Awkward(Dataset):
    """Images with instances of these shapes; none, empty ones and thin ones too."""

    def __init__(self, *instances):
        super().__init__()
        self.add_class("one", 1, "benign")
        self.add_class("two", 1, "malignant")
        for i in range(len(instances)):
            self.add_image("two" if i % 2 else "one", str(i), None)
        self.instances = instances
        self.prepare()

    def load_image(self, image_id):
        rng = np.random.default_rng(int(image_id))
        return rng.integers(256, size=(64, 64, 3), dtype=np.uint8)

    def load_mask(self, image_id):
        boxes = self.instances[image_id]
        mask = np.zeros([64, 64, len(boxes)], bool)
        for i, (y1, x1, y2, x2) in enumerate(boxes):
            mask[y1:y2, x1:x2, i] = True
        return mask, np.full(len(boxes), 1 + image_id % 2, np.int32)


EMPTY, ROWS, PIXEL = (8, 8, 8, 8), (30, 4, 32, 60), (0, 63, 1, 64)


class Watch(keras.callbacks.Callback):
    """Keeps the weights before and after, and the processes that training started."""

    def __init__(self):
        super().__init__()
        self.processes, self.weights = [], []

    def on_train_begin(self, logs=None):
        self.weights.append(self.model.get_weights())

    def on_train_batch_end(self, batch, logs=None):
        lists = Path("/proc/self/task").glob("*/children")
        self.processes += [
            child for path in lists for child in path.read_text().split()
        ]

    def on_train_end(self, logs=None):
        self.weights.append(self.model.get_weights())


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One epoch on images without lesions, one on awkward ones: their logs."""
    config = lean_config(AUGMENT=True, NUM_CLASSES=3)
    model = MaskRCNN("training", config, tmp_path_factory.mktemp("logs"))
    watch = Watch()
    healthy = Awkward([], [])
    awkward = Awkward([EMPTY], [ROWS], [PIXEL, EMPTY], [])
    logs = [
        model.train(data, None, 0.01, epochs, "all", None, [watch], verbose=0)
        for epochs, data in ((1, healthy), (2, awkward))
    ]
    return logs, watch


def test_images_without_a_lesion_are_learned_from(run):
    (log, _), watch = run
    assert log["rpn_class_loss"] > 0 and log["mrcnn_class_loss"] > 0
    for name in ("rpn_bbox_loss", "mrcnn_bbox_loss", "mrcnn_mask_loss"):
        assert log[name] == 0, name
    before, after = watch.weights[:2]
    assert any((a != b).any() for a, b in zip(before, after, strict=True))


def test_boxes_without_area_and_thin_ones_give_finite_losses(run):
    (_, log), watch = run
    assert all(np.isfinite(value) for value in log.values())
    assert log["mrcnn_mask_loss"] > 0
    assert all(np.isfinite(weight).all() for weight in watch.weights[-1])


def test_training_starts_no_processes_that_could_hang(run):
    _, watch = run
    assert watch.processes == []


def test_each_image_of_a_batch_keeps_the_classes_of_its_own_source():
    batches = training_batches(Awkward([], []), lean_config())
    image_ids, inputs = next(batches.as_numpy_iterator())
    active = inputs["input_active_class_ids"].tolist()
    active = dict(zip(image_ids.tolist(), active, strict=True))
    assert active == {0: [1, 1, 0], 1: [1, 0, 1]}
