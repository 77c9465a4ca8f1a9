"""The benchmarks' referee, a candidate, and their count of the arithmetic."""

import json
import sys
from pathlib import Path

import pytest
from tiny import tiny_config

FOLDER = Path(__file__).resolve().parents[2] / "samples" / "benchmark"

# With a clock of its own, which stands still but for the runs
WORKER = """
import sys
sys.path.insert(0, {folder!r})
import worker
print("noise of a library")
class Clock:
    now = 0.0
    def perf_counter(self):
        return self.now
    process_time = perf_counter
worker.time = Clock()
def run():
    print("more noise")
    with open({log!r}, "a") as log:
        log.write({name!r})
    worker.time.now += {pace}
worker.serve("version of " + {name!r}, run)
"""


@pytest.fixture
def harness(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    import harness

    return harness


def make_candidates(harness, code, log, paces):
    """Candidates that run `code`, by name; each writes its name to the file `log`."""
    return [
        harness.Candidate(
            name,
            [
                sys.executable,
                "-c",
                code.format(folder=str(FOLDER), log=str(log), name=name, pace=pace),
            ],
        )
        for name, pace in paces.items()
    ]


def test_candidates_take_turns_and_the_first_is_the_measure(harness, tmp_path, capsys):
    log = tmp_path / "log"
    candidates = make_candidates(harness, WORKER, log, {"A": 0.5, "B": 1.5})
    first, second = harness.compare(candidates, rounds=3)
    assert log.read_text() == "AB" * 4  # one run each to warm up
    assert first["wall_ratio"] == first["cpu_ratio_max"] == 1.0
    assert (first["wall"], second["cpu"]) == (0.5, 1.5)
    assert second["wall_ratio_min"] == second["cpu_ratio_max"] == 3.0
    assert second["versions"] == "version of B" and second["peak_gb"] > 0
    assert "version of A" in capsys.readouterr().out
    harness.write_json(tmp_path / "out.json", rows=[first, second])
    assert json.loads((tmp_path / "out.json").read_text())["rows"][1] == second


STEPPER = """
import sys
sys.path.insert(0, {folder!r})
import worker
for number, figures in enumerate(worker.turns("version")):
    figures["waiting"] = {pace} * [99, 2, 9, 3][number]  # the first is not counted
    open({log!r}, "a").write({name!r})
"""


def test_turns_of_several_steps_are_processes_of_their_own(harness, tmp_path):
    log = tmp_path / "log"
    candidates = make_candidates(harness, STEPPER, log, {"A": 1, "B": 2})
    harness.compare(candidates, rounds=2, steps=3)
    assert log.read_text() == "AAAABBBB" * 2
    assert [run["waiting"] for run in candidates[1].runs] == [6, 6]  # medians
    assert harness.ratios(*candidates, "waiting") == (0.5, 0.5, 0.5)


def test_a_candidate_that_dies_is_named(harness):
    with pytest.raises(RuntimeError, match="clumsy ended without an answer"):
        harness.Candidate("clumsy", [sys.executable, "-c", "1 / 0"]).start()


PEERS = {
    "worker": "model_garden, onnxruntime, torchvision",
    "trainer": "model_garden, torchvision",
}


@pytest.mark.parametrize("kind", ["worker", "trainer"])
def test_peers_have_a_script_for_detection_and_one_for_training(harness, kind):
    for name in PEERS[kind].split(", "):
        (peer,) = harness.peers([f"{name}=py"], "float32", "--size=9", kind=kind)
        script = str(FOLDER / f"{kind}_{name}.py")
        assert peer.command == ["py", script, "--size=9", "--precision=float32"]
        assert peer.name == f"{name} float32"
    with pytest.raises(SystemExit, match=f"{PEERS[kind]}, got 'nobody=python'"):
        harness.peers(["nobody=python"], "float32", kind=kind)


def test_a_peer_is_left_out_of_a_precision_that_it_lacks(harness, capsys):
    arguments = ["onnxruntime=py", "torchvision=py"]
    names = [peer.name for peer in harness.peers(arguments, "bfloat16")]
    assert names == ["torchvision bfloat16"]
    assert "onnxruntime has no bfloat16" in capsys.readouterr().out


def test_sides_of_a_frame(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    from worker import sides

    assert sides(1024, "1x1", multiple=64) == [1024, 1024]
    assert sides(1024, "2x3") == [683, 1024]
    assert sides(1024, "3x2", multiple=64) == [1024, 704]


def test_the_training_step_is_measured_as_asked(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    import trainer_mrcnn_skin as trainer

    args = trainer.parse_arguments(["--size=512", "--rois=64", "--precision=bfloat16"])
    config = trainer.make_config(args)
    assert config.IMAGE_SHAPE == (512, 512, 3)
    assert config.RPN_ANCHOR_SCALES == (32, 64, 128, 256, 512)
    assert config.TRAIN_ROIS_PER_IMAGE == 64
    assert config.TRAINING_PRECISION == "bfloat16"


def test_arithmetic_by_hand(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    from arithmetic import count_gflop

    config = tiny_config(NORM="batch")  # pyramid of 16 channels, heads of 32
    parts = count_gflop(config, 64, 128)
    cells = [512, 128, 32, 8, 2]  # of P2 to P6
    rpn = 9 * 16 * 32 + 32 * (2 + 4) * 3
    assert parts["rpn"] == pytest.approx(2e-9 * rpn * sum(cells))
    # Convolutions of 3 x 3, strides 2: 3 to 8 channels at 32 x 64 cells and so on
    backbone = 9 * (3 * 8 * 2048 + 8 * 8 * 512 + 8 * 8 * 128 + 8 * 16 * 32 + 256 * 8)
    assert parts["backbone"] == pytest.approx(2e-9 * backbone)
    lateral = 16 * (8 * 512 + 8 * 128 + 16 * 32 + 16 * 8)
    smooth = 9 * 16 * 16 * sum(cells[:4])
    assert parts["fpn"] == pytest.approx(2e-9 * (lateral + smooth))
    box = 49 * 16 * 32 + 32 * 32 + 32 * (3 + 12)
    assert parts["box head"] == pytest.approx(2e-9 * box * 20)  # RoIs
    mask = 196 * 9 * (16 * 32 + 3 * 32 * 32) + 196 * 4 * 32 * 32 + 784 * 32 * 3
    assert parts["mask head"] == pytest.approx(2e-9 * mask * 3)  # detections
