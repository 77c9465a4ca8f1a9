"""Find trained networks, by name or path, and the Config of their weights.

Weight files contain their Config. Older files have it next to them, as NAME.json or as
a run's config.json.
"""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import h5py

from ..config import Config
from ..config_rules import CALLABLE
from ..isic_config import IsicConfig
from .by_name import CONFIG_ATTRIBUTE
from .h5_files import require_file, require_path


class Pretrained(NamedTuple):
    """A network that comes with the package.

    Attributes:
        file: of the weights.
        licence: of the weights, which is not that of the code.
        images: what it was trained on.
        fold: of ISIC 2017, whose val it was not trained on.
    """

    file: str
    licence: str
    images: str
    fold: str


PRETRAINED = {
    "lite_isic": Pretrained(
        "mrcnn_skin_lite_isic.h5",
        "CC BY-NC-SA 4.0, non-commercial research; trained on ISIC 2017 and HAM10000",
        "three quarters of ISIC 2017's training and validation images and on HAM10000",
        "1/4",
    )
}
DEFAULT = "lite_isic"
_ALIASES = {"pretrained": DEFAULT}

_PACKAGE = Path(__file__).resolve().parents[1]
_CLONE = _PACKAGE.parent / "weights"
# Where the files are: in an installed package, and in a clone of the repository
_FOLDERS = (_PACKAGE / "weights", _CLONE)


def download_folder() -> Path:
    """Return where downloaded weights are kept: weights/ in a clone of the repository.

    An installed package keeps them in $XDG_CACHE_HOME/mrcnn_skin, or ~/.cache.
    """
    if (_CLONE / "README.md").is_file():
        return _CLONE
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "mrcnn_skin"


def find_weights(weights: str | Path) -> Path:
    """Find a weight file; print the licence of a network that comes with the package.

    Args:
        weights: a name in PRETRAINED, "pretrained" for the default one, or a path.

    Returns:
        The path of the .h5 file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is a folder, or no path at all.
    """
    require_path(weights)
    name = _ALIASES.get(str(weights), str(weights))
    if name in PRETRAINED:
        network = PRETRAINED[name]
        for path in (folder / network.file for folder in _FOLDERS):
            if path.is_file():
                print(f"{name}: licence of the weights {network.licence}")
                return path
        raise FileNotFoundError(
            f"the weights of {name} are not installed: there is no {network.file} in "
            f"{' or '.join(map(str, _FOLDERS))}"
        )
    path = Path(weights).expanduser()
    if not path.exists():
        raise FileNotFoundError(
            f"there is no weight file {path}; networks known by name: "
            f"{', '.join([*_ALIASES, *PRETRAINED])}"
        )
    require_file(path)
    return path


def read_config(
    path: str | Path, config_class: type[Config] = IsicConfig, **overrides: Any
) -> Config | None:
    """Read the Config of a weight file.

    Args:
        path: of a .h5 file. The Config is read from the file itself; if it holds none,
            from NAME.json for NAME.h5, or else from config.json in its folder.
        config_class: Config or a subclass, which has all stored fields.
        **overrides: fields to change.

    Returns:
        A config_class, or None if there is no Config in these places.

    Raises:
        ValueError: naming the file, if it holds no valid Config, or one whose BACKBONE
            is a function that neither config_class nor overrides have; naming the
            field, if an override is wrong.
    """
    if not (isinstance(config_class, type) and issubclass(config_class, Config)):
        raise ValueError(
            f"config_class must be Config or a subclass of it, got {config_class!r}"
        )
    found = stored_settings(path)
    if found is None:
        return None
    values, source = found
    function = str(values.get("BACKBONE"))
    if function.startswith(CALLABLE):  # the name alone is stored, not the code
        del values["BACKBONE"]
        if "BACKBONE" not in overrides and not callable(config_class.BACKBONE):
            raise ValueError(
                f"{source} belongs to a network with a backbone of its own, the "
                f"{function}: pass it as BACKBONE=..."
            )
    try:
        config = config_class.from_dict(values)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{source} holds no valid configuration: {error}") from error
    return config.replace(**overrides)


def stored_settings(path: str | Path) -> tuple[dict, Path] | None:
    """Read the fields of the Config of a weight file; see read_config.

    Returns:
        {field: value}, and the file that holds them; None if there are none.

    Raises:
        ValueError: naming the file, if it holds no JSON object.
    """
    text, source = _stored_text(path), Path(path)
    if text is None:
        beside = source.with_suffix(".json"), source.with_name("config.json")
        source = next((file for file in beside if file.is_file()), None)
        if source is None:
            return None
        text = source.read_text(encoding="utf-8", errors="replace")
    try:
        values = json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{source} holds no valid configuration: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{source} holds no valid configuration: {text[:40]!r}")
    return values, source


def _stored_text(path):
    """Return the JSON text that a weight file stores; None if it has none."""
    try:
        with h5py.File(path, "r") as handle:
            return handle.attrs.get(CONFIG_ATTRIBUTE)
    except OSError:
        return None  # no HDF5 file; loading it will say so
