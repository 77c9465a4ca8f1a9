"""One lesion, rows 10..29 and columns 15..39 of 40 x 60 pixels, in every format."""

import json
import re

import numpy as np
import pytest
from PIL import Image
from skimage.draw import polygon2mask

from mrcnn_skin.data.isic import IsicDataset
from mrcnn_skin.data.polygons import Outlines, Shape, draw_outlines, read_outlines

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


def labelme(label="lesion", points=CORNERS, path="..\\photos\\old.jpg", **kwargs):
    shape = {"label": label, "points": points, **kwargs}
    size = {"imageHeight": 40, "imageWidth": 60}
    return {"shapes": [shape], "imagePath": path, **size}


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
POINT = {"label": "pore", "points": [[3, 3]], "shape_type": "point"}
WITH_POINT = labelme() | {"shapes": [POINT, *labelme()["shapes"]]}
READ = {
    "COCO": coco(),
    "COCO of another machine": coco("/home/me/pictures/x.jpg"),
    "COCO in two parts": coco(parts=HALVES),
    "COCO of a folder": coco("train/x.jpg"),
    "COCO of half the size": coco(
        size=(20, 30), parts=[[7.5, 5, 20, 5, 20, 15, 7.5, 15]]
    ),
    "labelme": labelme(),
    "labelme without a type": labelme(shape_type=None),
    "labelme beside a point": WITH_POINT,
    "labelme, a diagnosis": labelme("Melanocytic nevus"),
    "labelme, a code": labelme("BCC"),
    "labelme rectangle": labelme(points=[[15, 10], [40, 30]], shape_type="rectangle"),
    "VIA": via(attributes={"name": "lesion"}),
    "VIA with remarks": via(attributes={"quality": "good", "Name": "skin_lesion"}),
    "VIA, ticked": via(attributes={"type": {"lesion": True, "hair": False}}),
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
    assert "masks from images/x.json: 1" in dataset.summary()
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


@pytest.mark.parametrize(
    ("annotations", "orientation", "is_clear"),
    [
        (coco(size=(40, 60)), 6, True),  # drawn on the turned image
        (coco(size=(40, 60)), 3, False),
        (via(), 6, False),  # without a size
        (via(), 1, True),
    ],
)
def test_outlines_on_an_image_turned_by_exif(
    tmp_path, annotations, orientation, is_clear
):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = (40, 60) if orientation == 6 else (60, 40)
    Image.new("RGB", stored).save(tmp_path / "x.jpg", exif=exif)
    (tmp_path / "x.json").write_text(json.dumps(annotations))
    dataset = IsicDataset()
    dataset.load_isic(tmp_path, require_masks=False, require_labels=False)
    [outlines] = [info["outlines"] for info in dataset.image_info]
    assert (outlines is not None) == is_clear
    assert ("unclear orientation" in dataset.summary()) == (not is_clear)


def test_corners_may_exceed_the_image_by_a_pixel(tmp_path):
    parts = [[-1, -0.5, 61, -0.5, 61, 41, -1, 41]]
    assert load(tmp_path, coco(parts=parts)).load_mask(0)[0].all()


def test_polygons_are_filled_as_by_skimage():
    """Any corners, inside and outside; sides that cross; centres on no side."""
    rng = np.random.default_rng(0)
    for count in (3, 4, 7, 30):
        corners = rng.uniform(-20, 80, (count, 2))
        outlines = Outlines(None, [Shape("", [corners])], "")
        # A corner is a place between pixels; skimage counts from their centres
        expected = polygon2mask((40, 60), corners[:, ::-1] - 0.5)
        np.testing.assert_array_equal(draw_outlines(outlines, (40, 60)), expected)


def test_an_ellipse_is_turned(tmp_path):
    """By 30 degrees from x towards y: (u, v) are along and across its long axis."""
    ellipse = {"name": "ellipse", "cx": 30, "cy": 20, "rx": 16, "ry": 6}
    masks, _ = load(tmp_path, via(ellipse | {"theta": np.pi / 6})).load_mask(0)
    y, x = np.mgrid[:40, :60] + 0.5 - np.array([20, 30])[:, None, None]
    u, v = x * 0.75**0.5 + y / 2, y * 0.75**0.5 - x / 2
    inside = (u / 16) ** 2 + (v / 6) ** 2 <= 1
    assert (masks[..., 0] & inside).sum() / (masks[..., 0] | inside).sum() > 0.97


@pytest.mark.parametrize(
    ("annotations", "names"),
    [
        (labelme("hair"), "'hair'"),
        (labelme("background"), "'background'"),
        (labelme("lesion border"), "'lesion border'"),
        (via(attributes={"name": "ruler"}), "'ruler'"),
        (via(attributes={"type": {"lesion": True, "hair": True}}), "'lesion/hair'"),
        (coco(category="normal skin"), "'normal skin'"),
        (coco() | {"categories": [{"id": 1, "name": "lesion"}]}, "'category 3'"),
    ],
)
def test_unknown_area_names_are_refused(tmp_path, annotations, names):
    with pytest.raises(ValueError, match=rf"named {names}; set mask_values"):
        load(tmp_path, annotations)


SMALL = [(40, 20), (50, 20), (50, 30), (40, 30)]


def two_of(first, second):
    """Annotations of COCO with two entries of these file names, and an area each."""
    one, other = coco(first), coco(second, parts=[np.ravel(SMALL).tolist()])
    other["images"][0]["id"] = other["annotations"][0]["image_id"] = 8
    joined = {name: one[name] + other[name] for name in ("images", "annotations")}
    return one | joined


def save_files(folder, files):
    """Write grey images, and annotations as JSON."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            Image.new("RGB", (60, 40), (200, 150, 120)).save(path)
        else:
            path.write_text(json.dumps(content), encoding="utf-8")


def areas_of(folder, **options):
    """Load images that need no label: {id: pixels of the mask}, and the notes."""
    dataset = IsicDataset()
    options = {"require_masks": False, "require_labels": False, **options}
    dataset.load_isic(folder, **options)
    dataset.prepare()
    areas = {
        info["id"]: int(dataset.load_mask(i)[0].sum())
        for i, info in enumerate(dataset.image_info)
    }
    return areas, " | ".join(dataset.notes)


@pytest.mark.parametrize(
    ("files", "areas", "words"),
    [
        (
            {"p1/x.jpg": None, "p2/x.jpg": None, "a.json": two_of("p1/x.jpg", "p2/x")},
            {"p1/x": 500, "p2/x": 100},
            "",
        ),
        ({"p1/x.jpg": None, "a.json": coco("p2/x.jpg")}, {"x": 0}, "p2/x.jpg in a.j"),
        (
            {"train/x.jpg": None, "annotations/instances_val.json": coco()},
            {"x": 0},
            "x.jpg in annotations/instances_val.json: no image of",
        ),
        (
            {"train/x.jpg": None, "val/x.jpg": None, "annotations/train.json": coco()},
            {"train/x": 500, "val/x": 0},
            "",
        ),
        (
            {"images/x.jpg": None, "json/1.json": labelme(path="../images/x.jpg")},
            {"x": 500},
            "",
        ),
        (
            {"a.jpg": None, "b.jpg": None, "a.json": labelme(path="b.jpg")},
            {"a": 0, "b": 0},
            "a or b.jpg in a.json",
        ),
        *(
            ({"images/x.jpg": None, path: coco()}, {"x": 0}, f"{path}: its name says")
            for path in ("predictions/a.json", "old/a.json", "a_predicted.json")
        ),
        *(
            ({"images/x.jpg": None, path: coco()}, {"x": 0}, "no image of that folder")
            for path in ("unet/a.json", "hospB/annotations/a.json", "2/a.json")
        ),
        (
            {"hospA/x.jpg": None, "hospB/y.jpg": None, "hospB/a.json": coco()},
            {"x": 0, "y": 0},
            "such as x.jpg in hospB/a.json: no image of that folder has the name",
        ),
        ({"old 1.jpg": None, "old 1.json": coco("old 1.jpg")}, {"old 1": 500}, ""),
        ({"p/x.jpg": None, "p/coco json/a.json": coco()}, {"x": 500}, ""),
        (
            {"x.jpg": None, "y.jpg": None, "a.json": two_of("x.jpg", "absent.jpg")},
            {"x": 500, "y": 0},
            "outlines of 1 images are ignored, such as absent.jpg in a.json",
        ),
    ],
)
def test_which_image_outlines_belong_to(tmp_path, files, areas, words):
    save_files(tmp_path, files)
    found, notes = areas_of(tmp_path)
    assert found == areas and words in notes


@pytest.mark.parametrize(
    "files",
    [
        {"a.json": two_of("x.jpg", "x.jpg")},
        {"a.json": coco(), "b.json": coco(parts=[np.ravel(SMALL).tolist()])},
        {"a.json": coco(), "x.json": labelme(points=SMALL)},
        {
            "a.json": coco(),
            "b.json": coco(size=(80, 120), parts=[[80, 40, 100, 40, 100, 60, 80, 60]]),
        },
    ],
)
def test_outlines_of_several_entries_are_joined(tmp_path, files):
    save_files(tmp_path, {"x.jpg": None, **files})
    areas, notes = areas_of(tmp_path)
    assert areas == {"x": 600} and "1 images have several masks: their union" in notes
    with pytest.raises(ValueError, match="no pixel is in more than half of its masks"):
        areas_of(tmp_path, annotators="majority", require_masks=True)


def test_an_unclear_mask_is_no_part_of_a_majority(tmp_path):
    save_files(tmp_path, {"x.jpg": None})
    for name, high in (("x_mask_1.png", 255), ("x_mask_2.png", 7)):
        pixels = np.random.default_rng(0).integers(0, high, (40, 60), np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
    options = {"annotators": "majority", "require_masks": True, "require_labels": False}
    with pytest.raises(ValueError, match="x_mask_1.png: unreadable mask: ambig"):
        IsicDataset().load_isic(tmp_path, **options)


@pytest.mark.parametrize(
    ("annotators", "area"), [("union", 600), ("majority", 0), ("1", 500), ("02", 100)]
)
def test_outlines_by_several_annotators(tmp_path, annotators, area):
    second = coco(parts=[np.ravel(SMALL).tolist()])
    files = {"annotator1/a.json": coco(), "annotator2/a.json": second}
    save_files(tmp_path, {"x.jpg": None, **files})
    assert areas_of(tmp_path, annotators=annotators)[0] == {"x": area}


def test_areas_of_several_names_are_read_if_one_is_chosen(tmp_path):
    several = labelme("hair", [[0, 0], [5, 0], [5, 5]])
    several["shapes"] += labelme("nevus")["shapes"]
    with pytest.raises(ValueError, match="named 'hair', 'nevus'; set mask_values"):
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
        (coco(parts=[[70, 5, 90, 5, 90, 30]]), "beyond .*x 70..90, y 5..30 in 60 x 40"),
        (
            coco(parts=[[40, 30, 62, 30, 62, 40]]),
            "outlines beyond the image: they have",
        ),
        (coco(parts=[[-9, 3, 20, 3, 20, 30]]), "outlines beyond the image: they have"),
        (
            via({"name": "circle", "cx": 300, "cy": 200, "r": 90}),
            "beyond the image: th",
        ),
        (
            labelme(points=[[0.1, 0.2], [0.7, 0.2], [0.7, 1]]),
            "not in pixels: all corner",
        ),
        (coco(size=("40", 60)), r"x.json: height and width must be pixels, got"),
        (coco(size=(40, -60)), r"x.json: height and width must be pixels, got"),
        (coco(size=(10**400, 60)), r"height and width must be pixels, got \(1000"),
        (labelme(points=[[1, 2], [3, 4], [10**400, 5]]), "int too large to convert to"),
        (via(name=None), r"x.json: names of image files must be text, got \(None,\)"),
        (coco() | {"images": 2 * coco()["images"]}, "several images have the id 7"),
        (
            coco()
            | {"categories": [{"id": 3, "name": "lesion"}, {"id": 3, "name": "x"}]},
            "several categories have the id 3",
        ),
        (coco(parts=[[5, 5, 6, 5, 6.2, 5.3]]), "empty mask.: 1"),  # between centres
        (coco(parts=[[5, 5, 30, 25, 20, 17]]), "empty mask.: 1"),  # all on a line
        (coco(parts=[]), "x.jpg in images/x.json: an area has no outline"),
        (coco(parts=[[1, 2, 3]]), "x.jpg in images/x.json: cannot reshape"),
        (coco(parts={"counts": [1], "size": [4, 6]}), "run-length masks are not"),
        (labelme(points=[[1, 2, 3], [4, 5, 6], [7, 8, 9]]), "pairs of numbers, got "),
        (labelme(points=[[1, 2], [3, 4], [5, float("nan")]]), "pairs of numbers, got "),
        (labelme(points=[[1, 2], [3, 4]]), "a polygon of 2 points outlines no area"),
        (via({"name": "point", "cx": 1, "cy": 2}), "no mask.: 1"),
        (via({"name": "polyline", "all_points_x": []}), "a polyline outlines no area"),
        ({**coco(), "images": [{"id": 7}]}, "x.json: KeyError: 'file_name'"),
        ({**coco(), "images": [{"id": 1}]}, "has image_id 7, but no image has"),
        (coco("other.jpg"), "other.jpg in images/x.json: no image of"),
    ],
)
def test_unusable_outlines_are_refused_with_the_reason(tmp_path, annotations, words):
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
    dataset = load(tmp_path, labelme())
    assert dataset.load_mask(0)[0].all()
    assert "1 images have masks and outlines: masks are taken" in dataset.summary()
