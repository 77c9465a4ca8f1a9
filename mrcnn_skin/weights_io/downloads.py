"""Download the published weight files that training starts from.

Interrupted downloads resume, and a file gets its name only once it is complete and
checked.
"""

import hashlib
import http.client
import itertools
import os
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path

from tqdm import tqdm

COCO_URL = (
    "https://github.com/matterport/Mask_RCNN/releases/download/v2.0/mask_rcnn_coco.h5"
)
COCO_SIZE = 257_557_808
IMAGENET_URL = (
    "https://github.com/fchollet/deep-learning-models/releases/download/v0.2/"
    "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
)
IMAGENET_MD5 = "a268eb855778b3df3c7506639542a6af"

TIMEOUT = 30  # seconds without a byte
RETRY_DELAYS = (1, 2, 4)  # seconds before the second, third and fourth attempt
CHUNK = 1 << 18  # bytes

# Errors that are retried, unlike a full disk or missing permissions
NETWORK_ERRORS = (
    urllib.error.URLError,
    http.client.HTTPException,
    ssl.SSLError,
    ConnectionError,
    TimeoutError,
)
TEMPORARY_STATUS = (408, 416, 429)  # and all from 500 on


class DownloadError(OSError):
    """A file could not be downloaded, or is not the expected one."""


def fetch_coco_weights(folder: str | Path) -> Path:
    """Download Matterport's ResNet-101 Mask R-CNN, trained on COCO.

    Args:
        folder: for mask_rcnn_coco.h5, which is used if it exists already.

    Returns:
        The file's Path.

    Raises:
        DownloadError: see `download`.
    """
    return download(COCO_URL, _place(folder, COCO_URL), size=COCO_SIZE)


def fetch_imagenet_weights(folder: str | Path) -> Path:
    """Download keras-applications' ResNet-50 without top, trained on ImageNet.

    Arguments, result and errors are those of fetch_coco_weights.
    """
    return download(IMAGENET_URL, _place(folder, IMAGENET_URL), md5=IMAGENET_MD5)


def download(
    url: str,
    path: str | Path,
    size: int | None = None,
    md5: str | None = None,
    progress: bool = True,
) -> Path:
    """Download a file unless it exists already, and check it.

    Args:
        url: of the file.
        path: of the file; a partial download is kept in <path>.part.
        size: bytes.
        md5: hexadecimal digest; size or md5 is needed.
        progress: show a progress bar.

    Returns:
        The path.

    Raises:
        DownloadError: if the download fails, or the file is not the expected one.
        ValueError: without size and md5.
    """
    if size is None and md5 is None:
        raise ValueError("download needs size or md5 to check the file, got neither")
    path = Path(path)
    if path.exists():
        if fault := _find_fault(path, size, md5):
            raise DownloadError(f"{path} {fault}; delete it to download it again")
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        _fetch_with_retries(url, part, size, md5, progress)
    except NETWORK_ERRORS as error:
        raise DownloadError(
            f"could not download {url} ({error}); try again to resume, or download it "
            f"by hand and save it as {path}"
        ) from error
    if fault := _find_fault(part, size, md5):
        part.unlink()
        raise DownloadError(f"the file at {url} {fault}")
    os.replace(part, path)
    return path


def _fetch_with_retries(url, part, size, md5, progress):
    for attempt in itertools.count():
        try:
            return _fetch(url, part, size, md5, progress)
        except NETWORK_ERRORS as error:
            if attempt == len(RETRY_DELAYS) or not _is_temporary(error):
                raise
        time.sleep(RETRY_DELAYS[attempt])


def _fetch(url, part, size, md5, progress):
    """Append the missing bytes to part, in one request."""
    start = part.stat().st_size if part.exists() else 0
    if start and _find_fault(part, size, md5) is None:
        return
    with _open(url, part, start) as response:
        # A server may ignore the range asked for and send everything.
        range_sent = response.headers.get("Content-Range", "")
        resumed = range_sent.startswith(f"bytes {start}-")
        expected = _expected_size(response, start if resumed else 0, size)
        bar = tqdm(
            desc=part.stem,
            total=expected,
            initial=start if resumed else 0,
            unit="B",
            unit_scale=True,
            disable=not progress,
        )
        with bar, open(part, "ab" if resumed else "wb") as file:
            while chunk := response.read(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
    # response.read returns no error if the connection breaks
    received = part.stat().st_size
    if expected is not None and received < expected:
        raise ConnectionError(f"connection lost after {received} of {expected} bytes")


def _open(url, part, start):
    headers = {"Range": f"bytes={start}-"} if start else {}
    try:
        return urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=TIMEOUT
        )
    except urllib.error.HTTPError as error:
        if error.code == 416:  # part is longer than the file
            part.unlink(missing_ok=True)
        raise


def _expected_size(response, start, size):
    """Return the size of the whole file by the server's headers, or else `size`."""
    length = response.headers.get("Content-Length")
    if length is None:
        return size
    offered = start + int(length)
    if size is not None and offered != size:
        raise DownloadError(
            f"the file at {response.url} has {offered} bytes, expected {size}"
        )
    return offered


def _is_temporary(error):
    if isinstance(error, urllib.error.HTTPError):
        return error.code >= 500 or error.code in TEMPORARY_STATUS
    return True


def _find_fault(path, size, md5):
    """Return what is wrong with a file, or None."""
    found_size = path.stat().st_size
    if size is not None and found_size != size:
        return f"has {found_size} bytes, expected {size}"
    if md5 is not None:
        digest = hashlib.md5(usedforsecurity=False)
        with open(path, "rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
        if digest.hexdigest() != md5:
            return f"has MD5 {digest.hexdigest()}, expected {md5}"
    return None


def _place(folder, url):
    return Path(folder) / url.rsplit("/", 1)[1]
