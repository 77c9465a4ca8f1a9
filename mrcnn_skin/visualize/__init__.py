"""Figures of images, instances, training and the network.

instances.py and charts.py have Matterport's figures, overlays.py draws into pixels, and
datasets.py, inspection.py and weights.py are for the notebooks. Functions return
matplotlib Figures and pandas DataFrames, and need no screen.
"""

import lazy_loader

_NAMES = {
    "charts": """
        display_table plot_diagnoses plot_losses plot_overlaps
        plot_precision_recall save_figure
    """,
    "datasets": """
        box_statistics draw_example draw_prediction plot_box_statistics
        plot_class_counts
    """,
    "inspection": """
        detection_steps display_activations display_roi_align
        draw_anchor_levels draw_box_sets plot_class_probabilities
        proposal_steps rois_by_level rpn_target_sets
    """,
    "instances": """
        display_differences display_images display_instances
        display_top_masks draw_boxes draw_rois random_colors
    """,
    "overlays": """
        PREDICTION_COLOR TRUTH_COLOR apply_mask contact_sheet draw_box
        draw_outline overlay overlay_truth save_image
    """,
    "weights": "dead_units display_weight_stats plot_weight_histograms weight_alert",
}

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={name: text.split() for name, text in _NAMES.items()}
)
