"""Measure which images a network knows: the command `mrcnn-skin fit-familiarity`, see mrcnn_skin/cli."""

from mrcnn_skin.cli.main import main

if __name__ == "__main__":
    main("fit-familiarity")
