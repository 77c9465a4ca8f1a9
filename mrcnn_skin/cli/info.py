"""Print versions, devices and the fast precision, as bug reports need them."""

import platform
from importlib import metadata

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

    from ..training.devices import describe_devices, unused_gpu

    print(f"devices: {describe_devices()}")
    if warning := unused_gpu():
        print(f"WARNING: {warning}")


def cpu_flags(cpuinfo="/proc/cpuinfo"):
    """Return the processor's instruction sets by their names in `cpuinfo`."""
    try:
        with open(cpuinfo, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.startswith(("flags", "Features")):
                    return set(line.partition(":")[2].split())
    except OSError:
        pass
    return set()


def _version(package):
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
