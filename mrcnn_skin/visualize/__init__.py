"""Pictures of images, instances, training and the network's inside.

Matterport's visualize is among them. overlays.py draws into pixels; instances.py and
charts.py make Matterport's figures and the like; datasets.py, inspection.py and
weights.py those of the notebooks. No function shows anything by itself or needs a
screen: matplotlib Figures and pandas DataFrames are returned.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "charts": [
            "display_table",
            "plot_diagnoses",
            "plot_losses",
            "plot_overlaps",
            "plot_precision_recall",
            "save_figure",
        ],
        "datasets": [
            "box_statistics",
            "draw_example",
            "draw_prediction",
            "plot_box_statistics",
            "plot_class_counts",
        ],
        "inspection": [
            "detection_steps",
            "display_activations",
            "display_roi_align",
            "draw_anchor_levels",
            "draw_box_sets",
            "plot_class_probabilities",
            "proposal_steps",
            "rois_by_level",
            "rpn_target_sets",
        ],
        "instances": [
            "apply_mask",
            "display_differences",
            "display_images",
            "display_instances",
            "display_top_masks",
            "draw_box",
            "draw_boxes",
            "draw_rois",
            "random_colors",
        ],
        "overlays": [
            "PREDICTION_COLOR",
            "TRUTH_COLOR",
            "contact_sheet",
            "draw_outline",
            "overlay",
            "overlay_truth",
            "save_image",
        ],
        "weights": [
            "dead_units",
            "display_weight_stats",
            "plot_weight_histograms",
            "weight_alert",
        ],
    },
)
