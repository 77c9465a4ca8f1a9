"""Train and run Mask R-CNN on a data set of your own.

The images of this example are FOLDER/NAME_benign.jpg and FOLDER/NAME_malignant.jpg,
each with a mask of the lesion, such as NAME_benign_mask.png.

    python samples/own_data/spots.py train FOLDER --epochs=10
    python samples/own_data/spots.py detect photo.jpg --weights=logs/RUN/X_best.h5
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from mrcnn_skin import Dataset, IsicLiteConfig, MaskRCNN


class SpotsConfig(IsicLiteConfig):
    """The small network at 256 px, trained from random weights."""

    NAME = "spots"
    NORM = "group"  # random weights have no BatchNorm statistics
    NUM_CLASSES = 3
    CLASS_NAMES = ("BG", "benign", "malignant")
    LEARNING_RATE = 3e-4
    MONITOR = "val_loss"


class SpotsDataset(Dataset):
    """Images with a mask beside each and the class in their names."""

    def load_spots(self, paths):
        self.add_class("spots", 1, "benign")
        self.add_class("spots", 2, "malignant")
        for path in paths:
            class_id = 2 if path.stem.endswith("malignant") else 1
            self.add_image("spots", path.stem, path, class_id=class_id)
        self.prepare()

    def load_mask(self, image_id):
        info = self.image_info[image_id]
        path = info["path"].with_name(f"{info['id']}_mask.png")
        mask = np.asarray(Image.open(path).convert("L")) > 127
        return mask[:, :, None], np.array([info["class_id"]], np.int32)


def open_folder(folder, every=5):
    """Take every fifth image for validation; returns (train, val)."""
    paths = sorted(Path(folder).glob("*.jpg"))
    train, val = SpotsDataset(), SpotsDataset()
    train.load_spots([path for i, path in enumerate(paths) if i % every])
    val.load_spots(paths[::every])
    return train, val


def train(folder, epochs, config, logs="logs"):
    """Train all layers; returns the run folder, with the weights of the best epoch."""
    train_set, val_set = open_folder(folder)
    model = MaskRCNN("training", config, logs)
    model.train(train_set, val_set, epochs=epochs, layers="all")
    return model.log_dir


def detect(path, weights):
    """Print the lesions in an image file; returns the result of MaskRCNN.detect."""
    model = MaskRCNN.from_pretrained(weights, config_class=SpotsConfig)
    image = np.asarray(Image.open(path).convert("RGB"))
    result = model.detect([image])[0]
    print(f"P(malignant) {result['p_malignant']:.2f}")
    for box, class_id, score in zip(
        result["rois"], result["class_ids"], result["scores"], strict=True
    ):
        print(f"{SpotsConfig.CLASS_NAMES[class_id]} {score:.2f} at {box.round()}")
    return result


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("train", help="train on a folder")
    command.add_argument("folder")
    command.add_argument("--epochs", type=int, default=10)
    command = commands.add_parser("detect", help="run a trained network on an image")
    command.add_argument("image")
    command.add_argument("--weights", required=True)
    args = parser.parse_args()
    if args.command == "train":
        print(train(args.folder, args.epochs, SpotsConfig()))
    else:
        detect(args.image, args.weights)


if __name__ == "__main__":
    main()
