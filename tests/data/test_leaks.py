"""Copies and shared ids between data sets; copies of real photographs among them."""

import numpy as np
import pytest
from PIL import Image

from mrcnn_skin.data.isic import IsicDataset
from mrcnn_skin.data.leaks import (
    MAX_DIFFERENCE,
    find_copies,
    find_leaks,
    find_listed,
    fingerprints,
    orientations,
)
from mrcnn_skin.data.lesion_painter import synthetic_lesion


@pytest.fixture(scope="module")
def lesions():
    """Eight different images of 96 x 128 pixels."""
    return [
        synthetic_lesion(np.random.SeedSequence(seed), (96, 128), seed % 2)[0]
        for seed in range(8)
    ]


def save(folder, name, pixels, **kwargs):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **kwargs)
    return str(path)


def differences(tmp_path, one, other):
    """The differences that find_copies tells of two images, up to any height."""
    paths = [save(tmp_path, "1.png", one), save(tmp_path, "2.png", other)]
    signs = fingerprints(paths)
    return [d for _, _, d in find_copies(signs[:1], signs[1:], max_difference=255)]


def changes(image):
    """{what was done: the image after it}."""
    small = Image.fromarray(image).resize((64, 48), Image.Resampling.LANCZOS)
    return {
        "smaller": np.asarray(small),
        "darker": (image * 0.7).astype(np.uint8),
        "cut to the square": image[:, 16:112],
        "grey": np.asarray(Image.fromarray(image).convert("L").convert("RGB")),
    }


@pytest.mark.parametrize("change", ["smaller", "darker", "cut to the square", "grey"])
def test_a_changed_copy_is_near(tmp_path, lesions, change):
    for lesion in lesions[:3]:
        [difference] = differences(tmp_path, lesion, changes(lesion)[change])
        assert difference <= MAX_DIFFERENCE


def test_the_eight_orientations_are_one(tmp_path, lesions):
    square = lesions[0][:, 16:112]
    for turns in range(4):
        turned = np.ascontiguousarray(np.rot90(square, turns))
        for view in (turned, turned[:, ::-1].copy()):
            [difference] = differences(tmp_path, square, view)
            assert difference <= 10  # Pillow rounds after each axis, rows first


def test_orientations_are_all_different():
    signs = np.random.default_rng(0).choice([-1, 1], (1, 16, 16)).astype(np.int8)
    assert len({view.tobytes() for view in orientations(signs)}) == 8


def test_other_lesions_and_structureless_images_are_no_copies(tmp_path, lesions):
    plain = np.full((96, 128, 3), 90, np.uint8)
    images = [*lesions, plain, plain]
    paths = [save(tmp_path, f"{i}.png", image) for i, image in enumerate(images)]
    paths.append(str(tmp_path / "absent.png"))
    signs = fingerprints(paths)
    assert not signs[8:].any()
    for i in range(len(paths)):
        others = np.delete(signs, i, axis=0)
        assert find_copies(signs[i : i + 1], others) == []


def test_the_nearest_one_and_the_exact_difference():
    rng = np.random.default_rng(0)
    others = rng.choice([-1, 1], (5000, 16, 16)).astype(np.int8)
    others[:, 0, 0] = 0
    signs = others[[4999, 17]].copy()
    signs.reshape(2, -1)[0, 100:107] *= -1
    assert find_copies(signs, others) == [(0, 4999, 7), (1, 17, 0)]
    assert find_copies(signs, others, max_difference=6) == [(1, 17, 0)]
    assert find_copies(signs[:0], others) == find_copies(signs, others[:0]) == []


def changed(signs, flips, zeros=0):
    """A copy of fingerprints with other signs: the first flips, the next zeros."""
    copy = signs.copy()
    flat = copy.reshape(len(copy), -1)
    flat[:, 1 : 1 + flips] *= -1
    flat[:, 1 + flips : 1 + flips + zeros] = 0
    return copy


@pytest.mark.parametrize(
    ("flips", "zeros", "difference"),
    [(0, 0, 0), (28, 0, 28), (29, 0, None), (0, 56, 28), (0, 57, None), (27, 2, 28)]
    + [(27, 1, 28), (27, 3, None), (1, 1, 2)],
)
def test_signs_differ_up_to_the_bound(flips, zeros, difference):
    """A sign that is zero counts half, and the sum is rounded up when it is told."""
    signs = np.random.default_rng(1).choice([-1, 1], (1, 16, 16)).astype(np.int8)
    signs[0, 0, 0] = 0
    expected = [] if difference is None else [(0, 0, difference)]
    assert find_copies(changed(signs, flips, zeros), signs) == expected
    assert find_copies(signs, changed(signs, flips, zeros)) == expected


@pytest.mark.parametrize(
    ("deviation_below_one", "known"), [(False, True), (True, False)]
)
def test_an_image_of_nearly_one_grey_is_not_recognised(
    tmp_path, deviation_below_one, known
):
    """Half of the pixels 100, half 102: the deviation is 1. One at 101: less."""
    pixels = np.full((32, 32, 3), 100, np.uint8)
    pixels[:, 16:] = 102
    if deviation_below_one:
        pixels[0, 16] = 101
    signs = fingerprints([save(tmp_path, "even.png", pixels)])
    assert signs.any() == known


def compare_all(signs, other_signs, max_difference):
    """find_copies by its definition: every pair in every orientation."""
    views = orientations(other_signs.astype(np.float32))
    flat = [view.reshape(len(other_signs), -1) for view in views]
    copies = []
    for i, own in enumerate(signs.reshape(len(signs), -1).astype(np.float32)):
        doubled = 255 - np.max([view @ own for view in flat], axis=0)
        if doubled.min() <= 2 * max_difference:
            copies.append((i, int(doubled.argmin()), int(np.ceil(doubled.min() / 2))))
    return copies


@pytest.mark.parametrize("few_pairs", [0, 10**9])
@pytest.mark.parametrize("max_difference", [0, 28, 41])
def test_the_search_equals_the_comparison_of_all_pairs(
    monkeypatch, max_difference, few_pairs
):
    monkeypatch.setattr("mrcnn_skin.data.leaks._FEW_PAIRS", few_pairs)
    monkeypatch.setattr("mrcnn_skin.data.leaks._BLOCK", 64)
    rng = np.random.default_rng(max_difference)
    others = rng.choice([-1, 1], (400, 16, 16)).astype(np.int8)
    others[:, 0, 0] = 0
    others[7] = others[300]  # of equals the first is told
    signs = rng.choice([-1, 1], (300, 16, 16)).astype(np.int8)
    signs[:, 0, 0] = 0
    views = list(orientations(others))
    for i in range(200):
        signs[i] = views[i % 8][rng.integers(400)]
        places = rng.choice(np.arange(1, 256), rng.integers(0, 120) // 2, replace=False)
        signs[i].reshape(-1)[places] *= rng.choice([-1, -1, 0] if i % 3 else [-1], 1)
    others[::50, 3, 5] = 0
    signs[5], signs[6], others[9] = others[300], 0, 0
    expected = compare_all(signs, others, max_difference)
    assert len(expected) >= (4 if max_difference == 0 else 10)
    assert find_copies(signs, others, max_difference) == expected


def folder_of(folder, images, table=None):
    """Write {name: pixels} and perhaps a table; returns the loaded IsicDataset."""
    for name, pixels in images.items():
        save(folder, f"images/{name}.png", pixels)
    if table:
        (folder / "labels.csv").write_text(table)
    dataset = IsicDataset()
    dataset.load_isic(folder, require_masks=False, require_labels=False)
    dataset.prepare()
    return dataset


def reasons(leaks):
    return dict(zip(leaks["image_id"], leaks["reason"], strict=True))


def test_a_copy_under_another_name_is_found_and_dropped(tmp_path, lesions):
    train = folder_of(tmp_path / "a", {"x": lesions[0], "y": lesions[1]})
    val = folder_of(tmp_path / "b", {"z": lesions[0][::-1], "w": lesions[2]})
    leaks = find_leaks(train, [val])
    [(image_id, reason)] = reasons(leaks).items()
    assert image_id == "x" and "looks like held out: z of b, " in reason
    train.drop(leaks)
    assert [info["id"] for info in train.image_info] == ["y"]
    assert train.num_images == 1 and train.dropped["image_id"].tolist() == ["x"]


def test_names_count_only_where_they_mean_the_same(tmp_path, lesions):
    names = "1", "ISIC_0000001", "2", "3"
    table = "image,patient_id,lesion_id\n1,7,\nISIC_0000001,,\n2,,L\n3,IP_1234567,\n"
    train = folder_of(tmp_path / "a", dict(zip(names, lesions, strict=False)), table)
    table = "image,patient_id,lesion_id\n1,7,\n5,,L\n6,IP_1234567,\n"
    images = dict(zip(["1", "ISIC_0000001", "5", "6"], lesions[4:], strict=True))
    elsewhere = folder_of(tmp_path / "b", images, table)
    found = reasons(find_leaks(train, [elsewhere]))
    assert {name: reason.split(":")[0] for name, reason in found.items()} == {
        "ISIC_0000001": "same id as held out",
        "3": "same patient as held out",
    }


def test_one_lesion_in_two_splits_of_a_folder(tmp_path, lesions):
    splits = ["train", "train", "train", "test"]
    for i, split in enumerate(splits):
        save(tmp_path, f"{split}/images/{i}.png", lesions[i])
    table = "image,lesion_id,patient_id\n0,A,p\n1,B,q\n2,A,r\n3,A,q\n"
    (tmp_path / "labels.csv").write_text(table)
    loaded = {}
    for split in ("train", "test"):
        loaded[split] = IsicDataset()
        loaded[split].load_isic(
            tmp_path, split, 0, require_masks=False, require_labels=False
        )
    found = reasons(find_leaks(loaded["train"], [loaded["test"]]))
    assert {name: reason.split(":")[0] for name, reason in found.items()} == {
        "0": "same lesion as held out",
        "1": "same patient as held out",
        "2": "same lesion as held out",
    }


def test_a_table_lists_what_is_held_out(tmp_path, lesions):
    names = "ISIC_0000012", "ISIC_0000013", "x"
    train = folder_of(tmp_path / "a", dict(zip(names, lesions, strict=False)))
    table = tmp_path / "test.csv"
    table.write_text("image,melanoma\n12,0\nx.jpg,1\nISIC_0000099,1\n")
    assert set(reasons(find_listed(train, table))) == {"ISIC_0000012", "x"}
    table.write_text("age,sex\n12,f\n")
    with pytest.raises(ValueError, match="test.csv has no column of image names"):
        find_listed(train, table)


def test_no_image_left_is_an_error(tmp_path, lesions):
    train = folder_of(tmp_path / "a", {"x": lesions[0]})
    val = folder_of(tmp_path / "b", {"y": lesions[0]})
    with pytest.raises(ValueError, match="all 1 images were dropped.*looks like"):
        train.drop(find_leaks(train, [val]))


def test_real_frames_are_found_among_their_cut_outs(real_data):
    frames = sorted((real_data / "isic_fullframe" / "images").glob("*.jpg"))
    folder = real_data / "isic2017_512"
    cut_outs = sorted(folder.glob("ISIC-2017_*_Data/*.jpg"))
    names = [path.stem for path in cut_outs]
    pairs = [frame for frame in frames if frame.stem in names][:12]
    paths = [str(path) for path in cut_outs[::5]]
    paths += [str(cut_outs[names.index(frame.stem)]) for frame in pairs]
    copies = find_copies(fingerprints(list(map(str, pairs))), fingerprints(paths))
    assert len(copies) == len(pairs) == 12
    for frame, cut_out, _ in copies:
        assert pairs[frame].stem in paths[cut_out]
