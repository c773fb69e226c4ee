"""Reads data sets from files: tables of texts, series, folders of texts, unlabelled texts."""

import glob
from collections.abc import Sequence
from pathlib import Path

from gatewise.data.labelled import Labelled, Splits, Unlabelled, several
from gatewise.data.labels import class_order, label_rows
from gatewise.data.row_reader import RowReader, TableColumns, table_paths
from gatewise.data.rows import Rows
from gatewise.data.schema import RowSchema
from gatewise.data.tables import CONLL, TABLES, table_suffix
from gatewise.errors import DataError, InputError, counted, quote
from gatewise.storage.streams import read_text, split_lines, unreadable
from gatewise.target import labels_task, target_of
from gatewise.types import NO_COLUMNS, ColumnNames, Task

_MAX_FILE = 10 << 20  # bytes of a text file in a folder
_MAX_LINES = 1 << 30  # bytes of a file with one text per line
_TABLE_OPTIONS = ("label", "id", "time", "delimiter", "numeric", "categorical")
_FILE_OPTIONS = {".arff": ("label",), ".npz": ("layout",), ".npy": ("layout",)}
"""The options of `read_series` that tables, and files of series, have."""


def read_table(
    path: str | Path | Sequence[str | Path],
    *,
    text: str | Sequence[str] = "text",
    label: str | Sequence[str] = "label",
    numeric: str | Sequence[str] = (),
    categorical: str | Sequence[str] = (),
    task: Task | None = None,
    label_separator: str | None = None,
    weight: str | None = None,
    group: str | None = None,
    time: str | None = None,
    delimiter: str | None = None,
    skip_bad_rows: str | Path | None = None,
    one_class: bool = False,
    schema: RowSchema | None = None,
) -> Labelled:
    """Texts and labels from the columns (or JSON keys) of one or more tables.

    >>> data = gw.data.read_table("reviews.csv", text="review", label="sentiment")  # doctest: +SKIP

    path: files, glob patterns, or "-" for stdin: .csv, .tsv, .tab, .jsonl, .ndjson, .json (a list of objects),
    .parquet, .arrow, .feather, .conll, .conllu; text formats also with .gz and .zst. text: one or more columns, joined
    by a newline. label: one column, or several for regression and multi-label. numeric, categorical: columns that the
    model reads too. label_separator: between the labels in a column, which makes the task multi-label. weight, group,
    time: columns of `Labelled.sample_weight`, `groups`, `time`. delimiter: None: guessed. A column name also fits
    without case and spaces, if only one does.

    Surrounding spaces of a label are stripped. A bad row has another number of fields, no text or label, a quote that
    is not closed, a value of another type, or bytes that are not UTF-8. skip_bad_rows: a CSV file for them (file, line,
    reason); without it the first one is an error that counts the others. one_class: all rows may have one class, as in
    data on which a model is evaluated. schema: of that model, which reads the numeric and categorical columns.

    Labels that are numbers are one class where they are equal, as 1 and 1.0, with a DataWarning. Raises DataError with
    file and line, also for a missing or duplicate column and for fewer than two classes.
    """
    if not several(text) or not several(label):
        raise InputError(f"there must be at least one {'label' if several(text) else 'text'} column")
    if label_separator is not None:
        task = task or "multilabel"
    elif task is None and {table_suffix(file) for file in table_paths(path)} <= {*CONLL}:
        task = "tagging"
    columns = TableColumns(
        several(text),
        several(label),
        numeric=several(numeric),
        categorical=several(categorical),
        task=task,
        label_separator=label_separator,
        weight=weight,
        group=group,
        time=time,
        schema=schema,
    )
    with RowReader.open(path, columns, delimiter, skip_bad_rows) as reader:
        rows = reader.read()
    return rows.labelled(one_class=one_class)


def read_series(
    path: str | Path,
    *,
    label: str | None = None,
    id: str | None = None,
    time: str | None = None,
    layout: str | None = None,
    delimiter: str | None = None,
    columns: ColumnNames | None = None,
    task: Task | None = None,
    numeric: str | Sequence[str] = (),
    categorical: str | Sequence[str] = (),
    schema: RowSchema | None = None,
    array: str | None = None,
) -> Rows:
    """The series of a .ts, .arff, .npz or .npy file, a .tsv or .txt file of the UCR archive, or a table.

    >>> data = gw.data.read_series("GunPoint_TRAIN.ts").labelled()  # doctest: +SKIP

    A .tsv or .txt file whose first lines hold numbers only is of the UCR archive: the first column is the class, unless
    label is "". Other tables have one series per row, or with `time` one step per row. label, id: columns of the labels
    and of the names of the series; without a name, a column "label" holds the labels, unless label is "". columns:
    those of a model, `metadata.columns`, where no option names others; schema: its `preprocessor.columns`. layout: of
    arrays (n, steps, channels) in .npz and .npy. array: another name of the series in an .npz file than X and inputs,
    under which they are (n, steps, channels). numeric, categorical: columns of a table that the model reads too,
    constant within a series.

    With one series per row, the numeric columns, in their order, are the steps; missing steps at the end of a row mean
    a shorter series. With one step per row, they are the channels; the time, a number or a date in ISO 8601, orders the
    steps, and its distances do not count; a label is constant within a series; without `id` the file is one series. An
    empty cell, NA and NaN are missing values. task: with "tagging" each step has a label of its own: with one step per
    row that of the row; with one series per row, and in a .ts file, the labels are separated by spaces or commas; in
    arrays they are (n, steps), or (N,) for `values`. Raises DataError with file and line for a cell that is not a
    number, a column that is not there, a series without a value and two rows of one time and series; InputError for an
    option that the format does not have.
    """
    from gatewise.data.series_files import SERIES, is_ucr, read_arff, read_arrays, read_ts, read_ucr

    file = Path(path).expanduser()
    suffix = file.suffix.lower()
    options = {
        "label": label,
        "id": id,
        "time": time,
        "layout": layout,
        "delimiter": delimiter,
        "numeric": numeric,
        "categorical": categorical,
    }
    is_of_ucr = suffix in (".tsv", ".txt") and is_ucr(file)
    is_table = not is_of_ucr and suffix not in SERIES
    if is_table and not table_suffix(file):
        raise DataError(f"{quote(file, 200)}: the name must end in one of {' '.join((*SERIES, *TABLES))}")
    known = _TABLE_OPTIONS if is_table else _FILE_OPTIONS.get(suffix, ())
    for name, value in options.items():
        if value and name not in known:
            raise InputError(f"{quote(file, 200)}: the option {name} is not for {suffix} files")
    per_step = labels_task(task) == "tagging"
    if is_of_ucr:
        return read_ucr(file, label is None)
    if suffix == ".ts":
        return read_ts(file, per_step)
    if suffix == ".arff":
        return read_arff(file, label)
    if not is_table:
        return read_arrays(file, layout, per_step, array)
    columns = columns or NO_COLUMNS
    time = time or columns.time
    table_columns = TableColumns(
        text=(),
        label=several(label or ()),
        values=columns.values,
        id=id or columns.id,
        time=time,
        numeric=several(numeric) or columns.numeric,
        categorical=several(categorical) or columns.categorical,
        # Other labels are read by name, and converted when the task of the data is known.
        task="tagging" if per_step else None,
        label_if_there=(*columns.label, "label")[0] if label is None else None,
        schema=schema,
    )
    with RowReader.open(str(file), table_columns, delimiter, fail_fast=True) as reader:
        rows = reader.read()
    if not rows.inputs:
        raise DataError(f"{quote(file, 200)}: has no row")
    if time is not None:
        rows = rows.series()
    return rows.with_known_labels()


def read_folder(path: str | Path, one_class: bool = False) -> Labelled:
    """The texts ROOT/class/*.txt in UTF-8, sorted by name. Hidden files and folders are ignored. one_class: as in
    `read_table`.

    >>> data = gw.data.read_folder("films/train")  # films/train/good/*.txt, ...  # doctest: +SKIP

    Raises DataError with the file name for fewer than two classes, an empty class or text, a link, invalid UTF-8, and
    more than 10 MB.
    """
    root = Path(path).expanduser()
    if not root.is_dir():
        raise DataError(f"{quote(root, 200)}: {'not a folder' if root.exists() else 'not found'}")
    try:
        folders = sorted(entry for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
        if len(folders) < (1 if one_class else 2):
            has = counted(len(folders), "folder")
            raise DataError(f"{quote(root, 200)}: has {has}; a classifier needs two classes or more")
        texts: list[str] = []
        names: list[str] = []
        for folder in folders:
            files = sorted(file for file in folder.glob("*.txt") if not file.name.startswith("."))
            if not files:
                raise DataError(f"{quote(folder, 200)}: has no .txt file")
            texts += [_read_file(file) for file in files]
            names += [folder.name] * len(files)
    except OSError as error:
        raise unreadable(error.filename or root, error) from None
    classes = class_order(names)
    source = (
        f"{counted(len(texts), 'file')} of the folder {quote(root.name)}, {counted(len(classes), 'class', 'classes')}"
    )
    return Labelled(texts, label_rows(names, classes), target_of(classes), source=source)


def is_split_folder(path: str | Path) -> bool:
    """Whether it is a folder with train/ and test/, each with folders of its own."""
    root = Path(path).expanduser()
    return all(_has_folders(root / name) for name in ("train", "test"))


def _has_folders(path: Path) -> bool:
    return path.is_dir() and any(entry.is_dir() for entry in path.iterdir())


def read_folders(path: str | Path) -> Splits:
    """The texts ROOT/train/class/*.txt and ROOT/test/class/*.txt.

    >>> train, test = gw.data.read_folders("films").train, gw.data.read_folders("films").test  # doctest: +SKIP

    Errors as `read_folder`; DataError for a class that is in test/ alone, and if one of the two folders is missing.
    """
    root = Path(path).expanduser()
    train = read_folder(root / "train")
    test = read_folder(root / "test", one_class=True)
    unknown = [name for name in test.classes if name not in train.classes]
    if unknown:
        raise DataError(f"{quote(root / 'test', 200)}: the class {quote(unknown[0])} is not in train/")
    return Splits(train, test, f"the folder test of {quote(root.name)}")


def _read_file(file: Path, max_bytes: int = _MAX_FILE) -> str:
    """The text of a plain file. Raises DataError with the file name, as `read_text`, also for a text that is empty."""
    if file.is_symlink() or not file.is_file():
        raise DataError(f"{quote(file, 200)}: not a plain file")
    text = read_text(file, max_bytes)
    if not text.strip():
        raise DataError(f"{quote(file, 200)}: the text is empty")
    return text


def read_texts(
    sources: Sequence[str], *, data: str | None = None, text: str | Sequence[str] = "text", known: Splits | None = None
) -> Unlabelled:
    """The texts of all `sources`, in order.

    >>> texts = gw.data.read_texts(["mails/", "more.csv"], text="body")  # doctest: +SKIP

    A source is `imdb` (data: its archive, folder or "embedded"; known: as in `imdb_texts`), a folder (every .txt file
    in it and its subfolders is one text), a table (the column `text`), or a .txt file (one text per line). Raises
    DataError with the file name for a source that cannot be read or has no text.
    """
    if not sources:
        raise InputError("name at least one source of texts: imdb, a folder, a table or a .txt file")
    if data is not None and "imdb" not in sources:
        raise InputError("--data is for the source imdb; give files as sources")
    read: list[Unlabelled] = []
    for source in sources:
        if source == "imdb":
            from gatewise.data.reviews import imdb_texts

            read.append(imdb_texts(data, known=known))
        else:
            read.append(_texts_of(source, several(text)))
    texts = [line for unlabelled in read for line in unlabelled.texts]
    return Unlabelled(texts, "; ".join(unlabelled.source for unlabelled in read))


def _texts_of(source: str, text: tuple[str, ...]) -> Unlabelled:
    """The texts of a folder, a table or a .txt file. text: the columns of a table. Errors as `read_texts`."""
    path = Path(source).expanduser()
    where = quote(path.name)
    noun = "row"
    if path.is_dir():
        files = sorted(file for file in path.rglob("*.txt") if not file.name.startswith("."))
        if not files:
            raise DataError(f"{quote(path, 200)}: the folder has no .txt file")
        texts = [_read_file(file) for file in files]
        noun = "file"
        where = f"the folder {where}"
    elif not path.exists() and not glob.has_magic(source):
        raise DataError(f"{quote(path, 200)}: not found")
    elif table_suffix(path):
        with RowReader.open(path, TableColumns(text)) as reader:
            texts = reader.read().inputs
    elif path.suffix.lower() == ".txt":
        texts = [line for line in split_lines(_read_file(path, _MAX_LINES)) if line.strip()]
        noun = "line"
    else:
        raise DataError(f"{quote(path, 200)}: the name must end in one of {' '.join((*TABLES, '.txt'))}")
    if not texts:
        raise DataError(f"{quote(path, 200)}: has no row")
    return Unlabelled(texts, f"{counted(len(texts), noun)} of {where}")
