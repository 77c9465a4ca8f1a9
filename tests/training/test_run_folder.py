"""What is written about a run's origin, and what it notices."""

import json
import sys
from importlib.metadata import version

import numpy as np
from PIL import Image

from mrcnn_skin.data.dataset import Dataset
from mrcnn_skin.training.run_folder import fingerprint, record_start


def make_dataset(folder, classes=(1, 2)):
    """A Dataset of one small PNG a class, of other sizes for other classes."""
    folder.mkdir(exist_ok=True)
    dataset = Dataset()
    dataset.add_class("isic", 1, "benign")
    dataset.add_class("isic", 2, "malignant")
    for number, class_id in enumerate(classes):
        path = folder / f"{number}.png"
        pixels = np.random.default_rng(number).integers(0, 255, (9, 9, 3), np.uint8)
        Image.fromarray(pixels).save(path)
        dataset.add_image("isic", path.stem, path, class_id=class_id)
    dataset.prepare()
    return dataset


def test_every_start_is_kept_with_versions_command_and_data(tmp_path, capsys):
    train = make_dataset(tmp_path / "train")
    record_start(tmp_path, train=train, val=None)
    record_start(tmp_path, train=train, val=train)
    first, second = json.loads((tmp_path / "environment.json").read_text())
    assert first["packages"]["tensorflow"] == version("tensorflow")
    assert first["packages"]["numpy"] == np.__version__
    assert list(first["packages"]) == sorted(first["packages"])
    assert first["command"][0] == sys.executable and first["command"][1:] == sys.argv
    assert first["python"] == ".".join(map(str, sys.version_info[:3]))
    assert list(first["data"]) == ["train"] and list(second["data"]) == ["train", "val"]
    assert first["data"]["train"]["images"] == 2
    assert "not those" not in capsys.readouterr().out


def test_other_data_are_said(tmp_path, capsys):
    record_start(tmp_path, train=make_dataset(tmp_path / "train"))
    record_start(tmp_path, train=make_dataset(tmp_path / "train", classes=(1, 2, 1)))
    assert "the train images differ from those" in capsys.readouterr().out


def test_the_fingerprint_tells_data_apart_but_not_copies(tmp_path):
    first = fingerprint(make_dataset(tmp_path / "here"))
    assert fingerprint(make_dataset(tmp_path / "there")) == first
    assert fingerprint(make_dataset(tmp_path / "there", classes=(2, 1))) != first
    longer = make_dataset(tmp_path / "there")
    with open(tmp_path / "there" / "1.png", "ab") as handle:
        handle.write(b"x")
    assert fingerprint(longer) != first
