"""Print versions, devices and the fast precision, as bug reports need them."""

import platform
import re
from importlib import metadata
from pathlib import Path

from .. import __version__
from . import command

PACKAGES = "tensorflow", "keras", "numpy", "scikit-image", "imgaug", "opencv-python"
# bfloat16 convolutions are fast only on processors with instructions for them
BFLOAT16_FLAGS = {"amx_bf16", "avx512_bf16", "bf16"}
SHOWN_FLAGS = ("avx2", "fma", "avx512f", *sorted(BFLOAT16_FLAGS))


def main(argv=None):
    """Run the command with options argv (None: of sys.argv); returns its status."""
    command.Parser("info", description=__doc__).parse_args(argv)
    print(f"mrcnn_skin {__version__}, Python {platform.python_version()}")
    print(", ".join(f"{name} {_version(name)}" for name in PACKAGES))
    print(f"system: {platform.platform()}")
    flags = cpu_flags()
    shown = [flag for flag in SHOWN_FLAGS if flag in flags]
    print(f"processor instructions: {' '.join(shown) or 'unknown'}")
    fast = "bfloat16" if flags & BFLOAT16_FLAGS else "float32"
    print(f"fast precision on this processor: {fast} (--precision={fast})")
    print_devices()


def print_devices():
    """Print the devices that TensorFlow uses, and a warning if it uses no GPU."""
    from ..training.devices import describe_devices, unused_gpu

    print(f"devices: {describe_devices()}")
    if warning := unused_gpu():
        print(f"WARNING: {warning}")


def cpu_flags(cpuinfo="/proc/cpuinfo"):
    """Return the processor's instruction sets by their names in `cpuinfo`."""
    try:
        text = Path(cpuinfo).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return set()
    found = re.search("^(?:flags|Features).*?:(.*)", text, re.M)
    return set(found[1].split()) if found else set()


def _version(package):
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
