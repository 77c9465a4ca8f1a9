"""Fit the statistics that flag images unlike the training images.

They are weights of the inference graph (layers/familiarity.py), set after training;
Config.UNFAMILIAR_COMPONENTS is their size.
"""

from typing import NamedTuple

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from tqdm import tqdm

from ..evaluation.bootstrap import clusters
from ..graph.folding import Folded
from .detector import letterbox

LAYER, DOUBT = "unfamiliar_score", "unfamiliar_doubt"
HELD_OUT = 0.2  # share of the images that choose the threshold
FLAGGED = 0.015  # share of these that is above it
DOUBTED = 0.005  # share whose best region is doubted most
# The limit of doubt is this multiple of theirs, since new images are doubted more than
# those that the network learned from, but not less than LEAST_DOUBT
DOUBT_MARGIN, LEAST_DOUBT = 1.25, 0.05
CUT = 0.4  # highest share of the height or width that is cut off


class Statistics(NamedTuple):
    """Weights of layers.familiarity.Unfamiliarity.

    Attributes:
        mean, scale: [size].
        factors: [size, components].
    """

    mean: np.ndarray
    scale: np.ndarray
    factors: np.ndarray

    def distances(self, features):
        """Return the squared distances [n] of features [n, size], as the layer does."""
        x = (features - self.mean) * self.scale
        return np.square(x).sum(axis=-1) - np.square(x @ self.factors).sum(axis=-1)


def fit_familiarity(model, dataset, seed=0, progress=True):
    """Set the statistics of a model from the images that it was trained on.

    The share HELD_OUT of the images chooses the threshold, so that the features of
    FLAGGED of them are unfamiliar; the others give the statistics. Images of one
    patient or lesion stay together. The best regions of all choose the limit of doubt.

    Args:
        model: a MaskRCNN of mode "inference" with its weights, and with
            UNFAMILIAR_COMPONENTS above 0.
        dataset: a prepared Dataset of training images.
        seed: of the choice of held-out images.
        progress: show a progress bar.

    Returns:
        unfamiliar_score of the held-out images, float [n].

    Raises:
        ValueError: for a model without the layer, for as many components as features,
            or fewer than twice as many images as components.
    """
    components = model.config.UNFAMILIAR_COMPONENTS
    if not components or model.mode != "inference":
        raise ValueError(
            "the model must be of mode 'inference' with UNFAMILIAR_COMPONENTS above 0, "
            f"got {model.mode!r} and {components}"
        )
    size = model.keras_model.get_layer(LAYER).input.shape[-1]
    if components >= size:
        raise ValueError(
            f"UNFAMILIAR_COMPONENTS must be below the {size} features, got {components}"
        )
    if dataset.num_images < 2 * components:
        raise ValueError(
            f"{components} components need at least {2 * components} images, got "
            f"{dataset.num_images}"
        )
    features, doubts = measure(model, _with_cuts(dataset, seed, progress))
    held_out = _held_out(dataset, seed)
    statistics = principal_statistics(features[~held_out], components)
    scores = statistics.distances(features[held_out])
    threshold = np.quantile(scores, 1.0 - FLAGGED)
    scale = statistics.scale / np.sqrt(threshold)
    model.keras_model.get_layer(LAYER).set_weights(statistics._replace(scale=scale))
    limit = max(LEAST_DOUBT, DOUBT_MARGIN * np.quantile(doubts, 1.0 - DOUBTED))
    model.keras_model.get_layer(DOUBT).set_weights([np.array([limit])])
    return np.maximum(scores / threshold, doubts[held_out] / limit)


def measure(model, images):
    """Return pooled features and the doubt of the best region of each image.

    Args:
        model: a MaskRCNN of mode "inference".
        images: iterable of uint8 [h, w, channels].

    Returns:
        float32 [n, size], the input of LAYER, and float32 [n], 0 to 1.
    """
    network, config = model.keras_model, model.config
    doubt = network.get_layer(DOUBT)
    outputs = [network.get_layer(LAYER).input, doubt.output]
    source = keras.Model(network.inputs[0], outputs)
    folded = Folded(source, config.INFERENCE_PRECISION)
    folded.follow()
    channels = config.IMAGE_CHANNEL_COUNT

    @tf.function(input_signature=[tf.TensorSpec([None, None, channels], tf.uint8)])
    def features_of(image):
        canvas = letterbox(image, config).image
        return [output[0] for output in folded.network(canvas[None], training=False)]

    features, doubts = zip(*map(features_of, images), strict=True)
    return np.array(features), np.array(doubts) * doubt.limit.numpy()


def _with_cuts(dataset, seed, progress):
    """Yield the images, every second one cut to another aspect ratio.

    The padding of oblong images must be familiar, too, if all training images have one
    shape.
    """
    rng = np.random.default_rng(seed)
    for image_id in tqdm(dataset.image_ids, desc="measure", disable=not progress):
        image = dataset.load_image(image_id)
        if image_id % 2:
            axis = rng.integers(2)
            margin = int(rng.uniform(0, CUT / 2) * image.shape[axis])
            kept = np.arange(margin, image.shape[axis] - margin)
            image = np.take(image, kept, axis)
        yield image


def principal_statistics(features, components):
    """Fit probabilistic PCA (Tipping and Bishop, 1999) to features [n, size].

    With x = (f - mean) / deviation, whose covariance has the eigenvectors v and the
    eigenvalues w, and the mean s of the eigenvalues beyond the first `components`, the
    squared Mahalanobis distance is (|x|^2 - sum of (1 - s / w) (x . v)^2) / s. It is
    that of the returned Statistics.
    """
    features = np.asarray(features, np.float64)
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    # A channel that hardly varies in training must not dominate the distance
    deviation = np.maximum(deviation, 0.1 * np.median(deviation))
    x = (features - mean) / deviation
    _, singular, vectors = np.linalg.svd(x, full_matrices=False)
    kept = np.square(singular[:components]) / len(x)
    total = np.square(x).mean(axis=0).sum()
    rest = (total - kept.sum()) / (x.shape[1] - components)
    factors = vectors[:components].T * np.sqrt(1.0 - rest / kept)
    return Statistics(mean, 1.0 / (deviation * np.sqrt(rest)), factors)


def _held_out(dataset, seed):
    """Choose the images for the threshold, bool [n]."""
    infos = [dataset.image_info[i] for i in dataset.image_ids]
    rows = [{**info.get("metadata", {}), "image": info["id"]} for info in infos]
    numbers, count = clusters(pd.DataFrame(rows))
    return (np.random.default_rng(seed).random(count) < HELD_OUT)[numbers]
