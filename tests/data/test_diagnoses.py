"""Tables of labels as people have them: the right label, or none and a reason.

The images are always a, b and c. A case is the text of labels.csv and the labels that
it gives to them; what is not named has no label.
"""

import pytest

from mrcnn_skin.data.diagnoses import LabelOptions, meaning_of
from mrcnn_skin.data.isic_layouts import read_records

B, M = "benign", "malignant"


@pytest.fixture
def folder(tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.jpg").touch()
    return tmp_path


def records_of(folder, text, name="labels.csv", encoding="utf-8", **options):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    records = read_records(folder, LabelOptions(**options))
    return records.set_index("image_id")


def labels_of(records):
    return {i: label for i, label in records["label"].items() if label}


READ = {
    "benign and malignant": (
        "image,benign,malignant\na,1,0\nb,0,1\n",
        {"a": B, "b": M},
    ),
    "benign": ("image_id,benign\na,1\nb,0\n", {"a": B, "b": M}),
    "malignant": ("image_id,malignant\na,1\nb,0\n", {"a": M, "b": B}),
    "is_malignant": ("image_id,is_malignant\na,1\nb,0\nc,\n", {"a": M, "b": B}),
    "quoted": ('"image","benign","malignant"\n"a","1","0"\n', {"a": B}),
    "semicolons": ("image;benign;malignant\na;1;0\nb;0;1\n", {"a": B, "b": M}),
    "decimal comma": ("image;malignant\na;1,0\n", {}),
    "tabs": ("image\tbenign\tmalignant\na\t1\t0\n", {"a": B}),
    "bars": ("image|label\na|benign\n", {"a": B}),
    "floats": ("image,benign,malignant\na,1.0,0.0\nb,0.0,1.0\n", {"a": B, "b": M}),
    "blanks": ("filename, benign, malignant\na.jpg, 1, 0\n", {"a": B}),
    "columns before": ("image_id,age,benign,label\na,40,1,benign\n", {"a": B}),
    "columns 2020 and nan": ("image,2020,nan,label\na,1,1,benign\n", {"a": B}),
    "True": ("image_id,malignant\na,True\nb,False\n", {"a": M, "b": B}),
    "yes": ("image_id,malignant\na,yes\nb,no\n", {"a": M, "b": B}),
    "Y": ("image_id,benign\na,Y\nb,N\n", {"a": B, "b": M}),
    "words under malignant": (
        "image,malignant\na,benign\nb,malignant\n",
        {"a": B, "b": M},
    ),
    "no header": ("a,benign\nb,malignant\n", {"a": B, "b": M}),
    "no header, three columns": ("A,1,benign\nb,2,malignant\n", {"a": B, "b": M}),
    "0 and 1": ("image,label\na,0\nb,1\nc,\n", {"a": B, "b": M}),
    "target NA": ("image_name,target\na,0\nb,1\nc,NA\n", {"a": B, "b": M}),
    "ISIC 2020": (
        "image_name,patient_id,diagnosis,benign_malignant,target\n"
        "a,IP_1,unknown,benign,0\nb,IP_2,melanoma,malignant,1\n",
        {"a": B, "b": M},
    ),
    "UNK": ("image,MEL,NV,UNK\na,1,0,0\nb,0,1,0\nc,0,0,1\n", {"a": M, "b": B}),
    "one-hot, other names": (
        "image,melanoma,nevus,basal_cell_carcinoma,OTHER\n"
        "a,0,0,1,0\nb,0,1,0,0\nc,0,0,0,1\n",
        {"a": M, "b": B},
    ),
    "one-hot, no mark": ("image,MEL,NV,BKL\na,0,0,0\nb,0,0,1\n", {"b": B}),
    "one-hot, an unknown column": ("image,MEL,NV,ACK\na,0,0,1\n", {}),
    "one-hot of words": (
        "image,melanoma,nevus\na,True,False\nb,no,yes\n",
        {"a": M, "b": B},
    ),
    "ISIC 2017": (
        "image_id,melanoma,seborrheic_keratosis\na,1.0,0.0\nb,0.0,1.0\nc,0.0,0.0\n",
        {"a": M, "b": B, "c": B},
    ),
    "one-hot, a mark beside": (
        "image,MEL,NV,CARC\na,0,1,1\nb,1,0,0\nc,0,0,1\n",
        {"b": M},
    ),
    "one-hot, a mark elsewhere": (
        "image,MEL,NV,age,itch\na,0,1,50,1\nb,1,0,40,0\n",
        {"a": B, "b": M},
    ),
    "ISIC 2019, test": (
        "image,MEL,NV,UNK,score_weight,validation_weight\n"
        "a,1.0,0.0,0.0,1.0,0.0\nb,0.0,1.0,0.0,1.0,1.0\nc,0.0,0.0,1.0,0.0,0.0\n",
        {"a": M, "b": B},
    ),
    "PH2": (
        "Image Name,Common Nevus,Melanoma,Asymmetry,White,Red\na,X,,0,,X\nb,,X,2,X,\n",
        {"a": B, "b": M},
    ),
    "ISIC 2017 and one more": (
        "image_id,melanoma,seborrheic_keratosis,carcinoma\na,0,0,1\nb,0,0,0\nc,0,1,0\n",
        {"c": B},
    ),
    "ISIC 2017 and marks": (
        "image_id,melanoma,seborrheic_keratosis,age,hair\na,0,0,40,1\nb,1,0,50,0\n",
        {"b": M},
    ),
    "ISIC 2017 and metadata": (
        "image_id,age,melanoma,seborrheic_keratosis,sex\na,40,0,0,male\n",
        {"a": B},
    ),
    "0 and 1 beside words": (
        "image,label,class_name\na,1,melanoma\nb,0,nevus\nc,0,?\n",
        {"a": M, "b": B, "c": B},
    ),
    "0 and 1 beside predictions": (
        "image,label,pred,family_history\na,1,benign,nevus\nb,0,benign,melanoma\n",
        {"a": M, "b": B},
    ),
    "0 and 1, one row contradicts": (
        "image,label,class_name\na,1,melanoma\nb,0,nevus\nc,0,melanoma\n",
        {"a": M, "b": B},
    ),
    "melanoma alone": ("image,melanoma\na,1\nb,0\n", {"a": M}),
    "unsure beside": ("image,malignant,indeterminate\na,0,1\nb,0,0\n", {"b": B}),
    "class numbers beside dx": ("image,label,dx\na,4,mel\nb,5,nv\n", {"a": M, "b": B}),
    "dx": ("image_id,dx\na,scc\nb,ak\nc,nevus\n", {"a": M, "b": M, "c": B}),
    "dx in words": ("image_id,dx\na,melanoma\nb,NV\nc,ack\n", {"a": M, "b": B}),
    "spelled": (
        "image,diagnosis\na,Basal cell carcinoma\nb,squamous-cell carcinoma\n"
        "c,Melanocytic Nevi\n",
        {"a": M, "b": M, "c": B},
    ),
    "British": (
        "image,diagnosis\na,naevus\nb,seborrhoeic keratosis\n",
        {"a": B, "b": B},
    ),
    "PAD-UFES-20": (
        "patient_id,lesion_id,age,diagnostic,img_id\n"
        "PAT_1,9,55,NEV,a.png\nPAT_2,8,60,BCC,b.png\nPAT_3,7,70,ACK,c.png\n",
        {"a": B, "b": M},
    ),
    "BCN20000": (
        "bcn_filename,age_approx,diagnosis,lesion_id,split\n"
        "a.jpg,55,MEL,BCN_1,train\nb.jpg,60,NV,BCN_2,train\n",
        {"a": M, "b": B},
    ),
    "older archive": (
        "_id,name,dataset.name,meta.clinical.benign_malignant,meta.clinical.diagnosis\n"
        "5436e3,a,UDA-1,benign,nevus\n5436e4,b,UDA-1,malignant,melanoma\n",
        {"a": B, "b": M},
    ),
    "BOM": ("\ufeffimage,label\na,benign\n", {"a": B}),
    "sep=": ("sep=;\nimage;label\na;benign\n", {"a": B}),
    "title": ("Labels of the clinic\nimage,label\na,benign\n", {"a": B}),
    "title and one row": ("Image labels\nfoto,diag,label\na,1,benign\n", {"a": B}),
    "title with a comma": (
        "Labels, 2020\n\nimage,dx,x\na,mel,1\nb,nv,2\n",
        {"a": M, "b": B},
    ),
    "# line": ("# made by hand, 2020\nimage,label\na,benign\n", {"a": B}),
    "one comma too many": ("image,label\na,benign,\nb,malignant,\n", {"a": B, "b": M}),
    "comma after the header": ("image,label,\na,benign\n", {"a": B}),
    "an image column of any name": (
        "foto,diagnosis\na.jpg,mel\nb.jpg,nv\n",
        {"a": M, "b": B},
    ),
    "row numbers": ("id,foto,label\n1,a,benign\n2,b,malignant\n", {"a": B, "b": M}),
    "index column": (",image,label\n0,a,benign\n1,b,malignant\n", {"a": B, "b": M}),
    "same row twice": ("image,label\na,benign\na,benign\n", {"a": B}),
    "folder in the cell": ("path,label\ndata\\images\\a.jpg,benign\n", {"a": B}),
    "upper case": ("image,label\nA.JPG,BENIGN\n", {"a": B}),
    "an id with #": ("image,label\n#9,malignant\na,benign\n", {"a": B}),
    "quoted line break": ('image,note,label\na,"x\ny",benign\n', {"a": B}),
    "a diagnosis in doubt": ("image,label\na,melanoma?\nb,not malignant\n", {}),
    "first word": ("image,diagnosis_1\na,benign or malignant\nb,Benign\n", {"b": B}),
}


@pytest.mark.parametrize("case", READ)
def test_labels_are_read(folder, case):
    text, expected = READ[case]
    assert labels_of(records_of(folder, text)) == expected


REFUSED = {
    "class numbers": (
        "image,label\na,0\nb,1\nc,6\n",
        "labels.csv, column label: 0, 1, 6",
    ),
    "target 0..7": (
        "image,target\na,0\nb,7\n",
        "column target: 0, 7 are class numbers",
    ),
    "probabilities": (
        "image,malignant\na,0.3\nb,1\n",
        "column malignant: 0.3, 1 are prob",
    ),
    "scores": (
        "image,MEL,NV\na,0.3,0.7\nb,1,0\n",
        "columns mel, nv: 0, 0.3, 0.7, 1 are probabilities or counts",
    ),
    "a coding": (
        "image,diagnosis\na,0\nb,1\n",
        "column diagnosis: 0, 1 are not explained",
    ),
    "yes to what": ("image,label\na,yes\nb,no\n", "label: no, yes are not explained"),
    "headerless numbers": ("a,0\nb,1\n", None),
    "no image": (
        "image,label\nx,benign\n",
        "labels.csv: column 'image' names no image",
    ),
    "no column": (
        "age,label\n7,benign\n",
        "labels.csv: no image column of this folder",
    ),
    "ragged": ("image,label\na,benign,x\n", "labels.csv: 1 rows have more cells"),
    "empty": ("", "labels.csv: the file is empty"),
    "two image columns": (
        "image,filename,label\na,b,benign\n",
        "columns 'image' and 'filename' name different images",
    ),
    "two columns of names": (
        "name,scan,label\nb,a.jpg,benign\na,c,malignant\n",
        "columns 'name' and 'scan' name different images",
    ),
    "two label columns": ("image,label,label\na,benign,malignant\n", "columns 'label'"),
    "quotes": ('image,label\na,"benign\n', "labels.csv"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_ambiguous_tables_give_a_reason(folder, case):
    text, reason = REFUSED[case]
    records = records_of(folder, text)
    assert labels_of(records) == {}
    notes = records.attrs["notes"]
    assert reason is None or any(reason in note for note in notes), notes


@pytest.mark.parametrize(
    "text, problem",
    [
        (
            "image,label,dx\na,0,mel\nb,1,mel\n",
            "contradictory labels: labels.csv says label=0; ",
        ),
        ("image,benign,malignant\na,0,0\n", "contradictory labels: "),
        ("image,MEL,NV\na,1,1\n", "no label: labels.csv says mel=1 nv=1"),
        ("image,MEL,NV,UNK\na,0,0,1\nb,1,0,0\n", "no label: labels.csv says unk=1"),
        ("image,MEL,NV,ACK\na,0,0,1\nb,1,0,0\n", "no label: labels.csv says ack=1"),
        ("image,MEL,NV,CARC\na,0,1,1\n", "no label: labels.csv says nv=1 carc=1"),
        (
            "image,label,melanoma,x\na,benign,1,1\n",
            "contradictory labels: labels.csv says label=benign; labels.csv says mela",
        ),
        ("image,dx\na,ack\nb,nv\n", "no label: labels.csv says dx=ack"),
        ("image,label\na,4\nb,1\n", "no label: labels.csv says label=4"),
        ("image,label\na,\nb,benign\n", "no label"),
        ("image,label\nb,benign\n", "no label"),
    ],
)
def test_the_reason_for_no_label_quotes_the_table(folder, text, problem):
    record = records_of(folder, text).loc["a"]
    assert record["label"] is None
    assert record["label_problem"].startswith(problem)


@pytest.mark.parametrize("code", ["label", "class", "target", "malignant"])
@pytest.mark.parametrize(
    "column", ["class_name", "ground_truth", "lesion_type", "diagnosis_3", "dx"]
)
def test_a_code_that_other_columns_contradict_is_no_label(folder, code, column):
    """1 was benign in these tables, and once became malignant."""
    text = f"image,{code},{column}\na,0,Melanoma\nb,1,Nevus\nc,0,Melanoma Invasive\n"
    records = records_of(folder, text)
    assert labels_of(records) == {}
    problem = records.loc["a", "label_problem"]
    assert problem.startswith("contradictory labels: ") and f"{code}=0" in problem
    assert f"{column}=Melanoma" in problem
    told = records_of(folder, text, label_column=code, malignant=("0",))
    assert labels_of(told) == {"a": M, "b": B, "c": M}


def test_another_table_may_contradict_a_code(folder):
    (folder / "more.csv").write_text("image,class_name\na,melanoma\nb,nevus\n")
    codes = "image,label\na,0\nb,1\nc,0\n"
    records = records_of(folder, codes)
    assert labels_of(records) == {}
    assert list(records["label_problem"]) == [
        "contradictory labels: labels.csv says label=0; "
        "more.csv says class_name=melanoma",
        "contradictory labels: more.csv says class_name=nevus; labels.csv says label=1",
        "no label: labels.csv says label=0, against more.csv, column class_name",
    ]
    told = records_of(folder, codes, label_table="labels.csv")
    assert labels_of(told) == {"a": B, "b": M, "c": B}
    (folder / "more.csv").write_text("image,p_malignant,class\na,1,malignant\n")
    assert labels_of(records_of(folder, codes)) == {"a": B, "b": M, "c": B}


@pytest.mark.parametrize(
    "name, text",
    [
        ("predictions.csv", "image,p_malignant,class\na.jpg,0.9,malignant\n"),
        ("mine.csv", "image,p_malignant,class\na.jpg,0.9,malignant\n"),
        ("classification.csv", "image,malignant\na,0.000000000000\n"),
        ("results/per_image.csv", "image,label,p_malignant\na,benign,0.1\n"),
        ("sample_submission.csv", "image_name,target\na,0\nb,0\n"),
        ("ISIC_2020_Submission.csv", "image_name,target\na,0\nb,1\n"),
        ("dropped.csv", "split,image_id,file,reason\ntrain,a,a.jpg,no mask\n"),
    ],
)
def test_predictions_are_no_ground_truth(folder, name, text):
    records = records_of(folder, text, name)
    assert labels_of(records) == {}
    assert set(records["split"]) == {None}


@pytest.mark.parametrize(
    "text, options, expected",
    [
        (
            "image,label\na,0\nb,4\nc,6\n",
            {"label_column": "label", "malignant": ("4",)},
            {"a": B, "b": M, "c": B},
        ),
        (
            "image,dx,label\na,nv,malignant\nb,mel,x\nc,unk,benign\n",
            {"label_column": "dx", "malignant": ("mel", "bcc")},
            {"a": B, "b": M},
        ),
        (
            "image,Code\na,M1\nb,B1\nc,?\n",
            {"label_column": "Code", "malignant": ("M1",), "benign": ("B1",)},
            {"a": M, "b": B},
        ),
        (
            "image,MEL,NV,AKIEC\na,1,0,0\nb,0,1,0\nc,0,0,1\n",
            {"malignant": ("MEL",)},
            {"a": M, "b": B},
        ),
        (
            "image,P,Q,R\na,1,0,0\nb,0,1,0\nc,0,0,1\n",
            {"label_column": ("P", "Q"), "malignant": ("Q",), "benign": ("P",)},
            {"a": B, "b": M},
        ),
        (
            "image,label,dx\na,1,mel\nb,0,bcc\nc,0,nv\n",
            {"malignant": ("mel",)},
            {"a": M, "c": B},
        ),
        (
            "image,healthy\na,1\nb,0\n",
            {"label_column": "healthy", "malignant": ("0",)},
            {"a": B, "b": M},
        ),
        (
            "image,label,age\na,1,0\nb,0,1\n",
            {"label_column": "label", "malignant": ("0",)},
            {"a": B, "b": M},
        ),
        ("image,benign\na,1\nb,0\n", {"label_column": "benign"}, {"a": B, "b": M}),
        ("id,foto,label\nc,a,benign\n", {"image_column": "foto"}, {"a": B}),
    ],
)
def test_options_resolve_ambiguous_tables(folder, text, options, expected):
    assert labels_of(records_of(folder, text, **options)) == expected


@pytest.mark.parametrize(
    "options, words",
    [
        ({"label_column": "code"}, "no table of the images has the column 'code'"),
        ({"label_table": "absent.csv"}, "no label table absent.csv"),
        ({"label_column": "label", "malignant": ("7",)}, "none of the values 7"),
        ({"split_column": "fold"}, "'fold'"),
        ({"group_column": "patient"}, "'patient'"),
        ({"image_column": "foto"}, "has the column 'foto'"),
    ],
)
def test_options_must_match_the_table(folder, options, words):
    with pytest.raises(ValueError, match=words):
        records_of(folder, "image,label\na,x\nb,y\n", **options)


def test_one_table_gives_the_labels_and_all_the_metadata(folder):
    (folder / "other.csv").write_text("image,label,patient\na,malignant,p1\n")
    text = "image,label,part,person\na,benign,test,q\n"
    records = records_of(folder, text, label_table="labels.csv", split_column="part")
    assert labels_of(records) == {"a": B}
    assert records.loc["a", "split"] == "test"
    assert records.loc["a", "patient_id"] == "p1"
    assert records_of(folder, text, group_column="person").loc["a", "patient_id"] == "q"
    outside = folder.parent / "sample_submission.csv"
    outside.write_text(text)
    records = records_of(folder, "x\n", label_table=str(outside))
    assert labels_of(records) == {"a": B}


def test_a_source_says_table_column_and_meaning(folder):
    records = records_of(folder, "image,dx\na,mel\nb,nv\nc,?\n", "tables/m.csv")
    [source] = records.loc["a", "label_sources"]
    assert source == "tables/m.csv, column dx"
    meaning = "mel = malignant; nv = benign; ? = no label"
    assert records.attrs["meanings"] == {source: meaning}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_encodings(folder, encoding):
    (folder / "Läsion.jpg").touch()
    records = records_of(folder, "image,label\r\nLäsion,benign\r\n", encoding=encoding)
    assert labels_of(records) == {"Läsion": B}


@pytest.mark.parametrize(
    "word, label",
    [
        *((w, M) for w in ("MEL", "Melanoma", "bcc", "lentigo maligna", "AKIEC")),
        *((w, B) for w in ("nv", "Nevi", "dermatofibroma", "vascular lesions")),
        *((w, None) for w in ("", "actinic keratosis", "melanoma?", "1", "carcinoma")),
    ],
)
def test_meaning_of(word, label):
    assert meaning_of(word) == label
