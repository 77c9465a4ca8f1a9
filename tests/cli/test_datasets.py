"""What the commands do with data sets full of faults: each is named, none is lost."""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mrcnn_skin import IsicConfig
from mrcnn_skin.cli import command, datasets, predict, results
from mrcnn_skin.data.synthetic import write_synthetic_isic
from mrcnn_skin.evaluation.submission import write_mask

SAMPLES = Path(__file__).resolve().parents[2] / "samples" / "isic"


ALL_TASKS = IsicConfig.TASKS
IMAGES_2018 = "ISIC2018_Task1-2_Training_Input"
IMAGES, MASKS = "ISIC-2017_Training_Data", "ISIC-2017_Training_Part1_GroundTruth"


@pytest.fixture
def faulty(tmp_path):
    """Twelve training, three validation and two test images; most have a fault."""
    folder = tmp_path / "data"
    write_synthetic_isic(folder, 12, (64, 64), seed=0, validation=3, test=2)
    images, masks = folder / IMAGES, folder / MASKS
    names = [f"ISIC_{i:07d}" for i in range(12)]
    image, mask = images / "{}.jpg", masks / "{}_segmentation.png"

    def path(pattern, i):
        return Path(str(pattern).format(names[i]))

    cut = path(image, 0).read_bytes()
    path(image, 0).write_bytes(cut[: len(cut) // 2])
    path(image, 1).write_bytes(b"")
    path(image, 2).write_text("no image")
    path(mask, 3).unlink()
    Image.new("L", (64, 64)).save(path(mask, 4))
    Image.new("L", (64, 32), 255).save(path(mask, 5))
    path(mask, 6).write_bytes(path(mask, 6).read_bytes()[:60])
    Image.new("1", (10_000, 9_000)).save(path(image, 7), "PNG")
    table = folder / "ISIC-2017_Training_Part3_GroundTruth.csv"
    rows = table.read_text().splitlines()
    rows[1 + 8] = "ISIC_0000008,,"
    rows += ["ISIC_0000009,0.0,0.0", "ISIC_0000009,1.0,0.0", "ISIC_7777777,1.0,0.0"]
    table.write_bytes("\r\n".join(rows).replace(",", ";").encode("utf-8-sig"))
    test_image = next((folder / "ISIC-2017_Test_v2_Data").iterdir())
    path(image, 10).write_bytes(test_image.read_bytes())
    return folder


WRONG = {
    0: "unreadable image: image file is truncated",
    1: "unreadable image: the file is empty",
    2: "unreadable image: its content is not JPEG, PNG, BMP, TIFF or DICOM",
    3: "no mask: no x_segmentation, x_mask",
    4: "empty mask",
    5: r"mask size mismatch: mask \(32, 64\), image \(64, 64\)",
    6: "unreadable mask: ",
    7: "unreadable image: 9000 x 10000 pixels are more than the limit of 80000000",
    8: "no label: ISIC-2017_Training_Part3_GroundTruth.csv says no mark",
    9: "contradictory labels: ISIC-2017_Training_Part3_GroundTruth.csv says no mark; ",
    10: "looks like held out: ISIC_0000015 of data, 0 of 255 signs differ",
}


def arguments(folder, **changes):
    args = {
        "dataset": str(folder),
        "extra_train": None,
        "val_dataset": None,
        "logs": str(folder.parent / "logs"),
        "limit": None,
        "held_out": None,
        "keep_leaks": False,
        "pseudo_masks": None,
        "strict": False,
        "check_only": True,
        "fold": None,
    }
    return argparse.Namespace(**args | changes)


@pytest.mark.filterwarnings("ignore:Image size")
def test_every_fault_is_named_and_the_rest_remains(faulty, capsys):
    train, val, dropped = datasets.open_train_and_val(arguments(faulty), IsicConfig())
    assert [info["id"] for info in train.image_info] == ["ISIC_0000011"]
    assert val.num_images == 3
    reasons = dict(zip(dropped["image_id"], dropped["reason"], strict=True))
    assert len(reasons) == len(dropped) == len(WRONG)
    printed = capsys.readouterr().out
    for i, reason in WRONG.items():
        assert re.match(reason, reasons[f"ISIC_{i:07d}"]), reasons[f"ISIC_{i:07d}"]
        assert f"ISIC_{i:07d}" in printed
    assert re.search(r"rows of tables without image +1\n", printed)
    assert "rows without an image, skipped: ISIC_7777777\n" in printed
    datasets.write_dropped(dropped, faulty)
    table = pd.read_csv(faulty / "dropped.csv")
    assert table.to_dict("list") == dropped.to_dict("list")


@pytest.mark.filterwarnings("ignore:Image size")
def test_options_change_what_is_dropped(faulty, capsys):
    options = arguments(faulty, keep_leaks=True, check_only=False)
    config = IsicConfig(MAX_IMAGE_PIXELS=64 * 64 - 1)
    with pytest.raises(ValueError, match="no usable image"):
        datasets.open_train_and_val(options, config)
    train, _, dropped = datasets.open_train_and_val(options, IsicConfig())
    assert [info["id"] for info in train.image_info] == [
        "ISIC_0000010",
        "ISIC_0000011",
    ]
    with pytest.raises(ValueError, match="--strict: 10 images were dropped"):
        options.strict = True
        datasets.open_train_and_val(options, IsicConfig())


def test_held_out_folders_and_tables_are_not_trained_on(tmp_path, capsys):
    folder, other = tmp_path / "data", tmp_path / "other"
    write_synthetic_isic(folder, 4, (64, 64), seed=0, validation=2)
    write_synthetic_isic(other, 1, (64, 64), seed=9)  # its ISIC_0000000 counts
    table = tmp_path / "official.csv"
    table.write_text("image_id,melanoma\nISIC_0000002.jpg,0\nISIC_0000004,1\n")
    options = arguments(folder, held_out=[str(other), str(table)])
    train, val, _ = datasets.open_train_and_val(options, IsicConfig())
    kept = [info["id"] for info in train.image_info]
    assert kept == ["ISIC_0000001", "ISIC_0000003"] and val.num_images == 2
    assert "1 validation images are also held out" in capsys.readouterr().out


def test_each_fold_is_validated_on_once(tmp_path, capsys):
    folder = tmp_path / "data"
    write_synthetic_isic(folder, 8, (64, 64), seed=0, validation=4)
    seen = []
    for k in range(1, 4):
        options = arguments(folder, fold=f"{k}/3")
        train, val, _ = datasets.open_train_and_val(options, IsicConfig())
        ids = [[info["id"] for info in part.image_info] for part in (train, val)]
        assert not set(ids[0]) & set(ids[1]) and len(ids[0]) + len(ids[1]) == 12
        scored = datasets.open_scored(folder, "val", IsicConfig(), options)
        assert [info["id"] for info in scored.image_info] == ids[1]
        seen += ids[1]
    assert sorted(seen) == [f"ISIC_{i:07d}" for i in range(12)]
    assert "note: val is fold 3/3 of the images of train and" in capsys.readouterr().out
    options.val_dataset = str(folder)
    with pytest.raises(ValueError, match="--fold needs val of --dataset, got --val-d"):
        datasets.open_train_and_val(options, IsicConfig())


def test_further_folders_are_trained_on_whole_and_hold_no_leak(tmp_path, capsys):
    folder, other = tmp_path / "data", tmp_path / "other"
    write_synthetic_isic(folder, 2, (64, 64), seed=0, validation=1)
    write_synthetic_isic(other, 6, (64, 64), seed=9)  # the ids 0 .. 2 are in `folder`
    leak = next((folder / "ISIC-2017_Validation_Data").glob("*.jpg"))
    (other / IMAGES / "ISIC_0000004.jpg").write_bytes(leak.read_bytes())
    options = arguments(folder, extra_train=[str(other)])
    train, val, dropped = datasets.open_train_and_val(options, IsicConfig())
    kept = [info["id"] for info in train.image_info]
    assert kept == [f"ISIC_000000{i}" for i in (0, 1, 3, 5)] and val.num_images == 1
    reasons = dict(zip(dropped["image_id"], dropped["reason"], strict=True))
    assert reasons["ISIC_0000000"] == reasons["ISIC_0000001"] == "image id occurs twice"
    assert reasons["ISIC_0000002"].startswith("same id as held out")
    assert reasons["ISIC_0000004"].startswith("looks like held out")
    with pytest.raises(FileNotFoundError, match="no data set folder .*absent"):
        options.extra_train = [str(tmp_path / "absent")]
        datasets.open_train_and_val(options, IsicConfig())


@pytest.fixture
def lacking(tmp_path):
    """A folder "d" whose images are one good, one empty and one too large."""
    write_synthetic_isic(tmp_path / "d", 3, (64, 64), seed=0, validation=1)
    (tmp_path / "d" / IMAGES / "ISIC_0000001.jpg").write_bytes(b"")
    bomb = Image.new("1", (10_000, 9_000))
    bomb.save(tmp_path / "d" / IMAGES / "ISIC_0000002.jpg", "PNG")
    return tmp_path


def test_the_home_folder_is_expanded(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    parser = command.Parser("train")
    parser.add_argument("source")
    for option in ("--dataset", "--set"):
        parser.add_argument(option)
    args = parser.parse_args(["--dataset=~/a=b", "--set=A=~", "~/c"])
    assert vars(args) == {
        "dataset": "/home/me/a=b",
        "set": "A=~",
        "source": "/home/me/c",
    }
    assert parser.parse_args(["--dataset", "~", "x"]).dataset == "/home/me"


def test_predict_takes_the_photographs_of_a_folder(tmp_path, capsys):
    names = "1.jpg", "1_segmentation.png", "1_superpixels.png", "._2.jpg", "3.png"
    for name in (*names, "masks/4.png", "deeper/1.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    find_images = predict.find_images
    found = ("1.jpg", "3.png", "deeper/1.jpg")
    assert find_images([tmp_path]) == {name: tmp_path / name for name in found}
    assert "skipped 3 masks and other pictures" in capsys.readouterr().out
    named = tmp_path / "1_segmentation.png"
    # whoever names a file means it
    assert find_images([str(named)]) == {"1_segmentation.png": named}
    # each file once; repeated names become paths from the folder that holds all
    assert len(find_images([tmp_path, tmp_path / "deeper"])) == 3
    both = [tmp_path / "1.jpg", tmp_path / "deeper" / "1.jpg"]
    assert find_images(both) == {"1.jpg": both[0], "deeper/1.jpg": both[1]}
    with pytest.raises(FileNotFoundError, match="no photograph at .*deeper/x"):
        find_images([tmp_path / "deeper" / "x"])


@pytest.mark.parametrize(
    "names, files",
    [
        (("a/x.jpg", "y.tif"), ["a/x.png", "y.png"]),
        (("x.jpg", "x.png"), ["x.jpg.png", "x.png.png"]),
        (("x.jpg", "x.png", "x.jpg.png"), ["x.jpg.png", "x.png.png", "x.jpg.png.png"]),
    ],
)
def test_no_two_images_have_results_of_one_name(names, files):
    found = predict.result_files(names)
    assert [str(found[name]) for name in names] == files


def test_skipped_results_are_counted(tmp_path, capsys):
    for name in ("x.jpg", "y.bmp", "y.tif", "logs/losses.png", "dropped.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [*predict.find_images([tmp_path])] == ["x.jpg", "y.bmp", "y.tif"]
    assert "skipped 2 results of this package, such as drop" in capsys.readouterr().out


def test_mask_options():
    def options(**args):
        return datasets.label_options(argparse.Namespace(**args))

    assert options(mask_values=None, annotators=None) == {}
    given = options(mask_values="1, 0xff0000,nevus,2nd,", annotators="A00")
    assert given == {"annotators": "A00", "mask_values": (1, 0xFF0000, "nevus", "2nd")}


def assert_checked(process, folder):
    assert "ISIC_0000001.jpg: unreadable image: the file is empty" in process.stdout
    assert "ISIC_0000002.jpg: unreadable image: 9000 x 10000 pix" in process.stdout
    assert [path.name for path in (folder / "logs").iterdir()] == [
        "checked_files.jsonl"
    ]


CHECK = "--dataset=d", "--check-only", "--weights=none", "--quick"


def test_check_only_stops_after_the_table(lacking):
    process = subprocess.run(
        [sys.executable, SAMPLES / "train.py", *CHECK],
        cwd=lacking,
        env={k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    assert_checked(process, lacking)
    assert not process.stderr


def test_check_only_may_be_strict(in_process, lacking):
    process = in_process("train", *CHECK, "--strict", cwd=lacking)
    assert process.returncode == 2
    assert_checked(process, lacking)
    assert len(process.stderr.splitlines()) == 1


def test_check_only_checks_the_stages(in_process, lacking):
    process = in_process("train", *CHECK, "--stages=head:1:1e-3", cwd=lacking)
    assert process.returncode == 2
    assert "matches 'head'; did you mean 'heads'?" in process.stderr
    assert len(process.stderr.splitlines()) == 1


@pytest.fixture
def parts(tmp_path):
    """ISIC 2018's Task 1, masks alone; ISIC 2019, labels alone; both."""
    write_synthetic_isic(tmp_path / "made", 6, (64, 64), seed=0)
    images = sorted((tmp_path / "made" / IMAGES).iterdir())
    masks = sorted((tmp_path / "made" / MASKS).iterdir())
    table = "image,MEL,NV,UNK\n" + "".join(
        f"{path.stem},{i % 2},{1 - i % 2},0\n" for i, path in enumerate(images)
    )
    table = table.replace(f"{images[5].stem},1,0,0", f"{images[5].stem},0,0,1")
    for name, has_masks, has_labels in (
        ("task1", True, False),
        ("isic2019", False, True),
        ("both", True, True),
    ):
        folder = tmp_path / name
        where = {
            folder / "ISIC2018_Task1-2_Training_Input": images,
            folder / "ISIC2018_Task1_Training_GroundTruth": masks if has_masks else [],
        }
        for target, paths in where.items():
            target.mkdir(parents=True)
            for path in paths:
                (target / path.name).write_bytes(path.read_bytes())
        if has_labels:
            name = "ISIC_2019_Training_GroundTruth.csv"
            (folder / name).write_text(table)
    return tmp_path


@pytest.mark.parametrize(
    "name, tasks, images, reasons",
    [
        ("task1", ("detect", "segment"), 6, set()),
        ("both", ("detect", "segment"), 6, set()),
        ("isic2019", ("classify",), 5, {"no label"}),
        ("both", ALL_TASKS, 5, {"no label"}),
    ],
)
def test_what_the_tasks_do_not_learn_is_not_required(
    parts, name, tasks, images, reasons
):
    options, config = arguments(parts / name), IsicConfig(TASKS=tasks)
    told = datasets.training_options(options, config)
    dataset = datasets.open_isic(parts / name, None, config, options.logs, **told)
    assert dataset.num_images == images
    kinds = {reason.partition(":")[0] for reason in dataset.dropped["reason"]}
    assert kinds == reasons


@pytest.mark.parametrize(
    "name, tasks, masks, labels, reasons",
    [
        ("task1", ALL_TASKS, 6, 0, []),
        ("isic2019", ALL_TASKS, 0, 5, ["no mask, and no label"]),
        ("both", ALL_TASKS, 6, 5, []),
        ("both", ("detect", "segment"), 6, 5, []),
    ],
)
def test_evaluation_takes_what_truth_there_is(
    parts, name, tasks, masks, labels, reasons
):
    options = arguments(parts / name)
    dataset = datasets.open_scored(parts / name, None, IsicConfig(TASKS=tasks), options)
    infos = dataset.image_info
    assert sum(bool(info["mask_paths"]) for info in infos) == masks
    assert sum(info["label"] is not None for info in infos) == labels
    assert [r.partition(":")[0] for r in dataset.dropped["reason"]] == reasons


def test_nothing_to_score_is_an_error(parts):
    options = arguments(parts / "isic2019")
    with pytest.raises(ValueError, match="'no mask': 6"):
        datasets.open_scored(
            parts / "isic2019", None, IsicConfig(TASKS=("segment", "detect")), options
        )


def test_label_options_reach_the_tables(parts):
    folder = parts / "task1"
    ids = [path.stem for path in sorted((folder / IMAGES_2018).iterdir())]
    rows = "".join(f"{i},{['M1', 'B1', '?'][k % 3]}\n" for k, i in enumerate(ids))
    (folder / "codes.csv").write_text("image,code\n" + rows)
    given = {"label_column": "code", "malignant": "M1, M2", "benign": "B1"}
    options = arguments(folder, label_table="codes.csv", **given)
    dataset = datasets.open_scored(folder, None, IsicConfig(), options)
    labels = [info["label"] for info in dataset.image_info]
    assert labels == ["malignant", "benign", None] * 2
    assert datasets.label_options(options) == {
        "label_table": "codes.csv",
        "label_column": ("code",),
        "malignant": ("M1", "M2"),
        "benign": ("B1",),
    }


@pytest.mark.parametrize("name", ["fold", "malignant", "label_table"])
def test_an_empty_option_is_no_default(name):
    with pytest.raises(ValueError, match="must name something, got ''"):
        datasets.label_options(argparse.Namespace(**{name: ""}))


def test_no_ground_truth_is_replaced_by_results(tmp_path):
    results.require_own_results(tmp_path / "new")
    masks = tmp_path / "data" / "masks"
    masks.mkdir(parents=True)
    write_mask(masks / "a.png", np.ones((4, 4), bool))
    results.require_own_results(tmp_path / "data")  # a prediction alone
    page = Image.new("L", (4, 4))
    page.save(masks / "b.png")
    page.save(masks / "b.tif", save_all=True, append_images=[page])
    (masks / "b.npy").write_bytes(b"array")
    for name in ("b.npy", "b.png", "b.tif"):
        with pytest.raises(ValueError, match=f"did not write, such as .*{name}"):
            results.require_own_results(tmp_path / "data")
        (masks / name).unlink()
    page.save(masks / "b.png")
    (tmp_path / "data" / "predictions.csv").touch()
    (tmp_path / "data" / "overlays").mkdir()
    results.require_own_results(tmp_path / "data")  # results of an older version
