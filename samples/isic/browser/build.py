"""Collect the page that analyses photographs in the browser, for any static server.

    python samples/isic/browser/build.py --out=page
    python -m http.server --directory=page 8000

and open http://localhost:8000. The network is the one that comes with the package, or
a file of `mrcnn-skin export --format=onnx`. onnxruntime-web comes from npm, which
must be installed; its checksum is verified. README.md says more.

Research software, no medical device.
"""

import argparse
import base64
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from mrcnn_skin.atomic import files_written_whole
from mrcnn_skin.cli import command

HERE = Path(__file__).resolve().parent
PAGE = ("index.html", "page.css", "page.js", "icon.svg")
RUNTIME = "onnxruntime-web"
VERSION = "1.30.0"
INTEGRITY = (  # of the package, as npm states it
    "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1Sig"
    "qR4CXAfKYQ=="
)
RUNTIME_FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
NETWORK = "network.onnx"
CARD = "model_card.txt"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", required=True, help="folder of the page")
    parser.add_argument(
        "--network",
        metavar="FILE.onnx",
        help="of `mrcnn-skin export --format=onnx` (default: the shipped weights)",
    )
    args = parser.parse_args()
    command.silence_native_logs()
    try:
        command.require("onnxscript", "onnx")
        with files_written_whole(args.out) as folder:
            build(folder, args.network)
        size = sum(path.stat().st_size for path in Path(args.out).iterdir())
    except (OSError, ValueError) as error:
        sys.exit(f"build.py: error: {error}")
    print(f"{size / 1e6:.1f} MB in {args.out}; to open it:")
    print(f"python -m http.server --directory={args.out} 8000")


def build(folder, network=None):
    """Write all files of the page into a folder.

    network: path of an exported file; the shipped weights are exported if None.
    Raises OSError or ValueError.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in PAGE:
        shutil.copyfile(HERE / name, folder / name)
    if network is None:
        export_shipped(folder)
    else:
        shutil.copyfile(network, folder / NETWORK)
    write_runtime(folder)
    described = json.dumps(describe(folder), indent=1)
    (folder / "model.json").write_text(described, encoding="utf-8")
    write_service_worker(folder)


def write_runtime(folder):
    """Fetch onnxruntime-web by npm, and write what the page needs of it.

    Raises ValueError for a package with another checksum, OSError where npm fails.
    """
    name = f"{RUNTIME}-{VERSION}.tgz"
    npm = shutil.which("npm")
    if npm is None:
        raise OSError(f"npm is needed to fetch {RUNTIME} {VERSION}, and not installed")
    with tempfile.TemporaryDirectory() as scratch:
        fetch = [npm, "pack", "--loglevel=error", f"{RUNTIME}@{VERSION}"]
        done = subprocess.run(fetch, cwd=scratch, capture_output=True, text=True)
        if done.returncode:
            reason = done.stderr.strip().partition("\n")[0]
            raise OSError(f"npm could not fetch {RUNTIME} {VERSION}: {reason}")
        package = Path(scratch, name)
        if (found := integrity(package, "sha512")) != INTEGRITY:
            raise ValueError(f"{name} must have the checksum {INTEGRITY}, got {found}")
        with tarfile.open(package) as archive:
            for name in RUNTIME_FILES:
                content = archive.extractfile(f"package/dist/{name}")
                (folder / name).write_bytes(content.read())


def export_shipped(folder):
    """Write the network that comes with the package, and its model card."""
    from mrcnn_skin import MaskRCNN
    from mrcnn_skin.serving.onnx.export import export_onnx
    from mrcnn_skin.weights_io.pretrained import DEFAULT, PRETRAINED, find_weights

    weights = find_weights(DEFAULT)
    licence = {"licence": PRETRAINED[DEFAULT].licence}
    export_onnx(MaskRCNN.from_pretrained(weights), folder / NETWORK, licence)
    card = weights.with_suffix(".md")
    if card.is_file():
        shutil.copyfile(card, folder / CARD)


def describe(folder):
    """What the page says of the network, from the file's own metadata."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        network = onnx.load(folder / NETWORK)
    except DecodeError as error:
        raise ValueError(f"--network must be an ONNX file: {error}") from error
    about = {entry.key: entry.value for entry in network.metadata_props}
    if "class_names" not in about:
        raise ValueError(
            "--network must be a file of mrcnn-skin export, with class_names"
        )
    config = json.loads(about["config"])
    if config["IMAGE_RESIZE_MODE"] == "none":
        raise ValueError(
            "the page needs a network that resizes images, got IMAGE_RESIZE_MODE 'none'"
        )
    return {
        "class_names": json.loads(about["class_names"]),
        "malignant_class_ids": json.loads(about["malignant_class_ids"]),
        "licence": about.get("licence", "not stated in the file"),
        "max_image_pixels": config["MAX_IMAGE_PIXELS"],
        "operating_point": operating_point(config),
        "integrity": integrity(folder / NETWORK),
        "has_card": (folder / CARD).is_file(),
        "runtime": VERSION,
    }


def operating_point(config):
    """The threshold of P(malignant) that the network's Config chooses, and its note.

    config: dict of the Config's fields. The threshold is null if none is chosen.
    """
    sensitivity = config.get("SENSITIVITY", 0)
    threshold = dict(config.get("OPERATING_POINTS", ())).get(sensitivity)
    note = "No operating point was chosen for this network, so this is no decision."
    if threshold is not None:
        note = f"It was chosen for {sensitivity:.0%} sensitivity on other images."
    return {"threshold": threshold, "note": note}


def write_service_worker(folder):
    """Write sw.js with the list of all files, whose change makes browsers update."""
    files = {path.name: integrity(path) for path in sorted(folder.iterdir())}
    files = {"./": files["index.html"], **files}
    version = hashlib.sha256(json.dumps(files).encode()).hexdigest()[:16]
    constants = f'const VERSION = "{version}";\nconst FILES = {json.dumps(files)};\n'
    code = (HERE / "sw.js").read_text(encoding="utf-8")
    (folder / "sw.js").write_text(constants + code, encoding="utf-8")


def integrity(path, algorithm="sha256"):
    """A file's checksum in the form of the web's Subresource Integrity."""
    digest = hashlib.new(algorithm, Path(path).read_bytes()).digest()
    return f"{algorithm}-{base64.b64encode(digest).decode()}"


if __name__ == "__main__":
    main()
