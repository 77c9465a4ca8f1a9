"""Train a network: the command `mrcnn-skin train`, see mrcnn_skin/cli."""

from mrcnn_skin.cli.main import main

if __name__ == "__main__":
    main("train")
