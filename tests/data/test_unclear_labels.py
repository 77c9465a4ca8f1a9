"""Tables, folders and options that once gave a wrong label: now none, and a reason.

The images are always a, b, c and d, unless a case has its own. A case is the files, the
options, the labels, and words of a note or of a's reason.
"""

import pytest
from label_folders import CODES, WORDS, B, M, check_labels, labels_of, read

OLDER = "by its name it is no ground truth"
INVERTED = "label: 1 = malignant; 0 = benign, but {} says that 0 is malignant"
DX = {"label_column": "dx", "malignant": "mel"}
CASES = {
    # Codes are judged over all tables
    "class numbers in another table": (
        {"t.csv": CODES, "u.csv": "image,label\nc,4\nd,6\n"},
        {},
        {},
        "t.csv, column label: 0, 1, 4, 6 are class numbers",
    ),
    "class numbers of other images": (
        {"t.csv": CODES, "u.csv": "image,label\nx,4\ny,6\n"},
        {},
        {},
        "t.csv, column label: 0, 1, 4, 6 are class numbers",
    ),
    "a class per table": (
        {"t.csv": "image,class\na,1\n", "u.csv": "image,class\nb,2\n"},
        {},
        {},
        "t.csv, column class: 1, 2 are class numbers",
    ),
    "both codes in two tables": (
        {"t.csv": "image,label\na,1\n", "u.csv": "image,label\nb,0\n"},
        {},
        {"a": M, "b": B},
        "",
    ),
    "ones only": (
        {"t.csv": "image,label\na,1\nb,1\n"},
        {},
        {},
        "column label: 1 is not explained",
    ),
    "a rating": ({"t.csv": "image,malignancy\na,1\n"}, {}, {}, "1 is not explained"),
    "votes": (
        {"t.csv": "image,melanoma,nevus\na,3,0\nb,1,2\nc,0,1\nd,1,0\n"},
        {},
        {},
        "columns melanoma, nevus: 0, 1, 2, 3 are probabilities or counts, no marks",
    ),
    "yes and no of two columns": (
        {"t.csv": "image,malignancy,benign\na,yes,no\nb,no,yes\nc,no,no\nd,yes,yes\n"},
        {},
        {"a": M, "b": B},
        "contradictory labels: t.csv says",
    ),
    "no beside no": (
        {"t.csv": "image,malignancy,benign\na,no,no\nb,no,no\n"},
        {},
        {},
        "contradictory labels: t.csv says",
    ),
    # Codes that are not about the diagnosis
    "hair": (
        {"annotations/hair.csv": CODES},
        {},
        {},
        "hair.csv, column label: 0, 1 may be about hair, as the table's name says",
    ),
    "has_hair": (
        {"has_hair.csv": CODES.replace("label", "target")},
        {},
        {},
        "column target: 0, 1 may be about hair",
    ),
    "rulers beside diagnoses": (
        {"ruler_labels.csv": CODES, "dx.csv": "image,dx\nb,mel\nc,nv\n"},
        {},
        {"b": M, "c": B},
        "column label: 0, 1 may be about ruler",
    ),
    "a folder of hair": (
        {"hair/a.jpg": "", "hair/b.jpg": "", "hair/t.csv": CODES},
        {},
        {},
        "0, 1 may be about hair",
    ),
    "ink": ({"ink.csv": CODES}, {}, {}, "0, 1 may be about ink"),
    "not ink": ({"link.csv": CODES}, {}, {"a": B, "b": M}, ""),
    "words about hair": ({"hair.csv": WORDS}, {}, {"a": B, "b": M}, ""),
    "hair, says the user": (
        {"hair.csv": CODES},
        {"label_column": "label", "malignant": "1"},
        {"a": B, "b": M},
        "",
    ),
    "codes beside other diseases": (
        {"t.csv": "image,label,dx\na,1,psoriasis\nb,0,eczema\n"},
        {},
        {},
        "label: 0, 1 are beside no known diagnosis, but eczema, psoriasis",
    ),
    "codes beside a known diagnosis": (
        {"t.csv": "image,label,dx\na,1,mel\nb,0,wart\nc,0,\n"},
        {},
        {"a": M, "b": B, "c": B},
        "",
    ),
    "codes beside unknown": (
        {"t.csv": "image,target,diagnosis\na,1,unknown\nb,0,unknown\n"},
        {},
        {"a": M, "b": B},
        "",
    ),
    # Free text of pathologists
    "pathology": (
        {
            "t.csv": "image,diagnosis,pathology\n"
            'a,nevus,"superficial spreading melanoma, Breslow 0.4 mm"\n'
            "b,nevus,dysplastic; no melanoma\nc,melanoma,compound naevus\n"
            'd,melanoma,"melanoma, SSM"\n'
        },
        {},
        {"b": B, "d": M},
        "contradictory labels: t.csv says diagnosis=nevus; t.csv says pathology=super",
    ),
    "final diagnosis": (
        {
            "t.csv": "image,diagnosis,final diagnosis\n"
            'a,nevus,"malignant melanoma, SSM"\n'
            "b,nevus,compound naevus with atypia\nc,nevus,\n"
        },
        {},
        {"b": B, "c": B},
        "t.csv says final_diagnosis=malignant",
    ),
    "histology": (
        {"t.csv": "image,dx,histology\na,nv,Adenocarcinoma pT1\nb,nv,x\nc,mel,y\n"},
        {},
        {"b": B, "c": M},
        "t.csv says histology=Adenocarcinoma",
    ),
    "pathology and codes": (
        {"t.csv": "image,label,histopathology\na,0,invasive melanoma\nb,1,x\nc,0,y\n"},
        {},
        {},
        "label=1, against t.csv, column histopathology",
    ),
    "a patient's history": (
        {"t.csv": "image,dx,history\na,nv,invasive melanoma 2012\n"},
        {},
        {"a": B},
        "",
    ),
    # A text says that 0 is malignant
    "title": (
        {"t.csv": "label: 0 malignant 1 benign\n" + CODES},
        {},
        {},
        INVERTED.format("t.csv"),
    ),
    "comment": (
        {"t.csv": "# 0 = malignant, 1 = benign\n" + CODES},
        {},
        {},
        INVERTED.format("t.csv"),
    ),
    "heading": (
        {"t.csv": 'image,"label\n(malignant=0, benign=1)"\na,0\nb,1\n'},
        {},
        {},
        INVERTED.format("t.csv"),
    ),
    "legend": (
        {"t.csv": CODES, "legend.csv": "label,meaning\n0,malignant\n1,benign\n"},
        {},
        {},
        INVERTED.format("legend.csv"),
    ),
    "JSON": (
        {"t.csv": CODES, "class_indices.json": '{"malignant": 0, "benign": 1}'},
        {},
        {},
        INVERTED.format("class_indices.json"),
    ),
    "README": (
        {"t.csv": CODES, "README.md": "Labels: 0 = melanoma, 1 = nevus."},
        {},
        {},
        INVERTED.format("README.md"),
    ),
    "a text that agrees": (
        {"t.csv": CODES, "README.md": "Labels: 1 = melanoma, 0 = nevus."},
        {},
        {"a": B, "b": M},
        "",
    ),
    "a text that repeats": (
        {"t.csv": CODES, "README.md": "0 benign 1 malignant\n0 benign 1 malignant\n"},
        {},
        {"a": B, "b": M},
        "",
    ),
    "a text on something else": (
        {
            "t.csv": CODES,
            "README.md": "Figure 1. Benign nevi, and 20 melanomas in 1.0 mm.",
        },
        {},
        {"a": B, "b": M},
        "",
    ),
    "benign=1 needs no text": (
        {"t.csv": "image,benign\na,0\n", "README.md": "1 = benign, 0 = malignant"},
        {},
        {"a": M},
        "",
    ),
    # What is no ground truth
    "predictions/": ({"predictions/resnet.csv": WORDS}, {}, {}, OLDER),
    "preds.csv": ({"preds.csv": WORDS}, {}, {}, OLDER),
    "old/": ({"old/labels.csv": WORDS}, {}, {}, OLDER),
    "copy": ({"labels - Copy.csv": WORDS}, {}, {}, OLDER),
    "the user means it": (
        {"old/labels.csv": WORDS},
        {"label_table": "old/labels.csv"},
        {"a": B, "b": M},
        "",
    ),
    "labels beside probabilities": (
        {"t.csv": "image,label,score\na,benign,0.9\nb,malignant,0.8\n"},
        {},
        {},
        "column score: probabilities, beside which labels may be predictions",
    ),
    "labels beside grades": (
        {"t.csv": "image,label,tds_score\na,benign,0.9\nb,malignant,5.8\n"},
        {},
        {"a": B, "b": M},
        "",
    ),
    "folders of predictions": (
        {f"predictions/{name}.jpg": "" for name in ("benign/a", "malignant/b")},
        {},
        {},
        "no label: the folder is predictions/",
    ),
    "misclassified": (
        {"misclassified/benign/a.jpg": "", "benign/b.jpg": "", "malignant/c.jpg": ""},
        {},
        {"b": B, "c": M},
        "no label: the folder is misclassified/",
    ),
    "not benign": (
        {"benign/not benign/a.jpg": "", "benign/b.jpg": "", "malignant/c.jpg": ""},
        {},
        {"b": B, "c": M},
        "no label: the folder is not benign/",
    ),
    "numbered folders": ({"0/a.jpg": "", "1/b.jpg": ""}, {}, {}, "no label"),
    "numbered folders, says the user": (
        {"0/a.jpg": "", "1/b.jpg": ""},
        {"malignant": "1"},
        {"a": B, "b": M},
        "",
    ),
    "years are no classes": (
        {"melanoma/a.jpg": "", "2020/b.jpg": ""},
        {"malignant": "melanoma"},
        {"a": M},
        "no label",
    ),
    "numbers of a table, not of folders": (
        {"1/a.jpg": "", "2/b.jpg": "", "t.csv": "image,class\nb,1\nx,2\ny,3\n"},
        {"malignant": "1"},
        {"b": M},
        "",
    ),
    "suspicious": (
        {"benign/suspicious/a.jpg": "", "benign/b.jpg": "", "malignant/c.jpg": ""},
        {},
        {"b": B, "c": M},
        "no label: the folder is suspicious/",
    ),
    # Doubt beside a sure label
    "two rows": (
        {"t.csv": "image,dx\na,mel\na,unknown\nb,nv\n"},
        {},
        {"b": B},
        "no label: t.csv says dx=unknown",
    ),
    "two tables": (
        {"t.csv": WORDS, "u.csv": "image,label\na,unknown\n"},
        {},
        {"b": M},
        "no label: u.csv says label=unknown",
    ),
    "two columns": (
        {"t.csv": "image,diagnosis_1,diagnosis\na,Indeterminate,nevus\nb,,nevus\n"},
        {},
        {"b": B},
        "no label: t.csv says diagnosis_1=Indeterminate",
    ),
    "indeterminate/malignant": (
        {"t.csv": "image,benign_malignant,dx\na,indeterminate/malignant,nv\nb,,nv\n"},
        {},
        {"b": B},
        "no label: t.csv says benign_malignant=indeterminate/malignant",
    ),
    "a folder and a table": (
        {
            "t.csv": "image,diagnosis\na,not nevus\nb,naevus\n",
            "nevus/a.jpg": "",
            "nevus/b.jpg": "",
        },
        {},
        {"b": B},
        "no label: t.csv says diagnosis=not nevus",
    ),
    "the diagnosis is unknown, benign is sure": (
        {"t.csv": "image,benign_malignant,diagnosis\na,benign,unknown\n"},
        {},
        {"a": B},
        "",
    ),
    "another diagnosis": (
        {"t.csv": "image,diagnosis,histology\na,nevus,melanoma\nb,naevus,nevus\n"},
        {},
        {"b": B},
        "contradictory labels: t.csv says diagnosis=nevus; t.csv says histology=mel",
    ),
    "the diagnosis that the user names": (
        {"t.csv": "image,diagnosis,histology\na,nevus,melanoma\nb,naevus,nevus\n"},
        {"label_column": "histology"},
        {"a": M, "b": B},
        "",
    ),
    "unknown among codes": (
        {"t.csv": "image,malignant,dx\na,unknown,nv\nb,1,\nc,0,\nd,-,\n"},
        {},
        {"b": M, "c": B},
        "no label: t.csv says malignant=unknown",
    ),
    # What malignant does not name
    "no answer": (
        {"t.csv": "image,dx\na,?\nb,mel\nc,pending\nd,not available\n"},
        DX,
        {"b": M},
        "no label: t.csv says dx=?",
    ),
    "another malignant one": (
        {"t.csv": "image,dx\na,bcc\nb,mel\nc,nv\n"},
        DX,
        {"b": M, "c": B},
        "no label: t.csv says dx=bcc",
    ),
    "indeterminate": (
        {"t.csv": "image,result\na,indeterminate/malignant\nb,malignant\nc,benign\n"},
        {"label_column": "result", "malignant": "malignant"},
        {"b": M, "c": B},
        "",
    ),
    "columns without these values": (
        {"t.csv": "image,dx,class\na,mel,clinical\nb,nv,clinical\nc,,dermoscopic\n"},
        {"malignant": "mel"},
        {"a": M, "b": B},
        "",
    ),
    "other marks": (
        {"t.csv": "image,MEL,NV,hair\na,0,1,1\nb,1,0,0\nc,0,0,1\nd,0,1,0\n"},
        {"malignant": "MEL"},
        {"b": M, "d": B},
        "no label: t.csv says nv=1 hair=1",
    ),
    "marks of one's own": (
        {"t.csv": "image,MEL,NV,not_sure\na,0,0,1\nb,1,0,0\nc,0,1,0\n"},
        {"label_column": ("MEL", "NV", "not_sure"), "malignant": "MEL"},
        {"b": M, "c": B},
        "no label: t.csv says not_sure=1",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_unclear_labels(tmp_path, case):
    check_labels(tmp_path, *CASES[case])


def test_values_of_several_columns_need_label_column(tmp_path):
    files = {"t.csv": "image,dx,class\na,mel,mel\nb,nv,bcc\n"}
    with pytest.raises(ValueError, match="several columns, dx, class: label_column"):
        read(tmp_path, files, malignant="mel")
    assert labels_of(read(tmp_path, files, **DX)) == {"a": M, "b": B}
