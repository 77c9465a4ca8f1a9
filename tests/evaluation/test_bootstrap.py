"""Intervals and paired tests against loops over drawn images, and known answers."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_rel

from mrcnn_skin.evaluation.bootstrap import (
    align,
    compare,
    confidence_intervals,
    draw,
    interval,
)
from mrcnn_skin.evaluation.summary import COLUMNS, SEGMENTATION, summarize


def table(count, seed=0, **columns):
    """A table of images with random scores."""
    rng = np.random.default_rng(seed)
    labels = np.where(rng.random(count) < 0.3, "malignant", "benign")
    values = {
        "image": [f"ISIC_{i:07d}" for i in range(count)],
        "true_class": labels,
        "p_malignant": np.clip(
            rng.normal(0.4 + 0.2 * (labels == "malignant"), 0.2), 0, 1
        ),
        "low_confidence": False,
        "box_iou": rng.random(count),
        **{name: rng.random(count) for name in SEGMENTATION},
    }
    return pd.DataFrame(
        values | columns, columns=list(dict.fromkeys([*COLUMNS, *columns]))
    )


def test_interval_of_a_mean_is_that_of_normal_theory():
    images = table(400)
    low, high = confidence_intervals(images)["segmentation"]["JA"]
    mean, error = images["JA"].mean(), images["JA"].std() / 20
    assert low == pytest.approx(mean - 1.96 * error, abs=0.25 * error)
    assert high == pytest.approx(mean + 1.96 * error, abs=0.25 * error)


def test_each_resample_is_scored_as_its_images_drawn_anew():
    images = table(30)
    (weights,) = draw(images, resamples=5, seed=7)
    together = summarize(images, weights)
    for i in range(5):
        drawn = images.loc[np.repeat(np.arange(30), weights[i])]
        alone = summarize(drawn)
        assert together["classification"]["AUC"][i] == pytest.approx(
            alone["classification"]["AUC"]
        )
        assert together["segmentation"]["DI"][i] == pytest.approx(
            alone["segmentation"]["DI"]
        )


def test_a_seed_repeats_and_another_differs():
    images = table(40)
    first, again, other = (confidence_intervals(images, 200, s) for s in (1, 1, 2))
    assert first == again and first != other


def test_images_of_one_lesion_are_drawn_together():
    # Two photographs of every lesion, scored alike: 20 independent answers, not 40.
    pairs = table(40)
    pairs["JA"] = np.repeat(np.random.default_rng(0).random(20), 2)
    alone = confidence_intervals(pairs)["segmentation"]["JA"]
    pairs["lesion_id"] = np.repeat(np.arange(20), 2)
    together = confidence_intervals(pairs)["segmentation"]["JA"]
    ratio = np.diff(together) / np.diff(alone)
    assert ratio == pytest.approx(np.sqrt(2), rel=0.1)
    (weights,) = draw(pairs, 50, seed=0)
    assert (weights[:, ::2] == weights[:, 1::2]).all()
    assert (weights.sum(axis=1) == 40).all()


def test_patients_come_before_lesions_and_gaps_stand_alone():
    images = table(4, patient_id=["a", "a", None, None], lesion_id=[1, 2, 3, 3])
    (weights,) = draw(images, 200, seed=0)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 2] == weights[:, 3]).all()
    assert (weights[:, 0] != weights[:, 2]).any()


def test_a_metric_without_a_value_has_no_interval():
    images = table(10, true_class="benign")
    intervals = confidence_intervals(images, 50)
    assert np.isnan(intervals["classification"]["AUC"]).all()
    assert not np.isnan(intervals["classification"]["SP"]).any()
    assert interval([1.0, np.nan, 1.0]) == [1.0, 1.0]


def test_a_resample_without_malignant_images_says_nothing_on_sensitivity():
    images = table(6).assign(true_class=["malignant"] + ["benign"] * 5, p_malignant=0.1)
    intervals = confidence_intervals(images, 200)["classification"]
    assert intervals["SE"] == [0, 0]  # not 1 where the malignant one was not drawn


def test_a_model_against_itself_differs_by_nothing():
    rows = compare(table(50), table(50), 200)
    assert (rows[["difference", "low", "high"]] == 0).all(axis=None)
    assert (rows["p"] == 1).all()


def test_a_small_gain_on_every_image_is_seen_through_their_spread():
    worse = table(60)
    better = worse.assign(JA=worse["JA"] + np.linspace(0.01, 0.03, 60))
    row = compare(better, worse, 999).set_index("metric").loc["JA"]
    assert row["difference"] == pytest.approx(0.02)
    assert 0.01 < row["low"] < 0.02 < row["high"] < 0.03
    assert row["p"] == 2 / 1000  # no resample of 999 has a difference of 0 or less
    # The intervals of the two on their own overlap by far.
    assert np.diff(confidence_intervals(worse, 200)["segmentation"]["JA"]) > 0.1


def test_p_of_random_differences_is_that_of_the_t_test():
    rng = np.random.default_rng(3)
    one = table(200)
    two = one.assign(JA=one["JA"] + rng.normal(0.01, 0.1, 200))
    row = compare(two, one).set_index("metric").loc["JA"]
    assert row["p"] == pytest.approx(ttest_rel(two["JA"], one["JA"]).pvalue, abs=0.03)


def test_only_shared_images_are_compared():
    shuffled = table(50).iloc[10:].sample(frac=1, random_state=0)
    first, second = align(table(50), shuffled)
    assert first["image"].tolist() == second["image"].tolist()
    assert len(first) == 40
    assert compare(table(50), shuffled, 50)["images"].unique() == [40]


def test_tables_that_do_not_fit_are_refused():
    images = table(5)
    with pytest.raises(ValueError, match="share no image"):
        compare(images, images.assign(image=["other"] * 5))
    with pytest.raises(ValueError, match="same true_class.*ISIC_0000000"):
        compare(
            images.assign(true_class="benign"), images.assign(true_class="malignant")
        )
