"""Images decoded no larger than needed, and kept: the same as without either."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tiny import tiny_config

from mrcnn_skin.data import files
from mrcnn_skin.data.dataset import Dataset
from mrcnn_skin.data.isic import IsicDataset
from mrcnn_skin.data.resize_cache import load_resized
from mrcnn_skin.data.synthetic import SyntheticDataset, write_synthetic_isic


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Four generated JPEGs of 300 x 400 pixels with their masks."""
    return write_synthetic_isic(tmp_path_factory.mktemp("isic") / "data", 4, (300, 400))


@pytest.fixture
def folder(written, tmp_path):
    return shutil.copytree(written, tmp_path / "data")


def isic(folder, **options):
    dataset = IsicDataset()
    dataset.load_isic(folder, "train", **options)
    dataset.prepare()
    return dataset


class FullSize(IsicDataset):
    """Decodes every image whole, by overriding load_image as users do."""

    def load_image(self, image_id):
        return super().load_image(image_id)


def assert_equal(one, other):
    for name, value in one._asdict().items():
        same = getattr(other, name)
        assert type(same) is type(value), name
        assert getattr(same, "dtype", None) == getattr(value, "dtype", None), name
        np.testing.assert_array_equal(same, value, name)


def test_a_jpeg_decoded_at_half_its_size_gives_the_same_picture(folder, monkeypatch):
    reduced, whole = isic(folder), FullSize()
    whole.load_isic(folder, "train")
    whole.prepare()
    config = tiny_config(IMAGE_MAX_DIM=128)  # 400 pixels become 128: a half is enough
    decoded = []
    monkeypatch.setattr(
        files,
        "read_image",
        lambda *a, read=files.read_image: decoded.append(read(*a)) or decoded[-1],
    )
    for image_id in reduced.image_ids:
        got, expected = (load_resized(d, config, image_id) for d in (reduced, whole))
        assert_equal(got._replace(image=None), expected._replace(image=None))
        difference = np.abs(got.image.astype(int) - expected.image)
        assert difference.mean() < 1 and np.quantile(difference, 0.99) <= 4
    assert {image.shape for image in decoded} == {(150, 200, 3), (300, 400, 3)}


def test_real_frames_decoded_smaller_look_the_same(real_data):
    reduced = IsicDataset()
    reduced.load_isic(real_data / "isic_fullframe", limit=8)
    reduced.prepare()
    whole = FullSize()
    whole.load_isic(real_data / "isic_fullframe", limit=8)
    whole.prepare()
    for side in (256, 512):
        config = tiny_config(IMAGE_MAX_DIM=side)
        for image_id in reduced.image_ids:
            images = [load_resized(d, config, image_id).image for d in (reduced, whole)]
            difference = np.abs(images[0].astype(int) - images[1])
            assert difference.mean() < 1 and np.quantile(difference, 0.99) <= 5


def test_a_cached_image_is_the_one_that_was_loaded(folder, tmp_path, monkeypatch):
    dataset = isic(folder)
    plain = load_resized(dataset, tiny_config(), 1)
    config = tiny_config(CACHE_DIR=str(tmp_path / "cache"))
    assert_equal(load_resized(dataset, config, 1), plain)
    monkeypatch.delattr(Dataset, "load_reduced_image")
    monkeypatch.delattr(IsicDataset, "load_mask")
    assert_equal(load_resized(dataset, config, 1), plain)
    assert [p.suffix for p in (tmp_path / "cache").iterdir()] == [".npz"]


def test_changes_invalidate_the_cache(folder, tmp_path):
    cache = tmp_path / "cache"
    config = tiny_config(CACHE_DIR=str(cache))
    dataset = isic(folder)
    load_resized(dataset, config, 0)
    load_resized(dataset, config, 1)
    assert len(list(cache.iterdir())) == 2
    larger = load_resized(dataset, config.replace(IMAGE_MAX_DIM=128), 0)
    assert larger.image.shape == (128, 128, 3)
    load_resized(isic(folder, instances="component"), config, 0)
    assert len(list(cache.iterdir())) == 4
    # Another mask in the same file
    path, other = (dataset.image_info[i]["mask_paths"][0] for i in (0, 1))
    before = load_resized(dataset, config, 0)
    shutil.copy(other, path)
    after = load_resized(dataset, config, 0)
    assert len(list(cache.iterdir())) == 5
    assert (after.masks != before.masks).any()


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_a_damaged_cache_file_is_replaced(folder, tmp_path, damage):
    config = tiny_config(CACHE_DIR=str(tmp_path / "cache"))
    dataset = isic(folder)
    expected = load_resized(dataset, config, 0)
    (path,) = (tmp_path / "cache").iterdir()
    whole = bytearray(path.read_bytes())
    changed = bytearray(whole)
    changed[len(whole) // 2] ^= 1
    path.write_bytes(
        {"cut": whole[: len(whole) // 2], "flip": changed, "empty": b""}[damage]
    )
    assert_equal(load_resized(dataset, config, 0), expected)
    assert path.stat().st_size == len(whole)


def test_threads_may_want_the_same_image_at_once(folder, tmp_path):
    config = tiny_config(CACHE_DIR=str(tmp_path / "cache"))
    dataset = isic(folder)
    with ThreadPoolExecutor(8) as pool:
        results = list(
            pool.map(lambda i: load_resized(dataset, config, i % 2), range(32))
        )
    for i, result in enumerate(results):
        assert_equal(result, results[i % 2])


def test_images_without_files_and_crops_are_not_cached(tmp_path):
    config = tiny_config(CACHE_DIR=str(tmp_path / "cache"))
    load_resized(SyntheticDataset(1, (64, 64)), config, 0)
    assert not (tmp_path / "cache").exists()
    with pytest.raises(ValueError, match="CACHE_DIR must be empty .* 'crop'"):
        config.replace(IMAGE_RESIZE_MODE="crop")


def test_an_image_that_is_no_file_is_asked_for_whole():
    class Drawn(Dataset):
        def load_image(self, image_id):
            return np.full([30, 40, 3], 7, np.uint8)

    dataset = Drawn()
    dataset.add_image("drawn", "1", None)
    dataset.prepare()
    image, shape = dataset.load_reduced_image(0, lambda size: 0.1)
    assert image.shape == shape == (30, 40, 3)
