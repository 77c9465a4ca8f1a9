"""Pictures of images, instances, training and the network's inside.

Matterport's visualize is among them. overlays.py draws into pixels; instances.py and
charts.py make Matterport's figures and the like; datasets.py, inspection.py and
weights.py those of the notebooks. No function shows anything by itself or needs a
screen: matplotlib Figures and pandas DataFrames are returned.
"""

from .charts import (
    display_table,
    plot_diagnoses,
    plot_losses,
    plot_overlaps,
    plot_precision_recall,
    save_figure,
)
from .datasets import (
    box_statistics,
    draw_example,
    draw_prediction,
    plot_box_statistics,
    plot_class_counts,
)
from .inspection import (
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
from .instances import (
    apply_mask,
    display_differences,
    display_images,
    display_instances,
    display_top_masks,
    draw_box,
    draw_boxes,
    draw_rois,
    random_colors,
)
from .overlays import (
    PREDICTION_COLOR,
    TRUTH_COLOR,
    contact_sheet,
    draw_outline,
    overlay,
    overlay_truth,
    save_image,
)
from .weights import (
    dead_units,
    display_weight_stats,
    plot_weight_histograms,
    weight_alert,
)

__all__ = [
    "PREDICTION_COLOR",
    "TRUTH_COLOR",
    "apply_mask",
    "box_statistics",
    "contact_sheet",
    "dead_units",
    "detection_steps",
    "display_activations",
    "display_differences",
    "display_images",
    "display_instances",
    "display_roi_align",
    "display_table",
    "display_top_masks",
    "display_weight_stats",
    "draw_anchor_levels",
    "draw_box",
    "draw_box_sets",
    "draw_boxes",
    "draw_example",
    "draw_outline",
    "draw_prediction",
    "draw_rois",
    "overlay",
    "overlay_truth",
    "plot_box_statistics",
    "plot_class_counts",
    "plot_class_probabilities",
    "plot_diagnoses",
    "plot_losses",
    "plot_overlaps",
    "plot_precision_recall",
    "plot_weight_histograms",
    "proposal_steps",
    "random_colors",
    "rois_by_level",
    "rpn_target_sets",
    "save_figure",
    "save_image",
    "weight_alert",
]
