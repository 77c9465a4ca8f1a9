"""One ONNX file that does all that detect() does, from pixels to masks."""

import json
from pathlib import Path

import onnx
import onnx_ir as ir
from onnxscript import GraphBuilder

from ...atomic import written_whole
from ...geometry.inputs import SIDES
from .geometry import arithmetic, part, to_float
from .image import Canvas
from .network import convert

OPSET = 21  # of ONNX 1.16; onnxruntime has it since 1.18
ABOUT = (
    "Mask R-CNN for skin lesions. Research software, no medical device. "
    "Input `images`: uint8 [batch, height, width, channels], RGB, upright, "
)


ROW = ["batch", "detections"]
OUTPUTS = {
    "num_detections": (ir.DataType.INT64, ["batch"]),
    "boxes": (ir.DataType.FLOAT, [*ROW, 4]),
    "class_ids": (ir.DataType.INT64, ROW),
    "scores": (ir.DataType.FLOAT, ROW),
    "low_confidence": (ir.DataType.BOOL, ["batch"]),
    "unfamiliar": (ir.DataType.BOOL, ["batch"]),
    "unfamiliar_score": (ir.DataType.FLOAT, ["batch"]),
    "probs": (ir.DataType.FLOAT, [*ROW, "classes"]),
    "p_malignant": (ir.DataType.FLOAT, ["batch"]),
    "masks": (ir.DataType.BOOL, [*ROW, "height", "width"]),
}


def export_onnx(model, path, metadata=None):
    """Write a model as one ONNX file that runs without this package.

    The file has standard operators only, and the input `images`, uint8 [batch, h, w,
    channels]. Its outputs, best detection first and padded with zeros to the largest
    number n of detections in the batch:
    num_detections: int64 [batch];
    boxes: [batch, n, (y1, x1, y2, x2)], pixels of the image;
    class_ids: int64 [batch, n];
    scores: [batch, n];
    low_confidence: bool [batch];
    probs: [batch, n, classes], with the task "classify";
    p_malignant: [batch], NaN without a lesion, with MALIGNANT_CLASS_IDS;
    masks: bool [batch, n, h, w], with the task "segment";
    unfamiliar, unfamiliar_score: bool and float [batch], with UNFAMILIAR_COMPONENTS.

    Args:
        model: a MaskRCNN of mode "inference" with its weights.
        path: of the file, NAME.onnx.
        metadata: {key: text} to store besides class_names, malignant_class_ids and
            config, which are JSON.

    Raises:
        ValueError: for another mode, for a layer that is not converted, and for
            INFERENCE_PRECISION "bfloat16".
    """
    config = model.config
    if model.mode != "inference":
        raise ValueError(
            f"export needs a model of mode 'inference', got {model.mode!r}"
        )
    if config.INFERENCE_PRECISION != "float32":
        raise ValueError(
            "export to ONNX needs INFERENCE_PRECISION 'float32', since onnxruntime has "
            f"no other convolutions for CPUs, got {config.INFERENCE_PRECISION!r}"
        )
    model.detector.folded.follow()
    graph = _graph(model.detector.folded.network, config)
    about = ABOUT + (SIDES if config.IMAGE_RESIZE_MODE == "none" else "of any size.")
    written = ir.to_proto(
        ir.Model(graph, ir_version=10, producer_name="mrcnn_skin", doc_string=about)
    )
    # The builder's records of intermediate values, some without a type
    written.graph.ClearField("value_info")
    described = {
        "class_names": json.dumps(config.CLASS_NAMES),
        "malignant_class_ids": json.dumps(config.MALIGNANT_CLASS_IDS),
        "config": config.to_json(),
        **(metadata or {}),
    }
    onnx.helper.set_model_props(written, described)
    onnx.checker.check_model(written, full_check=True)
    with written_whole(Path(path)) as partial:
        partial.write_bytes(written.SerializeToString())


def _graph(network, config):
    graph = ir.Graph([], [], nodes=[], name="detect", opset_imports={"": OPSET})
    builder = GraphBuilder(graph)
    shape = ["batch", "height", "width", config.IMAGE_CHANNEL_COUNT]
    images = builder.input("images", ir.DataType.UINT8, shape)
    with arithmetic(builder.op):
        outputs = _detect(builder.op, images, network, config)
    for name, value in outputs.items():
        value.dtype, shape = OUTPUTS[name]
        value.shape = ir.Shape(shape)
        builder.add_output(value, name)
    return graph


def _detect(op, images, network, config):
    """Return the outputs of export_onnx by name."""
    canvas = Canvas(op, images, config)
    batch = op.Shape(images, start=0, end=1)
    found = convert(op, network, [canvas.images, canvas.windows(op, batch)])

    count = found["num_detections"]
    most = op.ReduceMax(count, [0], keepdims=1)  # of an image in the batch

    def shown(values):
        return op.Slice(values, [0], most, [1])

    detections = shown(found["detections"])
    boxes = canvas.boxes(op, part(op, detections, 0, 4))
    is_one = op.Less(op.Range(0, op.Squeeze(most), 1), op.Unsqueeze(count, [1]))
    is_one = to_float(op, op.Unsqueeze(is_one, [2]))  # [batch, n, 1]
    outputs = {
        "num_detections": count,
        "boxes": canvas.boxes_on_image(op, boxes) * is_one,
        "class_ids": op.Cast(op.Gather(detections, 4, axis=2), to=ir.DataType.INT64),
        "scores": op.Gather(detections, 5, axis=2),
        "low_confidence": found["low_confidence"],
    }
    if "unfamiliar_score" in found:
        score = outputs["unfamiliar_score"] = found["unfamiliar_score"]
        outputs["unfamiliar"] = op.Not(op.LessOrEqual(score, 1.0))
    if "probs" in found:
        outputs["probs"] = shown(found["probs"])
        if config.MALIGNANT_CLASS_IDS:
            outputs["p_malignant"] = _p_malignant(op, found["probs"], config)
    if "masks" in found:
        masks = shown(found["masks"]) * op.Unsqueeze(is_one, [3])
        pasted = canvas.paste_masks(
            op,
            op.Reshape(masks, [-1, *config.MASK_SHAPE]),
            op.Reshape(boxes, [-1, 4]),
            config.MASK_SHAPE,
        )
        shape = op.Concat(batch, most, canvas.shape, axis=0)
        outputs["masks"] = op.Reshape(pasted, shape, allowzero=1)
    return outputs


def _p_malignant(op, probs, config):
    """Return P(malignant) among the best lesion's foreground classes; NaN if none."""
    best = op.Gather(probs, 0, axis=1)
    malignant = op.Gather(best, list(config.MALIGNANT_CLASS_IDS), axis=1)
    lesion = op.Slice(best, [1], [config.HEAD_CLASSES], [1])
    sums = (op.ReduceSum(x, [1], keepdims=0) for x in (malignant, lesion))
    p = op.Div(*sums)
    if config.TEMPERATURE == 1.0:
        return p
    logit = op.Sub(op.Log(p), op.Log(op.Sub(1.0, p)))
    return op.Sigmoid(op.Div(logit, config.TEMPERATURE))
