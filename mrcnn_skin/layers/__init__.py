"""Keras layers of Mask R-CNN; none but BatchNorm holds weights."""
