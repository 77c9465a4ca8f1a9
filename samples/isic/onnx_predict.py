"""Run an exported network without TensorFlow and without mrcnn_skin.

    pip install onnxruntime numpy pillow
    python onnx_predict.py lesion.onnx photo.jpg

Prints diagnosis and box, writes the mask as photo_mask.png. No medical device.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def main(network, photo):
    session = onnxruntime.InferenceSession(network)
    names = [output.name for output in session.get_outputs()]
    about = session.get_modelmeta().custom_metadata_map
    image = ImageOps.exif_transpose(Image.open(photo)).convert("RGB")

    outputs = session.run(names, {"images": np.asarray(image)[None]})  # a batch of one
    answer = {name: value[0] for name, value in zip(names, outputs, strict=True)}
    if not answer["num_detections"]:
        return print("nothing found")
    box = " ".join(f"{edge:.1f}" for edge in answer["boxes"][0])  # y1 x1 y2 x2
    name = json.loads(about["class_names"])[answer["class_ids"][0]]
    print(f"{name}, score {answer['scores'][0]:.3f}, box {box}")
    if "p_malignant" in answer:
        print(f"P(malignant) {answer['p_malignant']:.3f}")
    if "masks" in answer:
        mask = Image.fromarray(255 * answer["masks"][0].astype(np.uint8))
        mask.save(Path(photo).stem + "_mask.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
