"""What the columns of a table say of a lesion: benign, malignant, or nothing.

A column is read as a whole. Where its name and all of its values do not say what they
mean, it gives no label but a reason, and LabelOptions can say it instead.

What counts as malignant:
- the words benign and malignant, and the diagnoses of DIAGNOSES, in a column of
  WORD_COLUMNS; a word that is not among them is no label;
- 0 and 1 in a column of BINARY_COLUMNS; other numbers are class numbers and no label;
- one column a diagnosis (ISIC 2018 Task 3): marks of one kind, and none in a column of
  unknown meaning beside them. A row without a mark has no label, but for ISIC 2017's
  pair melanoma and seborrheic_keratosis, where it has no other columns of marks;
- PH2's clinical diagnosis: 2 is melanoma; 0 and 1 are common and atypical nevi.
Actinic keratosis is malignant under the challenges' codes AKIEC and AK. Spelled out,
or as PAD-UFES-20's ACK, it is no label: its own authors count it as no cancer.
"""

import re
from itertools import groupby
from pathlib import PurePosixPath
from typing import NamedTuple

import pandas as pd

BENIGN, MALIGNANT = "benign", "malignant"

DIAGNOSES = {
    **dict.fromkeys(("mel", "bcc", "scc", "akiec", "ak"), MALIGNANT),
    **dict.fromkeys(("melanoma", "malignant melanoma", "melanoma in situ"), MALIGNANT),
    **dict.fromkeys(("melanoma metastasis", "lentigo maligna"), MALIGNANT),
    **dict.fromkeys(("lentigo maligna melanoma", "basal cell carcinoma"), MALIGNANT),
    "squamous cell carcinoma": MALIGNANT,
    **dict.fromkeys(("nv", "bkl", "df", "vasc", "nev", "sek"), BENIGN),
    **dict.fromkeys(("nevus", "naevus", "nevi", "naevi"), BENIGN),
    **{
        f"{kind} {noun}": BENIGN
        for kind in ("melanocytic", "common", "atypical", "dysplastic", "blue", "spitz")
        for noun in ("nevus", "naevus", "nevi", "naevi")
    },
    **dict.fromkeys(("seborrheic keratosis", "seborrhoeic keratosis"), BENIGN),
    **dict.fromkeys(("benign keratosis", "pigmented benign keratosis"), BENIGN),
    **dict.fromkeys(("benign keratosis like lesion", "lichenoid keratosis"), BENIGN),
    **dict.fromkeys(("dermatofibroma", "solar lentigo", "lentigo simplex"), BENIGN),
    **dict.fromkeys(("lentigo nos", "vascular lesion", "angioma"), BENIGN),
    **dict.fromkeys(("hemangioma", "haemangioma", "cherry angioma"), BENIGN),
}
WORD_COLUMNS = (
    *("label", "labels", "class", "target", "diagnosis", "diagnostic", "dx"),
    *("diagnosis_1", "benign_malignant", "malignancy", "clinical_diagnosis"),
)
# What 1, or true, means; 0 means the other.
BINARY_COLUMNS = {
    **dict.fromkeys(("label", "labels", "class", "target", "malignancy"), MALIGNANT),
    **dict.fromkeys(("malignant", "is_malignant"), MALIGNANT),
    **dict.fromkeys(("benign", "is_benign"), BENIGN),
}
# A mark here says that the row's diagnosis is not known, whatever else it has.
UNSURE_COLUMNS = (
    *("unk", "unknown", "other", "indeterminate", "uncertain", "suspicious"),
    *("premalignant", "pre_malignant", "precancer", "borderline"),
)
_EMPTY = ("nan", "na", "n/a", "null", "<na>")
_UNSURE_WORDS = ("unk", "unknown", "indeterminate", "uncertain", "other", "none")
_PREDICTION_COLUMNS = ("p_malignant", "predicted_class")
_MARKS, _NO_MARKS = ("1", "true", "yes", "x"), ("0", "false", "no", "")
_TRUTH_WORDS = ({"0", "1"}, {"false", "true"}, {"f", "t"}, {"no", "yes"}, {"n", "y"})
_OTHER_TRUTH = re.compile("pred|history|family|prior|previous")
_MANY_VALUES = 1000  # of a column, more than there are diagnoses
_TRUE = ("1", "true", "t", "yes", "y")
_WEIGHT_COLUMNS = ("score_weight", "validation_weight")  # of ISIC 2019, 0 or 1
_ISIC_2017 = {"melanoma", "seborrheic_keratosis"}
_PH2_DIAGNOSES = {"0": BENIGN, "1": BENIGN, "2": MALIGNANT}


class LabelOptions(NamedTuple):
    """What the user says of the tables, instead of what their names and values say.

    label_table: name or path of the one table that holds labels.
    image_column: of image names, in every table.
    label_column: of diagnoses; or several with one mark a row.
    malignant: values (of several columns: their names) that mean malignant. All others
        are benign then, but for empty ones and words such as "unknown".
    benign: values that mean benign; all others are no label then.
    split_column: of train, val, test. group_column: of what must stay in one split,
        such as patients.
    """

    label_table: str | None = None
    image_column: str | None = None
    label_column: str | tuple | None = None
    malignant: tuple = ()
    benign: tuple = ()
    split_column: str | None = None
    group_column: str | None = None

    @classmethod
    def of(cls, **options):
        """Make LabelOptions; one value may stand for a list of it.

        Raises ValueError for an unknown option or one that is no text.
        """
        for name, value in options.items():
            if name not in cls._fields:
                known = ", ".join(cls._fields)
                raise ValueError(f"there is no option {name!r}; there are {known}")
            is_list = name in ("label_column", "malignant", "benign")
            texts = value if is_list and isinstance(value, tuple | list) else (value,)
            if value is not None and not all(isinstance(text, str) for text in texts):
                wanted = "text or a list of texts" if is_list else "text"
                raise ValueError(f"{name} must be {wanted}, got {value!r}")
            if name == "label_column" and len({*map(normalise, texts)}) < len(texts):
                raise ValueError(f"{name} names a column twice: {', '.join(texts)}")
        for name in ("malignant", "benign"):
            value = options.get(name) or ()
            options[name] = (value,) if isinstance(value, str) else tuple(value)
        both = set(map(normalise, options["malignant"]))
        both &= set(map(normalise, options["benign"]))
        if both:
            raise ValueError(f"malignant and benign both name {_shown(both)}")
        return cls(**options)

    def label_columns(self):
        """Return the label columns as a tuple, () if none is told."""
        columns = self.label_column or ()
        return (columns,) if isinstance(columns, str) else tuple(columns)


AS_WRITTEN = LabelOptions()  # the user says nothing


class Reading(NamedTuple):
    """What one column, or one set of columns, says of the label of each row.

    columns: names. labels: Series of "benign", "malignant", or missing.
    meaning: in words, which value stands for what; or why no row has a label.
    is_code: whether 0 and 1, or the like, give the labels, as the column's name says.
    """

    columns: tuple
    labels: pd.Series
    meaning: str
    is_code: bool = False


def read_labels(table, name, options=AS_WRITTEN):
    """Read all columns of a table that may say benign or malignant.

    Args:
        table: of isic_tables.read_table. name: of its file.
        options: LabelOptions; its columns have to be those of the table.

    Returns:
        list of Readings.

    Raises:
        ValueError: if the options do not fit the column's values.
    """
    columns = options.label_columns()
    if len(columns) > 1:
        if not any(meaning_of(column, options) for column in columns):
            raise ValueError(
                f"{name}: none of the columns {', '.join(columns)} is a known "
                "diagnosis: malignant must name some of them"
            )
        return [_one_hot(table[list(columns)], options, set(columns) == _ISIC_2017)]
    if columns:
        return [_one_column(table, columns[0], name, options)]
    if any(column in table for column in _PREDICTION_COLUMNS):
        return []
    if not table.attrs.get("has_header", True):
        return _headerless(table, name, options)
    readings = [
        _one_column(table, column, name, options)
        for column in table
        if column in WORD_COLUMNS or column in BINARY_COLUMNS
    ]
    readings += _marked_diagnoses(table, readings, options)
    return [_without_unsure(reading, table) for reading in readings]


def columns_of_diagnoses(table):
    """Yield (column, label of each row) where half of a column's values are diagnoses.

    Its name may be any. That is no label, for it may be what somebody suspected; it can
    tell that a code has another meaning than its column's name says.
    """
    for column in table if not any(c in table for c in _PREDICTION_COLUMNS) else ():
        values = [value for value in table[column].unique() if normalise(value)]
        if _OTHER_TRUTH.search(column) or len(values) > _MANY_VALUES:
            continue
        meanings = {value: meaning_of(value) for value in values}
        if 2 * len([m for m in meanings.values() if m]) >= max(len(values), 1):
            yield column, table[column].map(meanings)


def meaning_of(value, options=AS_WRITTEN):
    """Return "benign", "malignant" or None for a diagnosis, whole and in any case."""
    word = normalise(value)
    if word in (BENIGN, MALIGNANT):
        return word
    if word in map(normalise, options.malignant):
        return MALIGNANT
    if word in map(normalise, options.benign):
        return BENIGN
    if options.benign:
        return None
    if options.malignant:
        return BENIGN if word and word not in _UNSURE_WORDS else None
    return DIAGNOSES.get(word) or DIAGNOSES.get(word.removesuffix("s"))


def names_class(text, options=AS_WRITTEN):
    """Whether a column or folder has the name of a diagnosis, or one the user gave."""
    listed = map(normalise, (*options.malignant, *options.benign))
    return meaning_of(text) is not None or normalise(text) in listed


def normalise(value):
    """Return a value in lower case, one blank between words; 1.0 as 1, NaN as ""."""
    text = re.sub(r"[\s_-]+", " ", str(value).strip().lower())
    return "" if text in _EMPTY else re.sub(r"^(\d+)\.0*$", r"\1", text)


def _one_column(table, column, name, options):
    """Read one column: as the user's values, truth words, numbers or diagnoses."""
    cells = table[column].map(normalise)
    values = {value for value in cells if value}
    told = (*options.malignant, *options.benign)
    has_told = bool(values.intersection(map(normalise, told)))
    is_truth = any(values <= words for words in _TRUTH_WORDS) and bool(values)
    if told and options.label_column and not has_told:
        raise ValueError(
            f"{name}: column {column!r} has none of the values {', '.join(told)}, it "
            f"has {_shown(values)}"
        )
    if has_told and is_truth and not options.label_column:
        raise ValueError(
            f"{name}: column {column!r} has {_shown(values)}, which malignant or "
            "benign names; label_column must name that column"
        )
    if has_told:
        return _by_words(column, cells, options)
    if is_truth:
        of_true = BINARY_COLUMNS.get(column)
        is_vague = column in ("label", "labels", "class", "target")
        is_vague &= not values <= {"0", "1", "true", "false"}
        if of_true is not None and not is_vague:
            return _by_truth(column, cells, of_true)
        reason = f"{_shown(values)} are not explained"
        if options.label_column:
            raise ValueError(
                f"{name}: column {column!r}: {reason}, malignant must name one of them"
            )
        return _nothing(column, cells, reason)
    is_ph2 = column == "clinical_diagnosis" and re.match(
        "PH2", PurePosixPath(name).name, re.I
    )
    if is_ph2 and values <= set(_PH2_DIAGNOSES):
        labels = cells.map(_PH2_DIAGNOSES)
        return Reading((column,), labels, "2 is malignant, 0 and 1 are benign")
    if values and all(map(_is_number, values)):
        kind = "class numbers"
        if any(0 < float(value) < 1 for value in values):
            kind = "probabilities, no labels"
        return _nothing(column, cells, f"{_shown(values)} are {kind}")
    return _by_words(column, cells, options)


def _by_words(column, cells, options):
    labels = {value: meaning_of(value, options) for value in cells.unique() if value}
    parts = [
        f"{_shown(v for v in labels if labels[v] == label)} = {label or 'no label'}"
        for label in (MALIGNANT, BENIGN, None)
        if label in labels.values()
    ]
    meaning = "; ".join(parts) or "it is empty"
    return Reading((column,), cells.map(labels), meaning)


def _by_truth(column, cells, of_true):
    of_false = BENIGN if of_true == MALIGNANT else MALIGNANT
    labels = {
        value: of_true if value in _TRUE else of_false
        for value in sorted(set(cells) - {""}, reverse=True)
    }
    meaning = "; ".join(f"{value} = {label}" for value, label in labels.items())
    return Reading((column,), cells.map(labels), meaning, is_code=True)


def _marked_diagnoses(table, readings, options):
    """Read the columns of diagnoses of which one is marked, if there are some.

    Where no other reading has labels, the columns of marks that stand beside them
    belong to them: a mark there is a diagnosis of unknown meaning.
    """
    one_hot = [c for c in table if c not in BINARY_COLUMNS and names_class(c, options)]
    # A short name alone may be anything
    if len(one_hot) < 2 and not any(len(column) > 3 for column in one_hot):
        return []
    marks = {
        column: column in one_hot or _has_marks(table[column])
        for column in table
        if column not in (*WORD_COLUMNS, *BINARY_COLUMNS, *_WEIGHT_COLUMNS)
    }
    is_2017 = {column for column in marks if marks[column]} == _ISIC_2017
    if not any(reading.labels.notna().any() for reading in readings):
        runs = [list(run) for is_mark, run in groupby(marks, marks.get) if is_mark]
        one_hot = [c for run in runs if not set(run).isdisjoint(one_hot) for c in run]
    return [_one_hot(table[one_hot], options, is_2017)]


def _has_marks(cells):
    values = set(cells.map(normalise)) - {""}
    return bool(values) and values <= {*_MARKS, *_NO_MARKS}


def _one_hot(table, options, zeros_are_benign):
    """Read columns of which one is marked: what their names mean."""
    marks = table.map(normalise)
    columns = tuple(table)
    values = {value for column in columns for value in marks[column].unique()}
    if any(_is_number(value) and 0 < float(value) < 1 for value in values):
        return _nothing(columns, marks.iloc[:, 0], "the values are probabilities")
    kinds = {column: meaning_of(column, options) for column in columns}
    marked = marks.isin(_MARKS)
    by_kind = pd.DataFrame(
        {
            label: marked[[c for c in columns if kinds[c] == label]].any(axis=1)
            for label in (BENIGN, MALIGNANT)
        }
    )
    unknown = marked[[c for c in columns if kinds[c] is None]].any(axis=1)
    is_clear = marks.isin((*_MARKS, *_NO_MARKS)).all(axis=1) & ~unknown
    labels = pd.Series(None, table.index, dtype=object)
    for label, other in ((BENIGN, MALIGNANT), (MALIGNANT, BENIGN)):
        labels[is_clear & by_kind[label] & ~by_kind[other]] = label
    if zeros_are_benign:
        labels[is_clear & (marks == "0").all(axis=1)] = BENIGN
    parts = [
        f"{_shown(c for c in columns if kinds[c] == label)} = {label or 'no label'}"
        for label in (MALIGNANT, BENIGN, None)
        if label in kinds.values()
    ]
    return Reading(columns, labels, "marks: " + "; ".join(parts))


def _headerless(table, name, options):
    """Read a table without header: the one column that holds diagnoses only.

    0 and 1 are read from ISIC 2016's own tables alone: nothing says what they mean.
    """
    found = []
    for column in table.columns.drop(table.attrs["image_column"]):
        reading = _one_column(table, column, name, options)
        if (
            reading.labels.notna().any()
            and (reading.labels.notna() | (table[column] == "")).all()
        ):
            found.append(reading)
        elif re.match("ISBI2016", PurePosixPath(name).name):
            cells = table[column].map(normalise)
            if set(cells) <= {"0", "1"}:
                found.append(_by_truth(column, cells, MALIGNANT))
    return found if len(found) == 1 else []


def _without_unsure(reading, table):
    """Take the labels from the rows that have a mark in a column such as unknown."""
    columns = [c for c in UNSURE_COLUMNS if c in table and c not in reading.columns]
    if not columns:
        return reading
    unsure = table[columns].map(normalise).isin(_MARKS).any(axis=1)
    return reading._replace(labels=reading.labels.where(~unsure))


def _nothing(columns, cells, reason):
    columns = (columns,) if isinstance(columns, str) else columns
    return Reading(columns, pd.Series(None, cells.index, dtype=object), reason)


def _shown(values, count=8):
    """Return the first values in words, sorted."""
    values = sorted(map(str, values))
    more = f" and {len(values) - count} more" if len(values) > count else ""
    return ", ".join(value[:40] for value in values[:count]) + more


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True
