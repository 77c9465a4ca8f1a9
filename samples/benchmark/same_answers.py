"""How far the fast ways to detect are from the plain one, on real images.

The plain way is float32 on the padded square. For each image the best detections are
compared: IoU of boxes and of masks, the largest difference of an edge in pixels, and
P(malignant). With --network instead of the fast ways: the exported file in onnxruntime.

    python samples/benchmark/same_answers.py FOLDER --weights=trained.h5
    mrcnn-skin export --format=onnx --weights=trained.h5 --out=trained.onnx
    python samples/benchmark/same_answers.py FOLDER --weights=trained.h5 \\
        --network=trained.onnx
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
    parser.add_argument("--network", help="FILE.onnx, exported from the weights")
    parser.add_argument("--limit", type=int, default=40, help="images to look at")
    parser.add_argument("--set", action="append", help="NAME=VALUE of the Config")
    args = parser.parse_args()

    images = read_folder(args.images, args.limit)
    plain = detect(images, args, *WAYS[0])
    if args.network:
        report("onnxruntime", plain, run_network(images, args.network))
        return
    for way in WAYS[1:]:
        report(", ".join(way), plain, detect(images, args, *way))


def report(name, plain, results):
    """Print how far the results of a way are from the plain ones."""
    rows = [compare(a, b) for a, b in zip(plain, results, strict=True)]
    print(f"{name}, {len(rows)} images: {json.dumps(summarise(rows))}")


def read_folder(folder, limit):
    """The first images of a folder."""
    from mrcnn_skin.data.file_names import is_image_file
    from mrcnn_skin.data.files import read_image

    paths = sorted(path for path in Path(folder).iterdir() if is_image_file(path))
    return [read_image(path) for path in paths[:limit]]


def detect(images, args, precision, canvas):
    """Results of one way to detect; of masks the best one only, to save memory."""
    from mrcnn_skin import IsicConfig, MaskRCNN

    overrides = IsicConfig().parse_overrides(args.set or [])
    model = MaskRCNN.from_pretrained(
        args.weights,
        **overrides,
        INFERENCE_PRECISION=precision,
        DETECTION_CANVAS=canvas,
    )
    results = []
    for image in images:
        result = model.detect([image])[0]
        results.append({**result, "masks": result["masks"][..., :1].copy()})
    return results


def run_network(images, path):
    """Results of an exported file, in the form of detect()."""
    import numpy as np
    from worker_onnxruntime import open_session

    session = open_session(path)
    names = [output.name for output in session.get_outputs()]
    results = []
    for image in images:
        outputs = session.run(names, {"images": image[None]})
        result = {name: value[0] for name, value in zip(names, outputs, strict=True)}
        result["rois"] = result["boxes"][: result["num_detections"]]
        result["masks"] = np.moveaxis(result["masks"], 0, -1)[..., :1]
        results.append(result)
    return results


def compare(wanted, got):
    """Agreement of the best detections of two results; IoU 0 where one has none."""
    from mrcnn_skin.geometry.boxes import compute_overlaps, compute_overlaps_masks

    if not (len(wanted["rois"]) and len(got["rois"])):
        same = len(wanted["rois"]) == len(got["rois"])
        agreement = {"box_iou": float(same), "mask_iou": float(same)}
        return {**agreement, "box_edge": 0.0, "p_malignant": 0.0}
    masks = compute_overlaps_masks(wanted["masks"], got["masks"])
    return {
        "box_iou": float(compute_overlaps(wanted["rois"][:1], got["rois"][:1])[0, 0]),
        "mask_iou": float(masks[0, 0]),
        "box_edge": float(abs(wanted["rois"][0] - got["rois"][0]).max()),
        "p_malignant": float(abs(wanted["p_malignant"] - got["p_malignant"])),
    }


def summarise(rows):
    """{measure: its mean and its worst value}."""
    summary = {}
    for name in rows[0]:
        worst = min if "iou" in name else max
        values = [row[name] for row in rows]
        mean = sum(values) / len(values)
        summary[name] = {"mean": round(mean, 7), "worst": round(worst(values), 7)}
    return summary


if __name__ == "__main__":
    main()
