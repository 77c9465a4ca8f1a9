"""The whole inference network in plain NumPy, as the papers and Matterport have it.

It is there to be compared with, so it shares no code with the package: one image,
float64, no batch axis, weights as a dict {"layer/tensor": array}. Boxes are
(y1, x1, y2, x2), normalised: (pixels - (0, 0, 1, 1)) / (h - 1, w - 1, h - 1, w - 1).
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

# Layers. x is [h, w, channels]


def conv(x, weights, name, stride=1, same=True):
    """Convolution and bias. kernel: [rows, columns, in, out]."""
    kernel = weights[f"{name}/kernel"]
    size = kernel.shape[0]
    if same:
        x = pad_same(x, size, stride, 0.0)
    windows = sliding_window_view(x, (size, size), axis=(0, 1))[::stride, ::stride]
    # windows: [h, w, in, rows, columns]
    y = np.tensordot(windows, kernel, axes=([3, 4, 2], [0, 1, 2]))
    return y + weights[f"{name}/bias"]


def pad_same(x, size, stride, value):
    """TensorFlow's "same": ceil(side / stride) outputs, an odd pad at the far side."""
    pads = []
    for side in x.shape[:2]:
        total = max((-(-side // stride) - 1) * stride + size - side, 0)
        pads.append((total // 2, total - total // 2))
    return np.pad(x, [*pads, (0, 0)], constant_values=value)


def batch_norm(x, weights, name):
    """With the moving statistics; epsilon is Keras's default, not Caffe's 1e-5."""
    mean, variance = weights[f"{name}/moving_mean"], weights[f"{name}/moving_variance"]
    x = (x - mean) / np.sqrt(variance + 1e-3)
    return weights[f"{name}/gamma"] * x + weights[f"{name}/beta"]


def relu(x):
    return np.maximum(x, 0.0)


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


# Backbone (He et al., 2015, table 1) and pyramid (Lin et al., 2017, figure 3)


def resnet(image, weights, blocks):
    """image: RGB less the mean. Returns [C2, C3, C4, C5]."""
    x = np.pad(image, [(3, 3), (3, 3), (0, 0)])
    x = conv(x, weights, "conv1", stride=2, same=False)
    x = relu(batch_norm(x, weights, "bn_conv1"))
    windows = sliding_window_view(pad_same(x, 3, 2, -np.inf), (3, 3), axis=(0, 1))
    x = windows[::2, ::2].max(axis=(3, 4))
    stages = []
    for stage, count in enumerate(blocks, start=2):
        for letter in "abcdefghijklmnopqrstuvw"[:count]:
            x = bottleneck(x, weights, f"{stage}{letter}", letter == "a", stage > 2)
        stages.append(x)
    return stages


def bottleneck(x, weights, name, first, strided):
    """y = F(x) + x; a stage's first block has its stride in 1x1 convolutions."""

    def conv_bn(x, branch, stride=1):
        x = conv(x, weights, f"res{name}_{branch}", stride)
        return batch_norm(x, weights, f"bn{name}_{branch}")

    stride = 2 if first and strided else 1
    y = relu(conv_bn(x, "branch2a", stride))
    y = relu(conv_bn(y, "branch2b"))
    y = conv_bn(y, "branch2c")
    shortcut = conv_bn(x, "branch1", stride) if first else x
    return relu(y + shortcut)


def fpn(stages, weights):
    """[C2, ..., C5] to [P2, ..., P6]."""
    merged = conv(stages[3], weights, "fpn_c5p5")
    pyramid = [conv(merged, weights, "fpn_p5")]
    for level in (4, 3, 2):
        above = merged.repeat(2, axis=0).repeat(2, axis=1)
        merged = above + conv(stages[level - 2], weights, f"fpn_c{level}p{level}")
        pyramid.insert(0, conv(merged, weights, f"fpn_p{level}"))
    return [*pyramid, pyramid[-1][::2, ::2]]


# Region proposals (Ren et al., 2015)


def rpn(pyramid, weights):
    """Returns probs [anchors, (background, foreground)] and deltas [anchors, 4]."""
    probs, deltas = [], []
    for features in pyramid:
        shared = relu(conv(features, weights, "rpn_conv_shared"))
        probs.append(softmax(conv(shared, weights, "rpn_class_raw").reshape(-1, 2)))
        deltas.append(conv(shared, weights, "rpn_bbox_pred").reshape(-1, 4))
    return np.concatenate(probs), np.concatenate(deltas)


def anchors(image_shape, scales, ratios, strides):
    """Per level, row, column and ratio: a box of area scale^2 around the cell."""
    boxes = []
    for scale, stride in zip(scales, strides, strict=True):
        for y in range(0, image_shape[0], stride):
            for x in range(0, image_shape[1], stride):
                for ratio in ratios:
                    h, w = scale / ratio**0.5, scale * ratio**0.5
                    boxes.append([y - h / 2, x - w / 2, y + h / 2, x + w / 2])
    h, w = image_shape[0] - 1, image_shape[1] - 1
    return (np.array(boxes) - [0, 0, 1, 1]) / [h, w, h, w]


def decode(boxes, deltas):
    """Faster R-CNN, eq. 2: x = x_a + w_a t_x, w = w_a exp(t_w)."""
    sizes = boxes[:, 2:] - boxes[:, :2]
    centers = boxes[:, :2] + sizes / 2 + deltas[:, :2] * sizes
    sizes = sizes * np.exp(deltas[:, 2:])
    return np.concatenate([centers - sizes / 2, centers + sizes / 2], axis=1)


def iou(box, boxes):
    low = np.maximum(box[:2], boxes[:, :2])
    high = np.minimum(box[2:], boxes[:, 2:])
    intersection = np.maximum(high - low, 0.0).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return intersection / (areas + (box[2:] - box[:2]).prod() - intersection)


def nms(boxes, scores, threshold):
    """Greedy suppression. Returns the indices that stay, best first."""
    order, kept = np.argsort(-scores, kind="stable"), []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        order = order[iou(boxes[best], boxes[order]) <= threshold]
    return np.array(kept, int)


def pad_rows(rows, count):
    return np.pad(rows, [(0, count - len(rows)), (0, 0)])


def propose(probs, deltas, anchors, config):
    """The RPN's regions [POST_NMS_ROIS_INFERENCE, 4], best first, zeros at the end."""
    best = np.argsort(-probs[:, 1], kind="stable")[: config.PRE_NMS_LIMIT]
    boxes = decode(anchors[best], deltas[best] * config.RPN_BBOX_STD_DEV)
    boxes = np.clip(boxes, 0.0, 1.0)
    count = config.POST_NMS_ROIS_INFERENCE
    keep = nms(boxes, probs[best, 1], config.RPN_NMS_THRESHOLD)[:count]
    return pad_rows(boxes[keep], count)


# Features of regions (FPN, eq. 1; Mask R-CNN, section 3) and the heads


def pyramid_level(roi, image_shape):
    """k = 4 + log2(sqrt(w h) / 224), rounded, within 2..5."""
    area = (roi[2] - roi[0]) * image_shape[0] * (roi[3] - roi[1]) * image_shape[1]
    if area == 0:
        return 2
    return int(np.clip(np.round(4 + np.log2(np.sqrt(area) / 224)), 2, 5))


def crop(features, roi, size):
    """size x size bilinear samples, from corner to corner of the region.

    0 is the centre of the first cell, 1 that of the last; so are the corners of the
    region those of the outermost samples (crop_and_resize).
    """
    h, w = features.shape[0] - 1, features.shape[1] - 1
    samples = np.empty((size, size, features.shape[2]))
    for i, y in enumerate(np.linspace(roi[0] * h, roi[2] * h, size)):
        for j, x in enumerate(np.linspace(roi[1] * w, roi[3] * w, size)):
            top, left = int(y), int(x)
            down, right = min(top + 1, h), min(left + 1, w)
            b, a = y - top, x - left
            samples[i, j] = (1 - b) * (
                (1 - a) * features[top, left] + a * features[top, right]
            ) + b * ((1 - a) * features[down, left] + a * features[down, right])
    return samples


def roi_align(rois, pyramid, size, image_shape):
    """[rois, size, size, channels], each region from the level of its size."""
    levels = [pyramid_level(roi, image_shape) for roi in rois]
    return np.stack(
        [
            crop(pyramid[level - 2], roi, size)
            for roi, level in zip(rois, levels, strict=True)
        ]
    )


def classify(pooled, weights):
    """Two layers over all of a region. Returns probs [classes], deltas [classes, 4]."""
    x = conv(pooled, weights, "mrcnn_class_conv1", same=False)
    x = relu(batch_norm(x, weights, "mrcnn_class_bn1"))
    x = conv(x, weights, "mrcnn_class_conv2", same=False)
    x = relu(batch_norm(x, weights, "mrcnn_class_bn2"))[0, 0]

    def dense(name):
        return x @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]

    return softmax(dense("mrcnn_class_logits")), dense("mrcnn_bbox_fc").reshape(-1, 4)


def segment(pooled, weights):
    """Masks [2 h, 2 w, classes] of a region."""
    x = pooled
    for index in range(1, 5):
        x = conv(x, weights, f"mrcnn_mask_conv{index}")
        x = relu(batch_norm(x, weights, f"mrcnn_mask_bn{index}"))
    # Each cell becomes 2 x 2. kernel: [rows, columns, out, in]
    x = np.einsum("yxi,aboi->yaxbo", x, weights["mrcnn_mask_deconv/kernel"])
    h, _, w, _, channels = x.shape
    x = x.reshape(2 * h, 2 * w, channels)
    x = relu(x + weights["mrcnn_mask_deconv/bias"])
    return sigmoid(conv(x, weights, "mrcnn_mask"))


def detect(rois, probs, deltas, window, config):
    """Rows (y1, x1, y2, x2, class, score), best first, zeros at the end.

    probs: [rois, classes]; deltas: [rois, classes, 4]. A region has the class of its
    highest probability, and is none if that is the background's; classes do not
    suppress each other.
    """
    ids = probs.argmax(axis=1)
    each = np.arange(len(rois))
    scores = probs[each, ids]
    boxes = decode(rois, deltas[each, ids] * config.BBOX_STD_DEV)
    boxes = np.clip(boxes, window[[0, 1, 0, 1]], window[[2, 3, 2, 3]])
    rows = np.column_stack([boxes, ids, scores])
    is_region = (ids > 0) & (rois[:, 2:] > rois[:, :2]).all(axis=1)
    is_region &= (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    rows = rows[is_region & (scores > config.DETECTION_MIN_CONFIDENCE)]
    of_class = [rows[rows[:, 4] == class_id] for class_id in np.unique(ids)]
    threshold = config.DETECTION_NMS_THRESHOLD
    kept = [one[nms(one[:, :4], one[:, 5], threshold)] for one in of_class]
    kept = np.concatenate(kept)
    kept = kept[np.argsort(-kept[:, 5], kind="stable")]
    count = config.DETECTION_MAX_INSTANCES
    return pad_rows(kept[:count], count)
