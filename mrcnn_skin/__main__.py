"""`python -m mrcnn_skin` is the command mrcnn-skin."""

from .cli.main import main

if __name__ == "__main__":
    main()
