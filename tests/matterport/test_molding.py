"""Images, meta data and RPN targets in the form of Matterport's scripts."""

import numpy as np
import pytest
from tiny import tiny_config

from mrcnn_skin.data.dataset import Dataset
from mrcnn_skin.data.pipeline import iterate, training_batches
from mrcnn_skin.matterport.molding import (
    build_rpn_targets,
    compose_image_meta,
    load_image_gt,
    mold_image,
    parse_image_meta,
    unmold_image,
)


class TwoSquares(Dataset):
    """One image of 32 x 16 pixels with two instances; only class 1 is labelled."""

    def __init__(self):
        super().__init__()
        self.add_class("here", 1, "square")
        self.add_class("elsewhere", 1, "disc")
        self.add_image("here", "two squares", None)
        self.prepare()

    def load_image(self, image_id):
        return np.full([32, 16, 3], 200, np.uint8)

    def load_mask(self, image_id):
        mask = np.zeros([32, 16, 2], bool)
        mask[4:20, 2:10, 0] = mask[24:30, 8:14, 1] = True
        return mask, np.array([1, 1], np.int32)


def test_load_image_gt_by_hand():
    """32 x 16 pixels are doubled to 64 x 32 and get 16 columns on either side."""
    image, meta, class_ids, bbox, mask = load_image_gt(TwoSquares(), tiny_config(), 0)
    assert image.shape == (64, 64, 3) and image[0, 16, 0] == 200
    assert not image[:, :16].any() and not image[:, 48:].any()
    assert class_ids.tolist() == [1, 1]
    assert bbox.tolist() == [[8, 20, 40, 36], [48, 32, 60, 44]]
    assert mask.shape == (64, 64, 2) and mask[..., 0].sum() == 32 * 16
    assert meta.shape == (tiny_config().IMAGE_META_SIZE,)
    values = {k: v[0].tolist() for k, v in parse_image_meta(meta[None]).items()}
    assert values == {
        "image_id": 0,
        "original_image_shape": [32, 16, 3],
        "image_shape": [64, 64, 3],
        "window": [0, 16, 64, 48],
        "scale": 2.0,
        "active_class_ids": [1, 1, 0],
    }


def test_load_image_gt_cuts_masks_to_their_boxes_if_asked():
    for use, shape in ((True, (28, 28, 2)), (False, (64, 64, 2))):
        config = tiny_config(USE_MINI_MASK=not use)  # the argument decides
        *_, mask = load_image_gt(TwoSquares(), config, 0, use_mini_mask=use)
        assert mask.shape == shape
    assert load_image_gt(TwoSquares(), tiny_config(), 0, use_mini_mask=True)[-1].all()


def test_load_image_gt_is_random_and_repeats_by_numpys_seed(iaa):
    half = iaa.Fliplr(0.5)
    first = []
    for seed in (0, *range(8)):
        np.random.seed(seed)
        _, _, _, bbox, _ = load_image_gt(TwoSquares(), tiny_config(), 0, half)
        first.append(bbox[0].tolist())
    assert first[0] == first[1]
    flipped = [8, 28, 40, 44]
    assert sorted(set(map(tuple, first))) == [(8, 20, 40, 36), tuple(flipped)]


def test_mold_and_unmold():
    config = tiny_config(MEAN_PIXEL=(100, 50, 0.5))
    image = np.array([[[100, 40, 255]]], np.uint8)
    molded = mold_image(image, config)
    assert molded.dtype == np.float32
    np.testing.assert_allclose(molded, [[[0, -10, 254.5]]])
    np.testing.assert_array_equal(unmold_image(molded, config), image)
    assert unmold_image(molded + 300, config).max() == 255, "it does not wrap around"


def test_meta_data_of_a_batch():
    rows = [
        compose_image_meta(i, (5, 6, 3), (64, 64, 3), (1, 2, 3, 4), 0.5, [1, 0, 1])
        for i in (7, 8)
    ]
    values = parse_image_meta(np.stack(rows))
    assert (
        values["image_id"].tolist() == [7, 8] and values["scale"].tolist() == [0.5] * 2
    )
    assert values["window"].tolist() == [[1, 2, 3, 4]] * 2
    assert values["window"].dtype == values["active_class_ids"].dtype == np.int32


def test_build_rpn_targets_by_hand():
    """In pixels of 101 x 101, whose last are a hundredth apart when normalised."""
    box = [0, 0, 41, 41]
    anchors = np.array([[60, 60, 101, 101], [0, 20, 41, 61], box, [0, 0, 41, 41]])
    config = tiny_config(RPN_TRAIN_ANCHORS_PER_IMAGE=8)
    match, bbox = build_rpn_targets((101, 101, 3), anchors, [2], [box], config)
    # IoU 0, 1/3 and twice 1; the third is neither positive nor negative
    assert match.tolist() == [-1, 0, 1, 1]
    assert bbox.shape == (8, 4) and not bbox.any()
    # Half as high, at the top: centre .4 -> .2 is half a height up, ln .5
    match, bbox = build_rpn_targets(
        (101, 101, 3), anchors[1:3], [1], [[0, 0, 21, 41]], config
    )
    assert match.tolist() == [0, 1] or match.tolist() == [-1, 1]
    np.testing.assert_allclose(
        bbox[0], [-0.25 / 0.1, 0, np.log(0.5) / 0.2, 0], atol=1e-5
    )


def test_a_crowd_reaches_the_targets_of_the_rpn():
    """The first instance is a crowd: 40 x 40 pixels from (8, 20), see above."""
    dataset = TwoSquares()
    masks, _ = dataset.load_mask(0)
    dataset.load_mask = lambda _: (masks, np.array([-1, 1], np.int32))
    assert dataset.labels().tolist() == [1]
    config = tiny_config(RPN_TRAIN_ANCHORS_PER_IMAGE=8)
    _, _, class_ids, bbox, _ = load_image_gt(dataset, config, 0)
    assert class_ids.tolist() == [-1, 1]
    anchors = np.array([bbox[0], [20, 20, 30, 30], bbox[1], [0, 50, 6, 60]])
    match, _ = build_rpn_targets((64, 64), anchors, class_ids, bbox, config)
    assert match.tolist() == [0, 0, 1, -1]
    _, inputs = next(
        iterate(training_batches(dataset, config.replace(IMAGES_PER_GPU=1)))
    )
    assert inputs["input_gt_class_ids"].numpy().tolist() == [[-1, 1]]


def test_build_rpn_targets_without_a_lesion():
    anchors = np.array([[0, 0, 10, 10], [20, 20, 40, 40]])
    nothing = np.zeros([0], int), np.zeros([0, 4])
    match, bbox = build_rpn_targets((64, 64), anchors, *nothing, tiny_config())
    assert match.tolist() == [-1, -1] and not bbox.any()


def test_only_images_and_masks_that_fit_are_loaded():
    dataset = TwoSquares()
    dataset.load_mask = lambda _: (np.ones([8, 8, 1], bool), np.array([1]))
    with pytest.raises(ValueError, match=r"\(32, 16\), got \(8, 8\)"):
        load_image_gt(dataset, tiny_config(), 0)
