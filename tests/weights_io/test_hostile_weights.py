"""Weight files made to harm: they lead to no other file, and eat no memory."""

import os
import tempfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mrcnn_skin.weights_io import h5_files
from mrcnn_skin.weights_io.h5_files import read_h5


def write(path, **arrays):
    """Write {layer: array} as layer/layer/kernel:0."""
    with h5py.File(path, "w") as handle:
        for layer, array in arrays.items():
            handle.create_dataset(f"{layer}/{layer}/kernel:0", data=array)
    return path


def test_links_into_other_files_are_not_followed(tmp_path):
    secret = write(tmp_path / "secret.h5", conv=np.ones(3, np.float32))
    path = write(tmp_path / "weights.h5", own=np.zeros(2, np.float32))
    with h5py.File(path, "a") as handle:
        handle["linked"] = h5py.ExternalLink(secret.name, "/conv")
        handle["model_weights"] = h5py.ExternalLink(secret.name, "/")
        handle["circle"] = h5py.SoftLink("/circle")
    assert list(read_h5(path)) == ["own/kernel"]


def test_raw_data_of_other_files_are_refused(tmp_path):
    (tmp_path / "secret").write_bytes(bytes(range(12)))
    with h5py.File(tmp_path / "weights.h5", "w") as handle:
        external = [("secret", 0, 12)]
        handle.create_dataset("a/kernel:0", (3,), np.float32, external=external)
    with pytest.raises(ValueError, match="weights.h5.*a/kernel:0 is kept in another"):
        read_h5(tmp_path / "weights.h5")


def test_virtual_data_of_other_files_are_refused(tmp_path):
    secret = write(tmp_path / "secret.h5", conv=np.ones(3, np.float32))
    layout = h5py.VirtualLayout((3,), np.float32)
    layout[:] = h5py.VirtualSource(secret, "conv/conv/kernel:0", (3,))
    with h5py.File(tmp_path / "weights.h5", "w") as handle:
        handle.create_virtual_dataset("a/kernel:0", layout)
    with pytest.raises(ValueError, match="a/kernel:0 is kept in another"):
        read_h5(tmp_path / "weights.h5")


def test_a_claimed_size_is_not_allocated(tmp_path):
    """Nothing was ever written into 4 terabytes: the file takes a few kilobytes."""
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as handle:
        shape = (10**6, 10**6)
        handle.create_dataset("a/kernel:0", shape, np.float32, chunks=True)
    assert path.stat().st_size < 10_000
    with pytest.raises(ValueError, match="weights.h5.*exceed 2000000000 bytes"):
        read_h5(path)


def test_the_limit_holds_for_all_tensors_together(tmp_path, monkeypatch):
    ten = np.zeros(10, np.float32)
    path = write(tmp_path / "weights.h5", a=ten, b=ten)
    monkeypatch.setattr(h5_files, "MAX_WEIGHT_BYTES", 80)
    assert len(read_h5(path)) == 2
    monkeypatch.setattr(h5_files, "MAX_WEIGHT_BYTES", 79)
    with pytest.raises(ValueError, match="exceed 79 bytes at b/b/kernel"):
        read_h5(path)


@pytest.mark.parametrize(
    "value, words",
    [
        (np.ones(2, np.complex64), "holds no real numbers but complex64"),
        (np.zeros(2, [("a", "f4"), ("b", "i4")]), "holds no real numbers but"),
        (np.array([True, False]), "holds no real numbers but bool"),
        (np.array([1, 1e300]), "holds NaN, or values that are infinite as float32"),
        (np.array([1, -np.inf]), "holds NaN, or values that are infinite as float32"),
        (np.array([1, np.nan], np.float16), "holds NaN"),
    ],
)
def test_a_tensor_that_is_no_weight_is_named(tmp_path, value, words):
    path = write(tmp_path / "weights.h5", own=np.zeros(2), other=value)
    with pytest.raises(ValueError, match=f"weights.h5.* other/other/kernel:0 {words}"):
        read_h5(path)


def test_numbers_of_any_size_are_read(tmp_path):
    path = write(
        tmp_path / "weights.h5",
        half=np.ones(2, np.float16),
        double=np.full(2, 1e38),
        whole=np.ones(2, int),
        nothing=h5py.Empty("f4"),
        text="words",
    )
    assert sorted(read_h5(path)) == ["double/kernel", "half/kernel", "whole/kernel"]


with tempfile.TemporaryDirectory() as _folder:
    WHOLE = write(
        Path(_folder, "whole.h5"),
        conv=np.arange(12, dtype=np.float32),
        dense=np.ones((2, 3), np.float64),
    ).read_bytes()


@settings(
    max_examples=int(os.environ.get("MRCNN_SKIN_FUZZ", 60)),
    deadline=None,
    derandomize="MRCNN_SKIN_FUZZ" not in os.environ,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, len(WHOLE) - 8), st.binary(min_size=1, max_size=8)),
        max_size=6,
    ),
    length=st.one_of(st.just(len(WHOLE)), st.integers(0, len(WHOLE))),
)
def test_a_damaged_file_is_read_or_refused_by_name(changes, length):
    data = bytearray(WHOLE)
    for at, new in changes:
        data[at : at + len(new)] = new
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "weights.h5")
        path.write_bytes(data[:length])
        try:
            tensors = read_h5(path)
        except ValueError as error:
            assert "weights.h5" in str(error)
        else:
            assert tensors and all(np.isfinite(v).all() for v in tensors.values())
