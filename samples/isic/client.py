"""Ask a server: the command `mrcnn-skin client`, see mrcnn_skin/cli."""

from mrcnn_skin.cli.main import main

if __name__ == "__main__":
    main("client")
