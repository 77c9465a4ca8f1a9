"""The network learns: the checks that take long, run by hand with `-m slow`."""

import pytest

from mrcnn_skin import IsicConfig, IsicDataset, MaskRCNN
from mrcnn_skin.evaluation.scoring import evaluate
from mrcnn_skin.training.stages import Stage

SIDE = 256


@pytest.mark.slow
def test_a_resnet50_learns_16_real_images_by_heart(real_data, tmp_path):
    """From random weights: outlines to JA .85 and every diagnosis right."""
    images = IsicDataset()
    images.load_isic(real_data / "isic2017_512", "train", limit=16)
    images.prepare()
    config = IsicConfig(
        BACKBONE="resnet50",
        NORM="group",
        OPTIMIZER="adamw",
        LEARNING_RATE_SCHEDULE="cosine",
        WARMUP_STEPS=50,
        IMAGE_MIN_DIM=SIDE,
        IMAGE_MAX_DIM=SIDE,
        RPN_ANCHOR_SCALES=(16, 32, 64, 128, 256),
        POST_NMS_ROIS_TRAINING=300,
        STEPS_PER_EPOCH=40,
        CHECKPOINT_STEPS=0,
        AUGMENT=False,
    )
    model = MaskRCNN("training", config, tmp_path)
    model.train(images, None, stages=[Stage("all", 20, 3e-4)], verbose=2)
    metrics = evaluate(lambda image: model.detect([image])[0], images)
    assert metrics["segmentation"]["JA"] >= 0.85
    assert metrics["classification"]["AC"] == 1.0
