"""Matterport's names: all there, with its arguments; and what is adapted here."""

import inspect

import numpy as np
import pytest

from mrcnn_skin import utils
from mrcnn_skin.data.dataset import Dataset
from mrcnn_skin.weights_io import downloads

# {function: its arguments in Matterport's utils.py}
SIGNATURES = {
    "extract_bboxes": "mask",
    "compute_iou": "box boxes box_area boxes_area",
    "compute_overlaps": "boxes1 boxes2",
    "compute_overlaps_masks": "masks1 masks2",
    "non_max_suppression": "boxes scores threshold",
    "apply_box_deltas": "boxes deltas",
    "box_refinement": "box gt_box",
    "resize_image": "image min_dim max_dim min_scale mode",
    "resize_mask": "mask scale padding crop",
    "minimize_mask": "bbox mask mini_shape",
    "expand_mask": "bbox mini_mask image_shape",
    "unmold_mask": "mask bbox image_shape",
    "generate_anchors": "scales ratios shape feature_stride anchor_stride",
    "generate_pyramid_anchors": (
        "scales ratios feature_shapes feature_strides anchor_stride"
    ),
    "trim_zeros": "x",
    "compute_matches": (
        "gt_boxes gt_class_ids gt_masks pred_boxes pred_class_ids pred_scores "
        "pred_masks iou_threshold score_threshold"
    ),
    "compute_ap": (
        "gt_boxes gt_class_ids gt_masks pred_boxes pred_class_ids pred_scores "
        "pred_masks iou_threshold"
    ),
    "compute_ap_range": (
        "gt_box gt_class_id gt_mask pred_box pred_class_id pred_score pred_mask "
        "iou_thresholds verbose"
    ),
    "compute_recall": "pred_boxes gt_boxes iou",
    "download_trained_weights": "coco_model_path verbose",
    "norm_boxes": "boxes shape",
    "denorm_boxes": "boxes shape",
    "resize": (
        "image output_shape order mode cval clip preserve_range anti_aliasing "
        "anti_aliasing_sigma"
    ),
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_arguments_are_matterports(name):
    found = inspect.signature(getattr(utils, name)).parameters
    assert list(found) == SIGNATURES[name].split()


def test_everything_is_offered():
    assert set(utils.__all__) == {*SIGNATURES, "Dataset"}
    assert utils.Dataset is Dataset


def test_a_crop_is_anywhere_and_repeats_by_numpys_seed():
    image = np.random.default_rng(0).integers(256, size=(96, 128, 3), dtype=np.uint8)
    places = []
    for seed in (1, 1, 2):
        np.random.seed(seed)
        cut, _, _, _, crop = utils.resize_image(image, min_dim=64, mode="crop")
        y, x, height, width = crop
        np.testing.assert_array_equal(cut, image[y : y + height, x : x + width])
        places.append(crop)
    assert places[0] == places[1] != places[2]


def test_resize_interpolates_between_pixel_centres():
    """From two columns to four: centres at -1/4, 1/4, 3/4 and 5/4 of the old ones."""
    image = np.array([[0.0, 1.0]] * 2)
    resized = utils.resize(image, (2, 4), mode="edge")
    np.testing.assert_allclose(resized, [[0, 0.25, 0.75, 1]] * 2)
    grey = utils.resize(np.full((4, 4), 100, np.uint8), (2, 2), preserve_range=True)
    np.testing.assert_allclose(grey, 100)


def test_the_coco_weights_are_asked_for_by_their_size(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(
        utils, "download", lambda url, path, **options: asked.append((url, options))
    )
    utils.download_trained_weights(tmp_path / "coco.h5", verbose=0)
    ((url, options),) = asked
    assert url.endswith("mask_rcnn_coco.h5")
    assert options == {"size": downloads.COCO_SIZE, "progress": False}
