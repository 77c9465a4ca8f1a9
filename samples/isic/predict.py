"""Predict lesions: the command `mrcnn-skin predict`, see mrcnn_skin/cli."""

from mrcnn_skin.cli.main import main

if __name__ == "__main__":
    main("predict")
