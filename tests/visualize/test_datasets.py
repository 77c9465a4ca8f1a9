"""Statistics and charts of a data set, on images whose lesions are rectangles."""

import numpy as np
import pytest
from pictures import blank, rectangle
from tiny import tiny_config

from mrcnn_skin import Dataset
from mrcnn_skin.data.pipeline import load_example
from mrcnn_skin.visualize import (
    TRUTH_COLOR,
    box_statistics,
    draw_example,
    draw_prediction,
    plot_box_statistics,
    plot_class_counts,
)
from mrcnn_skin.visualize.instances import class_label


class Rectangles(Dataset):
    """Images of 32 x 64 pixels: a benign one of 16 x 8, a malignant of 8 x 32, none."""

    LESIONS = ((8, 8, 24, 16), 1), ((0, 0, 8, 32), 2), None

    def __init__(self):
        super().__init__()
        for class_id, name in ((1, "benign"), (2, "malignant")):
            self.add_class("drawn", class_id, name)
        for number in range(3):
            self.add_image("drawn", number, None)
        self.prepare()

    def load_image(self, image_id):
        return blank(32, 64)

    def load_mask(self, image_id):
        if self.LESIONS[image_id] is None:
            return np.zeros((32, 64, 0), bool), np.zeros(0, np.int32)
        box, class_id = self.LESIONS[image_id]
        mask = rectangle(*box, shape=(32, 64))
        return mask[..., None], np.array([class_id], np.int32)


@pytest.fixture(scope="module")
def images():
    return Rectangles()


@pytest.fixture(scope="module")
def table(images):
    return box_statistics(images, tiny_config(IMAGE_MIN_DIM=0))


def test_a_crowd_is_named_and_not_measured():
    crowd = Rectangles()
    crowd.LESIONS = ((8, 8, 24, 16), -1), ((0, 0, 8, 32), 2), None
    assert box_statistics(crowd, tiny_config())["class"].tolist() == ["malignant"]
    assert box_statistics(crowd, tiny_config(), []).empty
    assert class_label(crowd.class_names, -1) == "crowd of benign"
    assert class_label(crowd.class_names, 2) == "malignant"


def test_box_statistics(table):
    """32 x 64 pixels lie in the middle of 64 x 64; nothing is scaled."""
    assert table["image"].tolist() == [0, 1]
    assert table["class"].tolist() == ["benign", "malignant"]
    assert table[["height", "width"]].values.tolist() == [[16, 8], [8, 32]]
    np.testing.assert_allclose(table["side"], [np.sqrt(128), 16])
    np.testing.assert_allclose(table["ratio"], [0.5, 4])
    np.testing.assert_allclose(table["center_y"], [(16 + 16) / 64, (4 + 16) / 64])
    np.testing.assert_allclose(table["center_x"], [12 / 64, 16 / 64])
    np.testing.assert_allclose(table["area"], [128 / 2048, 256 / 2048])


def test_plot_box_statistics_counts_every_lesion_beside_the_anchors(table):
    config = tiny_config()
    sides, ratios, areas, centers = plot_box_statistics(table, config).axes
    for ax in (sides, ratios, areas):
        assert sum(patch.get_height() for patch in ax.patches) == len(table)
    dotted = [line.get_xdata()[0] for line in sides.lines]
    assert dotted == list(config.RPN_ANCHOR_SCALES)
    assert [line.get_label() for line in centers.lines] == ["benign", "malignant"]


def test_plot_class_counts(images):
    (ax,) = plot_class_counts(images).axes
    assert [bar.get_width() for bar in ax.patches] == [1, 1, 1]
    assert [text.get_text() for text in ax.texts] == ["1 (33%)"] * 3
    names = [text.get_text() for text in ax.get_yticklabels()]
    assert names == ["no label or lesion", "benign", "malignant"]


def test_draw_example_outlines_the_truth(images):
    example = load_example(images, tiny_config(IMAGE_MIN_DIM=0), 0)
    picture = draw_example(example, images.class_names)
    strip = len(picture) - 64
    green = (picture[strip:] == TRUTH_COLOR).all(axis=-1)
    rows, columns = np.nonzero(green)
    # The lesion is 16 lower on the canvas; its outline is just outside of it
    assert (rows.min(), rows.max()) == (16 + 8 - 1, 16 + 24)
    assert (columns.min(), columns.max()) == (8 - 1, 16)
    assert strip > 0
    healthy = draw_example(load_example(images, tiny_config(), 2), images.class_names)
    assert not (healthy[-64:] == TRUTH_COLOR).all(axis=-1).any()


def test_draw_prediction_says_how_well_it_fits(images):
    def detector(image):
        assert image.shape == (32, 64, 3)
        masks = rectangle(8, 8, 24, 12, shape=(32, 64))[..., None]
        return {"rois": [[8, 8, 24, 12]], "masks": masks, "p_malignant": None}

    picture = draw_prediction(images, 0, detector)
    green = (picture == TRUTH_COLOR).all(axis=-1)[-32:]
    assert green[8:24, 16].all()  # where no prediction's outline lies upon it
    assert draw_prediction(images, 2, detector).shape[1] == 64
