"""Boxes, anchors, masks and images as plain NumPy arrays; no TensorFlow."""
