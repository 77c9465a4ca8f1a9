"""Join labels, splits and metadata from tables and folder names to the images.

Tables are read by isic_tables, their labels by label_columns; label_claims decides what
they say together. Predictions and old copies, by the names of their files and folders,
are not read.
"""

import re
from pathlib import Path, PurePosixPath

import pandas as pd

from .diagnoses import AS_WRITTEN, text_inverts_codes
from .file_names import ARCHIVE_NAME, is_folder_of, says_no_truth, splits_in
from .groups import add_groups, name_groups
from .image_names import ImageNames, bare_name
from .isic_tables import column_name, read_table, text_of
from .label_claims import Claims, LabelTable, source_name
from .splits import add_splits, join_splits, note_unread_splits, unique_splits

# Columns that may say which images belong together
_GROUP_COLUMN = re.compile(
    r"(patient|subject|person|participant|case|individual|lesion)"
    r"(_?(id|no|nr|num|number|code|name|key))?|pid|mrn"
)
_FOLD = re.compile(r"(fold)?[ _-]?\d*(\.0*)?", re.I)
_SPLIT_COLUMN = re.compile(
    r"(^|_)(split|fold|set|subset|partition|holdout|hold_out|cv|train|val|test)(_|$)"
)
_TABLE = re.compile(
    r"\.(csv|tsv|tab|xlsx)$|(^|/)(PH2_dataset\.txt|HAM10000_metadata(\.txt)?)$", re.I
)
# Texts that may explain the codes of a table
_LEGEND = re.compile(
    r"(class|label|legend|readme|codebook|categor|data)[^/]*\.(json|txt|md|ya?ml)$",
    re.I,
)
# Texts that may list the images of a split
_LIST = re.compile(r"\.(txt|lst|json)$", re.I)
_LEGEND_ROWS, _LEGEND_CHARACTERS = 20, 100_000  # of what may explain codes
_LABEL_COLUMNS = ["label", "label_problem", "label_sources"]


def add_labels(records, paths, dataset_dir, files, options=AS_WRITTEN):
    """Add the id, label and metadata of each image.

    Args:
        records: DataFrame with one row per image.
        paths, files: of the images, and of all files, relative to dataset_dir.
        dataset_dir: the folder.
        options: LabelOptions.

    Returns:
        records with the columns image_id, label, label_problem (why there is no label),
        label_sources (tuple of texts) and the tables' other columns, None where empty.
        attrs: unknown_ids, names in the tables without an image; notes, what was
        ignored, and why; meanings, {label source: what its values mean}.

    Raises:
        ValueError: if the options name a missing table, column or value; if a column
            of splits has other values, or two of them contradict each other.
    """
    tables = _Tables(paths, options)
    tables.read_all(Path(dataset_dir), filter(_TABLE.search, files))
    tables.read_legends(Path(dataset_dir), filter(_LEGEND.search, files))
    claims = Claims(options, tables.notes)
    claims.add_tables(tables.of_labels)
    if not (options.label_table or options.label_column):
        claims.add_folders(paths, tables.names.ids)
    claims.require_values()
    claims.doubt(tables.inverting)
    records = records.assign(image_id=tables.names.ids)
    nothing, found = (
        (None, "no label: no table or folder gives one", ()),
        claims.labels(),
    )
    rows = [found.get(image_id, nothing) for image_id in records["image_id"]]
    labels = pd.DataFrame(rows, records.index, _LABEL_COLUMNS, dtype=object)
    records = tables.onto(records.assign(**labels), filter(_LIST.search, files))
    records.attrs = {
        "unknown_ids": list(dict.fromkeys(tables.unknown_ids)),
        "notes": tables.notes,
        "meanings": claims.meanings,
    }
    return records


class _Tables:
    """Reads the tables of a data set, for its images."""

    def __init__(self, paths, options):
        self.names, self.options = ImageNames(paths), options
        self.paths = dict(zip(self.names.ids, paths, strict=True))
        self.folders = {path.rpartition("/")[0] for path in paths}
        self.of_labels = []  # LabelTables that may give labels
        self.inverting = []  # names of texts which say that 0 is malignant
        self.notes, self.metadata, self.unknown_ids = [], [], []
        self.columns = set()
        self.splits = {}  # {image id: (split, its table and column)}
        self.splits_of_tables = []  # (image id, split in the table's name, the name)

    def read_all(self, dataset_dir, table_paths):
        """Read all tables; of label_table, if it is given, the labels."""
        tables, label_table = _tables(dataset_dir, table_paths, self.options)
        for name, path in tables.items():
            columns = self._read(name, path, is_named=path == label_table)
            if path == label_table:
                self._require_label_columns(name, columns)
        self._require_options()

    def read_legends(self, dataset_dir, paths):
        """Look in texts for explanations of codes."""
        for name in paths:
            with open(dataset_dir / name, encoding="utf-8", errors="replace") as file:
                self._read_text(name, file.read(_LEGEND_CHARACTERS))

    def onto(self, records, lists):
        """Return the records with splits, groups and metadata; lists: see _LIST."""
        records["split"] = join_splits(
            records,
            self.splits,
            unique_splits(self.splits_of_tables),
            tables_overrule=bool(self.options.split_column),
        )
        unsplit = set(records["image_id"][records["split"].isna()])
        lists = {*lists, *(n for i, _, n in self.splits_of_tables if i in unsplit)}
        self.notes += note_unread_splits([self.paths[i] for i in unsplit], lists)
        rows = pd.concat([pd.DataFrame({"image_id": []}), *self.metadata])
        rows = rows.where(rows.ne("") & rows.notna(), None)
        first = rows.groupby("image_id").first()
        first = first.drop(columns=records.columns, errors="ignore")
        records = records.join(first, on="image_id")
        return add_groups(records, rows, records["image_id"].map(self.paths))

    def _require_label_columns(self, name, columns):
        """Raise ValueError if the label table has no labels."""
        if columns is None:
            raise ValueError(f"label_table: {self.notes[-1]}")
        missing = {column_name(c) for c in self.options.label_columns()} - set(columns)
        if missing:
            raise ValueError(
                f"the label table {name} has no column {', '.join(sorted(missing))}; "
                f"it has {', '.join(columns)}"
            )

    def _read(self, name, path, is_named):
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
        ids, problem = self._find(table, name, is_named)
        found = pd.Series(ids, table.index, dtype=object).notna()
        rows = table[found].assign(image_id=[i for i in ids if i])
        if is_named or not self.options.label_table:
            self.of_labels.append(LabelTable(name, table, rows))
        self._read_text(name, _explanation(table, with_cells=rows.empty))
        if rows.empty:
            self.notes.append(f"{name}: {problem}")
            return None
        column = table.attrs["image_column"]
        self._note_unknown(name, table[column][~found])
        self.columns |= set(table)
        rows = name_groups(rows, self.options.group_column)
        self.metadata.append(rows)
        read = {column, self._add_splits(name, rows), "patient_id", "lesion_id"}
        read |= {"image_id", column_name(self.options.group_column)}
        self._note_unread(name, rows, read)
        return list(table)

    def _find(self, table, name, is_named):
        """Return the image id of each row or None, and why there might be no ids."""
        column = table.attrs["image_column"]
        if column is None:
            columns = ", ".join(list(table)[:12])
            reason = f"no image column of this folder; image_column may name {columns}"
            return [None] * len(table), reason
        ids = self.names.find(self._with_patients(table, column), name)
        if not any(ids):
            return ids, f"column {column!r} names no image of this folder"
        is_near = ids if is_named else self._are_near(ids, name)
        ids = [i if fits else None for i, fits in zip(ids, is_near, strict=True)]
        return ids, "its images are in another folder; label_table would read it"

    def _are_near(self, image_ids, name):
        """Return whether a table may describe each image by its folder, as masks may.

        The name of a table may be that of a folder: clinicB.csv is not of clinicA/.
        """
        place = f"{PurePosixPath(name).with_suffix('')}/x"
        if not any(is_folder_of(f"{folder}/x", place) for folder in self.folders):
            place = name
        return [
            bool(i) and (ARCHIVE_NAME.match(i) or is_folder_of(self.paths[i], place))
            for i in image_ids
        ]

    def _add_splits(self, name, rows):
        """Read splits from a column, which is returned, and from the table's name."""
        column = column_name(self.options.split_column or "split")
        is_fold = column in rows and rows[column].str.fullmatch(_FOLD).all()
        is_read = column in rows and (self.options.split_column or not is_fold)
        if is_read:
            source = source_name(name, [column])
            add_splits(self.splits, rows["image_id"], rows[column], source)
        split = splits_in(name)
        if len(split) == 1:
            self.splits_of_tables += [(i, *split, name) for i in rows["image_id"]]
        return column if is_read else None

    def _read_text(self, name, text):
        """Look in a text for an explanation of codes that inverts their meaning."""
        if text_inverts_codes(text):
            self.inverting.append(name)

    def _with_patients(self, table, column):
        """Return image names, prefixed by the patient if folders are patients."""
        cells = table[column]
        if "patient_id" in table and column != "patient_id":
            is_folder = table["patient_id"].map(self.names.is_folder)
            cells = cells.where(~is_folder, table["patient_id"] + "/" + cells)
        return cells

    def _note_unknown(self, name, cells):
        several = self.names.knows(cells)
        self.unknown_ids += [bare_name(cell) for cell in cells[~several]]
        if several.any():
            self.notes.append(
                f"{name}: {several.sum()} rows name several images, or one of another "
                f"folder, such as {cells[several].iloc[0]!r}"
            )

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

    def _require_options(self):
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


def _explanation(table, with_cells):
    """Return the text that may explain a table's codes; of a short one, the cells."""
    cells = text_of(table) if with_cells and len(table) <= _LEGEND_ROWS else ""
    return f"{table.attrs.get('remarks', '')}\n{cells}"
