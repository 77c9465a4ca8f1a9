"""What tables and folders say about the label of each image, taken together.

If they contradict each other, or one expresses doubt, the image has no label.
"""

from collections import defaultdict
from pathlib import PurePosixPath
from typing import NamedTuple

import pandas as pd

from .diagnoses import (
    AS_WRITTEN,
    BENIGN,
    MALIGNANT,
    UNSURE,
    is_number,
    meaning_of,
    names_class,
    names_doubt,
    normalise,
)
from .file_names import says_no_truth
from .isic_tables import column_name
from .label_columns import (
    VAGUE_COLUMNS,
    WORD_COLUMNS,
    columns_of_diagnoses,
    has_labels,
    read_labels,
    values_of,
)

_SHOWN = 160  # characters of a reason


class Claim(NamedTuple):
    """The label that one table or folder gives to one image."""

    image_id: str
    label: str | None  # or UNSURE
    source: str  # table and column
    text: str  # the cells, for messages


class LabelTable(NamedTuple):
    """A table of labels: all of it, and the rows of images, with their image_id."""

    name: str
    table: pd.DataFrame
    rows: pd.DataFrame


class Claims:
    """Collects the Claims of tables and folders.

    Attributes:
        notes: list of text, extended by the reasons why columns give no label.
        meanings: {source: what its values mean}.
    """

    def __init__(self, options, notes):
        self.options, self.notes, self.meanings = options, notes, {}
        self._tables, self._claims, self._values = [], [], set()
        self._codes = {}  # {source that is a code such as 0 and 1: its column}
        self._doubts = []  # Claims that can contradict codes

    def add_tables(self, tables):
        """Add what LabelTables say."""
        wanted = [column_name(c) for c in self.options.label_columns()]
        options = self.options._replace(label_column=tuple(wanted))
        values = values_of((one.table, not one.rows.empty) for one in tables)
        tables = self._tables = [one for one in tables if not one.rows.empty]
        for column in {*values, *wanted}.intersection((*WORD_COLUMNS, *wanted)):
            self._values |= values.get(column, set())
        for name, table, rows in tables:
            if set(wanted) <= set(table):
                for reading in read_labels(table, name, options, values):
                    self._add_reading(name, rows, reading)
            for column, labels in columns_of_diagnoses(rows):
                if source_name(name, [column]) not in self.meanings:
                    self._doubts += _claims(name, rows, [column], labels)

    def _add_reading(self, name, rows, reading):
        columns, labels = list(reading.columns), reading.labels[rows.index]
        source = source_name(name, columns)
        self._values |= set(map(normalise, columns))
        self.meanings[source] = reading.meaning
        self._codes |= {source: columns[0]} if reading.is_code else {}
        if reading.meaning and not has_labels(reading):
            self.notes.append(f"{source}: {reading.meaning}")
        self._claims += _claims(name, rows, columns, labels)

    def add_folders(self, paths, image_ids):
        """Add what the folders of images say."""
        only_folders = self.options.values() - self._values
        claims = folder_claims(paths, image_ids, self.options, only_folders)
        folders = (part for path in paths for part in PurePosixPath(path).parts[:-1])
        self._values |= set(map(normalise, folders))
        self._claims += claims
        self.meanings |= {c.source: f"= {c.label}" for c in claims if c.label}

    def require_values(self):
        """Raise ValueError if no image has any of the values in the options.

        If only some are missing, they are noted: they may be misspelt.
        """
        for name in ("malignant", "benign"):
            wanted = getattr(self.options, name)
            missing = [v for v in wanted if normalise(v) not in self._values]
            words = ", ".join(map(repr, missing))
            if wanted and len(missing) == len(wanted) and self._values:
                raise ValueError(
                    f"no label of the images is {words}, named as {name}; they have "
                    f"{', '.join(sorted(v for v in self._values if v)[:20])}"
                )
            if missing:
                self.notes.insert(0, f"no label is {words}, named as {name}")

    def doubt(self, inverting):
        """Compare the labels with other columns of diagnoses, of whatever name.

        Images where they differ get contradictory labels, unless label_column says
        which words count. If they differ from codes, such as 0 and 1, for most of a
        column's images, the codes do not mean what its name suggests, and the other
        images lose its label; so do all if a text says that 0 is malignant, such as
        those in `inverting`.
        """
        for code in [c for c in self._codes if self._codes[c] in VAGUE_COLUMNS]:
            if inverting:
                self._clear(code, f"{inverting[0]} says that 0 is malignant")
        said = defaultdict(list)
        for claim in (*self._claims, *self._doubts):
            if claim.label in (BENIGN, MALIGNANT) and claim.source not in self._codes:
                said[claim.image_id].append(claim)
        judged = defaultdict(list)
        for claim in self._claims:
            is_judged = claim.source in self._codes or not self.options.label_column
            if claim.label and is_judged and said[claim.image_id]:
                judged[claim.source].append(claim)
        for source, claims in judged.items():
            against = {
                doubt
                for claim in claims
                for doubt in said[claim.image_id]
                if claim.label in (BENIGN, MALIGNANT) and claim.label != doubt.label
            }
            images = {claim.image_id for claim in against}
            is_most = 2 * len(images) > len({claim.image_id for claim in claims})
            if source in self._codes and is_most:
                other = min(claim.source for claim in against)
                self._clear(source, f"against {other}", images)
            self._claims += sorted(against)

    def _clear(self, source, reason, kept=()):
        """Remove the labels of a source, except from the images `kept`."""
        self._claims = [
            claim._replace(label=None, text=f"{claim.text}, {reason}")
            if claim.source == source and claim.image_id not in kept
            else claim
            for claim in self._claims
        ]
        if not kept:
            self.notes.append(f"{source}: {self.meanings[source]}, but {reason}")

    def labels(self):
        """Return {image id: (label, why there is none, its sources)}."""
        for name, table, _ in self._tables if not self._claims else ():
            self.notes.append(
                f"{name}: no known column of labels; label_column may name one of "
                f"{', '.join(table)}"
            )
        by_image = defaultdict(list)
        for claim in self._claims:
            by_image[claim.image_id].append(claim)
        return {image_id: _label(claims) for image_id, claims in by_image.items()}


def folder_claims(paths, image_ids, options=AS_WRITTEN, named=()):
    """Read folder names such as benign/ and nevus/ as labels.

    A name of up to three letters, such as mel/, counts only together with another one,
    or if it is one of `named`, the values of options that no table has.
    Images in sibling folders of another name have no label, nor have those below a
    folder that expresses doubt, or holds predictions or old copies.
    """
    folders = [PurePosixPath(path).parts[:-1] for path in paths]
    classes = {
        part for parts in set(folders) for part in parts if names_class(part, options)
    }
    is_class = [len(name) > 3 or normalise(name) in named for name in classes]
    if len(classes) < 2 and not any(is_class):
        return []
    parents = {
        parts[:depth]
        for parts in set(folders)
        for depth, part in enumerate(parts)
        if part in classes
    }
    claims = []
    for image_id, parts in zip(image_ids, folders, strict=True):
        no_truth = next(filter(says_no_truth, parts), None)
        for depth, part in enumerate(parts):
            label, text = meaning_of(part, options), f"the folder is {part}/"
            if names_doubt(part):
                label = UNSURE
            elif part not in classes:
                if parts[:depth] not in parents:
                    continue
                # 0/ is benign beside 1/ if malignant is 1; 2020/ beside melanoma/ not
                label = label if any(map(is_number, named)) else None
            if no_truth:
                label, text = None, f"the folder is {no_truth}/"
            claims.append(Claim(image_id, label, f"folders {part}/", text))
    return claims


def source_name(name, columns):
    """Return the name of a source of labels: a table and its columns."""
    of = "column" if len(columns) == 1 else "columns"
    return f"{name}, {of} {', '.join(columns)}"


def _claims(name, rows, columns, labels):
    """Return the Claim of each row of a table."""
    source = source_name(name, columns)
    said = zip(rows["image_id"], labels, _texts(rows, columns), strict=True)
    return [
        Claim(
            image_id,
            label if isinstance(label, str) else None,
            source,
            f"{name} says {text}" if text else "",
        )
        for image_id, label, text in said
    ]


def _texts(rows, columns):
    """Return the cells of each row as "name=cell", without empty ones and no marks."""
    unmarked = ["", "0", "0.0"] if len(columns) > 1 else [""]
    texts = pd.Series("", rows.index)
    for name in columns:
        texts = texts.where(rows[name].isin(unmarked), texts + f" {name}=" + rows[name])
    return texts.where((texts != "") | (len(columns) == 1), "no mark").str.strip()


def _label(claims):
    """Join the Claims of one image; doubt, or a cell of unknown meaning, leave none."""
    sure = [claim for claim in claims if claim.label in (BENIGN, MALIGNANT)]
    sources = dict.fromkeys(claim.source for claim in sure)
    against = [c for c in claims if c.label == UNSURE]
    against += [c for c in claims if not c.label and c.text and c.source in sources]
    labels = {claim.label for claim in sure}
    if len(labels) == 1 and not against:
        return *labels, None, tuple(sources)
    kind = "contradictory labels" if len(labels) == 2 else "no label"
    relevant = sorted(sure, key=lambda c: c.label) if len(labels) == 2 else against
    words = "; ".join(dict.fromkeys(c.text for c in relevant or claims if c.text))
    return None, f"{kind}: {words}"[:_SHOWN] if words else kind, ()
