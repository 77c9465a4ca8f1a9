"""The network's steps, recomputed: they agree with its layers and with hand counts."""

import numpy as np
import pytest
from pictures import blank
from tiny import tiny_config

from mrcnn_skin.geometry.boxes import denorm_boxes, norm_boxes
from mrcnn_skin.layers.detection import DetectionLayer
from mrcnn_skin.layers.proposal import ProposalLayer
from mrcnn_skin.visualize import (
    detection_steps,
    display_activations,
    display_roi_align,
    draw_anchor_levels,
    draw_box_sets,
    plot_class_probabilities,
    proposal_steps,
    rois_by_level,
    rpn_target_sets,
)


def boxes_in(ax):
    found = []
    for patch in ax.patches:
        (x1, y1), width, height = patch.get_xy(), patch.get_width(), patch.get_height()
        found.append([y1, x1, y1 + height, x1 + width])
    return np.array(found)


def test_draw_box_sets_draws_the_first_boxes_and_says_so():
    sets = {"one": [[1, 2, 3, 4]], "many": [[i, i, i + 5, i + 9] for i in range(5)]}
    first, second, *_ = draw_box_sets(blank(), sets, limit=2).axes
    np.testing.assert_array_equal(boxes_in(first), sets["one"])
    np.testing.assert_array_equal(boxes_in(second), sets["many"][:2])
    assert first.get_title() == "one\n1 boxes"
    assert second.get_title() == "many\n5 boxes, the first 2 drawn"


def test_draw_anchor_levels_shows_positions_and_one_anchor_a_ratio():
    config = tiny_config()
    figure = draw_anchor_levels(blank(64, 64), config)
    assert len(figure.axes) == 5
    two = config.replace(RPN_LEVELS=(3, 4), RPN_ANCHOR_SCALES=(16, 24))
    titles = [ax.get_title() for ax in draw_anchor_levels(blank(64, 64), two).axes]
    assert titles == [ax.get_title() for ax in figure.axes[1:3]]
    third = figure.axes[2]  # stride 16 on 64 px: 4 x 4 positions, side 24
    assert len(third.lines[0].get_xydata()) == 16
    assert "P4: every 16 px, side 24 px" in third.get_title()
    boxes = boxes_in(third)
    assert len(boxes) == len(config.RPN_ANCHOR_RATIOS)
    np.testing.assert_allclose(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), 24**2)
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    np.testing.assert_allclose(centers, 32, atol=1e-4)


def test_rpn_targets_move_positives_onto_the_truth_and_leave_neutral_ones_alone():
    config = tiny_config()
    gt = np.array([[10.0, 10, 30, 30]])
    # IoU: 1; 20 x 15 / (400 + 400 - 300) = .6, neutral; 0; 0 and not sampled
    anchors = np.array([gt[0], [10, 15, 30, 35], [40, 40, 60, 60], [44, 44, 64, 64]])
    anchors[0] += [0, 2, 0, 2]
    match = np.array([1, 0, -1, 0])
    deltas = np.zeros([8, 4])
    deltas[0, 1] = -2 / 20 / config.RPN_BBOX_STD_DEV[1]  # 2 px of 20 to the left
    sets = list(rpn_target_sets(anchors, match, deltas, gt, config).values())
    np.testing.assert_array_equal(sets[0], anchors[:1])
    np.testing.assert_allclose(sets[1], gt, atol=1e-4)
    np.testing.assert_array_equal(sets[2], anchors[2:3])
    np.testing.assert_array_equal(sets[3], anchors[1:2])


def test_proposal_steps_end_where_the_layer_does():
    config = tiny_config(PRE_NMS_LIMIT=50, POST_NMS_ROIS_INFERENCE=10)
    rng = np.random.default_rng(0)
    corner, size = rng.uniform(0, 0.7, [80, 2]), rng.uniform(0.1, 0.5, [80, 2])
    anchors = np.concatenate([corner, corner + size], axis=1).astype(np.float32)
    scores = rng.permutation(80) / 80
    probs = np.stack([1 - scores, scores], axis=1).astype(np.float32)
    deltas = rng.normal(size=[80, 4]).astype(np.float32)
    steps = proposal_steps(probs, deltas, anchors, (64, 64, 3), config)
    layer = ProposalLayer(10, config.RPN_NMS_THRESHOLD, 50, config.RPN_BBOX_STD_DEV)
    wanted = layer(probs[None], deltas[None], anchors)[0].numpy()[0]
    best, refined, clipped, kept = steps.values()
    assert len(best) == len(refined) == len(clipped) == 50
    np.testing.assert_array_equal(
        best[0], denorm_boxes(anchors[[scores.argmax()]], (64, 64))[0]
    )
    assert refined.min() < 0 <= clipped.min() and clipped.max() <= 64
    np.testing.assert_array_equal(
        kept, denorm_boxes(wanted[wanted.any(axis=1)], (64, 64))
    )


@pytest.mark.parametrize(
    "score, least", [("lesion", 0.5), ("class", 0.5), ("lesion", 1.0)]
)
def test_detection_steps_end_where_the_layer_does(score, least):
    config = tiny_config(
        DETECTION_SCORE=score, DETECTION_MIN_CONFIDENCE=least, DETECTION_MAX_INSTANCES=5
    )
    rng = np.random.default_rng(1)
    corner, size = rng.uniform(0, 0.6, [30, 2]), rng.uniform(0.2, 0.4, [30, 2])
    rois = np.concatenate([corner, corner + size], axis=1).astype(np.float32)
    probs = rng.dirichlet([0.5, 1, 1], 30).astype(np.float32)
    deltas = rng.normal(size=[30, 3, 4]).astype(np.float32)
    window = 0, 8, 64, 56
    steps = detection_steps(rois, probs, deltas, window, (64, 64, 3), config)
    layer = DetectionLayer(5, least, 0.3, config.BBOX_STD_DEV, score, keep_best=True)
    rows, _, count, _ = layer(
        rois[None], probs[None], deltas[None], norm_boxes([window], (64, 64))
    )
    wanted = rows.numpy()[0, : int(count[0]), :4]
    assert len(wanted) == (1 if least == 1 else 5)
    np.testing.assert_array_equal(
        list(steps.values())[-1], denorm_boxes(wanted, (64, 64))
    )


def test_rois_go_to_the_level_of_their_size():
    """224 px go to P4, half of that to P3; 30 px are below P2, 1000 above P5."""
    sides = np.array([224, 112, 30, 1000])
    rois = np.stack([np.zeros(4), np.zeros(4), sides, sides], axis=1)
    for there, expected in (
        ((2, 3, 4, 5), {"P2": [30], "P3": [112], "P4": [224], "P5": [1000]}),
        ((3, 4), {"P3": [112, 30], "P4": [224, 1000]}),
    ):
        config = tiny_config(ROI_LEVELS=there)
        levels = rois_by_level(rois, (1024, 1024, 3), config)
        found = {name: boxes[:, 2].tolist() for name, boxes in levels.items()}
        assert found == expected


def test_display_roi_align_pairs_a_region_with_its_features():
    pooled = np.stack([np.full((7, 7, 4), -2.0), np.full((7, 7, 4), 3.0)])
    rois = np.array([[0, 0, 10, 20], [5, 5, 15, 30]])
    axes = display_roi_align(blank(), rois, pooled).axes
    assert [ax.get_title() for ax in axes[:2]] == ["10 x 20 px", "10 x 25 px"]
    assert [ax.images[0].get_array().mean() for ax in axes[2:]] == [2, 3]


def test_class_probabilities_stack_to_one_the_surest_first():
    probs = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
    (ax,) = plot_class_probabilities(probs, ["BG", "benign", "malignant"]).axes
    heights = [[bar.get_height() for bar in bars] for bars in ax.containers]
    np.testing.assert_allclose(heights, [[0.3, 0.2], [0.6, 0.1], [0.1, 0.7]])
    tops = [bar.get_y() + bar.get_height() for bar in ax.containers[-1]]
    np.testing.assert_allclose(tops, 1)


def test_display_activations_shows_the_liveliest_channels():
    features = np.zeros([1, 4, 4, 3])
    features[0, 0, 0] = 1, 0, 5
    axes = display_activations({"C2": features}, channels=2).axes
    assert [ax.get_title() for ax in axes] == ["C2 [2]", "C2 [0]"]
    few = display_activations({"C2": features, "mask": features[..., :1]}, 2).axes
    assert [ax.get_title() for ax in few] == ["C2 [2]", "C2 [0]", "mask [0]", ""]
