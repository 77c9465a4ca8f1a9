"""Read the columns of a table as labels: benign, malignant, or none.

A column is read as a whole, over all tables that have it. If its name and all of its
values do not show clearly what they mean, it gives no label but a reason, and
LabelOptions can state the meaning.

Labels are read from:
- the words benign and malignant, and the diagnoses of DIAGNOSES, in a column of
  WORD_COLUMNS; any other word is no label. A word of doubt, such as "suspicious" or
  "melanoma?", or a mark in a column named so, makes the image UNSURE: no other
  column can give it a label;
- 0 and 1 in a column of BINARY_COLUMNS; other numbers are class numbers and no label.
  A column such as "label" needs more: the name of its table must not be about
  something else, such as hair, and diagnoses beside it must not all be unknown ones;
- one-hot columns of diagnoses (ISIC 2018 Task 3). A row with marks of both kinds, or
  with one in a column of unknown meaning, has no label; nor has a row without a mark,
  unless ISIC 2017's melanoma and seborrheic_keratosis are the only such columns;
- PH2's clinical diagnosis: 2 is melanoma; 0 and 1 are common and atypical nevi.
"""

import re
from itertools import groupby
from pathlib import PurePosixPath
from typing import NamedTuple

import pandas as pd

from .diagnoses import (
    BENIGN,
    MALIGNANT,
    TRUTH_WORDS,
    UNKNOWN,
    UNSURE,
    has_malignant_word,
    is_code,
    is_number,
    meaning_of,
    names_class,
    names_doubt,
    normalise,
    shown,
)

WORD_COLUMNS = (
    *("label", "labels", "class", "target", "diagnosis", "diagnostic", "dx"),
    *("diagnosis_1", "benign_malignant", "malignancy", "clinical_diagnosis"),
)
# Their 1 is clear if there is a 0, or their true a false, and no text says otherwise;
# so are yes and no in "malignancy", whose numbers may be ratings
VAGUE_COLUMNS = ("label", "labels", "class", "target", "malignancy")
# The meaning of 1, or true; 0 is the other label
BINARY_COLUMNS = {
    **dict.fromkeys((*VAGUE_COLUMNS, "malignant", "is_malignant"), MALIGNANT),
    **dict.fromkeys(("benign", "is_benign"), BENIGN),
}
# A diagnosis may be unknown though the lesion is known to be benign (ISIC 2020)
_DIAGNOSIS_COLUMNS = ("diagnosis", "diagnostic", "dx", "clinical_diagnosis")
_PREDICTION_COLUMNS = ("p_malignant", "predicted_class")
_MARKS, _NO_MARKS = ("1", "true", "yes", "x"), ("0", "false", "no", "")
_SCORE = re.compile(r"(^|_)(score|prob|probability|confidence|conf|logit)s?(_|$)")
_OTHER_TRUTH = re.compile("pred|history|family|prior|previous")
# Columns of free text that say more than a clinical diagnosis
_PATHOLOGY = re.compile("histo(?!r)|patholog|final_(diagnosis|dx)")
# In the name of a table: its codes are not about the diagnosis
_OTHER_SUBJECT = re.compile(
    r"hair|ruler|art[ei]fact|quality|blur|bubble|marker|vignett|bandage|duplicate"
    r"|gender|device|camera|phototype|fitzpatrick|(?<![a-z])(ink|gel|sex|age)(?![a-z])",
    re.I,
)
_MANY_VALUES = 1000  # more than there are diagnoses
_TRUE = ("1", "true", "t", "yes", "y")
_WEIGHT_COLUMNS = ("score_weight", "validation_weight")  # of ISIC 2019, 0 or 1
_ISIC_2017 = {"melanoma", "seborrheic_keratosis"}
_PH2_DIAGNOSES = {"0": BENIGN, "1": BENIGN, "2": MALIGNANT}


class Reading(NamedTuple):
    """The labels of a column, or of a set of one-hot columns.

    Attributes:
        columns: their names.
        labels: Series of "benign", "malignant", UNSURE or missing, one for each row.
        meaning: description of what each value means, or why no row has a label.
        is_code: whether the labels come from 0 and 1, or the like, and the column name.
    """

    columns: tuple
    labels: pd.Series
    meaning: str
    is_code: bool = False


def read_labels(table, name, options, values):
    """Read all columns of a table that may hold labels.

    Args:
        table: from isic_tables.read_table.
        name: name of its file.
        options: LabelOptions, with columns of this table.
        values: of all tables, from values_of.

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
        is_2017 = set(columns) == _ISIC_2017
        return [_one_hot(table[list(columns)], options, is_2017, values)]
    if columns:
        return [_one_column(table, columns[0], name, options, values)]
    if any(column in table for column in _PREDICTION_COLUMNS):
        return []
    for column in table:
        if _SCORE.search(column) and _are_scores(values.get(column, ())):
            reason = "probabilities, beside which labels may be predictions: "
            return [_nothing(column, table[column], reason + "name label_column")]
    if not table.attrs["has_header"]:
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
    """Return {column: set of its normalised values} over all tables.

    tables are pairs of a table, and whether it has images of the data set. If not, its
    numbers count: a label may be 0 or 1 here, but 6 in another table.
    """
    values = {}
    for table, has_images in tables:
        for column in table:
            found = set(map(normalise, table[column].unique())) - {""}
            found = found if has_images else set(filter(is_number, found))
            values[column] = values.get(column, set()) | found
    return values


def has_labels(reading):
    """Whether any row of a Reading is benign or malignant."""
    return reading.labels.isin((BENIGN, MALIGNANT)).any()


def columns_of_diagnoses(table):
    """Yield (column, label of each row) where half of a column's values are diagnoses.

    The column may have any name. Its diagnoses may be suspected ones only, so they are
    no labels, but they can contradict those of other columns. In columns of pathology,
    so does any text with a malignant word.
    """
    for column in table if not any(c in table for c in _PREDICTION_COLUMNS) else ():
        values = [value for value in table[column].unique() if normalise(value)]
        is_pathology = bool(_PATHOLOGY.search(column))
        is_long = len(values) > _MANY_VALUES and not is_pathology
        if _OTHER_TRUTH.search(column) or is_long:
            continue
        meanings = {value: meaning_of(value) for value in values}
        if is_pathology:
            meanings |= dict.fromkeys(filter(has_malignant_word, values), MALIGNANT)
        known = [meaning for meaning in meanings.values() if meaning]
        if is_pathology or 2 * len(known) >= max(len(values), 1):
            yield column, table[column].map(meanings)


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


def _one_column(table, column, name, options, values):
    """Read one column as values of options, true/false, numbers or diagnoses."""
    cells, found = table[column].map(normalise), values[column].difference(UNKNOWN)
    has_named = not found.isdisjoint(options.values())
    is_truth = any(found <= words for words in TRUTH_WORDS) and bool(found)
    if options.values() and options.label_column and not has_named:
        raise ValueError(
            f"{name}: column {column!r} has none of the values "
            f"{', '.join((*options.malignant, *options.benign))}; malignant and benign "
            f"must name some of its values, which are {shown(found)}"
        )
    if has_named and is_truth and not options.label_column:
        raise ValueError(
            f"{name}: column {column!r} has {shown(found)}, which malignant or "
            "benign names; label_column must name that column"
        )
    if has_named:
        return _by_words(column, cells, options)
    if is_truth:
        reason = _why_unclear(table, column, name, values)
        if not reason:
            return _by_truth(column, cells, BINARY_COLUMNS[column])
        if options.label_column:
            raise ValueError(
                f"{name}: column {column!r}: {reason}, malignant must name one of them"
            )
        return _nothing(column, cells, reason)
    is_ph2 = PurePosixPath(name).name.lower().startswith("ph2")
    if is_ph2 and column == "clinical_diagnosis" and found <= set(_PH2_DIAGNOSES):
        labels = cells.map(_PH2_DIAGNOSES)
        return Reading((column,), labels, _listed(_PH2_DIAGNOSES))
    if found and all(map(is_number, found)):
        is_share = any(0 < float(value) < 1 for value in found)
        kind = "probabilities, no labels" if is_share else "class numbers"
        return _nothing(column, cells, f"{shown(found)} are {kind}")
    return _by_words(column, cells, options)


def _why_unclear(table, column, name, values):
    """Return why a column's values, such as 0 and 1, may mean anything, or None."""
    found = values[column].difference(UNKNOWN)
    is_answer = column == "malignancy" and not any(map(is_number, found))
    if column in BINARY_COLUMNS and (column not in VAGUE_COLUMNS or is_answer):
        return None
    if column not in VAGUE_COLUMNS or found not in ({"0", "1"}, {"false", "true"}):
        return f"{shown(found)} {'is' if len(found) == 1 else 'are'} not explained"
    subject = _OTHER_SUBJECT.search(name)
    if subject:
        return f"{shown(found)} may be about {subject[0]}, as the table's name says"
    words = {v for c in table if c in WORD_COLUMNS and c != column for v in values[c]}
    words = {word for word in words.difference(UNKNOWN) if not is_code(word)}
    if words and not any(map(meaning_of, words)):
        return f"{shown(found)} are beside no known diagnosis, but {shown(words, 3)}"
    return None


def _by_words(column, cells, options):
    labels = {value: meaning_of(value, options) for value in cells.unique() if value}
    for value in (value for value, label in labels.items() if label is None):
        is_unknown = value in UNKNOWN and column not in _DIAGNOSIS_COLUMNS
        labels[value] = UNSURE if is_unknown or names_doubt(value) else None
    return Reading((column,), cells.map(labels), _listed(labels) or "it is empty")


def _listed(labels):
    """Describe {value or column: label} as "mel = malignant; nv = benign"."""
    words = {MALIGNANT: MALIGNANT, BENIGN: BENIGN}
    kinds = {value: words.get(label, "no label") for value, label in labels.items()}
    return "; ".join(
        f"{shown(v for v in kinds if kinds[v] == kind)} = {kind}"
        for kind in (*words, "no label")
        if kind in kinds.values()
    )


def _by_truth(column, cells, of_true):
    of_false = BENIGN if of_true == MALIGNANT else MALIGNANT
    words = set(cells).difference(UNKNOWN, [""])
    labels = {word: of_true if word in _TRUE else of_false for word in words}
    meaning = _listed(labels) or "it is empty"
    labels |= dict.fromkeys(UNKNOWN, UNSURE)
    return Reading((column,), cells.map(labels), meaning, is_code=True)


def _marked_diagnoses(table, readings, options, values):
    """Read one-hot columns of diagnoses, if there are any.

    If no other reading has labels, marks in adjacent columns are unknown diagnoses.
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


def _are_scores(values):
    """Whether values are numbers from 0 to 1, and not these alone."""
    numbers = [float(value) for value in values if is_number(value)]
    is_all = len(numbers) == len(values) and all(0 <= n <= 1 for n in numbers)
    return is_all and any(0 < number < 1 for number in numbers)


def _has_marks(cells):
    values = set(cells.map(normalise)) - {""}
    return bool(values) and values <= {*_MARKS, *_NO_MARKS}


def _one_hot(table, options, zeros_are_benign, values):
    """Read one-hot columns by the meaning of their names."""
    marks = table.map(normalise)
    columns = tuple(table)
    numbers = {v for column in columns for v in values[column] if is_number(v)}
    if not numbers <= {"0", "1"}:
        reason = f"{shown(numbers)} are probabilities or counts, no marks"
        return _nothing(columns, marks.iloc[:, 0], reason)
    kinds = {column: meaning_of(column, options) for column in columns}
    marked = marks.isin(_MARKS)
    has = {
        kind: marked[[c for c in columns if kinds[c] == kind]].any(axis=1)
        for kind in (BENIGN, MALIGNANT, None)
    }
    is_clear = marks.isin((*_MARKS, *_NO_MARKS)).all(axis=1) & ~has[None]
    labels = pd.Series(None, table.index, dtype=object)
    labels[is_clear & has[BENIGN] & ~has[MALIGNANT]] = BENIGN
    labels[is_clear & has[MALIGNANT] & ~has[BENIGN]] = MALIGNANT
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
    """Read each column such as "unknown" that has a mark: its rows are UNSURE."""
    for column in table:
        if normalise(column) in UNKNOWN or names_doubt(column):
            is_marked = table[column].map(normalise).isin(_MARKS)
            if is_marked.any():
                labels = is_marked.map({True: UNSURE, False: None})
                yield Reading((column,), labels, "")


def _nothing(columns, cells, reason):
    """Return a Reading without labels."""
    columns = (columns,) if isinstance(columns, str) else columns
    return Reading(columns, pd.Series(None, cells.index, dtype=object), reason)
