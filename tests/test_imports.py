"""Imports point downward, in the order of the table, and never in a circle.

The sources are read, not run; only the last test imports the package, in a process
of its own, to see what that loads.
"""

import ast
import graphlib
import importlib.util
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "mrcnn_skin"

# A module may import from its own level and from those below. A package's level
# holds for all of its modules that are not named themselves; "" is the top, what
# `import mrcnn_skin` offers.
LEVELS = {
    "geometry": 0,
    "config": 0,
    "config_rules": 0,
    "isic_config": 0,
    "atomic": 0,
    "data": 0,
    "evaluation": 0,
    "utils": 0,
    "weights_io.downloads": 0,
    "weights_io.h5_files": 0,
    "weights_io.imagenet": 0,
    "losses": 1,
    "layers": 2,
    "graph": 3,
    "weights_io": 4,
    "inference": 4,
    "training": 4,
    "data.pipeline": 4,
    "matterport": 5,
    "model": 6,
    "serving": 7,
    "visualize": 7,
    "": 8,
    "cli": 8,
    "__main__": 9,
}
# Level 0 is plain Python and NumPy.
WITHOUT_TENSORFLOW = 0
TENSORFLOW = {"tensorflow", "keras", "tf_keras"}


def read_sources():
    """{path relative to the root: source} of the package."""
    paths = (ROOT / PACKAGE).rglob("*.py")
    return {path.relative_to(ROOT).as_posix(): path.read_text("utf8") for path in paths}


def module_name(path):
    """The dotted name of a path such as mrcnn_skin/data/__init__.py."""
    return ".".join(PurePosixPath(path).with_suffix("").parts).removesuffix(".__init__")


def read_imports(sources):
    """{module: the modules it imports}, functions' own imports included."""
    modules = {module_name(path) for path in sources}
    imports = {}
    for path, source in sources.items():
        name, package = module_name(path), ".".join(PurePosixPath(path).parts[:-1])
        found = imports[name] = set()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                target = "." * node.level + (node.module or "")
                base = importlib.util.resolve_name(target, package)
                children = [f"{base}.{alias.name}" for alias in node.names]
                found.update(child if child in modules else base for child in children)
        found.discard(name)
    return imports


def find_level(module):
    """The level of a module of the package, or None if the table has none."""
    parts = module.split(".")[1:]
    if not parts:
        return LEVELS[""]
    prefixes = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
    return next((LEVELS[prefix] for prefix in prefixes if prefix in LEVELS), None)


def is_inside(module):
    return module.split(".")[0] == PACKAGE


def find_unknown(imports):
    return [module for module in imports if find_level(module) is None]


def find_upward(imports):
    return [
        f"{module} imports {other}"
        for module, others in imports.items()
        for other in others
        if is_inside(other) and find_level(module) < find_level(other)
    ]


def find_tensorflow(imports):
    return [
        f"{module} imports {other}"
        for module, others in imports.items()
        for other in others
        if find_level(module) == WITHOUT_TENSORFLOW
        and other.split(".")[0] in TENSORFLOW
    ]


def find_circle(imports):
    inside = {name: filter(is_inside, others) for name, others in imports.items()}
    try:
        graphlib.TopologicalSorter(inside).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def test_every_module_has_a_level():
    assert find_unknown(read_imports(read_sources())) == []


def test_no_import_points_upward():
    assert find_upward(read_imports(read_sources())) == []


def test_no_imports_in_a_circle():
    assert find_circle(read_imports(read_sources())) == []


def test_lowest_level_is_without_tensorflow():
    assert find_tensorflow(read_imports(read_sources())) == []


@pytest.mark.parametrize(
    ("path", "source", "breach"),
    [
        ("losses.py", "import mrcnn_skin.model", "losses imports mrcnn_skin.model"),
        (
            "losses.py",
            "from mrcnn_skin import model",
            "losses imports mrcnn_skin.model",
        ),
        ("losses.py", "from mrcnn_skin import Config", "losses imports mrcnn_skin"),
        ("data/isic.py", "from .pipeline import f", "isic imports mrcnn_skin.data.pi"),
        ("data/__init__.py", "from . import pipeline", "data imports mrcnn_skin.data."),
        (
            "config.py",
            "def f():\n    from .graph.fpn import g",
            "imports mrcnn_skin.gr",
        ),
    ],
)
def test_upward_imports_are_found(path, source, breach):
    sources = {f"{PACKAGE}/{path}": source, "mrcnn_skin/model.py": ""}
    sources["mrcnn_skin/data/pipeline.py"] = ""
    found = find_upward(read_imports(sources))
    assert len(found) == 1 and breach in found[0]


def test_downward_imports_are_fine():
    source = "import numpy\nfrom ..evaluation import metrics\nfrom . import stages"
    sources = {"mrcnn_skin/training/loop.py": source}
    sources["mrcnn_skin/training/stages.py"] = "from mrcnn_skin.config import Config"
    sources["mrcnn_skin/evaluation/metrics.py"] = (
        "from mrcnn_skin.geometry import boxes"
    )
    imports = read_imports(sources)
    assert find_unknown(imports) == find_upward(imports) == find_circle(imports) == []


def test_circles_unknown_modules_and_tensorflow_are_found():
    imports = read_imports(
        {
            "mrcnn_skin/data/a.py": "from mrcnn_skin.data import b",
            "mrcnn_skin/data/b.py": "from .a import c\nfrom tensorflow.io import gfile",
            "mrcnn_skin/data/pipeline.py": "import tensorflow as tf",
            "mrcnn_skin/helpers.py": "",
        }
    )
    assert set(find_circle(imports)) == {"mrcnn_skin.data.a", "mrcnn_skin.data.b"}
    assert find_unknown(imports) == ["mrcnn_skin.helpers"]
    del imports["mrcnn_skin.helpers"]
    assert find_tensorflow(imports) == ["mrcnn_skin.data.b imports tensorflow.io"]


def test_importing_the_package_needs_neither_matplotlib_nor_imgaug():
    # They are made unimportable, not looked for afterwards: Keras itself loads
    # matplotlib where it can, and does without where it cannot.
    code = "import sys; sys.modules.update(matplotlib=None, imgaug=None)"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; import mrcnn_skin"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
