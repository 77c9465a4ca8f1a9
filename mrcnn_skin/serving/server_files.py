"""The files of TensorFlow Serving: versions, settings, warm-up requests.

A folder BASE holds the versions BASE/NAME/1, BASE/NAME/2 ... of its models.
"""

from pathlib import Path

from ..atomic import write_text

MOUNT = "/models"  # path of BASE in the server's container
WARMUP = "tf_serving_warmup_requests"
MAX_WARMUP_RECORDS = 1000  # a server refuses a model with more

# Waiting requests are answered as one batch; every thread processes a batch
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
    """Return the versions in a folder BASE/NAME, sorted; [] without the folder."""
    names = [path.parent.name for path in Path(model_dir).glob("*/saved_model.pb")]
    return sorted(int(name) for name in names if name.isdecimal())


def next_version(model_dir):
    """Return the version after the highest in a folder BASE/NAME, or 1."""
    return max(versions(model_dir), default=0) + 1


def write_server_files(base):
    """Write model.config, batching.config and monitoring.config to a folder BASE.

    They are for --model_config_file, --batching_parameters_file and
    --monitoring_config_file of tensorflow_model_server with BASE as its /models.
    model.config lists every model in BASE.
    """
    base = Path(base)
    names = sorted(path.name for path in base.iterdir() if versions(path))
    files = {
        "model.config": model_config(names),
        "batching.config": BATCHING,
        "monitoring.config": MONITORING,
    }
    for name, text in files.items():
        write_text(base / name, text)


def model_config(names):
    """Return the ModelServerConfig that serves the latest version of each model."""
    models = ""
    for name in names:
        if not name.isprintable() or set('"\\') & set(name):
            raise ValueError(f"the name of a model must not need quoting, got {name!r}")
        place = f'name: "{name}" base_path: "{MOUNT}/{name}"'
        models += f'  config {{ {place} model_platform: "tensorflow" }}\n'
    return f"model_config_list {{\n{models}}}\n"


def write_warmup(folder, model_name, signature, images):
    """Write the requests that a server answers on loading (tensorflow-serving-api).

    Args:
        folder: assets.extra of a version.
        model_name: NAME.
        signature: of the model.
        images: bytes of JPEG or PNG files, one per request.
    """
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    if len(images) > MAX_WARMUP_RECORDS:
        raise ValueError(
            f"there may be at most {MAX_WARMUP_RECORDS} warm-up requests, got "
            f"{len(images)}"
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
