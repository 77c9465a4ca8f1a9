"""Warnings of images that a network was trained on."""

import argparse
import json

import pytest

from mrcnn_skin.cli import datasets, train
from mrcnn_skin.cli.trained_images import warn_of_trained_images
from mrcnn_skin.weights_io.pretrained import find_weights


def options(**given):
    return argparse.Namespace(**dict.fromkeys(datasets.LABEL_OPTIONS), **given)


def write_run(folder, **run):
    folder.mkdir(parents=True)
    (folder / "w.h5").touch()
    (folder / "run.json").write_text(json.dumps(run))
    return folder / "w.h5"


@pytest.mark.parametrize(
    "run, splits, words",
    [
        ({"dataset": "data"}, {"train"}, "trained on the training images of"),
        ({"dataset": "data"}, {"all"}, "trained on the training images of"),
        ({"dataset": "data"}, {"val"}, None),
        ({"dataset": "data"}, {"test"}, None),
        ({"dataset": "x", "extra_train": ["data"]}, {"val"}, "on all images of"),
        ({"dataset": "x", "extra_train": None}, {"train", "val", "all"}, None),
        ({"dataset": "synthetic"}, {"train"}, None),
    ],
)
def test_images_of_the_same_folder(tmp_path, monkeypatch, run, splits, words):
    monkeypatch.chdir(tmp_path)
    weights = write_run(tmp_path / "run", **run)
    warnings = warn_of_trained_images(weights, tmp_path / "data", splits, options())
    assert len(warnings) == (words is not None)
    assert words is None or words in warnings[0]


def test_weights_of_unknown_origin(tmp_path):
    weights = tmp_path / "w.h5"
    weights.touch()
    [warning] = warn_of_trained_images(weights, tmp_path, {"train"}, options())
    assert "may have been trained" in warning
    assert warn_of_trained_images(weights, tmp_path, {"val"}, options()) == []


@pytest.mark.parametrize(
    "trained, scored, words",
    [
        ({}, {}, None),
        ({"fold": "1/4"}, {"fold": "1/4"}, None),
        (
            {"fold": "1/4"},
            {},
            "trained with --fold=1/4; val, chosen with no --fold, has",
        ),
        (
            {"fold": "1/4"},
            {"fold": "2/4"},
            "with --fold=1/4; val, chosen with --fold=2/4, has",
        ),
        ({}, {"fold": "1/4"}, "trained with no --fold; val, chosen with --fold=1/4"),
        (
            {"fold": "1/4", "malignant": "mel,bcc"},
            {"fold": "1/4", "malignant": "mel"},
            "with --malignant=mel,bcc; val, chosen with --malignant=mel, may have",
        ),
        ({"malignant": "mel,bcc"}, {"malignant": "mel"}, None),
    ],
)
def test_images_of_another_fold(tmp_path, trained, scored, words):
    weights = write_run(tmp_path / "run", dataset=str(tmp_path), **trained)
    args = options()
    vars(args).update(scored)
    warnings = warn_of_trained_images(weights, tmp_path, {"val"}, args)
    assert len(warnings) == (words is not None)
    assert words is None or words in warnings[0]
    assert warn_of_trained_images(weights, tmp_path, {"test"}, args) == []


def test_images_of_an_earlier_run(tmp_path):
    first = write_run(tmp_path / "a", dataset=str(tmp_path), fold="1/4", weights="coco")
    second = write_run(
        tmp_path / "b", dataset=str(tmp_path), fold="2/4", weights=str(first)
    )
    args = options()
    args.fold = "2/4"
    [warning] = warn_of_trained_images(second, tmp_path, {"val"}, args)
    assert "trained with --fold=1/4; val, chosen with --fold=2/4" in warning


def test_images_of_the_shipped_network(tmp_path):
    weights, args = find_weights("pretrained"), options()
    for splits in ({"val"}, {"test"}, {"all"}):
        [warning] = warn_of_trained_images(weights, tmp_path, splits, args)
        assert "lite_isic was trained on three quarters of ISIC 2017" in warning
        assert warn_of_trained_images(weights, "synthetic", splits, args) == []
    args.fold = "1/4"
    assert warn_of_trained_images(weights, tmp_path, {"val"}, args) == []


def test_a_run_keeps_its_fold(tmp_path):
    write_run(tmp_path / "run", fold="1/4", seed=3)
    given = {"weights": "last", "logs": str(tmp_path), "run": "run"}
    for same in ({}, {"fold": "1/4"}):
        stored, _ = train.stored_options(given | same)
        assert stored == {"fold": "1/4", "seed": 3}
    with pytest.raises(ValueError, match="fold 1/4: --fold must not change, got 2/4"):
        train.stored_options(given | {"fold": "2/4"})
