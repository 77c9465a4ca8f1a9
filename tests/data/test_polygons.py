"""One lesion, rows 10..29 and columns 15..39 of 40 x 60 pixels, in every format."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from mrcnn_skin.data.isic import IsicDataset
from mrcnn_skin.data.polygons import read_outlines

CORNERS = [(15, 10), (40, 10), (40, 30), (15, 30)]
LESION = np.zeros((40, 60), bool)
LESION[10:30, 15:40] = True


def coco(name="x.jpg", category="lesion", size=(40, 60), parts=None):
    parts = [np.ravel(CORNERS).tolist()] if parts is None else parts
    return {
        "images": [{"id": 7, "file_name": name, "height": size[0], "width": size[1]}],
        "categories": [{"id": 3, "name": category}],
        "annotations": [{"image_id": 7, "category_id": 3, "segmentation": parts}],
    }


def labelme(label="lesion", points=CORNERS, **kwargs):
    shape = {"label": label, "points": points, **kwargs}
    size = {"imageHeight": 40, "imageWidth": 60}
    return {"shapes": [shape], "imagePath": "..\\photos\\old.jpg", **size}


def via(shape=None, name="x.jpg", attributes=None):
    xs, ys = zip(*CORNERS, strict=True)
    polygon = {"name": "polygon", "all_points_x": xs, "all_points_y": ys}
    region = {
        "shape_attributes": shape or polygon,
        "region_attributes": attributes or {},
    }
    return {f"{name}123": {"filename": name, "size": 123, "regions": [region]}}


def load(folder, annotations, file="x.json", shape=(40, 60), **options):
    image = Image.new("RGB", shape[::-1], (200, 150, 120))
    (folder / "images").mkdir()
    image.save(folder / "images" / "x.jpg")
    (folder / "images" / file).write_text(json.dumps(annotations), encoding="utf-8")
    (folder / "labels.csv").write_text("image,dx\nx,mel\n")
    dataset = IsicDataset()
    dataset.load_isic(folder, **options)
    dataset.prepare()
    return dataset


HALVES = [[15, 10, 30, 10, 30, 30, 15, 30], [30, 10, 40, 10, 40, 30, 30, 30]]
VIA_1 = {"x": {**via()["x.jpg123"], "regions": {"0": via()["x.jpg123"]["regions"][0]}}}
READ = {
    "COCO": coco(),
    "COCO in two parts": coco(parts=HALVES),
    "COCO of a folder": coco("train/x.jpg"),
    "COCO of half the size": coco(
        size=(20, 30), parts=[[7.5, 5, 20, 5, 20, 15, 7.5, 15]]
    ),
    "labelme": labelme(),
    "labelme rectangle": labelme(points=[[15, 10], [40, 30]], shape_type="rectangle"),
    "VIA": via(attributes={"name": "lesion"}),
    "VIA 1": VIA_1,
    "VIA project": {"_via_settings": {}, "_via_img_metadata": via()},
    "VIA rectangle": via({"name": "rect", "x": 15, "y": 10, "width": 25, "height": 20}),
}


@pytest.mark.parametrize("name", READ)
def test_the_lesion_is_drawn(tmp_path, name):
    dataset = load(tmp_path, READ[name])
    masks, class_ids = dataset.load_mask(0)
    np.testing.assert_array_equal(masks, LESION[..., None])
    assert class_ids.tolist() == [2]
    source = "labelme files" if "labelme" in name else "x.json"
    assert f"masks from {source}: 1" in dataset.summary()
    assert re.search(r"without mask +0$", dataset.summary(), re.M)


@pytest.mark.parametrize(
    "annotations",
    [
        labelme(points=[[30, 20], [30, 32]], shape_type="circle"),
        via({"name": "circle", "cx": 30, "cy": 20, "r": 12}),
        via({"name": "ellipse", "cx": 30, "cy": 20, "rx": 12, "ry": 12}),
    ],
)
def test_round_outlines(tmp_path, annotations):
    masks, _ = load(tmp_path, annotations).load_mask(0)
    rows, columns = np.mgrid[:40, :60] + 0.5
    circle = (rows - 20) ** 2 + (columns - 30) ** 2 <= 144
    assert (masks[..., 0] & circle).sum() / (masks[..., 0] | circle).sum() > 0.97


def test_areas_of_several_names_are_read_if_one_is_chosen(tmp_path):
    several = labelme("hair", [[0, 0], [5, 0], [5, 5]])
    several["shapes"] += labelme("nevus")["shapes"]
    with pytest.raises(ValueError, match="named 'hair', 'nevus'; mask_values can say"):
        load(tmp_path, several)
    dataset = IsicDataset()
    dataset.load_isic(tmp_path, mask_values=["nevus"])
    dataset.prepare()
    np.testing.assert_array_equal(dataset.load_mask(0)[0][..., 0], LESION)
    with pytest.raises(
        ValueError, match=r"among \['hair', 'nevus'\], got \['lesion'\]"
    ):
        IsicDataset().load_isic(tmp_path, mask_values=["lesion"])


@pytest.mark.parametrize(
    ("annotations", "words"),
    [
        (coco(size=(40, 40)), r"mask size mismatch.: 1"),
        (coco(parts=[[70, 50, 90, 50, 90, 70]]), "empty mask.: 1"),
        (coco(parts=[]), "no mask.: 1"),
        (coco(parts=[[1, 2, 3]]), "cannot read annotations .*x.json: cannot reshape"),
        (coco(parts={"counts": [1], "size": [4, 6]}), "run-length masks are not read"),
        (labelme(points=[[1, 2], [3, 4]]), "a polygon of 2 points outlines no area"),
        (via({"name": "point", "cx": 1, "cy": 2}), "a point outlines no area"),
        ({**coco(), "images": [{"id": 1}]}, "x.json: KeyError: 'file_name'"),
        (coco("other.jpg"), "no mask.: 1"),
    ],
)
def test_other_outlines_are_refused_with_the_reason(tmp_path, annotations, words):
    with pytest.raises(ValueError, match=words):
        load(tmp_path, annotations)


@pytest.mark.parametrize("content", [[1], {}, {"a": 1}, {"a": {"b": 2}}, {"images": 3}])
def test_other_json_is_no_annotation(tmp_path, content):
    path = tmp_path / "other.json"
    path.write_text(json.dumps(content))
    assert read_outlines(path) is None


def test_a_mask_file_goes_before_outlines(tmp_path):
    (tmp_path / "masks").mkdir()
    Image.new("L", (60, 40), 255).save(tmp_path / "masks" / "x.png")
    assert load(tmp_path, labelme()).load_mask(0)[0].all()
