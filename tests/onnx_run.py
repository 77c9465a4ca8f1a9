"""Run a few ONNX operators, or a file, by onnxruntime."""

import numpy as np
import onnx_ir as ir
import onnxruntime
from onnxscript import GraphBuilder

from mrcnn_skin.serving.onnx.export import OPSET
from mrcnn_skin.serving.onnx.geometry import Map, arithmetic


def run_graph(write, *inputs):
    """Arrays that the operators written by `write(op, *values)` make of arrays."""
    graph = ir.Graph([], [], nodes=[], name="test", opset_imports={"": OPSET})
    builder = GraphBuilder(graph)
    values = []
    for index, array in enumerate(inputs):
        shape = [f"{index}_{axis}" for axis in range(array.ndim)]
        dtype = ir.DataType.from_numpy(array.dtype)
        values.append(builder.input(f"x{index}", dtype, shape))
    with arithmetic(builder.op):
        outputs = write(builder.op, *values)
    outputs = outputs if isinstance(outputs, list | tuple) else [outputs]
    for index, value in enumerate(outputs):
        value = value.nchw if isinstance(value, Map) else value
        builder.add_output(builder.op.Identity(value), f"y{index}")
    model = ir.to_proto(ir.Model(graph, ir_version=10)).SerializeToString()
    feed = {f"x{index}": array for index, array in enumerate(inputs)}
    return open_session(model).run(None, feed)


def run_file(path, images):
    """Answers of an export to images uint8 [batch, h, w, c], {name: array}."""
    session = open_session(str(path))
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"images": images}), strict=True))


def open_session(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        model, options, providers=["CPUExecutionProvider"]
    )


def nchw(features):
    return np.ascontiguousarray(np.moveaxis(features, -1, 1))
