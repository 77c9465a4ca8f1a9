"""Statistics of the training images: fitted, used by detect(), and kept in files."""

import keras
import numpy as np
import pytest
from tiny import lean_config

from mrcnn_skin import Dataset, MaskRCNN
from mrcnn_skin.inference.familiarity import (
    _held_out,
    fit_familiarity,
    measure,
    principal_statistics,
)

COMPONENTS = 4


class Blobs(Dataset):
    """Dark spots on light ground; `count` images in pairs of one lesion."""

    def __init__(self, count, size=(64, 64)):
        super().__init__()
        self.add_class("blobs", 1, "blob")
        rng = np.random.default_rng(0)
        self.images = []
        for number in range(count):
            y, x = np.mgrid[: size[0], : size[1]]
            center, radius = rng.uniform(20, 40, 2), rng.uniform(8, 18)
            inside = np.hypot(y - center[0], x - center[1]) < radius
            image = np.where(inside, 90, 200)[..., None] + rng.normal(0, 8, (*size, 3))
            self.images.append(image.clip(0, 255).astype(np.uint8))
            known = {"lesion_id": f"lesion {number // 2}"}
            self.add_image("blobs", str(number), None, metadata=known)
        self.prepare()

    def load_image(self, image_id):
        return self.images[image_id]


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(2)  # random features tell some pictures apart only
    return MaskRCNN("inference", lean_config(UNFAMILIAR_COMPONENTS=COMPONENTS))


@pytest.fixture(scope="module")
def held_out_scores(model):
    return fit_familiarity(model, Blobs(60), progress=False)


def test_distance_is_mahalanobis_under_the_covariance_of_probabilistic_pca():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(200, 6)) @ rng.normal(size=(6, 6)) + rng.normal(size=6)
    statistics = principal_statistics(features, 2)
    x = (features - features.mean(axis=0)) / features.std(axis=0)
    values, vectors = np.linalg.eigh(x.T @ x / len(x))
    values[:4] = values[:4].mean()  # all but the two largest
    precision = (vectors / values) @ vectors.T
    np.testing.assert_allclose(
        statistics.distances(features), np.einsum("ni,ij,nj->n", x, precision, x)
    )


def test_a_channel_that_never_varied_is_no_infinite_distance():
    features = np.random.default_rng(0).normal(size=(50, 5))
    features[:, 2] = 1.0
    statistics = principal_statistics(features, 2)
    assert np.isfinite(statistics.distances(features)).all()
    changed = features.copy()
    changed[:, 2] = 2.0
    assert (statistics.distances(changed) > statistics.distances(features)).all()


def test_threshold_is_a_quantile_of_the_held_out_images(held_out_scores):
    assert 4 <= len(held_out_scores) <= 24  # a fifth of 60, by lesion
    assert np.quantile(held_out_scores, 0.985) == pytest.approx(1.0)


def test_lesions_stay_together_when_images_are_held_out():
    held_out = _held_out(Blobs(60), seed=0)
    np.testing.assert_array_equal(held_out[::2], held_out[1::2])
    assert 0 < held_out.sum() < 60
    assert (_held_out(Blobs(60), seed=1) != held_out).any()


def test_missing_patients_and_lesions_are_not_one_group():
    dataset = Blobs(60)
    for info in dataset.image_info:
        info["metadata"] = {"lesion_id": float("nan"), "patient_id": None}
    held_out = _held_out(dataset, seed=0)
    assert 0 < held_out.sum() < 60 and (held_out[::2] != held_out[1::2]).any()


def test_detect_flags_what_is_unlike_the_training_images(model, held_out_scores):
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255, 0, 255
    *alike, unlike = model.detect([*Blobs(10).images, stripes])
    assert unlike["unfamiliar"] is True and unlike["unfamiliar_score"] > 1
    assert sum(result["unfamiliar"] for result in alike) <= 2
    for result in alike:
        assert result["unfamiliar"] is (result["unfamiliar_score"] > 1)
        assert 0 < result["unfamiliar_score"] < unlike["unfamiliar_score"]


def test_detect_measures_what_was_fitted(model, held_out_scores):
    image = Blobs(1).load_image(0)
    features, doubts = measure(model, [image])
    layer = model.keras_model.get_layer("unfamiliar_score")
    x = (features[0] - layer.mean.numpy()) * layer.scale.numpy()
    wanted = (x**2).sum() - ((x @ layer.factors.numpy()) ** 2).sum()
    limit = model.keras_model.get_layer("unfamiliar_doubt").limit.numpy()[0]
    assert 0 < doubts[0] < 1 and limit >= 0.05
    assert model.detect([image])[0]["unfamiliar_score"] == pytest.approx(
        max(wanted, doubts[0] / limit), rel=1e-3
    )


def test_an_image_without_a_sure_lesion_is_unfamiliar(model, held_out_scores):
    image, layer = Blobs(1).load_image(0), model.keras_model.get_layer
    before = layer("unfamiliar_doubt").get_weights()
    doubt = measure(model, [image])[1][0]
    layer("unfamiliar_doubt").set_weights([np.array([doubt / 5])])
    result = model.detect([image])[0]
    layer("unfamiliar_doubt").set_weights(before)
    assert result["unfamiliar"] and result["unfamiliar_score"] == pytest.approx(5)


def test_statistics_travel_with_the_weights(model, held_out_scores, tmp_path):
    model.save_weights(tmp_path / "a.h5")
    other = MaskRCNN("inference", model.config)
    image = Blobs(1).load_image(0)
    assert other.detect([image])[0]["unfamiliar"] is True  # nothing is known yet
    report = other.load_weights(tmp_path / "a.h5")
    assert not report.missing and not report.unused
    wanted = model.detect([image])[0]["unfamiliar_score"]
    assert other.detect([image])[0]["unfamiliar_score"] == pytest.approx(wanted)


def test_without_statistics_nothing_is_said(model, tmp_path):
    model.save_weights(tmp_path / "a.h5")
    plain = MaskRCNN("inference", lean_config())
    report = plain.load_weights(tmp_path / "a.h5")
    assert {name.split("/")[0] for name in report.unused} == {
        "unfamiliar_score",
        "unfamiliar_doubt",
    }
    result = plain.detect([Blobs(1).load_image(0)])[0]
    assert result["unfamiliar"] is None and result["unfamiliar_score"] is None


def test_a_model_that_learns_has_no_statistics(tmp_path):
    fitted = {"TEMPERATURE": 2.0, "OPERATING_POINTS": [[0.9, 0.3]], "SENSITIVITY": 0.9}
    config = lean_config(UNFAMILIAR_COMPONENTS=4, **fitted)
    model = MaskRCNN("training", config, tmp_path)
    assert model.config.UNFAMILIAR_COMPONENTS == model.config.SENSITIVITY == 0
    assert model.config.TEMPERATURE == 1 and model.config.OPERATING_POINTS == ()
    assert model.detect([Blobs(1).load_image(0)])[0]["unfamiliar"] is None


@pytest.mark.parametrize(
    "settings, count, message",
    [
        ({}, 60, "UNFAMILIAR_COMPONENTS above 0, got 'inference' and 0"),
        ({"UNFAMILIAR_COMPONENTS": 4}, 7, "need at least 8 images, got 7"),
        ({"UNFAMILIAR_COMPONENTS": 32}, 60, "below the 32 features, got 32"),
    ],
)
def test_what_cannot_be_fitted(model, settings, count, message):
    if settings.get("UNFAMILIAR_COMPONENTS") != COMPONENTS:
        model = MaskRCNN("inference", lean_config(**settings))
    with pytest.raises(ValueError, match=message):
        fit_familiarity(model, Blobs(count), progress=False)
