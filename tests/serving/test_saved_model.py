"""The export answers as detect() does, whatever is among the images."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from exported import (
    assert_flagged,
    assert_same_answer,
    bad_files,
    detect_files,
    good_files,
    tiny_model,
)
from PIL import Image
from tensorflow.core.protobuf import saved_model_pb2
from tiny import tiny_config

from mrcnn_skin.serving.saved_model import export_saved_model


@pytest.fixture(scope="module")
def signatures(served_path):
    loaded = tf.saved_model.load(str(served_path))
    yield loaded.signatures
    del loaded


def rows(outputs):
    """Outputs of a batch as one dict of NumPy values for each image."""
    outputs = {name: np.asarray(value) for name, value in outputs.items()}
    batch = len(outputs["error"])
    assert {len(value) for value in outputs.values()} == {batch}
    return [{name: value[i] for name, value in outputs.items()} for i in range(batch)]


def test_files_give_what_detect_gives(served_model, signatures, tmp_path):
    files = good_files()
    answers = rows(signatures["serving_default"](image_bytes=tf.constant(files)))
    results = detect_files(served_model, files, tmp_path)
    assert sum(len(result["rois"]) for result in results) > len(files)
    # The operating point, not the best region, decides on the first
    assert [r["predicted_class_id"] for r in results] == [2, 1, 2, 2]
    assert results[0]["class_ids"][0] == 1
    for answer, result in zip(answers, results, strict=True):
        assert_same_answer(answer, result)


def test_bad_files_are_flagged_and_the_good_ones_answered(
    served_model, signatures, tmp_path
):
    good, bad = good_files(), bad_files()
    files = [file for pair in zip(good, bad, strict=True) for file in pair]
    answers = rows(signatures["serving_default"](image_bytes=tf.constant(files)))
    for answer, result in zip(
        answers[::2], detect_files(served_model, good, tmp_path), strict=True
    ):
        assert_same_answer(answer, result)
    for answer in answers[1::2]:
        assert_flagged(answer)


def test_pixels_give_what_detect_gives(served_model, signatures):
    images = np.random.default_rng(0).integers(0, 256, (2, 70, 50, 3), np.uint8)
    answers = rows(signatures["pixels"](images=tf.constant(images)))
    for answer, result in zip(answers, served_model.detect(list(images)), strict=True):
        assert_same_answer(answer, result)


def test_the_loader_of_tensorflow_1(served_model, served_path, tmp_path):
    files = good_files()[:2] + bad_files()[:1]
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta = tf.compat.v1.saved_model.loader.load(
            session, ["serve"], str(served_path)
        )
        signature = meta.signature_def["serving_default"]
        outputs = {name: info.name for name, info in signature.outputs.items()}
        answers = session.run(outputs, {signature.inputs["image_bytes"].name: files})
    answers = rows(answers)
    assert_flagged(answers.pop())
    results = detect_files(served_model, files[:2], tmp_path)
    for answer, result in zip(answers, results, strict=True):
        assert_same_answer(answer, result)


def graph_of(path):
    """The MetaGraphDef of an export."""
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((path / "saved_model.pb").read_bytes())
    return saved.meta_graphs[0]


def test_every_operation_is_tensorflows_own_and_none_calls_python(served_path):
    graph = graph_of(served_path).graph_def
    bodies = [function.node_def for function in graph.library.function]
    operations = {node.op for nodes in [graph.node, *bodies] for node in nodes}
    operations -= {function.signature.name for function in graph.library.function}
    wanted = {"DecodeJpeg", "DecodePng", "Conv2D", "NonMaxSuppressionV3"}
    assert operations >= wanted | {"CropAndResize", "EncodePng"}
    assert not [name for name in operations if not hasattr(tf.raw_ops, name)]
    assert not [name for name in operations if "PyFunc" in name]


@pytest.mark.slow
def test_an_image_size_that_varies(tmp_path):
    model = tiny_model(IMAGE_RESIZE_MODE="pad64", IMAGES_PER_GPU=1)
    path = export_saved_model(model, tmp_path / "skin")
    files = [*good_files()[:2], b"bad"]
    loaded = tf.saved_model.load(str(path))
    outputs = loaded.signatures["serving_default"](image_bytes=tf.constant(files))
    answers = rows(outputs)
    assert_flagged(answers.pop())
    results = detect_files(model, files[:2], tmp_path)
    for answer, result in zip(answers, results, strict=True):
        assert_same_answer(answer, result)


def test_versions_count_up_and_none_is_overwritten(
    served_model, served_path, monkeypatch
):
    folder = served_path.parent
    assert served_path.name == "1"
    with pytest.raises(FileExistsError, match="skin/1"):
        export_saved_model(served_model, folder, version=1)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        export_saved_model(served_model, folder, version=0)
    monkeypatch.setattr(
        "mrcnn_skin.serving.saved_model._archive", lambda model: FullDisk()
    )
    with pytest.raises(OSError, match="disk is full"):
        export_saved_model(served_model, folder)
    assert [entry.name for entry in folder.iterdir()] == ["1"]


class FullDisk:
    """An archive that is not written to its end."""

    def write_out(self, partial, verbose):
        assert partial.name.startswith(".2."), "no server takes this for a version"
        (partial / "saved_model.pb").write_bytes(b"half")
        raise OSError("the disk is full")


def test_models_that_cannot_be_exported(served_model, monkeypatch, tmp_path):
    with monkeypatch.context() as patch:
        patch.setattr(served_model, "mode", "training")
        with pytest.raises(ValueError, match="mode 'inference', got 'training'"):
            export_saved_model(served_model, tmp_path / "skin")
    grey = tiny_config(IMAGE_CHANNEL_COUNT=1, MEAN_PIXEL=(120,))
    monkeypatch.setattr(served_model, "config", grey)
    with pytest.raises(ValueError, match="IMAGE_CHANNEL_COUNT 3, got 1"):
        export_saved_model(served_model, tmp_path / "skin")
    assert not (tmp_path / "skin").exists()


def test_every_weight_is_written_once(served_model, served_path):
    (data,) = served_path.glob("variables/*.data*")
    weights = 4 * served_model.keras_model.count_params()
    assert weights <= data.stat().st_size < 1.2 * weights


@pytest.mark.slow
def test_a_network_of_one_task(tmp_path):
    model = tiny_model(TASKS=("detect",))
    path = export_saved_model(model, tmp_path / "skin")
    signature = tf.saved_model.load(str(path)).signatures["serving_default"]
    outputs = signature(image_bytes=tf.constant(good_files()[:1]))
    assert not {"probs", "p_malignant", "mask_png_bytes"} & set(outputs)
    (result,) = detect_files(model, good_files()[:1], tmp_path)
    count = outputs["num_detections"][0]
    np.testing.assert_allclose(outputs["boxes"][0, :count], result["rois"], atol=0.1)


@pytest.mark.slow
def test_a_program_in_c(served_model, served_path, tmp_path):
    package = Path(tf.__file__).parent
    libraries = ["-l:libtensorflow_cc.so.2", "-l:libtensorflow_framework.so.2"]
    program = tmp_path / "run_export"
    subprocess.run(
        ["gcc", "-Wall", "-Werror", Path(__file__).parents[1] / "native/run_export.c"]
        + [f"-I{package / 'include'}", f"-L{package}", f"-Wl,-rpath,{package}"]
        + [*libraries, "-o", program],
        check=True,
    )
    signature = graph_of(served_path).signature_def["serving_default"]
    names = ("num_detections", "boxes", "scores", "p_malignant", "error")
    outputs = [signature.outputs[name].name for name in (*names, "mask_png_bytes")]
    entry = signature.inputs["image_bytes"].name.removesuffix(":0")
    good, bad = good_files()[2], bad_files()[1]
    for content in (good, bad):
        (tmp_path / "image").write_bytes(content)
        done = subprocess.run(
            [program, served_path, tmp_path / "image", entry, *outputs],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        lines = dict(line.split(" ", 1) for line in done.stdout.splitlines())
        if content == bad:
            assert "cannot be decoded" in lines["error"]
            assert lines["num_detections"] == "0" and "nan" in lines["p_malignant"]
            continue
        (result,) = detect_files(served_model, [content], tmp_path)
        count = int(lines["num_detections"])
        assert lines["error"] == "" and count == len(result["rois"])
        boxes = np.array(lines["boxes"].split(), float).reshape(-1, 4)[:count]
        np.testing.assert_allclose(boxes, result["rois"], atol=0.1)
        scores = np.array(lines["scores"].split(), float)[:count]
        np.testing.assert_allclose(scores, result["scores"], atol=1e-4)
        assert float(lines["p_malignant"]) == pytest.approx(
            result["p_malignant"], abs=1e-4
        )
        mask = np.asarray(Image.open(tmp_path / "mask.png"))
        np.testing.assert_array_equal(mask > 0, result["masks"][..., 0])


FRESH = """
import sys
for name in ("keras", "mrcnn_skin", "imgaug", "PIL", "h5py"):
    sys.modules[name] = None  # importing one of them raises
import tensorflow as tf
signature = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
content = open(sys.argv[2], "rb").read()
answer = signature(image_bytes=tf.constant([content, b"bad"]))
print("answer", *answer["num_detections"].numpy(), answer["p_malignant"].numpy()[0])
"""


@pytest.mark.slow
def test_a_fresh_process_without_this_package_and_without_keras(
    served_model, served_path, tmp_path
):
    (result,) = detect_files(served_model, good_files()[:1], tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", FRESH, served_path, tmp_path / "image"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("answer")]
    found, found_in_bad, p_malignant = line.split()[1:]
    assert (int(found), int(found_in_bad)) == (len(result["rois"]), 0)
    assert float(p_malignant) == pytest.approx(result["p_malignant"], abs=1e-4)


@pytest.mark.slow
def test_saved_model_cli(served_model, served_path, tmp_path):
    tool = [sys.executable, "-m", "tensorflow.python.tools.saved_model_cli"]
    show = [*tool, "show", "--dir", served_path, "--all"]
    shown = subprocess.run(show, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    for name in ("serving_default", "pixels", "image_bytes", "mask_png_bytes"):
        assert f"['{name}']" in shown.stdout
    files = [*good_files()[:2], b"bad"]
    np.save(tmp_path / "x.npy", np.array(files, object), allow_pickle=True)
    options = ["--tag_set", "serve", "--signature_def", "serving_default"]
    options += ["--outdir", tmp_path, "--inputs", f"image_bytes={tmp_path / 'x.npy'}"]
    run = [*tool, "run", "--dir", served_path, *options]
    ran = subprocess.run(run, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-2000:]
    count = np.load(tmp_path / "num_detections.npy")
    boxes = np.load(tmp_path / "boxes.npy")
    assert count[2] == 0
    for i, result in enumerate(detect_files(served_model, files[:2], tmp_path)):
        np.testing.assert_allclose(boxes[i, : count[i]], result["rois"], atol=0.1)
