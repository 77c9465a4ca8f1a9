"""Send image files to a TensorFlow Serving server, by gRPC or REST.

Prints P(malignant), the class, the score and the box of the best lesion of each file;
with --out also writes its mask, <file>.png. The weights are not needed.

    mrcnn-skin client photo.jpg --server=localhost:8500 --model=skin
    mrcnn-skin client photo.jpg --server=http://localhost:8501 --out=masks

gRPC needs tensorflow-serving-api (pip install "mrcnn_skin[serving]"), REST does not.
Exit status: 0 every file has an answer; 1 some have none; 2 a mistake in the options.

Research software, no medical device.
"""

import base64
import json
import math
import time
import urllib.error
import urllib.request
from pathlib import Path

from ..atomic import written_whole
from . import command

RETRIED_GRPC = ("UNAVAILABLE", "RESOURCE_EXHAUSTED")
RETRIED_HTTP = (429, 502, 503)  # REST answers 503 when the queue is full
MAX_MESSAGE = 256 << 20  # bytes; gRPC's default is 4 MB


class ServerError(Exception):
    """The server did not answer a request."""


def main(argv=None):
    """Run the command with options argv (None: of sys.argv); returns its status."""
    parser = command.Parser("client", description=__doc__)
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="JPEG or PNG files")
    parser.add_argument(
        "--server",
        default="localhost:8500",
        help="HOST:PORT for gRPC, http://HOST:PORT for REST",
    )
    parser.add_argument("--model", default="skin", help="name of the served model")
    parser.add_argument("--out", help="folder for masks (default: none are written)")
    parser.add_argument("--timeout", type=float, default=30, help="seconds per attempt")
    parser.add_argument(
        "--retries", type=int, default=3, help="attempts if the server is away or busy"
    )
    args = parser.parse_args(argv)

    ask = open_server(args.server, args.model, args.timeout)
    failed = 0
    for path in map(Path, args.images):
        try:
            answer = with_retries(ask, path.read_bytes(), args.retries)
            print(f"{path}: {describe(answer)}")
            if args.out and answer["num_detections"] and "mask_png_bytes" in answer:
                Path(args.out).mkdir(parents=True, exist_ok=True)
                with written_whole(Path(args.out, f"{path.stem}.png")) as partial:
                    partial.write_bytes(answer["mask_png_bytes"][0])
        except (ServerError, OSError) as error:
            print(f"{path}: no answer, {error}")
            failed += 1
    return 1 if failed else 0


def open_server(server, model, timeout):
    """Return a function that sends one file's bytes and returns {output: value}.

    It raises ServerError, or Busy if a retry may help. Strings are bytes.
    """
    if server.startswith(("http://", "https://")):
        url = f"{server.rstrip('/')}/v1/models/{model}:predict"
        return lambda content: ask_rest(url, content, timeout)
    return grpc_asker(server, model, timeout)


class Busy(ServerError):
    """The server may answer if the request is repeated."""


def with_retries(ask, content, retries, wait=0.5):
    """Send a file, and retry with doubling waits while the server is busy."""
    for attempt in range(retries + 1):
        try:
            answer = ask(content)
        except Busy:
            if attempt == retries:
                raise
            time.sleep(wait * 2**attempt)
            continue
        if "predicted_class" not in answer:
            raise ServerError("an older version exported the model: export it again")
        if answer["error"]:
            raise ServerError(f"the image {answer['error'].decode()}")
        return answer


def grpc_asker(server, model, timeout):
    """Return open_server's function for gRPC."""
    try:
        import grpc
        from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
    except ImportError as error:
        raise ValueError(
            f'gRPC needs {error.name}: pip install "mrcnn_skin[serving]", or use REST, '
            "--server=http://HOST:8501"
        ) from error
    import tensorflow as tf

    limits = ("grpc.max_receive_message_length", "grpc.max_send_message_length")
    channel = grpc.insecure_channel(server, [(name, MAX_MESSAGE) for name in limits])
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

    def ask(content):
        request = predict_pb2.PredictRequest()
        request.model_spec.name = model
        tensor = tf.make_tensor_proto([content], tf.string)
        request.inputs["image_bytes"].CopyFrom(tensor)
        try:
            outputs = stub.Predict(request, timeout=timeout).outputs
        except grpc.RpcError as error:
            kind = Busy if error.code().name in RETRIED_GRPC else ServerError
            raise kind(f"{error.code().name}: {error.details()}") from error
        return {name: tf.make_ndarray(value)[0] for name, value in outputs.items()}

    return ask


def ask_rest(url, content, timeout):
    """Send one file's bytes by REST, as open_server's function."""
    instance = {"image_bytes": {"b64": base64.b64encode(content).decode()}}
    body = json.dumps({"instances": [instance]}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            answer = json.load(response)["predictions"][0]
        for name in ("error", "predicted_class"):
            answer[name] = answer[name].encode()
    except urllib.error.HTTPError as error:
        kind = Busy if error.code in RETRIED_HTTP else ServerError
        raise kind(f"HTTP {error.code}: {error.read(500).decode()}") from error
    except urllib.error.URLError as error:
        raise Busy(f"{url}: {error.reason}") from error
    except (KeyError, IndexError, ValueError) as error:
        raise ServerError(f"{url} is not a TensorFlow Serving model") from error
    if "mask_png_bytes" in answer:
        masks = answer["mask_png_bytes"]
        answer["mask_png_bytes"] = [base64.b64decode(mask["b64"]) for mask in masks]
    return answer


def describe(answer):
    """Return one line about the best lesion."""
    flags = ", low confidence" if answer["low_confidence"] else ""
    flags += ", unlike the training images" if answer.get("unfamiliar") else ""
    if not answer["num_detections"]:
        return "no lesion found" + flags
    y1, x1, y2, x2 = answer["boxes"][0]
    text = f"class {answer['predicted_class'].decode()}, "
    text += f"score {answer['scores'][0]:.2f}, "
    text += f"box ({y1:.1f}, {x1:.1f}, {y2:.1f}, {x2:.1f})"
    if "p_malignant" in answer:
        point = answer["threshold"]
        point = "" if math.isnan(point) else f" (operating point {point:.2f})"
        text = f"P(malignant) {answer['p_malignant']:.2f}{point}, {text}"
    return text + flags
