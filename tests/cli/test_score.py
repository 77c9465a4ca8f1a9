"""samples/isic/score_archive.py on a few generated lesions, on Ray; skips without."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from exported import tiny_model
from PIL import Image

from mrcnn_skin.data.files import read_image
from mrcnn_skin.data.lesion_painter import synthetic_lesion
from mrcnn_skin.evaluation.scoring import predicted_mask

ROOT = Path(__file__).resolve().parents[2]

pytest.importorskip("ray")
pq = pytest.importorskip("pyarrow.parquet")


def score_archive(*options, cwd):
    return subprocess.run(
        [sys.executable, ROOT / "samples" / "isic" / "score_archive.py", *options],
        cwd=cwd,
        # Ray lets its workers wait for all other processes, unless told otherwise
        env={**os.environ, "PYTHONPATH": str(ROOT), "RAY_worker_niceness": "0"},
        capture_output=True,
        text=True,
        timeout=600,
    )


def write_lesion(path, seed, size):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(synthetic_lesion(seed, size)[0]).save(path)


def assert_as_detect(row, model, folder):
    """A row of the archive says what detect() says of the file."""
    image = read_image(folder / row["image"])
    result = model.detect([image])[0]
    np.testing.assert_allclose(
        [row[side] for side in ("y1", "x1", "y2", "x2")], result["rois"][0], atol=0.1
    )
    assert row["score"] == pytest.approx(result["scores"][0], abs=1e-4)
    assert row["p_malignant"] == pytest.approx(result["p_malignant"], abs=1e-4)
    mask = predicted_mask(result, image.shape[:2])
    assert row["lesion_area"] == mask.sum()
    png = np.asarray(Image.open(io.BytesIO(row["mask_png"])))
    np.testing.assert_array_equal(png, 255 * mask.astype(np.uint8))


def test_two_workers_a_corrupt_file_and_a_resumed_run(tmp_path):
    model = tiny_model(BACKBONE="efficientnet_lite0")
    model.save_weights(tmp_path / "tiny.h5")
    model.config.to_json(tmp_path / "config.json")
    images = tmp_path / "images"
    for seed, size in enumerate([(64, 64), (90, 120), (50, 40)]):
        write_lesion(images / f"{seed}.png", seed, size)
    (images / "broken.jpg").write_bytes((images / "0.png").read_bytes()[:200])
    options = ["images", "--weights=tiny.h5", "--masks", "--batch-size=1"]
    process = score_archive(*options, "--workers=2", "--threads=1", cwd=tmp_path)
    assert process.returncode == 1, process.stderr
    assert "4 images to score, 0 have" in process.stdout
    assert "1 cannot be read" in process.stdout
    assert "images/s" in process.stdout and "4/4" in process.stderr

    write_lesion(images / "more" / "3.png", 3, (64, 80))
    process = score_archive(*options, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert "1 images to score, 4 have" in process.stdout
    rows = pq.read_table(tmp_path / "answers").to_pylist()
    rows = {row["image"]: row for row in rows}
    assert "truncated" in rows.pop("broken.jpg")["error"]
    assert sorted(rows) == ["0.png", "1.png", "2.png", "more/3.png"]
    for row in rows.values():
        assert_as_detect(row, model, images)


def test_weights_that_do_not_fit_end_in_one_line(tmp_path):
    model = tiny_model(BACKBONE="efficientnet_lite0")
    model.save_weights(tmp_path / "tiny.h5")
    model.config.to_json(tmp_path / "config.json")
    write_lesion(tmp_path / "images" / "0.png", 0, (64, 64))
    options = ["images", "--weights=tiny.h5", "--set=TOP_DOWN_PYRAMID_SIZE=32"]
    process = score_archive(*options, cwd=tmp_path)
    assert process.returncode == 2 and "tiny.h5: fpn_c5p5" in process.stderr
    assert len(process.stderr.strip().splitlines()) == 1
