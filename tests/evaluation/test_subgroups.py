"""Skin tone of painted squares, and groups whose scores are known."""

import numpy as np
import pandas as pd
import pytest
from skimage.color import lab2rgb

from mrcnn_skin.evaluation.skin_tone import tone, typology_angle
from mrcnn_skin.evaluation.subgroups import groupings, metadata_columns, subgroup_table
from mrcnn_skin.evaluation.summary import COLUMNS


def painted(lightness, yellow, lesion=(30, 10, 10), size=100):
    """Even skin of one Lab colour with a square lesion in the middle."""
    colour = lab2rgb([lightness, 12.0, yellow]) * 255
    image = np.tile(np.round(colour).astype(np.uint8), (size, size, 1))
    mask = np.zeros((size, size), bool)
    mask[size // 3 : 2 * size // 3, size // 3 : 2 * size // 3] = True
    image[mask] = lesion
    return image, mask


@pytest.mark.parametrize(
    "lightness, yellow, angle, name",
    [
        (70, 11.5, 60.1, "very light"),  # atan(20 / 11.5)
        (70, 20, 45, "light"),
        (62, 20, 30.96, "intermediate"),
        (55, 20, 14.04, "tan"),
        (45, 20, -14.04, "brown"),
        (30, 20, -45, "dark"),
    ],
)
def test_angle_by_hand(lightness, yellow, angle, name):
    estimated = typology_angle(*painted(lightness, yellow))
    assert estimated == pytest.approx(angle, abs=1.5)
    assert tone(estimated) == name


def test_lesion_hair_and_dark_corners_do_not_count():
    image, mask = painted(70, 20)
    image[:, ::5] = 0  # hairs over a fifth of the image
    image[:20] = 0
    assert typology_angle(image, mask) == pytest.approx(45, abs=1.5)


def test_large_images_are_thinned():
    assert typology_angle(*painted(70, 20, size=1100)) == pytest.approx(45, abs=1.5)


def test_no_lesion_or_no_skin_has_no_angle():
    image, mask = painted(70, 20)
    assert np.isnan(typology_angle(image, np.zeros_like(mask)))
    assert np.isnan(typology_angle(image, np.ones_like(mask)))
    assert np.isnan(typology_angle(np.zeros_like(image), mask))
    assert tone(float("nan")) is None


@pytest.mark.parametrize(("pixels", "is_known"), [(29, False), (30, True)])
def test_thirty_pixels_of_skin_have_an_angle(pixels, is_known):
    image, mask = painted(70, 20)
    colour = image[0, 0].copy()
    image[:] = 0  # as dark as hair: no skin
    ring = [(row, column) for row in (26, 27) for column in range(33, 66)]
    for place in ring[:pixels]:
        image[place] = colour
    assert np.isnan(typology_angle(image, mask)) != is_known


def images(**columns):
    count = len(next(iter(columns.values())))
    base = {"image": [str(i) for i in range(count)], "low_confidence": False}
    return pd.DataFrame(
        base | columns, columns=list({**dict.fromkeys(COLUMNS), **columns})
    )


def test_scores_of_groups():
    table = images(
        sex=["male", "female", "male", None],
        true_class=["malignant", "benign", "benign", "malignant"],
        p_malignant=[0.9, 0.8, 0.1, 0.2],
        JA=[1.0, 0.5, 0.0, 0.7],
    )
    rows = subgroup_table(table, 50).set_index("group")
    assert rows.index.tolist() == ["female", "male"]
    assert rows["images"].tolist() == [1, 2] and rows["malignant"].tolist() == [0, 1]
    assert rows["JA"].tolist() == [0.5, 0.5]
    assert rows.loc["male", ["JA_low", "JA_high"]].tolist() == [0, 1]
    assert rows.loc["male", "AUC"] == 1 and np.isnan(rows.loc["female", "AUC"])
    assert rows.loc["female", "SP"] == 0
    assert rows.loc["male", "SE"] == 1  # of the diagnosis, not of the pixels
    assert np.isnan(rows.loc["female", "SE"])  # no malignant image to be found


def test_numbers_become_classes():
    table = images(age=[29, 30, 49, "70.0"], true_area_share=[0.01, 0.05, 0.2, 1.0])
    groups = groupings(table)
    assert groups["age"].tolist() == ["under 30", "30 to 49", "30 to 49", "70 and over"]
    assert groups["lesion size"].tolist() == [
        "under 5 %",
        "5 to 20 %",
        "over 20 %",
        "over 20 %",
    ]
    tones = groupings(images(ITA=[60.0, -40.0, np.nan]))["skin tone"]
    assert tones.tolist()[:2] == ["very light", "dark"] and pd.isna(tones.iloc[2])


def test_one_value_or_very_many_are_no_grouping():
    assert groupings(images(sex=["male"] * 3)) == {}
    assert groupings(images(site=[str(i) for i in range(13)])) == {}


def test_columns_of_several_collections_get_one_name():
    ham = {"source": "isic", "metadata": {"localization": "back", "age": 40.0}}
    assert metadata_columns(ham) == {"source": "isic", "site": "back", "age": 40.0}
    archive = {"source": "isic", "metadata": {"age_approx": 35, "attribution": "X"}}
    assert metadata_columns(archive) == {"source": "X", "age": 35}
    assert metadata_columns({"source": "isic"}) == {"source": "isic"}
