"""Letter-boxing and pasting of masks in ONNX's operators.

They compute the same as the functions of the same names in inference/detector.py.
"""

import onnx_ir as ir

from ...geometry.inputs import SIDE_MULTIPLE, SIDES
from ...inference.detector import MASK_THRESHOLD
from .geometry import (
    CORNERS,
    Map,
    arithmetic,
    box_scale,
    constant,
    part,
    to_float,
    to_int,
    twice,
)


class Canvas:
    """Images as the network sees them, and the way back.

    Attributes:
        images: Map of the canvases.
        window: [4], the part that is not padding, pixels of the canvas.
        scale: [2], canvas pixels per pixel of the image, (y, x).
        size: float [2], of the canvas.
        shape: int64 [2], of the image.
    """

    def __init__(self, op, images, config):
        """Resize images uint8 [batch, h, w, channels] into canvases."""
        self.shape = op.Shape(images, start=1, end=3)
        size = to_float(op, self.shape)
        pixels = to_float(op, op.Transpose(images, perm=[0, 3, 1, 2]))
        if config.IMAGE_RESIZE_MODE == "none":
            new_size = canvas = _require_fit(op, self.shape)
        else:
            new_size = to_int(
                op, op.Max(op.Round(size * _scale(op, size, config)), 1.0)
            )
            pixels = _resize(op, pixels, new_size)
            if None in config.CANVAS_SHAPE:
                canvas = (
                    (new_size + (SIDE_MULTIPLE - 1)) / SIDE_MULTIPLE * SIDE_MULTIPLE
                )
            else:
                canvas = op.Constant(value_ints=list(config.CANVAS_SHAPE[:2]))
        top_left = (canvas - new_size) / 2
        padding = canvas - new_size - top_left
        pads = op.Concat([0, 0], top_left, [0, 0], padding, axis=0)
        self.images = Map(op.Pad(pixels, pads))
        bottom_right = top_left + op.Max(new_size, 2)
        self.window = to_float(op, op.Concat(top_left, bottom_right, axis=0))
        self.scale = to_float(op, new_size) / size
        self.size = to_float(op, canvas)

    def windows(self, op, batch):
        """Return the normalised window of every image, [batch, 4]."""
        window = (self.window - constant(op, CORNERS)) / box_scale(op, self.size)
        return op.Expand(window, op.Concat(batch, [4], axis=0))

    def boxes(self, op, boxes):
        """Convert normalised boxes to pixels of the canvas."""
        return boxes * box_scale(op, self.size) + constant(op, CORNERS)

    def boxes_on_image(self, op, boxes):
        """Convert boxes from pixels of the canvas to pixels of the image; clip them."""
        origin = twice(op, part(op, self.window, 0, 2))
        boxes = (boxes - origin) / twice(op, self.scale)
        return op.Min(op.Max(boxes, 0.0), twice(op, to_float(op, self.shape)))

    def paste_masks(self, op, masks, boxes, mask_shape):
        """Paste masks of boxes into the image; returns bool [n, h, w].

        Bilinear interpolation is a product with a matrix for the rows and one for the
        columns. Masks are pasted one after the other, to save memory.

        Args:
            op: the builder.
            masks: [n, *mask_shape], probabilities.
            boxes: [n, 4], pixels of the canvas.
            mask_shape: (height, width) of a mask.
        """
        mask_h, mask_w = mask_shape

        def paste(op, index, go_on):
            op.builder.push_module("paste")  # before the names of its values
            mask, box = op.Gather(masks, index), op.Gather(boxes, index)
            with arithmetic(op):
                rows = self._weights(op, box, 0, mask_h)  # [h, mask_h]
                columns = self._weights(op, box, 1, mask_w)  # [w, mask_w]
            values = op.MatMul(op.MatMul(rows, mask), op.Transpose(columns))
            # The weights are 0 outside the box
            return op.Identity(go_on), op.GreaterOrEqual(values, MASK_THRESHOLD)

        body = op.builder.subgraph(
            paste,
            [
                ir.val("index", ir.DataType.INT64, []),
                ir.val("go_on", ir.DataType.BOOL, []),
            ],
            [
                ir.val("still", ir.DataType.BOOL, []),
                ir.val("pasted", ir.DataType.BOOL, ["height", "width"]),
            ],
            name="paste",
        )
        count = op.Shape(masks, start=0, end=1)
        pasted = op.Loop(op.Squeeze(count), None, body=body)
        # Without a mask, the loop's result has no height and width
        return op.Reshape(pasted, op.Concat(count, self.shape, axis=0), allowzero=1)

    def _weights(self, op, box, axis, cells):
        """Return the weight of each mask cell in each row (axis 0) or column.

        The centre of row r of the image is row (r + .5) scale + top - .5 of the canvas;
        cell i of the mask is row y1 + i (y2 - 1 - y1) / (cells - 1). Rows up to half a
        pixel beyond the outermost cells get the values of these.
        """
        first, last = (op.Gather(box, axis + corner) for corner in (0, 2))
        count = op.Gather(self.shape, axis)
        centers = to_float(op, op.Range(0, count, 1)) + 0.5
        centers = centers * op.Gather(self.scale, axis) - 0.5
        centers = centers + op.Gather(self.window, axis)
        extent = op.Max(last - 1.0 - first, 1e-3)
        place = op.Clip((centers - first) / extent * (cells - 1.0), 0.0, cells - 1.0)
        distance = op.Abs(op.Unsqueeze(place, [1]) - [float(i) for i in range(cells)])
        is_inside = op.And(
            op.GreaterOrEqual(centers, first - 0.5), op.Less(centers, last - 0.5)
        )
        return op.Where(op.Unsqueeze(is_inside, [1]), op.Relu(1.0 - distance), 0.0)


def _require_fit(op, shape):
    """Return an image's shape, int64 [2]; fail if IMAGE_RESIZE_MODE "none" forbids it.

    ONNX has no operator that raises an error. Runtimes report the name of a node that
    fails: here one that gathers a missing element.
    """
    op.builder.push_module(SIDES)
    rest = op.ReduceSum(op.Mod(shape, SIDE_MULTIPLE), keepdims=0)
    zero = op.Gather([0], rest)
    op.builder.pop_module()
    return shape + zero


def _scale(op, size, config):
    """Return the resize factor: up to IMAGE_MIN_DIM, at most to IMAGE_MAX_DIM."""
    shorter = op.ReduceMin(size, keepdims=0)
    longer = op.ReduceMax(size, keepdims=0)
    scale = op.Max(float(config.IMAGE_MIN_DIM) / shorter, 1.0)
    scale = op.Max(scale, float(config.IMAGE_MIN_SCALE))
    if config.IMAGE_RESIZE_MODE == "square":
        limit = float(config.IMAGE_MAX_DIM)
        is_too_long = op.Greater(op.Round(longer * scale), limit)
        scale = op.Where(is_too_long, limit / longer, scale)
    return scale


def _resize(op, pixels, new_size):
    """Resize pixels [batch, channels, h, w] as tf.image.resize with antialias."""
    sizes = op.Concat(op.Shape(pixels, start=0, end=2), new_size, axis=0)
    return op.Resize(
        pixels, None, None, sizes, mode="linear", antialias=1, exclude_outside=1
    )
