"""How far the fast ways to detect are from the plain one, on real images.

The plain way is float32 on the padded square. For each image the best detections are
compared: IoU of boxes and of masks, and P(malignant).

    python samples/benchmark/same_answers.py FOLDER --weights=trained.h5
"""

import argparse
import itertools
import json
from pathlib import Path

WAYS = tuple(itertools.product(("float32", "bfloat16"), ("padded", "content")))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", help="folder of images with lesions")
    parser.add_argument("--weights", required=True, help="its .json beside it")
    parser.add_argument("--limit", type=int, default=40, help="images to look at")
    parser.add_argument("--set", action="append", help="NAME=VALUE of the Config")
    args = parser.parse_args()

    images = read_folder(args.images, args.limit)
    plain, *others = [detect(images, args, *way) for way in WAYS]
    for way, results in zip(WAYS[1:], others, strict=True):
        rows = [compare(a, b) for a, b in zip(plain, results, strict=True)]
        print(f"{', '.join(way)}, {len(rows)} images: {json.dumps(summarise(rows))}")


def read_folder(folder, limit):
    """The first images of a folder."""
    from mrcnn_skin.data.file_names import is_image_file
    from mrcnn_skin.data.files import read_image

    paths = sorted(path for path in Path(folder).iterdir() if is_image_file(path))
    return [read_image(path) for path in paths[:limit]]


def detect(images, args, precision, canvas):
    """Results of one way to detect; of masks the best one only, to save memory."""
    from worker_mrcnn_skin import config_beside

    from mrcnn_skin import MaskRCNN

    config = config_beside(args.weights)
    overrides = config.parse_overrides(args.set or [])
    config = config.replace(
        **overrides, INFERENCE_PRECISION=precision, DETECTION_CANVAS=canvas
    )
    model = MaskRCNN("inference", config)
    model.load_weights(args.weights)
    results = []
    for image in images:
        result = model.detect([image])[0]
        results.append({**result, "masks": result["masks"][..., :1].copy()})
    return results


def compare(wanted, got):
    """Agreement of the best detections of two results; IoU 0 where one has none."""
    from mrcnn_skin.geometry.boxes import compute_overlaps, compute_overlaps_masks

    if not (len(wanted["rois"]) and len(got["rois"])):
        same = len(wanted["rois"]) == len(got["rois"])
        return {"box_iou": float(same), "mask_iou": float(same), "p_malignant": 0.0}
    masks = compute_overlaps_masks(wanted["masks"], got["masks"])
    return {
        "box_iou": float(compute_overlaps(wanted["rois"][:1], got["rois"][:1])[0, 0]),
        "mask_iou": float(masks[0, 0]),
        "p_malignant": abs(wanted["p_malignant"] - got["p_malignant"]),
    }


def summarise(rows):
    """{measure: its mean and its worst value}."""
    summary = {}
    for name, worst in (("box_iou", min), ("mask_iou", min), ("p_malignant", max)):
        values = [row[name] for row in rows]
        mean = sum(values) / len(values)
        summary[name] = {"mean": round(mean, 4), "worst": round(worst(values), 4)}
    return summary


if __name__ == "__main__":
    main()
