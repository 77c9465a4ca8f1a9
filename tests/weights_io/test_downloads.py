"""Downloads from a server on this machine that breaks, ignores and lies on demand."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mrcnn_skin.weights_io import downloads

CONTENT = bytes(range(256)) * 40
SIZE = len(CONTENT)  # 10,240 bytes
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT; each attribute is one way to misbehave."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.breaks = []  # bytes after which the next answers break off
        self.statuses = []  # HTTP errors that the next answers are
        self.knows_range = True
        self.tells_length = True
        self.content = CONTENT
        self.ranges = []  # the Range header of every request so far

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/file.bin"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        server.ranges.append(asked)
        if server.statuses:
            return self.send_error(server.statuses.pop(0))
        start = 0
        if asked and server.knows_range:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(server.content):
                return self.send_error(416)
        self.send_response(206 if start else 200)
        if start:
            end, total = len(server.content) - 1, len(server.content)
            self.send_header("Content-Range", f"bytes {start}-{end}/{total}")
        body = server.content[start:]
        if server.tells_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.breaks.pop(0)] if server.breaks else body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(downloads, "RETRY_DELAYS", (0, 0, 0))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def fetch(server, path, **expected):
    return downloads.download(server.url, path, progress=False, **expected)


def assert_whole(path):
    assert path.read_bytes() == CONTENT
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("expected", [{"size": SIZE}, {"md5": MD5}])
def test_download_makes_the_folder_and_the_file(server, tmp_path, expected):
    path = fetch(server, str(tmp_path / "new" / "file.bin"), **expected)
    assert_whole(path)
    assert server.ranges == [None]


def test_a_file_that_is_there_is_not_fetched_again(server, tmp_path):
    path = tmp_path / "file.bin"
    path.write_bytes(CONTENT)
    assert fetch(server, path, size=SIZE, md5=MD5) == path
    assert server.ranges == []


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ({"size": SIZE}, f"file.bin has 5 bytes, expected {SIZE}; delete it"),
        ({"md5": MD5}, f"has MD5 {hashlib.md5(b'wrong').hexdigest()}, expected {MD5}"),
    ],
)
def test_a_wrong_file_is_reported_and_left(server, tmp_path, expected, message):
    path = tmp_path / "file.bin"
    path.write_bytes(b"wrong")
    with pytest.raises(downloads.DownloadError, match=message):
        fetch(server, path, **expected)
    assert path.read_bytes() == b"wrong"


def test_goes_on_where_the_connection_broke(server, tmp_path):
    server.breaks = [1000, 500]
    assert_whole(fetch(server, tmp_path / "file.bin", size=SIZE))
    assert server.ranges == [None, "bytes=1000-", "bytes=1500-"]


def test_a_break_is_noticed_without_content_length(server, tmp_path):
    server.tells_length = False
    server.breaks = [1000]
    assert_whole(fetch(server, tmp_path / "file.bin", size=SIZE))
    assert server.ranges == [None, "bytes=1000-"]


def test_goes_on_in_a_later_call(server, tmp_path):
    server.breaks = [100, 100, 100, 100]
    path = tmp_path / "file.bin"
    with pytest.raises(downloads.DownloadError, match=f"after 400 of {SIZE} bytes"):
        fetch(server, path, md5=MD5)
    assert not path.exists()
    assert (tmp_path / "file.bin.part").read_bytes() == CONTENT[:400]
    assert_whole(fetch(server, path, md5=MD5))
    assert server.ranges[-1] == "bytes=400-"


def test_server_that_ignores_ranges_starts_anew(server, tmp_path):
    server.knows_range = False
    server.breaks = [1000]
    assert_whole(fetch(server, tmp_path / "file.bin", size=SIZE))
    assert server.ranges == [None, "bytes=1000-"]


@pytest.mark.parametrize("expected", [{"size": SIZE}, {"md5": MD5}])
def test_complete_part_is_only_renamed(server, tmp_path, expected):
    (tmp_path / "file.bin.part").write_bytes(CONTENT)
    assert_whole(fetch(server, tmp_path / "file.bin", **expected))
    assert server.ranges == []


def test_part_longer_than_the_file_is_dropped(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(CONTENT + b"more")
    assert_whole(fetch(server, tmp_path / "file.bin", size=SIZE))
    assert server.ranges == [f"bytes={SIZE + 4}-", None]


def test_part_of_another_file_is_found_out_and_dropped(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(b"x" * 100)
    with pytest.raises(downloads.DownloadError, match=f"expected {MD5}"):
        fetch(server, tmp_path / "file.bin", size=SIZE, md5=MD5)
    assert list(tmp_path.iterdir()) == []
    assert_whole(fetch(server, tmp_path / "file.bin", size=SIZE, md5=MD5))


@pytest.mark.parametrize("tells_length", [True, False])
def test_server_with_another_size(server, tmp_path, tells_length):
    server.content = CONTENT + b"more"
    server.tells_length = tells_length
    with pytest.raises(
        downloads.DownloadError, match=f"has {SIZE + 4} bytes, expected {SIZE}"
    ):
        fetch(server, tmp_path / "file.bin", size=SIZE)
    assert not (tmp_path / "file.bin").exists()


def test_busy_server_is_asked_again(server, tmp_path):
    server.statuses = [503, 429]
    assert_whole(fetch(server, tmp_path / "file.bin", size=SIZE))
    assert len(server.ranges) == 3


def test_missing_file_is_not_asked_for_again(server, tmp_path):
    server.statuses = [404]
    path = tmp_path / "file.bin"
    with pytest.raises(downloads.DownloadError, match="404") as caught:
        fetch(server, path, size=SIZE)
    assert server.url in str(caught.value)
    assert f"save it as {path}" in str(caught.value)
    assert len(server.ranges) == 1


def test_no_server(server, tmp_path):
    with Server() as closed:
        url = closed.url
    path = tmp_path / "file.bin"
    with pytest.raises(downloads.DownloadError, match="by hand") as caught:
        downloads.download(url, path, size=SIZE, progress=False)
    assert isinstance(caught.value, OSError)
    assert url in str(caught.value) and str(path) in str(caught.value)


def test_nothing_to_check_by(tmp_path):
    with pytest.raises(ValueError, match="size or md5"):
        downloads.download("http://127.0.0.1/x", tmp_path / "x")


def test_published_files_have_their_names(server, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "COCO_URL", server.url + "/mask_rcnn_coco.h5")
    monkeypatch.setattr(downloads, "COCO_SIZE", SIZE)
    monkeypatch.setattr(downloads, "IMAGENET_URL", server.url + "/resnet50.h5")
    monkeypatch.setattr(downloads, "IMAGENET_MD5", MD5)
    assert downloads.fetch_coco_weights(tmp_path) == tmp_path / "mask_rcnn_coco.h5"
    assert downloads.fetch_imagenet_weights(tmp_path) == tmp_path / "resnet50.h5"
