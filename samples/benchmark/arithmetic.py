"""The floor under every time: the network's GFLOP, and what the processor sustains.

Both are found here and now, nothing is assumed: the operations are counted layer by
layer, the speed is that of the best of a few convolutions.
"""

import statistics
import time


def count_gflop(config, height, width):
    """GFLOP of the inference graph on one canvas; a multiplication and addition is two.

    Counted are convolutions and dense layers, all but a few thousandths of the whole.
    height, width: of the canvas. Heads count for POST_NMS_ROIS_INFERENCE RoIs, the
    mask head for DETECTION_MAX_INSTANCES.
    Returns {part: GFLOP} of backbone, fpn, rpn, box head and mask head.
    """
    from mrcnn_skin.graph.mask_rcnn import build_inference_model

    config = config.replace(IMAGE_RESIZE_MODE="none", IMAGES_PER_GPU=1)
    model = build_inference_model(config)
    sides = _map_sides(model, height, width)
    parts = dict.fromkeys(("backbone", "fpn", "rpn", "box head", "mask head"), 0.0)
    for layer in model.layers:
        if not hasattr(layer, "kernel"):
            continue
        flop = 2 * _size(layer.kernel)
        if layer.name.startswith("mrcnn_mask"):
            cells = _cells(layer.output.shape[1:3])
            if "deconv" in layer.name:
                cells //= 4  # every input cell makes a square of four
            parts["mask head"] += flop * cells * config.DETECTION_MAX_INSTANCES
        elif layer.name.startswith("mrcnn_"):
            parts["box head"] += flop * config.POST_NMS_ROIS_INFERENCE
        else:
            part = "fpn" if layer.name.startswith("fpn") else "backbone"
            parts[part] += flop * _cells(sides[layer.name])
    rpn = model.get_layer("rpn_model")
    kernels = sum(_size(layer.kernel) for layer in rpn.layers if layer.weights)
    for stride in config.RPN_STRIDES:
        parts["rpn"] += 2 * kernels * (-(-height // stride)) * (-(-width // stride))
    return {part: flop / 1e9 for part, flop in parts.items()}


def _map_sides(model, height, width):
    """{layer: (rows, columns) of its output} for a canvas of this size."""
    import keras

    layers = [
        layer
        for layer in model.layers
        if hasattr(layer, "kernel") and not layer.name.startswith("mrcnn_")
    ]
    part = keras.Model(model.inputs[0], [layer.output for layer in layers])
    shapes = part.compute_output_shape((1, height, width, 3))
    return {layer.name: s[1:3] for layer, s in zip(layers, shapes, strict=True)}


def _size(kernel):
    size = 1
    for side in kernel.shape:
        size *= side
    return size


def _cells(sides):
    return sides[0] * sides[1]


def sustained_gflops(precision, seconds=3.0):
    """GFLOP/s of a 3 x 3 convolution of 256 channels: the best of three map sizes.

    CPU seconds of all threads are measured, times the number of threads that work:
    so other programs disturb it little. Returns GFLOP for one CPU second.
    """
    import tensorflow as tf

    best = 0.0
    for side in (64, 128, 256):
        x = tf.cast(tf.random.normal([1, side, side, 256]), precision)
        kernel = tf.cast(tf.random.normal([3, 3, 256, 256]), precision)
        convolve = tf.function(lambda x, k: tf.nn.relu(tf.nn.conv2d(x, k, 1, "SAME")))
        convolve(x, kernel)
        times, end = [], time.perf_counter() + seconds / 3
        while time.perf_counter() < end or len(times) < 3:
            start = time.process_time()
            convolve(x, kernel)
            times.append(time.process_time() - start)
        flop = 2 * 9 * 256 * 256 * side * side
        best = max(best, flop / 1e9 / statistics.median(times))
    return best
