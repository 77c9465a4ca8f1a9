"""A candidate of harness.py: the page of samples/isic/browser in headless Chromium.

Needs playwright (pip install playwright), Debian's chromium, and Linux's /proc.
"""

import functools
import http.server
import os
import shutil
import threading
import time
from pathlib import Path

from harness import Candidate

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu"]
ISOLATION = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}
ANSWER = "#answer:visible, #problem:visible"


class Page(Candidate):
    """The page of a folder that build.py wrote.

    play: playwright's. image: path of a photograph. threads: whether the server sends
    what browsers ask for before they give a page threads.
    """

    def __init__(self, play, folder, image, threads):
        super().__init__(f"page, {'threads' if threads else 'one thread'}", [])
        self.play, self.image = play, image
        self.address = serve(folder, ISOLATION if threads else {})

    def start(self):
        others = descendants()
        path = shutil.which("chromium")
        self.browser = self.play.chromium.launch(executable_path=path, args=FLAGS)
        self.page = self.browser.new_page()
        self.page.set_default_timeout(300_000)
        for visit in "first", "second":
            start = time.perf_counter()
            self.page.goto(self.address)
            self.page.wait_for_selector("#file:enabled")
            seconds = time.perf_counter() - start
            print(f"  {self.name}: {visit} visit opened in {seconds:.1f} s")
        self.processes = descendants() - others
        runtime = self.page.inner_text("#runtime")
        versions = f"onnxruntime-web {runtime}, Chromium {self.browser.version}"
        self.about = {"versions": versions}
        self.first = self.ask("run")["wall"]

    def ask(self, request):
        wall, cpu = time.perf_counter(), self._cpu_seconds()
        self.page.set_input_files("#file", self.image)
        self.page.wait_for_selector(ANSWER)
        if self.page.is_visible("#problem"):
            raise RuntimeError(self.page.inner_text("#problem"))
        wall = time.perf_counter() - wall
        return {"wall": wall, "cpu": self._cpu_seconds() - cpu}

    def end(self):
        lines = [_read(pid, "status").splitlines() for pid in self.processes]
        peaks = [line.split()[1] for part in lines for line in part if "VmHWM" in line]
        self.peak_gb = max(map(int, peaks)) / 2**20  # of the largest process
        self.browser.close()

    def _cpu_seconds(self):
        fields = [_stat(pid) for pid in self.processes]
        ticks = sum(int(part[11]) + int(part[12]) for part in fields if part)
        return ticks / os.sysconf("SC_CLK_TCK")


def descendants():
    """Numbers of the processes that this one has started, and theirs."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*"):
        fields = _stat(path.name)
        if fields:
            parents[int(path.name)] = int(fields[1])
    found, new = set(), {os.getpid()}
    while new:
        new = {pid for pid, parent in parents.items() if parent in new}
        found |= new
    return found


def _stat(pid):
    """Fields of /proc/PID/stat behind the name: state, parent and so on."""
    return _read(pid, "stat").rpartition(")")[2].split()


def _read(pid, name):
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except OSError:  # it has ended
        return ""


def serve(folder, headers):
    """Serve a folder until this process ends; returns its address."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def end_headers(self):
            for header in headers.items():
                self.send_header(*header)
            super().end_headers()

        def log_message(self, *args):
            pass

    handler = functools.partial(Handler, directory=folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/"
