"""What imgaug 0.4.0, its last release, needs to run on NumPy 2.

Importing this module does not import imgaug. It adds the names that NumPy 2 removed,
and repairs two of imgaug's functions when a program imports them.
"""

import numpy as np
import wrapt

REMOVED_NAMES = {
    # Read when imgaug is imported
    "sctypes": {
        "int": [np.int8, np.int16, np.int32, np.int64],
        "uint": [np.uint8, np.uint16, np.uint32, np.uint64],
        "float": [np.float16, np.float32, np.float64, np.longdouble],
    },
    # Read by Fog, Clouds and FrequencyNoise
    "complex": complex,
}

for name, value in REMOVED_NAMES.items():
    if name not in vars(np):
        setattr(np, name, value)


@wrapt.when_imported("imgaug.augmenters.geometric")
def fix_elastic_transformation(geometric):
    """Return shifts as float32, which OpenCV requires; NumPy 2 makes them float64."""

    @wrapt.patch_function_wrapper(
        geometric, "ElasticTransformation._generate_shift_maps"
    )
    def as_float32(wrapped, _, args, kwargs):
        return tuple(np.float32(shifts) for shifts in wrapped(*args, **kwargs))


@wrapt.when_imported("imgaug.augmenters.pillike")
def fix_autocontrast(pillike):
    """Pass the cutoff as a number; NumPy 2.4 converts no array of one element."""

    original = pillike.autocontrast

    def autocontrast(image, cutoff=0, ignore=None):
        return original(image, np.asarray(cutoff).item(), ignore)

    pillike.autocontrast = autocontrast
