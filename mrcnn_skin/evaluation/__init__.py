"""Metrics of the ISIC challenges and the files that an evaluation writes."""
