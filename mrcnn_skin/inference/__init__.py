"""From an image to its answer: detection, explanation, unfamiliar images."""
