"""What a server reads beside the model, and an export under many requests."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf
from exported import (
    assert_flagged,
    assert_same_answer,
    bad_files,
    detect_files,
    good_files,
)
from prediction_server import grpc_server

from mrcnn_skin.serving.server_files import (
    WARMUP,
    model_config,
    next_version,
    versions,
    write_server_files,
    write_warmup,
)


def make_versions(folder, *names):
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "saved_model.pb").touch()


def test_versions_are_folders_with_a_number_and_a_model(tmp_path):
    folder = tmp_path / "skin"
    assert versions(folder) == [] and next_version(folder) == 1
    make_versions(folder, "2", "10", ".11.part", "old")
    (folder / "12").mkdir()  # empty
    assert versions(folder) == [2, 10] and next_version(folder) == 11


def test_server_files_name_every_model(tmp_path):
    make_versions(tmp_path / "skin", "1")
    make_versions(tmp_path / "lite", "3")
    (tmp_path / "notes").mkdir()
    write_server_files(tmp_path)
    text = (tmp_path / "model.config").read_text()
    assert 'name: "lite" base_path: "/models/lite"' in text
    assert text.index("lite") < text.index("skin") and "notes" not in text
    assert "max_batch_size" in (tmp_path / "batching.config").read_text()
    assert "prometheus" in (tmp_path / "monitoring.config").read_text()
    with pytest.raises(ValueError, match="not need quoting"):
        model_config(['a"b'])


def test_model_config_is_what_the_server_parses():
    pytest.importorskip("tensorflow_serving")
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    config = model_server_config_pb2.ModelServerConfig()
    text_format.Parse(model_config(["lite", "skin"]), config)
    models = config.model_config_list.config
    assert [model.name for model in models] == ["lite", "skin"]
    assert [model.base_path for model in models] == ["/models/lite", "/models/skin"]
    assert {model.model_platform for model in models} == {"tensorflow"}


def test_more_warmup_requests_than_a_server_takes(tmp_path):
    pytest.importorskip("tensorflow_serving")
    with pytest.raises(ValueError, match="at most 1000 warm-up requests, got 1001"):
        write_warmup(tmp_path, "skin", "serving_default", [b""] * 1001)
    assert not list(tmp_path.iterdir())


def test_warmup_requests_can_be_replayed(served_path):
    pytest.importorskip("tensorflow_serving")
    from tensorflow_serving.apis import prediction_log_pb2

    signatures = tf.saved_model.load(str(served_path)).signatures
    records = list(tf.data.TFRecordDataset(str(served_path / "assets.extra" / WARMUP)))
    assert len(records) == 2
    for record in records:
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        request = log.predict_log.request
        assert request.model_spec.name == "skin"
        signature = signatures[request.model_spec.signature_name]
        inputs = {k: tf.make_ndarray(v) for k, v in request.inputs.items()}
        outputs = signature(**{k: tf.constant(v) for k, v in inputs.items()})
        assert outputs["error"].numpy().tolist() == [b""]
        assert outputs["num_detections"][0] > 0


@pytest.mark.slow
def test_200_concurrent_requests_bad_ones_among_them(
    served_model, served_path, tmp_path
):
    pytest.importorskip("tensorflow_serving")
    import grpc
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    good, bad = good_files(), bad_files()
    results = detect_files(served_model, good, tmp_path)
    rng = np.random.default_rng(0)
    orders = [rng.permutation(8)[: rng.integers(1, 4)] for _ in range(200)]

    def ask(order):
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "skin"
        files = [(good + bad)[i] for i in order]
        tensor = tf.make_tensor_proto(files, tf.string)
        request.inputs["image_bytes"].CopyFrom(tensor)
        outputs = stub.Predict(request, timeout=120).outputs
        return {name: tf.make_ndarray(value) for name, value in outputs.items()}

    with grpc_server(served_path) as address, grpc.insecure_channel(address) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        with ThreadPoolExecutor(200) as pool:
            answers = list(pool.map(ask, orders))
    for order, answer in zip(orders, answers, strict=True):
        for place, number in enumerate(order):
            row = {name: value[place] for name, value in answer.items()}
            if number < len(good):
                assert_same_answer(row, results[number])
            else:
                assert_flagged(row)
