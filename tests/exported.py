"""A tiny export and images for it, shared by the tests of export and serving."""

import io

import keras
import numpy as np
from PIL import Image
from tiny import tiny_config

from mrcnn_skin import MaskRCNN
from mrcnn_skin.data.files import read_image
from mrcnn_skin.data.lesion_painter import synthetic_lesion

SIZES = (64, 64), (90, 120), (131, 57), (40, 33)


def tiny_model(**overrides):
    """A network with random weights that finds several lesions in every image."""
    keras.utils.set_random_seed(3)
    settings = {"DETECTION_MIN_CONFIDENCE": 0.3, "UNFAMILIAR_COMPONENTS": 1}
    model = MaskRCNN("inference", tiny_config(**{**settings, **overrides}))
    layer = model.keras_model.get_layer("unfamiliar_score")
    size = layer.mean.shape[0]
    # Scores of the size of 1 for features of the size of 1
    layer.set_weights([np.zeros(size), np.full(size, 0.3), np.full((size, 1), 0.05)])
    return model


def file_of(pixels, kind="JPEG", **options):
    """uint8 [h, w, 3] as the bytes of a file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def good_files():
    """Bytes of images of several sizes, JPEG and PNG, one of them lying on its side."""
    lying = Image.Exif()
    lying[0x0112] = 6
    pixels = [synthetic_lesion(i, size)[0] for i, size in enumerate(SIZES)]
    kinds = ("JPEG", {}), ("PNG", {}), ("JPEG", {"exif": lying}), ("JPEG", {})
    return [
        file_of(image, kind, **options)
        for image, (kind, options) in zip(pixels, kinds, strict=True)
    ]


def bad_files():
    """Bytes that are no image, each for another reason."""
    good = good_files()
    return [b"", b"no image", good[0][:300], good[1][:300] + b"\0" + good[1][301:]]


def detect_files(model, files, folder):
    """What detect() says of files' bytes."""
    results = []
    for content in files:
        path = folder / "image"
        path.write_bytes(content)
        results.append(model.detect([read_image(path)])[0])
    return results


def assert_same_answer(answer, result):
    """An export's answer to one image, NumPy values, is detect()'s result.

    Boxes to .1 px, probabilities to 1e-4, masks pixel by pixel.
    """
    count = answer["num_detections"]
    assert count == len(result["rois"])
    for name, wanted, tolerance in (
        ("boxes", "rois", 0.1),
        ("class_ids", "class_ids", 0),
        ("scores", "scores", 1e-4),
        ("probs", "probs", 1e-4),
    ):
        np.testing.assert_allclose(
            answer[name][:count], result[wanted], rtol=0, atol=tolerance
        )
        assert not answer[name][count:].any()
    p_malignant = np.nan if result["p_malignant"] is None else result["p_malignant"]
    np.testing.assert_allclose(answer["p_malignant"], p_malignant, atol=1e-4)
    threshold = np.nan if result["threshold"] is None else result["threshold"]
    np.testing.assert_allclose(answer["threshold"], threshold)
    names = [name.decode() for name in answer["class_names"]]
    assert names == ["BG", "benign", "malignant"]
    predicted = result["predicted_class_id"]
    predicted = "" if predicted is None else names[predicted]
    assert answer["predicted_class"].decode() == predicted
    assert answer["low_confidence"] == result["low_confidence"]
    assert answer["unfamiliar"] == result["unfamiliar"]
    np.testing.assert_allclose(
        answer["unfamiliar_score"], result["unfamiliar_score"], rtol=1e-3
    )
    assert answer["error"] == b""
    pngs = answer["mask_png_bytes"]
    assert all(png == b"" for png in pngs[count:])
    masks = [np.asarray(Image.open(io.BytesIO(png))) for png in pngs[:count]]
    assert {mask.dtype for mask in masks} <= {np.dtype(np.uint8)}
    np.testing.assert_array_equal(
        np.stack(masks, axis=-1), 255 * result["masks"].astype(np.uint8)
    )


def assert_flagged(answer):
    """An export's answer to an image that cannot be read."""
    assert b"cannot be decoded" in answer["error"]
    assert answer["num_detections"] == 0 and answer["low_confidence"]
    assert answer["unfamiliar"] and np.isnan(answer["unfamiliar_score"])
    assert np.isnan(answer["p_malignant"]) and np.isnan(answer["threshold"])
    assert answer["predicted_class"] == b""
    assert not answer["boxes"].any() and not any(answer["mask_png_bytes"])
