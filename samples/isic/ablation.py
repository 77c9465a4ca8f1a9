"""Run the ablation study: the command `mrcnn-skin ablation`, see mrcnn_skin/cli."""

from mrcnn_skin.cli.main import main

if __name__ == "__main__":
    main("ablation")
