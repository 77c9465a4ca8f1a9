"""Score an archive of images: the command `mrcnn-skin score`, see mrcnn_skin/cli."""

from mrcnn_skin.cli.main import main

if __name__ == "__main__":
    main("score")
