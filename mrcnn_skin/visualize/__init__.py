"""Pictures of images, instances and training, Matterport's visualize among them.

overlays.py draws into pixels, instances.py and charts.py make matplotlib Figures. No
function shows anything by itself or needs a screen.
"""

from .charts import (
    display_table,
    display_weight_stats,
    plot_losses,
    plot_overlaps,
    plot_precision_recall,
    save_figure,
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
    draw_outline,
    overlay,
    overlay_truth,
    save_image,
)

__all__ = [
    "PREDICTION_COLOR",
    "TRUTH_COLOR",
    "apply_mask",
    "display_differences",
    "display_images",
    "display_instances",
    "display_table",
    "display_top_masks",
    "display_weight_stats",
    "draw_box",
    "draw_boxes",
    "draw_outline",
    "draw_rois",
    "overlay",
    "overlay_truth",
    "plot_losses",
    "plot_overlaps",
    "plot_precision_recall",
    "random_colors",
    "save_figure",
    "save_image",
]
