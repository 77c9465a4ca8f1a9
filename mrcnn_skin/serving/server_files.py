"""The folder that TensorFlow Serving reads: versions, settings, warm-up requests.

A folder BASE holds models, BASE/NAME their versions BASE/NAME/1, BASE/NAME/2 and so on.
The models themselves are written by serving/saved_model.py.
"""

from pathlib import Path

from ..atomic import written_whole

MOUNT = "/models"  # where the server's container sees BASE
WARMUP = "tf_serving_warmup_requests"
MAX_WARMUP_RECORDS = 1000  # a server refuses a model with more

# Requests that wait together are answered as one batch. Threads: a batch each.
BATCHING = """\
max_batch_size { value: 8 }
batch_timeout_micros { value: 5000 }
max_enqueued_batches { value: 64 }
num_batch_threads { value: 2 }
"""

MONITORING = """\
prometheus_config { enable: true, path: "/monitoring/prometheus/metrics" }
"""


def versions(model_dir):
    """The versions in a folder BASE/NAME, in order; [] if there is no such folder."""
    names = [path.parent.name for path in Path(model_dir).glob("*/saved_model.pb")]
    return sorted(int(name) for name in names if name.isdecimal())


def next_version(model_dir):
    """The version after the highest in a folder BASE/NAME; 1 for the first."""
    return max(versions(model_dir), default=0) + 1


def write_server_files(base):
    """Write model.config, batching.config and monitoring.config into a folder BASE.

    They are what --model_config_file, --batching_parameters_file and
    --monitoring_config_file of tensorflow_model_server want, if BASE is its /models.
    model.config names every model in BASE. Raises ValueError for a model whose name
    would need quoting.
    """
    base = Path(base)
    names = sorted(path.name for path in base.iterdir() if versions(path))
    files = {
        "model.config": model_config(names),
        "batching.config": BATCHING,
        "monitoring.config": MONITORING,
    }
    for name, text in files.items():
        with written_whole(base / name) as partial:
            partial.write_text(text, encoding="utf-8")


def model_config(names):
    """Text of a ModelServerConfig that serves the latest version of these models."""
    models = ""
    for name in names:
        if not name.isprintable() or set('"\\') & set(name):
            raise ValueError(f"a model's name must need no quoting, got {name!r}")
        models += (
            f'  config {{ name: "{name}" base_path: "{MOUNT}/{name}" '
            'model_platform: "tensorflow" }\n'
        )
    return f"model_config_list {{\n{models}}}\n"


def write_warmup(folder, model_name, signature, images):
    """Write requests that a server answers by itself before it takes others.

    folder: assets.extra of a version. images: bytes of JPEG or PNG files, a request
    each. Raises ValueError for more than MAX_WARMUP_RECORDS, ImportError without
    tensorflow-serving-api, whose message types the file consists of.
    """
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    if len(images) > MAX_WARMUP_RECORDS:
        raise ValueError(
            f"a server takes at most {MAX_WARMUP_RECORDS} warm-up requests, "
            f"got {len(images)}"
        )
    with tf.io.TFRecordWriter(str(folder / WARMUP)) as writer:
        for image in images:
            log = prediction_log_pb2.PredictionLog()
            request = log.predict_log.request
            request.model_spec.name = model_name
            request.model_spec.signature_name = signature
            tensor = tf.make_tensor_proto([image], tf.string)
            request.inputs["image_bytes"].CopyFrom(tensor)
            writer.write(log.SerializeToString())
