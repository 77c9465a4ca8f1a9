"""Read the columns of a table as labels: benign, malignant, or none.

A column is read as a whole, over all tables that have it. If its name and all of its
values do not show clearly what they mean, it gives no label but a reason, and
LabelOptions can state the meaning.

Labels are read from:
- the words benign and malignant, and the diagnoses of DIAGNOSES, in a column of
  WORD_COLUMNS; any other word is no label. A word of doubt, such as "suspicious" or
  "melanoma?", or a mark in a column of UNSURE_COLUMNS, makes the image UNSURE: no other
  column can give it a label;
- 0 and 1 in a column of BINARY_COLUMNS; other numbers are class numbers and no label;
- one-hot columns of diagnoses (ISIC 2018 Task 3). A row with marks of both kinds, or
  with one in a column of unknown meaning, has no label; nor has a row without a mark,
  unless ISIC 2017's melanoma and seborrheic_keratosis are the only such columns;
- PH2's clinical diagnosis: 2 is melanoma; 0 and 1 are common and atypical nevi.
Actinic keratosis is malignant under the challenges' codes AKIEC and AK. Spelled out, or
as PAD-UFES-20's ACK, it is no label: its authors do not count it as cancer.
"""

import re
from itertools import groupby
from pathlib import PurePosixPath
from typing import NamedTuple

import pandas as pd

BENIGN, MALIGNANT = "benign", "malignant"
UNSURE = "unsure"  # in place of a label

_MALIGNANT = """
mel, bcc, scc, akiec, ak, melanoma, malignant melanoma, melanoma in situ,
melanoma metastasis, lentigo maligna, lentigo maligna melanoma, basal cell carcinoma,
squamous cell carcinoma"""
_BENIGN = """
nv, bkl, df, vasc, nev, sek, nevus, naevus, nevi, naevi, seborrheic keratosis,
seborrhoeic keratosis, benign keratosis, pigmented benign keratosis,
benign keratosis like lesion, lichenoid keratosis, dermatofibroma, solar lentigo,
lentigo simplex, lentigo nos, vascular lesion, angioma, hemangioma, haemangioma,
cherry angioma"""
DIAGNOSES = {
    **dict.fromkeys(re.split(r",\s+", _MALIGNANT.strip()), MALIGNANT),
    **dict.fromkeys(re.split(r",\s+", _BENIGN.strip()), BENIGN),
    **{
        f"{kind} {noun}": BENIGN
        for kind in ("melanocytic", "common", "atypical", "dysplastic", "blue", "spitz")
        for noun in ("nevus", "naevus", "nevi", "naevi")
    },
}
WORD_COLUMNS = (
    *("label", "labels", "class", "target", "diagnosis", "diagnostic", "dx"),
    *("diagnosis_1", "benign_malignant", "malignancy", "clinical_diagnosis"),
)
# The meaning of 1, or true; 0 is the other label
BINARY_COLUMNS = {
    **dict.fromkeys(("label", "labels", "class", "target", "malignancy"), MALIGNANT),
    **dict.fromkeys(("malignant", "is_malignant"), MALIGNANT),
    **dict.fromkeys(("benign", "is_benign"), BENIGN),
}
# The meaning of 1 is clear if there is a 0, and no text says otherwise
_VAGUE_COLUMNS = ("label", "labels", "class", "target")
VAGUE_COLUMNS = (*_VAGUE_COLUMNS, "malignancy")
# A row with a mark in one of these is UNSURE
UNSURE_COLUMNS = (
    *("unk", "unknown", "other", "indeterminate", "uncertain", "suspicious"),
    *("premalignant", "pre_malignant", "precancer", "borderline"),
)
_EMPTY = ("nan", "na", "n/a", "null", "<na>")
# A diagnosis may be unknown though the lesion is known to be benign (ISIC 2020)
_DIAGNOSIS_COLUMNS = ("diagnosis", "diagnostic", "dx", "clinical_diagnosis")
_UNKNOWN = ("unk", "unknown", "other", "none")
_DOUBT = re.compile(
    r"\?|\b(in|un)(determinate|certain|sure|clear)|\b(suspect|suspicious|possibl|probabl)"
    r"|\b(borderline|equivocal|pre ?malignant|precancer|not|excluded|vs|versus)\b|^no "
)
# Texts such as "0 = malignant, 1 = benign" or {"benign": 1, "malignant": 0}
_GAP = r"""[\s"'=:,;|>()-]{1,6}"""
_0_MALIGNANT, _1_BENIGN = (
    re.compile(rf"\b{code}{_GAP}({words})|\b({words}){_GAP}{code}\b", re.I)
    for code, words in (
        ("0", r"malignan\w*|melanoma\w*|cancer\w*"),
        ("1", r"benign\w*|na?ev\w+|non-?(melanoma|cancer)\w*|healthy"),
    )
)
_PREDICTION_COLUMNS = ("p_malignant", "predicted_class")
_MARKS, _NO_MARKS = ("1", "true", "yes", "x"), ("0", "false", "no", "")
_TRUTH_WORDS = ({"0", "1"}, {"false", "true"}, {"f", "t"}, {"no", "yes"}, {"n", "y"})
_OTHER_TRUTH = re.compile("pred|history|family|prior|previous")
_MANY_VALUES = 1000  # more than there are diagnoses
_TRUE = ("1", "true", "t", "yes", "y")
_WEIGHT_COLUMNS = ("score_weight", "validation_weight")  # of ISIC 2019, 0 or 1
_ISIC_2017 = {"melanoma", "seborrheic_keratosis"}
_PH2_DIAGNOSES = {"0": BENIGN, "1": BENIGN, "2": MALIGNANT}


class LabelOptions(NamedTuple):
    """How to read the tables where their names and values are not clear.

    Attributes:
        label_table: name or path of the only table that holds labels.
        image_column: column of image names, in every table.
        label_column: column of diagnoses, or several one-hot columns.
        malignant: values (of one-hot columns: their names) that mean malignant. Known
            benign diagnoses, and all other numbers, are then benign; the rest is no
            label. Without label_column, exactly one column must have such values.
        benign: values that mean benign. If malignant is given too, all others are no
            label.
        split_column: column of train, val, test.
        group_column: column of what must stay in one split, such as patients.
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
        """Make LabelOptions from keywords; malignant and benign may be one text.

        Raises:
            ValueError: for an unknown option or a value of another type.
        """
        for name, value in options.items():
            if name not in cls._fields:
                known = ", ".join(cls._fields)
                raise ValueError(f"unknown option {name!r}; the options are {known}")
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
        """Return the label columns as a tuple, () if not given."""
        columns = self.label_column or ()
        return (columns,) if isinstance(columns, str) else tuple(columns)

    def values(self):
        """Return the set of the normalised values of malignant and benign."""
        return set(map(normalise, (*self.malignant, *self.benign)))


AS_WRITTEN = LabelOptions()  # no option is given


class Reading(NamedTuple):
    """The labels of a column, or of a set of one-hot columns.

    Attributes:
        columns: their names.
        labels: Series of "benign", "malignant", or missing, one for each row.
        meaning: description of what each value means, or why no row has a label.
        is_code: whether the labels come from 0 and 1, or the like, and the column name.
    """

    columns: tuple
    labels: pd.Series
    meaning: str
    is_code: bool = False


def read_labels(table, name, options=AS_WRITTEN, values=None):
    """Read all columns of a table that may hold labels.

    Args:
        table: from isic_tables.read_table.
        name: name of its file.
        options: LabelOptions, with columns of this table.
        values: {column: set of its normalised values in all tables}; of this table
            alone if not given.

    Returns:
        list of Readings.

    Raises:
        ValueError: if the options do not fit the column's values.
    """
    values = values or values_of([table])
    columns = options.label_columns()
    if len(columns) > 1:
        if not any(meaning_of(column, options) for column in columns):
            raise ValueError(
                f"{name}: none of the columns {', '.join(columns)} is a known "
                "diagnosis: malignant must name some of them"
            )
        is_2017 = set(columns) == _ISIC_2017
        return [_one_hot(table[list(columns)], options, is_2017, values)]
    if columns:
        return [_one_column(table, columns[0], name, options, values)]
    if any(column in table for column in _PREDICTION_COLUMNS):
        return []
    if not table.attrs.get("has_header", True):
        return _headerless(table, name, options)
    columns = [c for c in table if c in WORD_COLUMNS or c in BINARY_COLUMNS]
    if options.values():
        columns = [c for c in columns if c in _holders(values, options)]
    readings = [_one_column(table, c, name, options, values) for c in columns]
    if not (options.values() and columns):
        readings += _marked_diagnoses(table, readings, options, values)
    if any(has_labels(reading) for reading in readings):
        readings += _marks_of_doubt(table)
    return readings


def values_of(tables):
    """Return {column: set of its normalised values} over all tables with a header."""
    values = {}
    for table in tables:
        for column in table if table.attrs.get("has_header", True) else ():
            found = set(map(normalise, table[column].unique())) - {""}
            values[column] = values.get(column, set()) | found
    return values


def has_labels(reading):
    """Whether any row of a Reading is benign or malignant."""
    return reading.labels.isin((BENIGN, MALIGNANT)).any()


def text_inverts_codes(text):
    """Whether a text says that 0 is malignant and 1 is benign."""
    return bool(_0_MALIGNANT.search(text) and _1_BENIGN.search(text))


def _holders(values, options):
    """Return the columns that hold values of options, or are named by them."""
    words = [
        column
        for column in values
        if (column in WORD_COLUMNS or column in BINARY_COLUMNS)
        and values[column] & options.values()
    ]
    marks = [column for column in values if normalise(column) in options.values()]
    if len(words) + bool(marks) > 1:
        raise ValueError(
            "malignant and benign have values of several columns, "
            f"{', '.join(words + marks)}: label_column must name the one that counts"
        )
    return words or marks


def columns_of_diagnoses(table):
    """Yield (column, label of each row) where half of a column's values are diagnoses.

    The column may have any name. Its diagnoses may be suspected ones only, so they are
    no labels, but they can show that a code is not what its column name suggests.
    """
    for column in table if not any(c in table for c in _PREDICTION_COLUMNS) else ():
        values = [value for value in table[column].unique() if normalise(value)]
        if _OTHER_TRUTH.search(column) or len(values) > _MANY_VALUES:
            continue
        meanings = {value: meaning_of(value) for value in values}
        if 2 * len([m for m in meanings.values() if m]) >= max(len(values), 1):
            yield column, table[column].map(meanings)


def meaning_of(value, options=AS_WRITTEN):
    """Return "benign", "malignant" or None for a diagnosis, ignoring case."""
    word = normalise(value)
    if word in (BENIGN, MALIGNANT):
        return word
    if word in map(normalise, options.malignant):
        return MALIGNANT
    if word in map(normalise, options.benign):
        return BENIGN
    if options.malignant and not options.benign and _is_code(word):
        return BENIGN
    known = DIAGNOSES.get(word) or DIAGNOSES.get(word.removesuffix("s"))
    # Where the options list the malignant values, a diagnosis they omit is none
    return None if known and getattr(options, known) else known


def names_class(text, options=AS_WRITTEN):
    """Whether a column or folder is named like a diagnosis or a value of options."""
    return meaning_of(text) is not None or normalise(text) in options.values()


def normalise(value):
    """Return a value in lower case with single spaces; 1.0 as "1", NaN as ""."""
    text = re.sub(r"[\s_-]+", " ", str(value).strip().lower())
    return "" if text in _EMPTY else re.sub(r"^(\d+)\.0*$", r"\1", text)


def names_doubt(text):
    """Whether a word of a column or folder expresses doubt, such as "suspicious"."""
    return bool(_DOUBT.search(normalise(text)))


def _one_column(table, column, name, options, values):
    """Read one column as values of options, true/false, numbers or diagnoses."""
    cells, values = table[column].map(normalise), values[column]
    has_named = not values.isdisjoint(options.values())
    is_truth = any(values <= words for words in _TRUTH_WORDS) and bool(values)
    if options.values() and options.label_column and not has_named:
        raise ValueError(
            f"{name}: column {column!r} has none of the values "
            f"{', '.join((*options.malignant, *options.benign))}, it has "
            f"{_shown(values)}"
        )
    if has_named and is_truth and not options.label_column:
        raise ValueError(
            f"{name}: column {column!r} has {_shown(values)}, which malignant or "
            "benign names; label_column must name that column"
        )
    if has_named:
        return _by_words(column, cells, options)
    if is_truth:
        if _is_explained(column, values):
            return _by_truth(column, cells, BINARY_COLUMNS[column])
        reason = f"{_shown(values)} {'is' if len(values) == 1 else 'are'} not explained"
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


def _is_explained(column, values):
    """Whether a column's name explains its values, such as 0 and 1."""
    if column in VAGUE_COLUMNS and len(values) < 2:
        return False
    if column in _VAGUE_COLUMNS and not values <= {"0", "1", "true", "false"}:
        return False
    return column in BINARY_COLUMNS


def _by_words(column, cells, options):
    labels = {value: meaning_of(value, options) for value in cells.unique() if value}
    for value in (value for value, label in labels.items() if label is None):
        is_unknown = value in _UNKNOWN and column not in _DIAGNOSIS_COLUMNS
        labels[value] = UNSURE if is_unknown or names_doubt(value) else None
    return Reading((column,), cells.map(labels), _listed(labels) or "it is empty")


def _listed(labels):
    """Describe {value or column: label} as "mel = malignant; nv = benign"."""
    words = {MALIGNANT: MALIGNANT, BENIGN: BENIGN}
    kinds = {value: words.get(label, "no label") for value, label in labels.items()}
    return "; ".join(
        f"{_shown(v for v in kinds if kinds[v] == kind)} = {kind}"
        for kind in (*words, "no label")
        if kind in kinds.values()
    )


def _by_truth(column, cells, of_true):
    of_false = BENIGN if of_true == MALIGNANT else MALIGNANT
    labels = {
        value: of_true if value in _TRUE else of_false
        for value in sorted(set(cells) - {""}, reverse=True)
    }
    meaning = "; ".join(f"{value} = {label}" for value, label in labels.items())
    return Reading((column,), cells.map(labels), meaning, is_code=True)


def _marked_diagnoses(table, readings, options, values):
    """Read one-hot columns of diagnoses, if there are any.

    If no other reading has labels, adjacent columns of marks belong to them: a mark
    there is a diagnosis of unknown meaning.
    """
    one_hot = [c for c in table if c not in BINARY_COLUMNS and names_class(c, options)]
    # A single short name may mean anything
    if len(one_hot) < 2 and not any(len(column) > 3 for column in one_hot):
        return []
    marks = {
        column: column in one_hot or _has_marks(table[column])
        for column in table
        if column not in (*WORD_COLUMNS, *BINARY_COLUMNS, *_WEIGHT_COLUMNS)
    }
    is_2017 = {column for column in marks if marks[column]} == _ISIC_2017
    if not any(map(has_labels, readings)):
        runs = [list(run) for is_mark, run in groupby(marks, marks.get) if is_mark]
        one_hot = [c for run in runs if not set(run).isdisjoint(one_hot) for c in run]
    return [_one_hot(table[one_hot], options, is_2017, values)]


def _has_marks(cells):
    values = set(cells.map(normalise)) - {""}
    return bool(values) and values <= {*_MARKS, *_NO_MARKS}


def _one_hot(table, options, zeros_are_benign, values):
    """Read one-hot columns by the meaning of their names."""
    marks = table.map(normalise)
    columns = tuple(table)
    numbers = {v for column in columns for v in values[column] if _is_number(v)}
    if not numbers <= {"0", "1"}:
        reason = f"{_shown(numbers)} are probabilities or counts, no marks"
        return _nothing(columns, marks.iloc[:, 0], reason)
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
    return Reading(columns, labels, f"marks: {_listed(kinds)}")


def _headerless(table, name, options):
    """Read a table without header: the only column with nothing but diagnoses.

    0 and 1 are read in ISIC 2016's own tables only; elsewhere they have no known
    meaning.
    """
    found = []
    for column in table.columns.drop(table.attrs["image_column"]):
        cells = table[column].map(normalise)
        reading = _one_column(table, column, name, options, {column: {*cells} - {""}})
        if has_labels(reading) and (reading.labels.notna() | (cells == "")).all():
            found.append(reading)
        elif re.match("ISBI2016", PurePosixPath(name).name) and {*cells} <= {"0", "1"}:
            found.append(_by_truth(column, cells, MALIGNANT))
    return found if len(found) == 1 else []


def _marks_of_doubt(table):
    """Read each of UNSURE_COLUMNS that has a mark: its rows are UNSURE."""
    for column in filter(table.__contains__, UNSURE_COLUMNS):
        is_marked = table[column].map(normalise).isin(_MARKS)
        if is_marked.any():
            labels = is_marked.map({True: UNSURE, False: None})
            yield Reading((column,), labels, "a mark = no label")


def _nothing(columns, cells, reason):
    """Return a Reading without labels."""
    columns = (columns,) if isinstance(columns, str) else columns
    return Reading(columns, pd.Series(None, cells.index, dtype=object), reason)


def _shown(values, count=8):
    """List the first values, sorted."""
    values = sorted(map(str, values))
    more = f" and {len(values) - count} more" if len(values) > count else ""
    return ", ".join(value[:40] for value in values[:count]) + more


def _is_code(word):
    return _is_number(word) or any(word in words for words in _TRUTH_WORDS)


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True
