"""Learn which images are unfamiliar: the command `mrcnn-skin fit-familiarity`."""

from mrcnn_skin.cli.main import main

if __name__ == "__main__":
    main("fit-familiarity")
