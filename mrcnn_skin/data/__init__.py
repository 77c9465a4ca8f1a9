"""Datasets: what is in a folder, its images and its masks."""
