"""Open the demo page: the command `mrcnn-skin demo`, see mrcnn_skin/cli."""

from mrcnn_skin.cli.main import main

if __name__ == "__main__":
    main("demo")
