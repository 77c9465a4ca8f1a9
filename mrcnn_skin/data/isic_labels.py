"""Join what tables and folders say of images to the images: label, split, metadata.

Several tables and columns may say something of one image; where they disagree it has no
label. What a table says is settled by isic_tables and diagnoses.
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
    UNSURE_COLUMNS,
    columns_of_diagnoses,
    meaning_of,
    names_class,
    normalise,
    read_labels,
)
from .image_names import ImageNames, bare_name, splits_in
from .isic_tables import column_name, read_table
from .splits import add_splits, join_splits

# Kaggle's sample_submission.csv has a label for every image, and it is not the truth.
_NO_TRUTH = re.compile(r"submission|prediction", re.I)
# Columns that may say which images belong together
_GROUP_COLUMN = re.compile(
    r"(patient|subject|person|participant|case|individual|lesion)"
    r"(_?(id|no|nr|num|number|code|name|key))?|pid|mrn"
)
# What stands for a patient or lesion that is not known; so does a cell without letters.
_NOBODY = {"", "none", "unknown", "unk", "missing", "anonymous", "not available"}
_SHOWN = 160  # characters of a reason
_LABEL_COLUMNS = ["label", "label_problem", "label_sources"]


class Claim(NamedTuple):
    """What one table or folder says of one image.

    label: "benign", "malignant" or None. source: table and column. text: the words.
    """

    image_id: str
    label: str | None
    source: str
    text: str


def add_labels(records, paths, dataset_dir, table_paths, options=AS_WRITTEN):
    """Give each image its id, its label, and the metadata of all tables.

    Args:
        records: DataFrame with a row an image. paths: of the images, relative, with
            forward slashes. dataset_dir: above them.
        table_paths: of the tables, relative too. options: LabelOptions.

    Returns:
        records with the columns image_id, label, label_problem (why there is no label),
        label_sources (tuple of texts) and the tables' other columns; "" becomes None.
        attrs: unknown_ids, names in tables that no image has; notes, what was not
        read, with the reason; meanings, {label source: what its values mean}.

    Raises:
        ValueError: where the options name a table, column or value that is not there;
            where a column of splits says something else, or two of them disagree.
    """
    names = ImageNames(paths)
    records = records.assign(image_id=names.ids)
    joined = _Joined(names, options)
    tables, label_table = _tables(Path(dataset_dir), table_paths, options)
    for name, path in tables.items():
        if label_table == path:
            joined.add_label_table(name, path)
        else:
            joined.add(name, path, gives_labels=label_table is None)
    joined.require_options()
    if not (options.label_table or options.label_column):
        joined.add_folders(paths)
    joined.require_values()
    joined.doubt_codes()
    return joined.onto(records)


def folder_claims(paths, image_ids, options=AS_WRITTEN):
    """Read the names of folders such as benign/ and nevus/ as labels.

    A name of three letters or less, such as mel/, counts beside another one only. A
    folder beside such ones, of an unknown name, says that its images have no label.
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
        for depth, part in enumerate(parts):
            if part in classes or parts[:depth] in parents:
                label = meaning_of(part, options) if part in classes else None
                source, text = f"folders {part}/", f"the folder is {part}/"
                claims.append(Claim(image_id, label, source, text))
    return claims


class _Joined:
    """All that tables say of the images of `names`."""

    def __init__(self, names, options):
        self.names, self.options = names, options
        self.claims, self.notes, self.meanings = [], [], {}
        self.codes, self.doubts = set(), []  # sources of 0 and 1; Claims against them
        self.metadata, self.unknown_ids = [], []
        self.columns, self.values = set(), set()
        self.splits = {}  # {image id: (split, its table and column)}

    def add_label_table(self, name, path):
        """Read the table that the user names. Raises ValueError without labels."""
        columns = self.add(name, path, gives_labels=True)
        if columns is None:
            raise ValueError(f"label_table: {self.notes[-1]}")
        missing = {column_name(c) for c in self.options.label_columns()} - set(columns)
        if missing:
            raise ValueError(
                f"the label table {name} has no column {', '.join(sorted(missing))}; "
                f"it has {', '.join(columns)}"
            )

    def add(self, name, path, gives_labels):
        """Read a table; one that cannot be read becomes a note.

        Returns its columns, None if it was not read.
        """
        if _NO_TRUTH.search(path.name) and not self.options.label_table:
            self.notes.append(
                f"{name}: by its name it holds predictions, not the truth"
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
        found = pd.Series(ids, table.index, dtype=object).notna()
        if not found.any():
            what = (
                f"its column {column!r} names no image" if column else "no image column"
            )
            self.notes.append(f"{name}: {what} of this folder")
            return None
        self._note_unknown(name, table[column][~found])
        self.columns |= set(table)
        rows = table[found].assign(image_id=[i for i in ids if i is not None])
        self.metadata.append(self._renamed(rows))
        split_column = column_name(self.options.split_column or "split")
        if split_column in rows:
            source = _source(name, [split_column])
            add_splits(self.splits, rows["image_id"], rows[split_column], source)
        self._note_unread(name, rows)
        wanted = [column_name(c) for c in self.options.label_columns()]
        if gives_labels and set(wanted) <= set(table):
            told = self.options._replace(label_column=tuple(wanted))
            self._add_claims(name, rows, read_labels(table, name, told))
        if gives_labels:
            for column, labels in columns_of_diagnoses(rows):
                if _source(name, [column]) not in self.meanings:
                    self.doubts += _claims(name, rows, [column], labels)
        return list(table)

    def _with_patients(self, table, column):
        """Return the names of images, below the patient where folders are patients."""
        cells = table[column]
        if "patient_id" in table and column != "patient_id":
            is_folder = table["patient_id"].map(self.names.is_folder)
            cells = cells.where(~is_folder, table["patient_id"] + "/" + cells)
        return cells

    def add_folders(self, paths):
        """Read the folders of the images, at their paths, as labels."""
        claims = folder_claims(paths, self.names.ids, self.options)
        folders = (part for path in paths for part in PurePosixPath(path).parts[:-1])
        self.values |= set(map(normalise, folders))
        self.claims += claims
        self.meanings |= {claim.source: f"= {claim.label}" for claim in claims}

    def _note_unknown(self, name, cells):
        several = self.names.knows(cells)
        self.unknown_ids += [bare_name(cell) for cell in cells[~several]]
        if several.any():
            self.notes.append(
                f"{name}: {several.sum()} rows name several images, or one of another "
                f"folder, such as {cells[several].iloc[0]!r}"
            )

    def _renamed(self, rows):
        """Call the group column as the loader does; unknown patients have no name."""
        theirs = column_name(self.options.group_column or "")
        if theirs in rows:
            rows = rows.assign(patient_id=rows[theirs])
        for ours in {"patient_id", "lesion_id"}.intersection(rows):
            rows = rows.assign(**{ours: rows[ours].where(rows[ours].map(_is_known))})
        return rows

    def _note_unread(self, name, rows):
        """Note the columns that look like groups or splits, and are read as neither."""
        options = self.options
        read = {"split", "patient_id", "lesion_id", "image_id"}
        read |= {column_name(c or "") for c in options[-2:]}
        for column in sorted(set(rows) - read):
            values = rows[column].unique()
            if _GROUP_COLUMN.fullmatch(column) and len(values) < len(rows):
                use = "group_column would keep its images in one split"
            elif len(values) < 10 and all(map(splits_in, filter(None, values))):
                use = "split_column would take its splits"
            else:
                continue
            if any(values):
                self.notes.append(f"{name}: column {column!r} is not read: {use}")

    def _add_claims(self, name, rows, readings):
        for reading in readings:
            columns = list(reading.columns)
            source = _source(name, columns)
            self.values |= set(map(normalise, columns))
            for column in columns:
                self.values |= set(map(normalise, rows[column].unique()))
            labels = reading.labels[rows.index]
            self.meanings[source] = reading.meaning
            self.codes |= {source} if reading.is_code else set()
            if labels.isna().all():
                self.notes.append(f"{source}: {reading.meaning}")
            self.claims += _claims(name, rows, columns, labels)

    def doubt_codes(self):
        """Compare what 0 and 1 stand for with what other columns and folders say.

        Images where they disagree become contradictory. Where most of a column do, 0
        and 1 have another meaning than its name says, and the others lose their label.
        """
        said = defaultdict(list)
        for claim in (*self.claims, *self.doubts):
            if claim.label and claim.source not in self.codes:
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
                self.claims = [
                    claim._replace(label=None, text=f"{claim.text}, against {other}")
                    if claim.source == code and claim.image_id not in images
                    else claim
                    for claim in self.claims
                ]
            self.claims += sorted(against)

    def require_options(self):
        """Raise ValueError for columns that no table has."""
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
        """Raise ValueError if no image has any of the values that the user names.

        Of several values those that occur nowhere are noted: another folder may have
        them, or they are misspelt.
        """
        for name in ("malignant", "benign"):
            told = getattr(self.options, name)
            missing = [v for v in told if normalise(v) not in self.values]
            words = ", ".join(map(repr, missing))
            if told and len(missing) == len(told) and self.claims:
                raise ValueError(
                    f"no label of the images is {words}, named as {name}; they have "
                    f"{', '.join(sorted(v for v in self.values if v)[:20])}"
                )
            if missing:
                self.notes.insert(0, f"no label is {words}, named as {name}")

    def onto(self, records):
        """Return the records with all of it."""
        verdicts = _verdicts(self.claims)
        nothing = (None, "no label", ())
        told = [verdicts.get(image_id, nothing) for image_id in records["image_id"]]
        told = pd.DataFrame(told, records.index, _LABEL_COLUMNS, dtype=object)
        records = records.assign(**{name: told[name] for name in told})
        records["split"] = join_splits(
            records, self.splits, tables_overrule=bool(self.options.split_column)
        )
        if self.metadata:
            rows = pd.concat(self.metadata, ignore_index=True)
            rows = rows.where(rows.ne("") & rows.notna(), None)
            rows = rows.groupby("image_id").first()
            rows = rows.drop(columns=records.columns, errors="ignore")
            records = records.join(rows, on="image_id")
        records.attrs = {
            "unknown_ids": list(dict.fromkeys(self.unknown_ids)),
            "notes": self.notes,
            "meanings": self.meanings,
        }
        return records


def _is_known(name):
    """Whether a cell names a patient or lesion, and does not say that it is unknown."""
    text = normalise(name)
    return text not in _NOBODY and any(map(str.isalnum, text)) and name != "-1"


def _tables(dataset_dir, table_paths, options):
    """Return {name: path} of the tables to read, and the path of the label table.

    The latter is None if the user did not name one.
    """
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
    """Return what the columns of a table say of the image of each row."""
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
    """Return what each row says in columns, as "name=cell", without empty cells.

    Of several columns those with a 0 are left out, and those of UNSURE_COLUMNS join.
    """
    unmarked = ["", "0", "0.0"] if len(columns) > 1 else [""]
    if len(columns) > 1:
        columns = dict.fromkeys([*columns, *(c for c in UNSURE_COLUMNS if c in rows)])
    texts = pd.Series("", rows.index)
    for name in columns:
        texts = texts.where(rows[name].isin(unmarked), texts + f" {name}=" + rows[name])
    return texts.where((texts != "") | (len(columns) == 1), "no mark").str.strip()


def _verdicts(claims):
    """Return {image id: (label, why there is none, its sources)}."""
    by_image = defaultdict(lambda: {BENIGN: [], MALIGNANT: [], None: []})
    for claim in claims:
        by_image[claim.image_id][claim.label].append(claim)
    return {image_id: _verdict(said) for image_id, said in by_image.items()}


def _verdict(said):
    labels = [label for label in (BENIGN, MALIGNANT) if said[label]]
    if len(labels) == 1:
        sources = dict.fromkeys(claim.source for claim in said[labels[0]])
        return labels[0], None, tuple(sources)
    kind = "contradictory labels" if labels else "no label"
    told = said[BENIGN] + said[MALIGNANT] or said[None]
    words = "; ".join(dict.fromkeys(claim.text for claim in told if claim.text))
    return None, f"{kind}: {words}"[:_SHOWN] if words else kind, ()
