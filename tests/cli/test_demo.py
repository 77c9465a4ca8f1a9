"""The page in a headless browser: an image, a file that is none, no other address.

Needs gradio, playwright and Debian's chromium; skips where one of them is absent.
"""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest
from PIL import Image

from mrcnn_skin import IsicConfig, MaskRCNN
from mrcnn_skin.data.synthetic import SyntheticDataset

ROOT = Path(__file__).resolve().parents[2]
SIDE = 64
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
).split()

for module in ("gradio", "playwright.sync_api", "mrcnn_skin.inference.explanation"):
    pytest.importorskip(module)
chromium = shutil.which("chromium")
if chromium is None:
    pytest.skip("no chromium", allow_module_level=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two models of random weights, a lesion, and a text file."""
    folder = tmp_path_factory.mktemp("demo")
    config = IsicConfig(
        BACKBONE="resnet26",
        NORM="group",  # keeps the features of random weights in bounds
        IMAGE_MIN_DIM=SIDE,
        IMAGE_MAX_DIM=SIDE,
        RPN_ANCHOR_SCALES=(4, 8, 16, 32, 64),
        TOP_DOWN_PYRAMID_SIZE=32,
        FPN_CLASSIF_FC_LAYERS_SIZE=32,
        OPERATING_POINTS=((0.9, 0.23),),
        SENSITIVITY=0.9,
    )
    for name in ("first", "second"):
        (folder / name).mkdir()
        MaskRCNN("inference", config).save_weights(folder / name / "weights.h5")
        config.to_json(folder / name / "config.json")
    pixels = SyntheticDataset(1, (SIDE, 80)).load_image(0)
    Image.fromarray(pixels).save(folder / "lesion.png")
    (folder / "note.jpg").write_text("no image <b>at all</b>")
    return folder


@pytest.fixture(scope="module")
def proxy():
    """A proxy that answers nobody; returns its address and the requests it got."""
    listener, requests = socket.create_server(("127.0.0.1", 0)), []

    def listen():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                requests.append(connection.recv(200))

    threading.Thread(target=listen, daemon=True).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}", requests
    listener.close()


@pytest.fixture(scope="module")
def address(folder, proxy):
    """The page's address; the server's own requests would go through the proxy."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "scratch").mkdir()
    names = "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"
    proxies = {n: proxy[0] for name in names for n in (name, name.lower())}
    local = {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}
    options = [f"--weights={folder / n / 'weights.h5'}" for n in ("first", "second")]
    process = subprocess.Popen(
        [sys.executable, ROOT / "samples/isic/demo.py", *options, f"--port={port}"],
        cwd=folder,
        env={**os.environ, **proxies, **local, "TMPDIR": str(folder / "scratch")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    address = f"http://127.0.0.1:{port}/"
    try:
        _wait_for(address, process)
        yield address
    finally:
        process.terminate()
        process.communicate()


def _wait_for(address, process, seconds=600):
    deadline = time.time() + seconds
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.time() < deadline:
        assert process.poll() is None, process.stdout.read()
        try:
            return direct.open(address, timeout=5)
        except OSError:
            time.sleep(0.5)
    raise TimeoutError(f"no page at {address}")


def test_an_image_a_bad_file_and_no_other_address(folder, address, proxy):
    from playwright.sync_api import sync_playwright

    requests, violations = [], []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page()
        page.set_default_timeout(120_000)
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: violations.append(message.text))
        page.goto(address)
        page.wait_for_selector("text=Research use only")

        page.get_by_label("second/weights").check()
        page.set_input_files("input[type=file]", folder / "lesion.png")
        page.wait_for_selector(".answer .p")
        answer = page.inner_text(".answer")
        assert "P(malignant) 0." in answer and "operating point 0.23" in answer
        assert f"of 80 x {SIDE} pixels" in answer and "Lesion area" in answer
        assert "Grad-CAM" in answer
        sizes = page.eval_on_selector_all(
            ".answer img", "all => all.map(one => one.naturalWidth)"
        )
        assert sizes == [80, 80]

        with page.expect_download() as saved:
            page.click("text=Download: mask")
        assert saved.value.suggested_filename == "lesion_mask.png"
        with Image.open(saved.value.path()) as mask:
            assert mask.size == (80, SIDE)

        page.click("text=Generated lesion 2")
        page.wait_for_selector("text=generated_2.png")
        files = [folder / "lesion.png", folder / "note.jpg"]
        page.set_input_files("input[type=file]", files)
        page.wait_for_selector("text=table of all answers")
        assert page.locator(".answer").count() == 1
        assert page.locator("[role=alert]").count() >= 1

        page.set_input_files("input[type=file]", folder / "note.jpg")
        page.wait_for_selector(".answer", state="detached")
        alert = page.inner_text("[role=alert]")
        assert "note.jpg cannot be read as an image" in alert
        assert page.locator(".answer").count() == 0
        browser.close()

    outside = [u for u in requests if not u.startswith((address, "data:", "blob:"))]
    assert not outside
    assert not [text for text in violations if "Content Security" in text]
    assert not proxy[1], "the server itself asked for something"
    kept = {path.name for path in (folder / "scratch").rglob("*")}
    assert not kept & {"lesion.png", "note.jpg"}
