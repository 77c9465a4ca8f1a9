"""What `import mrcnn_skin` loads; .importlinter has the rules on who imports whom."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    "code, absent",
    [
        ("import mrcnn_skin; mrcnn_skin.MaskRCNN", ["matplotlib", "imgaug"]),
        ("import mrcnn_skin; mrcnn_skin.IsicDataset", ["tensorflow", "imgaug"]),
        ("import mrcnn_skin.cli.main", ["tensorflow", "pandas", "skimage"]),
    ],
)
def test_what_is_imported_without(code, absent):
    # They are made unimportable, not looked for afterwards: Keras itself loads
    # matplotlib where it can, and does without where it cannot.
    hidden = ", ".join(f"{name}=None" for name in absent)
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.modules.update({hidden}); {code}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_public_names():
    import mrcnn_skin

    names = ["Config", "Dataset", "IsicConfig", "IsicDataset", "IsicLiteConfig"]
    assert sorted(mrcnn_skin.__all__) == [*names, "MaskRCNN"]
    assert all(getattr(mrcnn_skin, name).__name__ == name for name in names)
