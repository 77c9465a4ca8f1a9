"""Join labels, splits and metadata from tables and folder names to the images.

Several tables and columns may describe one image; if they contradict each other, or one
expresses doubt, it has no label. Predictions and old copies, by the names of their
files and folders, give no labels. Tables are read by isic_tables, their labels by
diagnoses.
"""

import re
from collections import defaultdict
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pandas as pd

from .diagnoses import (
    AS_WRITTEN,
    BENIGN,
    MALIGNANT,
    UNSURE,
    VAGUE_COLUMNS,
    WORD_COLUMNS,
    columns_of_diagnoses,
    has_labels,
    meaning_of,
    names_class,
    names_doubt,
    normalise,
    read_labels,
    text_inverts_codes,
    values_of,
)
from .file_names import ARCHIVE_NAME, is_folder_of, says_no_truth
from .image_names import ImageNames, bare_name, splits_in
from .isic_tables import column_name, read_table
from .splits import add_groups, add_splits, join_splits, unique_splits

# Columns that may say which images belong together
_GROUP_COLUMN = re.compile(
    r"(patient|subject|person|participant|case|individual|lesion)"
    r"(_?(id|no|nr|num|number|code|name|key))?|pid|mrn"
)
# Cells of an unknown patient or lesion, as are cells without letters and digits
_NOBODY = {"", "none", "unknown", "unk", "missing", "anonymous", "not available"}
_SPLIT_COLUMN = re.compile(
    r"(^|_)(split|fold|set|subset|partition|holdout|hold_out|cv|train|val|test)(_|$)"
)
_SHOWN = 160  # characters of a reason
_LEGEND_ROWS, _LEGEND_CHARACTERS = 20, 100_000  # of what may explain codes
_LABEL_COLUMNS = ["label", "label_problem", "label_sources"]


class Claim(NamedTuple):
    """The label that one table or folder gives to one image.

    Attributes:
        image_id: id of the image.
        label: "benign", "malignant", "unsure" or None.
        source: table and column.
        text: the cells, for messages.
    """

    image_id: str
    label: str | None
    source: str
    text: str


def add_labels(
    records, paths, dataset_dir, table_paths, options=AS_WRITTEN, legends=()
):
    """Add the id, label and metadata of each image.

    Args:
        records: DataFrame with one row per image.
        paths: of the images, relative to dataset_dir, with forward slashes.
        dataset_dir: the folder.
        table_paths: of the tables, relative to dataset_dir.
        options: LabelOptions.
        legends: paths of texts that may explain codes, relative to dataset_dir.

    Returns:
        records with the columns image_id, label, label_problem (why there is no label),
        label_sources (tuple of texts) and the tables' other columns, None where empty.
        attrs: unknown_ids, names in the tables without an image; notes, what was
        ignored, and why; meanings, {label source: what its values mean}.

    Raises:
        ValueError: if the options name a missing table, column or value; if a column
            of splits has other values, or two of them contradict each other.
    """
    names = ImageNames(paths)
    records = records.assign(image_id=names.ids)
    joined = _Joined(names, paths, options)
    tables, label_table = _tables(Path(dataset_dir), table_paths, options)
    for name, path in tables.items():
        if label_table == path:
            joined.read_label_table(name, path)
        else:
            joined.read(name, path, gives_labels=label_table is None)
    joined.require_options()
    for name in legends:
        with open(Path(dataset_dir, name), encoding="utf-8", errors="replace") as file:
            joined.add_text(name, file.read(_LEGEND_CHARACTERS))
    joined.add_tables()
    if not (label_table or options.label_column):
        joined.add_folders(paths)
    joined.require_values()
    joined.doubt_codes()
    return joined.onto(records)


def folder_claims(paths, image_ids, options=AS_WRITTEN):
    """Read folder names such as benign/ and nevus/ as labels.

    A name of up to three letters, such as mel/, counts only together with another one.
    Images in sibling folders of another name have no label, nor have those below a
    folder that expresses doubt, or holds predictions or old copies.
    """
    folders = [PurePosixPath(path).parts[:-1] for path in paths]
    classes = {
        part for parts in set(folders) for part in parts if names_class(part, options)
    }
    if len(classes) < 2 and not any(len(name) > 3 for name in classes):
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
                label = None
                if parts[:depth] not in parents:
                    continue
            if no_truth:
                label, text = None, f"the folder is {no_truth}/"
            claims.append(Claim(image_id, label, f"folders {part}/", text))
    return claims


class _Table(NamedTuple):
    """A table of labels: all of it, and the rows of images, with their image_id."""

    name: str
    table: pd.DataFrame
    rows: pd.DataFrame


class _Joined:
    """Collects the contents of all tables for the images of an ImageNames."""

    def __init__(self, names, paths, options):
        self.names, self.options = names, options
        self.paths = dict(zip(names.ids, paths, strict=True))
        self.folders = {str(p) for path in paths for p in PurePosixPath(path).parents}
        self.tables = []  # _Tables that may give labels
        self.claims, self.notes, self.meanings = [], [], {}
        self.codes = {}  # {source that is a code such as 0 and 1: its column}
        self.doubts = []  # Claims that can contradict codes
        self.inverting = []  # names of texts which say that 0 is malignant
        self.metadata, self.unknown_ids = [], []
        self.columns, self.values = set(), set()
        self.splits = {}  # {image id: (split, its table and column)}
        self.splits_of_tables = []  # (image id, split in the table's name)

    def read_label_table(self, name, path):
        """Read the label table; raise ValueError if it has no labels."""
        columns = self.read(name, path, gives_labels=True, is_named=True)
        if columns is None:
            raise ValueError(f"label_table: {self.notes[-1]}")
        missing = {column_name(c) for c in self.options.label_columns()} - set(columns)
        if missing:
            raise ValueError(
                f"the label table {name} has no column {', '.join(sorted(missing))}; "
                f"it has {', '.join(columns)}"
            )

    def read(self, name, path, gives_labels, is_named=False):
        """Read a table and return its columns; if it is unusable, note why."""
        if says_no_truth(name) and not is_named:
            self.notes.append(
                f"{name}: by its name it is no ground truth; label_table would read it"
            )
            return None
        try:
            table = read_table(path, self.names, self.options.image_column)
        except (ValueError, ImportError) as error:
            self.notes.append(str(error))
            return None
        column = table.attrs["image_column"]
        cells = self._with_patients(table, column) if column else []
        ids = self.names.find(cells, name) if column else [None] * len(table)
        is_far = [bool(i) and not (is_named or self._is_near(i, name)) for i in ids]
        ids = [None if far else i for i, far in zip(ids, is_far, strict=True)]
        found = pd.Series(ids, table.index, dtype=object).notna()
        self.add_text(name, _explanation(table, with_cells=not found.any()))
        if not found.any():
            problem = (
                f"column {column!r} names no image" if column else "no image column"
            )
            reason = f"{problem} of this folder"
            if any(is_far):
                reason = "its images are in another folder; label_table would read it"
            self.notes.append(f"{name}: {reason}")
            return None
        self._note_unknown(name, table[column][~found])
        self.columns |= set(table)
        rows = table[found].assign(image_id=[i for i in ids if i is not None])
        self.metadata.append(self._renamed(rows))
        read = {self._add_splits(name, rows), column_name(self.options.group_column)}
        self._note_unread(name, rows, {"patient_id", "lesion_id", "image_id", *read})
        if gives_labels:
            self.tables.append(_Table(name, table, rows))
        return list(table)

    def _is_near(self, image_id, name):
        """Whether a table may describe an image by its folder, as masks may.

        clinic.csv counts as a table in the folder clinic/, if there is one.
        """
        own = str(PurePosixPath(name).with_suffix(""))
        place = f"{own}/x" if own in self.folders else name
        return bool(ARCHIVE_NAME.match(image_id)) or is_folder_of(
            self.paths[image_id], place
        )

    def _add_splits(self, name, rows):
        """Read splits from a column, which is returned, and from the table's name."""
        column = column_name(self.options.split_column or "split")
        is_fold = column in rows and rows[column].str.fullmatch(r"\d*(\.0*)?").all()
        is_read = column in rows and (self.options.split_column or not is_fold)
        if is_read:
            source = _source(name, [column])
            add_splits(self.splits, rows["image_id"], rows[column], source)
        split = splits_in(name)
        if len(split) == 1:
            self.splits_of_tables += [(i, *split) for i in rows["image_id"]]
        return column if is_read else None

    def add_text(self, name, text):
        """Look in a text for an explanation of codes that inverts their meaning."""
        if text_inverts_codes(text):
            self.inverting.append(name)

    def add_tables(self):
        """Read the labels of all tables."""
        wanted = [column_name(c) for c in self.options.label_columns()]
        options = self.options._replace(label_column=tuple(wanted))
        values = values_of(one.table for one in self.tables)
        for column in {*values, *wanted}.intersection((*WORD_COLUMNS, *wanted)):
            self.values |= values.get(column, set())
        for name, table, rows in self.tables:
            if set(wanted) <= set(table):
                readings = read_labels(table, name, options, values)
                self._add_claims(name, rows, readings)
            for column, labels in columns_of_diagnoses(rows):
                if _source(name, [column]) not in self.meanings:
                    self.doubts += _claims(name, rows, [column], labels)

    def _with_patients(self, table, column):
        """Return image names, prefixed by the patient if folders are patients."""
        cells = table[column]
        if "patient_id" in table and column != "patient_id":
            is_folder = table["patient_id"].map(self.names.is_folder)
            cells = cells.where(~is_folder, table["patient_id"] + "/" + cells)
        return cells

    def add_folders(self, paths):
        """Read the folder names of the images as labels."""
        claims = folder_claims(paths, self.names.ids, self.options)
        folders = (part for path in paths for part in PurePosixPath(path).parts[:-1])
        self.values |= set(map(normalise, folders))
        self.claims += claims
        self.meanings |= {c.source: f"= {c.label}" for c in claims if c.label}

    def _note_unknown(self, name, cells):
        several = self.names.knows(cells)
        self.unknown_ids += [bare_name(cell) for cell in cells[~several]]
        if several.any():
            self.notes.append(
                f"{name}: {several.sum()} rows name several images, or one of another "
                f"folder, such as {cells[several].iloc[0]!r}"
            )

    def _renamed(self, rows):
        """Use the group column as patient_id; clear the names of unknown groups."""
        group = column_name(self.options.group_column or "")
        if group in rows:
            rows = rows.assign(patient_id=rows[group])
        for name in {"patient_id", "lesion_id"}.intersection(rows):
            rows = rows.assign(**{name: rows[name].where(rows[name].map(_is_known))})
        if (
            "lesion_id" in rows
            and not rows["lesion_id"].str.contains(r"\d").eq(True).any()
        ):
            rows = rows.rename(columns={"lesion_id": "lesion_name"})  # such as "nevus"
        return rows

    def _note_unread(self, name, rows, read):
        """Note columns that are not read but look like groups or splits."""
        for column in sorted(set(rows) - read):
            values = rows[column].unique()
            if _GROUP_COLUMN.fullmatch(column) and len(values) < len(rows):
                use = "group_column would keep its images in one split"
            elif len(values) < 10 and all(map(splits_in, filter(None, values))):
                use = "split_column would take its splits"
            elif len(values) < 20 and _SPLIT_COLUMN.search(column):
                use = "split_column reads a column of train, val and test"
            else:
                continue
            if any(values):
                self.notes.append(f"{name}: column {column!r} is ignored: {use}")

    def _add_claims(self, name, rows, readings):
        for reading in readings:
            columns = list(reading.columns)
            source = _source(name, columns)
            self.values |= set(map(normalise, columns))
            for column in columns:
                self.values |= set(map(normalise, rows[column].unique()))
            labels = reading.labels[rows.index]
            self.meanings[source] = reading.meaning
            self.codes |= {source: columns[0]} if reading.is_code else {}
            if not has_labels(reading):
                self.notes.append(f"{source}: {reading.meaning}")
            self.claims += _claims(name, rows, columns, labels)

    def doubt_codes(self):
        """Compare the labels of codes such as 0 and 1 with other columns and folders.

        Images where they differ get contradictory labels. If they differ for most of a
        column's images, its codes do not mean what its name suggests, and the other
        images lose its label; so do all if a text says that 0 is malignant.
        """
        for code in [c for c in self.codes if self.codes[c] in VAGUE_COLUMNS]:
            if self.inverting:
                self._clear(code, f"{self.inverting[0]} says that 0 is malignant")
        said = defaultdict(list)
        for claim in (*self.claims, *self.doubts):
            if claim.label not in (None, UNSURE) and claim.source not in self.codes:
                said[claim.image_id].append(claim)
        for code in self.codes:
            claims = [c for c in self.claims if c.source == code and said[c.image_id]]
            against = {
                doubt
                for claim in claims
                for doubt in said[claim.image_id]
                if claim.label not in (None, doubt.label)
            }
            images = {claim.image_id for claim in against}
            if 2 * len(images) > len({claim.image_id for claim in claims}):
                other = min(claim.source for claim in against)
                self._clear(code, f"against {other}", images)
            self.claims += sorted(against)

    def _clear(self, source, reason, kept=()):
        """Remove the labels of a source, except from the images `kept`."""
        self.claims = [
            claim._replace(label=None, text=f"{claim.text}, {reason}")
            if claim.source == source and claim.image_id not in kept
            else claim
            for claim in self.claims
        ]
        if not kept:
            self.notes.append(f"{source}: {self.meanings[source]}, but {reason}")

    def require_options(self):
        """Raise ValueError if no table has a column of the options."""
        options = self.options
        columns = (
            *(options.image_column, *options.label_columns()),
            *(options.split_column, options.group_column),
        )
        for column in filter(None, columns):
            if column_name(column) not in self.columns:
                raise ValueError(
                    f"no table of the images has the column {column!r}; they have "
                    f"{', '.join(sorted(self.columns)) or 'none'}"
                    + "".join(f"; {note}" for note in self.notes[:3])
                )

    def require_values(self):
        """Raise ValueError if no image has any of the values in the options.

        If only some are missing, they are noted: they may be misspelt.
        """
        for name in ("malignant", "benign"):
            wanted = getattr(self.options, name)
            missing = [v for v in wanted if normalise(v) not in self.values]
            words = ", ".join(map(repr, missing))
            if wanted and len(missing) == len(wanted) and self.values:
                raise ValueError(
                    f"no label of the images is {words}, named as {name}; they have "
                    f"{', '.join(sorted(v for v in self.values if v)[:20])}"
                )
            if missing:
                self.notes.insert(0, f"no label is {words}, named as {name}")

    def onto(self, records):
        """Return the records with labels, splits and metadata."""
        found = _labels(self.claims)
        nothing = (None, "no label", ())
        rows = [found.get(image_id, nothing) for image_id in records["image_id"]]
        labels = pd.DataFrame(rows, records.index, _LABEL_COLUMNS, dtype=object)
        records = records.assign(**labels)
        records["split"] = join_splits(
            records,
            self.splits,
            unique_splits(self.splits_of_tables),
            tables_overrule=bool(self.options.split_column),
        )
        rows = pd.concat([pd.DataFrame({"image_id": []}), *self.metadata])
        rows = rows.where(rows.ne("") & rows.notna(), None)
        first = rows.groupby("image_id").first()
        first = first.drop(columns=records.columns, errors="ignore")
        records = records.join(first, on="image_id")
        records = add_groups(records, rows, records["image_id"].map(self.paths))
        records.attrs = {
            "unknown_ids": list(dict.fromkeys(self.unknown_ids)),
            "notes": self.notes,
            "meanings": self.meanings,
        }
        return records


def _is_known(name):
    """Whether a cell names a patient or lesion that is not unknown."""
    text = normalise(name)
    return text not in _NOBODY and any(map(str.isalnum, text)) and name != "-1"


def _tables(dataset_dir, table_paths, options):
    """Return {name: path} of the tables, and the path of the label table or None."""
    paths = {str(path): dataset_dir / path for path in table_paths}
    wanted = options.label_table
    if not wanted:
        return paths, None
    named = [path for path in paths.values() if path.name == wanted]
    if len(named) > 1 and not (dataset_dir / wanted).is_file():
        listed = ", ".join(str(path.relative_to(dataset_dir)) for path in named)
        raise ValueError(f"several label tables are named {wanted}: {listed}")
    places = [dataset_dir / wanted, Path(wanted), *named]
    place = next((path for path in places if path.is_file()), None)
    if place is None:
        raise ValueError(
            f"there is no label table {wanted}; below {dataset_dir} are "
            f"{', '.join(paths) or 'none'}"
        )
    if place not in paths.values():
        paths[place.name] = place
    return paths, place


def _source(name, columns):
    of = "column" if len(columns) == 1 else "columns"
    return f"{name}, {of} {', '.join(columns)}"


def _claims(name, rows, columns, labels):
    """Return the Claim of each row of a table."""
    source = _source(name, columns)
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
    """Return the non-empty cells of each row as "name=cell".

    Several columns are one-hot: zeros are omitted.
    """
    unmarked = ["", "0", "0.0"] if len(columns) > 1 else [""]
    texts = pd.Series("", rows.index)
    for name in columns:
        texts = texts.where(rows[name].isin(unmarked), texts + f" {name}=" + rows[name])
    return texts.where((texts != "") | (len(columns) == 1), "no mark").str.strip()


def _labels(claims):
    """Return {image id: (label, why there is none, its sources)}."""
    by_image = defaultdict(list)
    for claim in claims:
        by_image[claim.image_id].append(claim)
    return {image_id: _label(of_image) for image_id, of_image in by_image.items()}


def _label(claims):
    """Join the Claims of one image.

    Claims of doubt, and cells that are not understood in a column which otherwise gives
    a label, leave none.
    """
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


def _explanation(table, with_cells):
    """Return the text that may explain a table's codes; of a short one, the cells."""
    lines = [table.attrs.get("remarks", "")]
    if with_cells and len(table) <= _LEGEND_ROWS:
        lines += [" ".join(row) for row in table.itertuples(index=False)]
    return "\n".join(lines)
