"""A Matterport project moves over by changing its imports."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

SCRIPT = Path(__file__).with_name("matterport_script.py")
ROOT = SCRIPT.parents[2]


@pytest.mark.slow
def test_a_script_for_matterport_trains_detects_evaluates_and_draws(tmp_path):
    process = subprocess.run(
        [sys.executable, SCRIPT, tmp_path],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "MPLBACKEND": "Agg",
            "TF_CPP_MIN_LOG_LEVEL": "3",
        },
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    (run,) = (tmp_path / "logs").iterdir()
    assert re.fullmatch(r"shapes\d{8}T\d{6}", run.name)
    log = pd.read_csv(run / "log.csv")
    assert log["stage"].tolist() == [0, 1]
    assert log[["loss", "val_loss", "val_mrcnn_mask_loss"]].notna().all(axis=None)
    assert f"Loading weights from  {run / 'mask_rcnn_shapes_last.h5'}" in process.stdout
    score = re.search(r"mAP:  ([\d.]+)", process.stdout)
    assert 0 <= float(score[1]) <= 1
    assert process.stdout.count("image 0: (64, 64, 3), ") == 2
    with Image.open(tmp_path / "detections.png") as picture:
        assert picture.width > 500


def test_only_the_import_lines_name_the_package():
    lines = SCRIPT.read_text().splitlines()
    naming = [line for line in lines if "mrcnn_skin" in line]
    assert len(naming) == 4
    assert all(line.startswith(("import ", "from ")) for line in naming)
