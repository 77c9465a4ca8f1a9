"""How much memory a training step will take, before it is taken.

An estimate from the sizes of the layers' outputs, not a measurement. On CPUs, in
float32, it came within a twentieth of the peaks measured for ResNet-50 at 512 and 1024
px, all layers and heads, and for IsicLiteConfig with all layers; its heads took a fifth
less. bfloat16 takes less than it says.
"""

import math

import keras

GIGABYTE = 2**30
FLOAT = 4  # bytes
RUNTIME = 1.2 * GIGABYTE  # TensorFlow itself, its libraries and the traced step
# So much of the outputs is alive at the peak: of those behind the first layer that
# learns, for many a gradient needs no output, or takes that of the next layer; and of
# those before it
KEPT, PASSING = 0.45, 0.15
SLOTS = {"sgd": 1, "adamw": 2}  # tensors that the optimizer keeps beside a weight

ADVICE = (
    "less: IMAGES_PER_GPU (--images-per-device), IMAGE_MAX_DIM (--image-size), "
    "TRAIN_ROIS_PER_IMAGE, or fewer layers (--stages=heads:...)"
)


def estimate_step(model, config):
    """Bytes that one device's training step takes, with the layers that learn now.

    model: the training graph. What comes before the first layer that learns is
    computed and let go; the rest waits for its gradient.
    """
    learning, kept, passing = set(), 0, 0
    for op in model.operations:
        if isinstance(op, keras.Model):  # the RPN, see below
            continue
        outputs = keras.tree.flatten(op.output)
        size = sum(_bytes(op.name, tensor.shape, config) for tensor in outputs)
        inputs = keras.tree.flatten(op.input)
        if getattr(op, "trainable_weights", None) or learning & set(map(id, inputs)):
            learning.update(map(id, outputs))
            kept += size
        else:
            passing += size
    weights = _count(model.weights)
    trained = _count(model.trainable_weights)
    tensors = weights + trained * (1 + SLOTS[config.OPTIMIZER])
    kept += _rpn_bytes(model, config)
    return RUNTIME + FLOAT * tensors + KEPT * kept + PASSING * passing


def _count(variables):
    return sum(math.prod(variable.shape) for variable in variables)


def _bytes(name, shape, config):
    """Bytes of an output; the heads have a row a RoI instead of a row an image."""
    rows = config.IMAGES_PER_GPU
    if name.startswith(("mrcnn_", "roi_align_")):
        share = config.ROI_POSITIVE_RATIO if "mask" in name else 1
        rows *= math.ceil(config.TRAIN_ROIS_PER_IMAGE * share)
    return FLOAT * rows * math.prod(side or 1 for side in shape[1:])


def _rpn_bytes(model, config):
    """Bytes of the RPN's shared convolution and its activation, on RPN_LEVELS."""
    height, width = model.inputs[0].shape[1:3]
    if height is None:  # images of any size: nobody knows
        return 0
    area = sum(
        math.ceil(height / stride) * math.ceil(width / stride)
        for stride in config.RPN_STRIDES
    )
    positions = config.IMAGES_PER_GPU * area / config.RPN_ANCHOR_STRIDE**2
    return FLOAT * positions * 2 * config.RPN_WIDTH


def free_memory(meminfo="/proc/meminfo"):
    """Bytes of main memory that are free, or can be made so; None if unknown.

    meminfo: the file in which Linux says so.
    """
    try:
        with open(meminfo, encoding="ascii") as handle:
            for line in handle:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def describe(need, free):
    """Say in words what a step needs, what is free, and what to do about it.

    need, free: bytes; free may be None.
    """
    text = f"a step takes about {need / GIGABYTE:.1f} GB of memory"
    if free is None:
        return text
    text += f", {free / GIGABYTE:.1f} GB are free"
    return text if need <= free else f"{text}. TOO LITTLE, most likely; {ADVICE}"
