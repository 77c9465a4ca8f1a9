"""Every layout in small: the files need names, not contents."""

import pandas as pd
import pytest

from mrcnn_skin.data.isic_layouts import read_records

B, M = "benign", "malignant"


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def write(folder, name, text, **kwargs):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(**kwargs))
    return path


def by_id(folder):
    records = read_records(folder)
    assert records["image_id"].is_unique
    return records.set_index("image_id")


def column(records, name):
    """{image id: value}, with None for what is missing."""
    values = records[name]
    return values.astype(object).where(values.notna(), None).to_dict()


def mask_names(records):
    return {
        image_id: [path.rpartition("/")[2] for path in paths]
        for image_id, paths in records["mask_paths"].items()
    }


def test_isic_2016(tmp_path):
    touch(
        tmp_path,
        "ISBI2016_ISIC_Part1_Training_Data/ISIC_0000000.jpg",
        "ISBI2016_ISIC_Part1_Training_Data/ISIC_0000001.jpg",
        "ISBI2016_ISIC_Part1_Training_GroundTruth/ISIC_0000000_Segmentation.png",
        "ISBI2016_ISIC_Part1_Training_GroundTruth/ISIC_0000001_Segmentation.png",
        "ISBI2016_ISIC_Part1_Test_Data/ISIC_0000003.jpg",
        "ISBI2016_ISIC_Part1_Test_GroundTruth/ISIC_0000003_Segmentation.png",
        "ISBI2016_ISIC_Part2B_Training_GroundTruth/ISIC_0000000_globules.png",
    )
    write(
        tmp_path,
        "ISBI2016_ISIC_Part3_Training_GroundTruth.csv",
        "ISIC_0000000,benign\nISIC_0000001,malignant\n",
    )
    write(tmp_path, "ISBI2016_ISIC_Part3_Test_GroundTruth.csv", "ISIC_0000003,1.0\n")
    records = by_id(tmp_path)
    ids = ["ISIC_0000000", "ISIC_0000001", "ISIC_0000003"]
    assert column(records, "label") == dict(zip(ids, [B, M, M], strict=True))
    assert column(records, "split") == dict(
        zip(ids, ["train", "train", "test"], strict=True)
    )
    assert mask_names(records) == {i: [f"{i}_Segmentation.png"] for i in ids}


def test_isic_2016_with_masks_beside_the_images_and_a_header(tmp_path):
    folder = "ISBI2016_ISIC_Part3B_Training_Data"
    touch(tmp_path, f"{folder}/ISIC_0000000.jpg")
    touch(tmp_path, f"{folder}/ISIC_0000000_Segmentation.png")
    table = "image_id,label\nISIC_0000000.jpg,malignant\n"
    write(tmp_path, "ISBI2016_ISIC_Part3B_Training_GroundTruth.csv", table)
    records = by_id(tmp_path)
    assert column(records, "label") == {"ISIC_0000000": M}
    assert mask_names(records) == {"ISIC_0000000": ["ISIC_0000000_Segmentation.png"]}


def test_isic_2017(tmp_path):
    touch(
        tmp_path,
        "ISIC-2017_Training_Data/ISIC_0000000.jpg",
        "ISIC-2017_Training_Data/ISIC_0000000_superpixels.png",
        "ISIC-2017_Training_Data/ISIC_0000002.jpg",
        "ISIC-2017_Training_Part1_GroundTruth/ISIC_0000000_segmentation.png",
        "ISIC-2017_Training_Part1_GroundTruth/ISIC_0000002_Segmentation.png",
        "ISIC-2017_Validation_Data/ISIC_0001769.jpg",
        "ISIC-2017_Test_v2_Data/ISIC_0012086.jpg",
        "ISIC-2017_Test_v2_Part1_GroundTruth/ISIC_0012086_segmentation.png",
    )
    header = "image_id,melanoma,seborrheic_keratosis\n"
    for name, rows in {
        "Training": "ISIC_0000000,0.0,1.0\nISIC_0000002,1.0,0.0\n",
        "Validation": "ISIC_0001769,0.0,0.0\n",
        "Test_v2": "ISIC_0012086,1.0,0.0\n",
    }.items():
        write(tmp_path, f"ISIC-2017_{name}_Part3_GroundTruth.csv", header + rows)
    write(
        tmp_path,
        "ISIC-2017_Training_Data/ISIC-2017_Training_Data_metadata.csv",
        "image_id,age_approximate,sex\nISIC_0000000,55,female\nISIC_0000002,unknown,\n",
    )
    records = by_id(tmp_path)
    ids = ["ISIC_0000000", "ISIC_0000002", "ISIC_0001769", "ISIC_0012086"]
    assert sorted(records.index) == ids
    assert column(records, "label") == dict(zip(ids, [B, M, B, M], strict=True))
    splits = ["train", "train", "val", "test"]
    assert column(records, "split") == dict(zip(ids, splits, strict=True))
    assert [len(paths) for paths in records.loc[ids, "mask_paths"]] == [1, 1, 0, 1]
    assert column(records, "age") == dict(zip(ids, [55, None, None, None], strict=True))
    assert records.loc["ISIC_0000000", "sex"] == "female"
    assert column(records, "patient_id") == dict.fromkeys(ids)


def test_isic_2018(tmp_path):
    touch(
        tmp_path,
        "ISIC2018_Task1-2_Training_Input/ISIC_0000000.jpg",
        "ISIC2018_Task1_Training_GroundTruth/ISIC_0000000_segmentation.png",
        "ISIC2018_Task2_Training_GroundTruth_v3/ISIC_0000000_attribute_globules.png",
        "ISIC2018_Task1-2_Validation_Input/ISIC_0012255.jpg",
        *(f"ISIC2018_Task3_Training_Input/ISIC_002430{i}.jpg" for i in range(7)),
    )
    names = "MEL NV BCC AKIEC BKL DF VASC".split()
    rows = [
        f"ISIC_002430{i}," + ",".join("1.0" if i == j else "0.0" for j in range(7))
        for i in range(7)
    ]
    table = "\n".join([",".join(["image", *names]), *rows])
    folder = "ISIC2018_Task3_Training_GroundTruth"
    write(tmp_path, f"{folder}/ISIC2018_Task3_Training_GroundTruth.csv", table)
    write(
        tmp_path,
        "ISIC2018_Task3_Training_LesionGroupings.csv",
        "image,lesion_id,diagnosis_confirm_type\nISIC_0024300,HAM_0000118,histo\n",
    )
    records = by_id(tmp_path)
    labels = column(records, "label")
    assert [labels[f"ISIC_002430{i}"] for i in range(7)] == [M, B, M, M, B, B, B]
    assert labels["ISIC_0000000"] is None
    assert records.loc["ISIC_0012255", "split"] == "val"
    assert records.loc["ISIC_0024300", "lesion_id"] == "HAM_0000118"
    assert mask_names(records)["ISIC_0000000"] == ["ISIC_0000000_segmentation.png"]


def test_ham10000(tmp_path):
    dx = ["mel", "nv", "bcc", "akiec", "bkl", "df", "vasc"]
    touch(
        tmp_path,
        *(f"HAM10000_images_part_{1 + i % 2}/ISIC_002430{i}.jpg" for i in range(7)),
        *(f"HAM10000_segmentations/ISIC_002430{i}_segmentation.png" for i in range(6)),
    )
    rows = [
        f"HAM_000000{i // 2},ISIC_002430{i},{d},histo,5{i}.0,male,back\r\n"
        for i, d in enumerate(dx)
    ]
    header = "lesion_id,image_id,dx,dx_type,age,sex,localization\r\n"
    write(tmp_path, "HAM10000_metadata.csv", header + "".join(rows))
    records = by_id(tmp_path).sort_index()
    assert list(records["label"]) == [M, B, M, M, B, B, B]
    assert [int(i[-1]) for i in records["lesion_id"]] == [0, 0, 1, 1, 2, 2, 3]
    assert list(records["age"]) == [50, 51, 52, 53, 54, 55, 56]
    assert set(records["site"]) == {"back"}
    assert [len(paths) for paths in records["mask_paths"]] == [1] * 6 + [0]
    assert records["split"].isna().all()


def touch_ph2(folder, *ids):
    for i in ids:
        top = f"PH2 Dataset images/{i}"
        touch(folder, f"{top}/{i}_Dermoscopic_Image/{i}.bmp")
        touch(folder, f"{top}/{i}_lesion/{i}_lesion.bmp")
        touch(folder, f"{top}/{i}_roi/{i}_R1_Label3.bmp")


def test_ph2_text(tmp_path):
    touch_ph2(tmp_path, "IMD002", "IMD003", "IMD058")
    write(
        tmp_path,
        "PH2_dataset.txt",
        "||   Name || Histological Diagnosis || Clinical Diagnosis || Colors  ||\r\n"
        '|| IMD003 ||  "Common              ||          0         ||  4      ||\r\n'
        "|| IMD002 ||                        ||          1         ||  4  5   ||\r\n"
        '|| IMD058 ||   melanoma"            ||          2         ||  3      ||\r\n'
        "\r\nLegends:\r\n\r\nClinical Diagnosis: 0 - Common Nevus; 2 - Melanoma\r\n",
    )
    records = by_id(tmp_path)
    assert column(records, "label") == {"IMD002": B, "IMD003": B, "IMD058": M}
    assert mask_names(records) == {i: [f"{i}_lesion.bmp"] for i in records.index}
    assert records.loc["IMD002", "colors"] == "4  5"


def test_ph2_excel(tmp_path):
    pytest.importorskip("openpyxl")
    touch_ph2(tmp_path, "IMD002", "IMD058")
    legend = ["PH2 Dataset", None, "Legend", "Asymmetry: 0 - Fully Symmetric"]
    legend += [None, "1 - Asymmetric in One Axis", "Dots/Globules: A - Absent"]
    legend += [None, "Streaks: A - Absent", "P - Present", "Colors: X", None]
    kinds = ["Common Nevus", "Atypical Nevus", "Melanoma", "Asymmetry\n(0/1/2)"]
    rows = [
        *([text, None, None, None, None, None] for text in legend),
        ["Image Name", "Histological Diagnosis", *kinds],
        ["IMD002", "Compound nevus", None, "X", None, 0],
        ["IMD058", "Melanoma", None, None, "X", 2],
    ]
    sheet = pd.DataFrame(rows)
    sheet.to_excel(tmp_path / "PH2_dataset.xlsx", header=False, index=False)
    assert column(by_id(tmp_path), "label") == {"IMD002": B, "IMD058": M}


def test_isic_archive(tmp_path):
    ids = [f"ISIC_000000{i}" for i in range(6)]
    touch(tmp_path, *(f"{i}.jpg" for i in ids))
    touch(
        tmp_path,
        "masks/ISIC_0000000_segmentation_1.png",
        "masks/ISIC_0000000_segmentation_2.png",
        "masks/ISIC_0000001.png",
        "masks/ISIC_0009999.png",
    )
    write(
        tmp_path,
        "metadata.csv",
        "isic_id,benign_malignant,diagnosis_1,patient_id,anatom_site_general\n"
        "ISIC_0000000,benign,Malignant,IP_1,torso\n"
        "ISIC_0000001,malignant,,IP_1,\n"
        "ISIC_0000002,,Benign,,\n"
        "ISIC_0000003,,Malignant,,\n"
        "ISIC_0000004,indeterminate/malignant,,,\n"
        "ISIC_0000005,,Indeterminate,,\n",
    )
    records = by_id(tmp_path)
    labels = [None, M, B, M, None, None]
    assert column(records, "label") == dict(zip(ids, labels, strict=True))
    assert records.loc["ISIC_0000000", "label_problem"] == (
        "contradictory labels: metadata.csv says benign_malignant=benign; "
        "metadata.csv says diagnosis_1=Malignant"
    )
    assert [len(paths) for paths in records["mask_paths"]] == [2, 1, 0, 0, 0, 0]
    assert list(records["patient_id"][:3]) == ["IP_1", "IP_1", None]
    assert records.loc["ISIC_0000000", "site"] == "torso"


def test_plain_folders(tmp_path):
    touch(tmp_path, "images/a_1.JPG", "images/b_lesion.tiff", "images/c.bmp")
    touch(tmp_path, "masks/a_1.png", "masks/b_lesion.png", "masks/c_mask.png")
    touch(tmp_path, "images/.hidden.jpg", "__MACOSX/images/c.jpg", "notes.md")
    write(
        tmp_path,
        "labels.csv",
        "\ufeffImage;Label;Sex\r\na_1.JPG;Benign;f\r\nc;Melanoma;m\r\n",
    )
    records = by_id(tmp_path)
    assert column(records, "label") == {"a_1": B, "b_lesion": None, "c": M}
    assert mask_names(records) == {
        "a_1": ["a_1.png"],
        "b_lesion": ["b_lesion.png"],
        "c": ["c_mask.png"],
    }
    assert records.loc["c", "sex"] == "m"


def test_plain_folders_with_splits(tmp_path):
    touch(tmp_path, "train/images/1.jpg", "train/masks/1.png", "test/images/2.jpg")
    touch(tmp_path, "test/images/1.jpg", "test/masks/1.png")
    records = read_records(tmp_path)
    found = {
        tuple(row) for row in records[["image_id", "split"]].itertuples(index=False)
    }
    assert found == {("train/1", "train"), ("test/1", "test"), ("2", "test")}
    for path, masks in zip(records["path"], records["mask_paths"], strict=True):
        expected = path.replace("images", "masks").replace(".jpg", ".png")
        assert list(masks) == ([] if "2.jpg" in path else [expected])


def test_split_column_of_a_table(tmp_path):
    touch(tmp_path, "a.png", "b.png", "c.png")
    write(tmp_path, "labels.csv", "image,label,split\na,0,Validation\nb,1,test\nc,1,\n")
    splits = {"a": "val", "b": "test", "c": None}
    assert column(by_id(tmp_path), "split") == splits


def test_contradictory_labels_are_no_label(tmp_path):
    touch(tmp_path, "a.png", "b.png")
    rows = "a,benign\na,malignant\nb,benign\nb,benign\n"
    write(tmp_path, "labels.csv", "image,label\n" + rows)
    records = by_id(tmp_path)
    assert column(records, "label") == {"a": None, "b": B}
    assert records.loc["a", "label_problem"] == (
        "contradictory labels: labels.csv says label=benign; "
        "labels.csv says label=malignant"
    )


def test_empty_and_absent_folder(tmp_path):
    records = read_records(tmp_path)
    assert len(records) == 0
    assert {"image_id", "path", "mask_paths", "split"} <= set(records.columns)
    with pytest.raises(FileNotFoundError, match="absent"):
        read_records(tmp_path / "absent")


def test_accented_names_agree_in_both_forms(tmp_path):
    """macOS writes the a and the dots of an umlaut one after the other."""
    apart, composed = "La\u0308sion", "L\u00e4sion"
    touch(tmp_path, f"images/{apart}.jpg", f"masks/{composed}.png")
    write(tmp_path, "labels.csv", f"image,label\n{composed}.jpg,benign\n")
    [record] = read_records(tmp_path).to_dict("records")
    assert (record["image_id"], record["label"]) == (composed, B)
    assert record["path"].endswith(f"{apart}.jpg") and len(record["mask_paths"]) == 1


def test_rows_without_an_image_are_listed(tmp_path):
    touch(tmp_path, "ISIC_0000001.jpg")
    write(tmp_path, "labels.csv", "image,label\n1,benign\n2,benign\nx,1\n2,benign\n")
    records = read_records(tmp_path)
    assert records.attrs["unknown_ids"] == ["2", "x"]
