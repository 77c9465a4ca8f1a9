"""The page in headless Chromium answers as detect() does, also without its server.

Needs playwright, Debian's chromium, and npm with a network or a cache; what needs an
absent one of them is skipped.
"""

import base64
import functools
import http.server
import importlib.util
import io
import json
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import distance_transform_edt
from tiny import tiny_config

from mrcnn_skin import MaskRCNN
from mrcnn_skin.data.files import read_image
from mrcnn_skin.data.lesion_painter import synthetic_lesion

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

BUILD = Path(__file__).resolve().parents[2] / "samples/isic/browser/build.py"
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
).split()
ISOLATION = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}
SIZE = (300, 400)
ORANGE = (0xD9, 0x60, 0x0A)  # of the outline


@pytest.fixture(scope="module")
def build():
    spec = importlib.util.spec_from_file_location("browser_build", BUILD)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(build, tmp_path_factory):
    """The page with the network that comes with the package."""
    return built(build, tmp_path_factory.mktemp("page"))


def built(build, folder, network=None):
    try:
        build.build(folder, network)
    except OSError as error:
        pytest.skip(str(error))
    return folder


@pytest.fixture(scope="module")
def chromium():
    sync_api = pytest.importorskip("playwright.sync_api")
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no chromium")
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


class Server(http.server.ThreadingHTTPServer):
    """Serves a folder, with some headers, until it is closed."""

    def __init__(self, folder, headers=()):
        class Handler(http.server.SimpleHTTPRequestHandler):
            def end_headers(self):
                for header in dict(headers).items():
                    self.send_header(*header)
                super().end_headers()

            def log_message(self, *args):
                pass

        super().__init__(("127.0.0.1", 0), functools.partial(Handler, directory=folder))
        self.address = f"http://127.0.0.1:{self.server_port}/"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self):
        self.shutdown()
        self.server_close()


@pytest.fixture
def visit(chromium):
    """A function of a folder and headers that opens its page: page, server.

    At the end no page may have asked another address or broken its policy.
    """
    servers, contexts, said = [], [], []

    def open_page(folder, headers=()):
        servers.append(Server(folder, headers))
        contexts.append(chromium.new_context())
        page = contexts[-1].new_page()
        page.set_default_timeout(120_000)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        contexts[-1].on("request", lambda request: asked.append(request.url))
        page.goto(servers[-1].address)
        page.wait_for_selector("#file:enabled")
        return page, servers[-1]

    asked = []
    yield open_page
    for opened in (*contexts, *servers):
        opened.close()
    own = tuple(server.address for server in servers)
    assert not [url for url in asked if not url.startswith(own)]
    assert not said


def choose(page, path):
    """Choose a file, and wait for its answer, whose text is returned."""
    page.set_input_files("#file", path)
    page.wait_for_selector("#answer:visible, #problem:visible")
    return page.inner_text("main")


def write_lesion(path, orientation=1, seed=1):
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = synthetic_lesion(seed, SIZE)[0]
    Image.fromarray(pixels).save(path, exif=exif, quality=95)
    return path


def assert_same_answer(text, result, config):
    """Of the page's text and detect(): box within .5 px, P(malignant) within .002."""
    (p,) = re.findall(r"^P\(malignant\) ([\d.]+)$", text, re.M)
    assert float(p) == pytest.approx(result["p_malignant"], abs=0.002)
    box = re.search(r"Box: x (\S+) to (\S+), y (\S+) to (\S+),", text).groups()
    box = [float(box[place]) for place in (2, 0, 3, 1)]  # y1 x1 y2 x2
    np.testing.assert_allclose(box, result["rois"][0], rtol=0, atol=0.5)
    name = config.CLASS_NAMES[result["predicted_class_id"]]
    assert f"Predicted class: {name}." in text
    assert ("Low confidence" in text) == result["low_confidence"]


def assert_outlined(page, mask):
    """The picture has an orange line where the mask ends, and nowhere else."""
    url = page.evaluate("document.getElementById('picture').toDataURL()")
    picture = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    pixels = np.asarray(picture.convert("RGB")).astype(int)
    assert pixels.shape[:2] == mask.shape
    is_drawn = np.abs(pixels - ORANGE).max(axis=2) < 40
    mask = np.pad(mask, 1)
    inner = mask[1:-1, :-2] & mask[1:-1, 2:] & mask[:-2, 1:-1] & mask[2:, 1:-1]
    is_edge = mask[1:-1, 1:-1] & ~inner
    assert distance_transform_edt(~is_edge)[is_drawn].max() < 3
    assert distance_transform_edt(~is_drawn)[is_edge].max() < 3


@pytest.mark.slow
def test_the_answer_is_that_of_detect(folder, visit, tmp_path):
    model = MaskRCNN.from_pretrained("lite_isic")
    page, _ = visit(folder)
    for name, orientation in (("a.jpg", 1), ("b.jpg", 6), ("c.jpg", 7), ("d.png", 5)):
        image = read_image(write_lesion(tmp_path / name, orientation))
        text = choose(page, tmp_path / name)
        (result,) = model.detect([image])
        assert_same_answer(text, result, model.config)
        assert_outlined(page, result["masks"][..., 0])
        assert f"of {image.shape[1]} x {image.shape[0]} pixels" in text
    point = f"operating point {model.config.THRESHOLD:.3f}. It was chosen for 90%"
    assert f"{point} sensitivity" in text
    assert "Research use only" in text and "unlike" not in text
    assert "CC BY-NC-SA 4.0" in page.inner_text("footer")
    assert "CC BY-NC-SA 4.0" in page.request.get(page.url + "model_card.txt").text()


@pytest.mark.slow
def test_files_that_are_no_images(folder, visit, tmp_path):
    lesion = write_lesion(tmp_path / "lesion.jpg")
    content = lesion.read_bytes()
    clear = np.zeros((20, 30, 4), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(clear).save(buffer, "PNG")
    page, _ = visit(folder)
    cases = {
        "note.jpg": (b"no image <b>at all</b>", "its content is not JPEG, PNG or BMP"),
        "empty.jpg": (b"", "the file is empty (0 bytes)"),
        "cut.jpg": (content[: len(content) // 2], "the file is damaged"),
        "clear.png": (buffer.getvalue(), "it has transparent pixels"),
    }
    for name, (bad, reason) in cases.items():
        (tmp_path / name).write_bytes(bad)
        choose(page, tmp_path / name)
        problem = page.inner_text("[role=alert]:visible")
        assert problem == f"{name} cannot be read as an image: {reason}"
        assert not page.is_visible("#answer")
    assert "P(malignant)" in choose(page, lesion)
    assert not page.is_visible("#problem")


@pytest.mark.slow
def test_a_phone_and_a_keyboard_and_a_dropped_file(folder, visit, tmp_path):
    lesion = write_lesion(tmp_path / f"{'long_' * 30}name.jpg")
    page, _ = visit(folder)
    page.set_viewport_size({"width": 390, "height": 800})
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "file"
    assert page.get_by_label("Drop a dermoscopy photograph").count() == 1
    drop = """text => {
        const bytes = Uint8Array.from(atob(text), one => one.charCodeAt(0));
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File([bytes], "dropped.jpg"));
        const options = {dataTransfer, bubbles: true, cancelable: true};
        return document.body.dispatchEvent(new DragEvent("drop", options));
    }"""
    # False: the browser itself does not open the file
    assert page.evaluate(drop, base64.b64encode(lesion.read_bytes()).decode()) is False
    page.wait_for_selector("#answer:visible")
    assert "dropped.jpg" in page.get_by_role("status").inner_text()
    choose(page, lesion)
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width == 390


@pytest.mark.slow
def test_without_its_server(folder, visit, tmp_path):
    lesion = write_lesion(tmp_path / "lesion.jpg")
    page, server = visit(folder)
    before = choose(page, lesion)
    server.close()
    page.reload()
    page.wait_for_selector("#file:enabled")
    after = choose(page, lesion)
    assert re.sub(r"in [\d.]+ s", "", after) == re.sub(r"in [\d.]+ s", "", before)


@pytest.mark.slow
def test_threads_where_the_server_allows_them(folder, visit, tmp_path):
    page, _ = visit(folder, ISOLATION)
    assert page.evaluate("crossOriginIsolated")
    assert "P(malignant)" in choose(page, write_lesion(tmp_path / "lesion.jpg"))


@pytest.fixture(scope="module")
def tiny_network(tmp_path_factory):
    """A file of random weights to which every image is unfamiliar."""
    from mrcnn_skin.serving.onnx.export import export_onnx

    config = tiny_config(UNFAMILIAR_COMPONENTS=2, DETECTION_MIN_CONFIDENCE=0.3)
    model = MaskRCNN("inference", config)
    layer = model.keras_model.get_layer("unfamiliar_score")
    mean, scale, factors = (weight.shape for weight in layer.weights)
    layer.set_weights([np.full(mean, 9), np.full(scale, 9), np.zeros(factors)])
    path = tmp_path_factory.mktemp("tiny") / "tiny.onnx"
    export_onnx(model, path, {"licence": "CC0"})
    return path


@pytest.mark.slow
def test_an_unfamiliar_image(build, tiny_network, visit, tmp_path):
    page, _ = visit(built(build, tmp_path / "page", tiny_network))
    text = choose(page, write_lesion(tmp_path / "lesion.jpg"))
    assert "unlike the dermoscopy images that the network learned from" in text
    assert "Licence of the network: CC0." in page.inner_text("footer")
    assert not page.is_visible("#card")


def test_what_the_page_is_told(build, tiny_network, tmp_path):
    shutil.copyfile(tiny_network, tmp_path / build.NETWORK)
    about = build.describe(tmp_path)
    assert about["class_names"] == ["BG", "benign", "malignant"]
    assert about["operating_point"]["threshold"] is None
    assert about["malignant_class_ids"] == [2]
    assert about["licence"] == "CC0" and about["has_card"] is False

    config = {"SENSITIVITY": 0.9, "OPERATING_POINTS": [[0.8, 0.4], [0.9, 0.3]]}
    assert build.operating_point(config)["threshold"] == 0.3

    foreign = onnx.load(tiny_network)
    del foreign.metadata_props[:]
    onnx.save(foreign, tmp_path / build.NETWORK)
    with pytest.raises(
        ValueError, match="--network must be a file of mrcnn-skin export"
    ):
        build.describe(tmp_path)
    (tmp_path / build.NETWORK).write_text("no network")
    with pytest.raises(ValueError, match="--network must be an ONNX file"):
        build.describe(tmp_path)


def test_another_package_than_the_pinned_one(build, monkeypatch, tmp_path):
    def pack(command, cwd, **_):
        Path(cwd, f"onnxruntime-web-{build.VERSION}.tgz").write_bytes(b"other")
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(build.shutil, "which", lambda name: name)
    monkeypatch.setattr(build.subprocess, "run", pack)
    with pytest.raises(ValueError, match="must have the checksum sha512-q0y.* got "):
        build.write_runtime(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_network_that_is_not_there(build, monkeypatch, tmp_path):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")  # else it moves standard error
    options = [f"--out={tmp_path / 'page'}", "--network=no.onnx"]
    monkeypatch.setattr(sys, "argv", ["build.py", *options])
    with pytest.raises(SystemExit, match="build.py: error: .*no.onnx"):
        build.main()
    assert not list(tmp_path.iterdir())


def test_every_file_is_kept_for_offline_use(build, tmp_path):
    for name in ("index.html", "network.onnx"):
        (tmp_path / name).write_text(name)
    build.write_service_worker(tmp_path)
    first = (tmp_path / "sw.js").read_text()
    listed = json.loads(re.search(r"FILES = (\{.*?\});", first, re.S)[1])
    assert list(listed) == ["./", "index.html", "network.onnx"]
    assert listed["./"] == build.integrity(tmp_path / "index.html")
    (tmp_path / "sw.js").unlink()
    (tmp_path / "network.onnx").write_text("other")
    build.write_service_worker(tmp_path)
    assert (tmp_path / "sw.js").read_text() != first  # so that browsers fetch it
