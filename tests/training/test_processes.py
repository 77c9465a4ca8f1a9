"""Several processes: a run of two workers, and runs that are killed.

Each process is this file run as a script. They share one run folder; the ports are of
127.0.0.1.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
IMAGES, BATCH = 7, 4  # no pass over the images is a whole number of batches


def train(folder, devices, epochs, checkpoint_steps):
    """Train the tiny network in `folder`; what the processes of the tests do."""
    from tiny import tiny_config

    from mrcnn_skin import MaskRCNN
    from mrcnn_skin.data.synthetic import SyntheticDataset
    from mrcnn_skin.training.stages import Stage

    config = tiny_config(
        GPU_COUNT=devices,
        IMAGES_PER_GPU=BATCH // devices,
        NORM="batch",
        AUGMENT=True,
        CHECKPOINT_STEPS=checkpoint_steps,
    )
    model = MaskRCNN("training", config, folder)
    model.set_log_dir("run")
    images, val = SyntheticDataset(IMAGES, (64, 64)), SyntheticDataset(2, (64, 64), 1)
    model.train(images, val, stages=[Stage("all", epochs, 1e-3)], verbose=0)


def start(folder, devices=1, epochs=2, checkpoint_steps=0, worker=None, ports=()):
    """Start a process that trains; worker: its number among those at `ports`."""
    environment = {
        **os.environ,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",
    }
    if worker is not None:
        cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
        task = {"type": "worker", "index": worker}
        environment["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": task})
    with open(folder / f"output{worker or 0}", "w") as output:
        return subprocess.Popen(
            [sys.executable, __file__]
            + [str(x) for x in (folder, devices, epochs, checkpoint_steps)],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def end(process, folder, worker=0):
    """Wait for the end of a process that has no reason to fail."""
    try:
        assert process.wait(600) == 0, (folder / f"output{worker}").read_text()[-3000:]
    finally:
        process.kill()


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def start_two(folder, **options):
    ports = free_ports(2)
    return [start(folder, 2, worker=i, ports=ports, **options) for i in range(2)]


def weights(folder):
    from mrcnn_skin.weights_io.by_name import read_h5

    return read_h5(folder / "run" / "mask_rcnn_isic_last.h5")


def wait_for(path, process):
    deadline = time.time() + 300
    while not path.exists():
        assert process.poll() is None and time.time() < deadline, path
        time.sleep(0.005)


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """The folder of a run of one process and device that nothing happened to."""
    folder = tmp_path_factory.mktemp("one")
    end(start(folder), folder)
    return folder


def largest_difference(first, second):
    first, second = weights(first), weights(second)
    assert set(first) == set(second)
    return max(np.abs(first[name] - second[name]).max() for name in first)


@pytest.mark.slow
def test_two_processes_learn_what_one_does(one, tmp_path):
    processes = start_two(tmp_path)
    for worker, process in enumerate(processes):
        end(process, tmp_path, worker)
    assert 0 < largest_difference(one, tmp_path) < 1e-5
    starts = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert len(starts) == 1, "only the first process may write"


@pytest.mark.slow
def test_a_killed_worker_ends_the_run_which_goes_on_when_started_again(one, tmp_path):
    processes = start_two(tmp_path, checkpoint_steps=1)
    wait_for(tmp_path / "run" / "checkpoints" / "ckpt-1.index", processes[0])
    processes[1].send_signal(signal.SIGKILL)
    try:
        assert processes[0].wait(300) == 1
    finally:
        processes[0].kill()
    assert "start all of them again" in (tmp_path / "output0").read_text()
    processes = start_two(tmp_path, checkpoint_steps=1)
    for worker, process in enumerate(processes):
        end(process, tmp_path, worker)
    assert "resuming at step" in (tmp_path / "output0").read_text()
    assert largest_difference(one, tmp_path) < 1e-5


@pytest.mark.slow
def test_killed_again_and_again_a_run_ends_with_the_same_weights(one, tmp_path):
    """SIGKILL as soon as a state, or a part of one, appears beside the others."""
    checkpoints = tmp_path / "run" / "checkpoints"
    for number, name in enumerate(["ckpt-1_temp", "ckpt-2.index", "checkpoint"]):
        process = start(tmp_path, checkpoint_steps=1)
        seen = time.time()
        while not newer(checkpoints, name, seen):
            assert process.poll() is None, number
        process.send_signal(signal.SIGKILL)
        process.wait()
    end(start(tmp_path, checkpoint_steps=1), tmp_path)
    assert largest_difference(one, tmp_path) == 0


def newer(folder, prefix, since):
    """Whether a file of that prefix was written after a time."""
    try:
        return any(p.stat().st_mtime > since for p in folder.glob(f"{prefix}*"))
    except OSError:  # gone between the two looks
        return False


if __name__ == "__main__":
    train(sys.argv[1], *map(int, sys.argv[2:]))
