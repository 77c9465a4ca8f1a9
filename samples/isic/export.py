"""Export a network: the command `mrcnn-skin export`, see mrcnn_skin/cli."""

from mrcnn_skin.cli.main import main

if __name__ == "__main__":
    main("export")
