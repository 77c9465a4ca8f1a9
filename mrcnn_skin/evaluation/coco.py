"""COCO's average precision of boxes and masks, by pycocotools (extra coco).

Unlike in the challenges, every detection counts, ranked by its score.
"""

import contextlib
import importlib.util
import io

import numpy as np

KINDS = {"box": "bbox", "mask": "segm"}
NAMES = ("AP", "AP50", "AP75")  # the first three of COCOeval.stats


def is_installed():
    """Whether pycocotools is installed."""
    return importlib.util.find_spec("pycocotools") is not None


class CocoScorer:
    """Collect the results of images, then score them.

    It is one of the details of scoring.score_images and adds no column. Crowds count
    neither as found nor as missed.

    Args:
        classifies: whether the model classifies. If so, images with instances of
            unknown class are skipped; if not, all instances have class 1.
    """

    def __init__(self, classifies):
        self._classifies = classifies
        self._images, self._truths, self._detections = [], [], []
        self._segments = False

    def __call__(self, case):
        if self._classifies and not np.all(case.class_ids):
            return {}
        number = len(self._images) + 1
        height, width = case.image.shape[:2]
        self._images.append({"id": number, "height": height, "width": width})
        for mask, class_id in zip(
            np.moveaxis(case.masks, -1, 0), case.class_ids, strict=True
        ):
            is_crowd = class_id < 0  # as in Matterport's samples
            class_id = abs(class_id) if self._classifies else 1
            record = self._record(number, class_id, mask)
            record |= {"id": len(self._truths) + 1, "iscrowd": int(is_crowd)}
            self._truths.append(record)
        self._add_detections(number, case.result)
        return {}

    def scores(self):
        """Return {"box": {"AP", "AP50", "AP75"}, "mask": {...}}, nan without truth.

        AP is averaged over IoU .50 to .95; "mask" is absent if the model has none.
        """
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        kinds = ("box", "mask") if self._segments else ("box",)
        if not self._truths or not self._detections:
            value = 0.0 if self._truths else float("nan")
            return {kind: dict.fromkeys(NAMES, value) for kind in kinds}
        classes = {r["category_id"] for r in [*self._truths, *self._detections]}

        def indexed(records):
            coco = COCO()
            coco.dataset = {"images": self._images, "annotations": records}
            coco.dataset["categories"] = [{"id": number} for number in sorted(classes)]
            coco.createIndex()
            return coco

        results = {}
        with contextlib.redirect_stdout(io.StringIO()):  # it prints as it goes
            truth, found = indexed(self._truths), indexed(self._detections)
            for kind in kinds:
                scorer = COCOeval(truth, found, KINDS[kind])
                scorer.evaluate()
                scorer.accumulate()
                scorer.summarize()
                values = map(float, scorer.stats[: len(NAMES)])
                results[kind] = dict(zip(NAMES, values, strict=True))
        return results

    def _add_detections(self, number, result):
        masks = result.get("masks")
        self._segments |= masks is not None
        for i, (y1, x1, y2, x2) in enumerate(np.asarray(result["rois"], float)):
            class_id = result["class_ids"][i] if self._classifies else 1
            mask = None if masks is None else masks[:, :, i]
            record = self._record(number, class_id, mask)
            record |= {"id": len(self._detections) + 1, "iscrowd": 0}
            record["bbox"] = [x1, y1, x2 - x1, y2 - y1]
            record.setdefault("area", (x2 - x1) * (y2 - y1))
            record["score"] = float(result["scores"][i])
            self._detections.append(record)

    @staticmethod
    def _record(number, class_id, mask):
        record = {"image_id": number, "category_id": int(class_id)}
        if mask is not None:
            from pycocotools import mask as coco_mask

            encoded = coco_mask.encode(np.asfortranarray(mask, np.uint8))
            record["segmentation"] = encoded
            record["area"] = float(coco_mask.area(encoded))
            record["bbox"] = coco_mask.toBbox(encoded).tolist()
        return record
