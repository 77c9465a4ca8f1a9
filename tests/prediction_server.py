"""Servers over an export for tests: TensorFlow Serving's messages, none of its code.

gRPC by the real service of tensorflow-serving-api; REST as its documentation has it.
"""

import base64
import json
from concurrent import futures
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import tensorflow as tf


@contextmanager
def grpc_server(path):
    """Serve an export's signatures by gRPC; yields HOST:PORT."""
    import grpc
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    loaded = tf.saved_model.load(str(path))

    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request, context):
            signature = loaded.signatures[
                request.model_spec.signature_name or "serving_default"
            ]
            inputs = {
                name: tf.constant(tf.make_ndarray(value))
                for name, value in request.inputs.items()
            }
            response = predict_pb2.PredictResponse()
            for name, value in signature(**inputs).items():
                response.outputs[name].CopyFrom(tf.make_tensor_proto(value.numpy()))
            return response

    server = grpc.server(futures.ThreadPoolExecutor(8))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        Service(), server
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None)


@contextmanager
def rest_server(path, failures=()):
    """Serve serving_default by REST; yields a URL.

    failures: HTTP statuses that the first requests get instead of an answer.
    """
    loaded = tf.saved_model.load(str(path))
    failures = list(failures)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path != "/v1/models/skin:predict":
                return self.answer(404, {"error": "no such model"})
            if failures:
                return self.answer(failures.pop(0), {"error": "not now"})
            files = [
                base64.b64decode(instance["image_bytes"]["b64"])
                for instance in json.loads(body)["instances"]
            ]
            signature = loaded.signatures["serving_default"]
            outputs = signature(image_bytes=tf.constant(files))
            columns = {name: plain(name, x) for name, x in outputs.items()}
            rows = zip(*columns.values(), strict=True)
            predictions = [dict(zip(columns, row, strict=True)) for row in rows]
            return self.answer(200, {"predictions": predictions})

        def answer(self, status, content):
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=[0.05])
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def plain(name, values):
    """Tensors as JSON: strings as text, or in base64 if their name ends in _bytes."""

    def text(value):
        if isinstance(value, list):
            return [text(item) for item in value]
        if name.endswith("_bytes"):
            return {"b64": base64.b64encode(value).decode()}
        return value.decode() if isinstance(value, bytes) else value

    return text(values.numpy().tolist())
