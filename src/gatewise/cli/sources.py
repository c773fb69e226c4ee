"""What a command reads from files: tables, files of series, folders, IMDB."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatewise.cli.options import COLUMNS, refuse
from gatewise.errors import DataError, InputError, quote

if TYPE_CHECKING:
    from gatewise.cli.series import SeriesReader
    from gatewise.data import Labelled, Rows, Splits
    from gatewise.data.row_reader import RowReader
    from gatewise.data.schema import RowSchema
    from gatewise.model.model import Model
    from gatewise.types import ColumnNames, Task

NO_SERIES_ON_STDIN = "series cannot be read from stdin: give a file"
_OF_ALL_SOURCES = ("task", "series")  # a folder of texts has a task too; what it cannot have, its reader says
_OF_TABLES = tuple(name for name in COLUMNS if name not in _OF_ALL_SOURCES)


def is_series(source: str) -> bool:
    """Whether the source is a file that can hold series only, such as .ts and the .tsv files of the UCR archive."""
    suffix = Path(source).suffix.lower()
    if suffix not in (".ts", ".arff", ".npz", ".npy", ".tsv", ".txt"):  # texts need no reader of series
        return False
    from gatewise.data.series_files import is_series_file

    return is_series_file(source)


@dataclass(frozen=True)
class TableOptions:
    """The options that say what the columns of a table hold; see `gatewise.data.read_table` and `read_series`.

    series: the table holds series instead of texts; False: if its name or first line says so. model: that the data is
    for. Its columns are read where no option names others, and all rows may have one class, since the classes are its
    own.
    """

    text: Sequence[str] = ()
    label: Sequence[str] = ()
    numeric: Sequence[str] = ()
    categorical: Sequence[str] = ()
    task: Task | None = None
    label_separator: str | None = None
    weight: str | None = None
    group: str | None = None
    time: str | None = None
    id: str | None = None
    series: bool = False
    delimiter: str | None = None
    skip_bad_rows: str | None = None
    layout: str | None = None
    model: Model | None = None

    @contextmanager
    def rows(
        self, files: Sequence[str], lines: bool = False, labelled: bool = False
    ) -> Iterator[RowReader | SeriesReader]:
        """The rows of files that fit the model. lines: each line of stdin is a text, whatever it looks like. labelled:
        those with labels, as `read` has them.

        Raises InputError for an option, or a file, that is for models of the other kind.
        """
        from gatewise.cli.text_lines import open_lines
        from gatewise.data.row_reader import RowReader, TableColumns, table_paths

        model = self.model
        assert model is not None
        if not files:
            raise InputError("give texts, or files with -i (-i - for stdin)")
        if model.channels:
            refuse(self, ("text", "delimiter", "skip_bad_rows"), "texts, and the model reads series")
            if "-" in files:
                raise InputError(NO_SERIES_ON_STDIN)
            from gatewise.cli.series import SeriesReader

            yield SeriesReader(model, table_paths(files), self.read_series, self.id)
            return
        refuse(self, ("label", "time", "id", "layout")[2 * labelled :], "series, and the model reads texts")
        if self.series or any(map(is_series, files)):
            raise InputError("the model reads texts, not series")
        # Without a column, stdin holds one text per line; files say by their name whether they are tables.
        as_lines = None if self.text or self.delimiter else partial(open_lines, refuse_tables=not lines)
        options: dict[str, Any] = {"lines": as_lines, "fail_fast": True, "live": "-" in files}
        named: Any = {**model.preprocessor.columns.names_by_type, "schema": model.preprocessor.columns}
        if labelled:
            named |= {"label": self.labels, "label_separator": self.label_separator, "time": self.time}
        columns = TableColumns(self.texts, task=model.task, **named)
        with RowReader.open(files, columns, self.delimiter, self.skip_bad_rows, **options) as reader:
            yield reader

    @property
    def columns(self) -> ColumnNames | None:
        """The columns of the model."""
        return None if self.model is None else self.model.metadata.columns

    @property
    def schema(self) -> RowSchema | None:
        """The schema of the numeric and categorical columns of the model."""
        return None if self.model is None else self.model.preprocessor.columns

    @property
    def texts(self) -> tuple[str, ...]:
        """The text columns: those of the option, of the model, or text."""
        return tuple(self.text or (self.columns and self.columns.text) or ("text",))

    @property
    def labels(self) -> tuple[str, ...]:
        """The label columns, in the same way."""
        return tuple(self.label or (self.columns and self.columns.label) or ("label",))

    def read(self, sources: Sequence[str]) -> Labelled:
        """The rows of one or more files: texts, or series. Raises InputError for options that do not fit."""
        from gatewise.data.read import read_table

        if self.series or is_series(sources[0]):
            of_texts = ("text", "label_separator", "weight", "group", "delimiter", "skip_bad_rows")
            refuse(self, of_texts, "texts, and these are series")
            if "-" in sources:
                raise InputError(NO_SERIES_ON_STDIN)
            if len(sources) > 1 or len(self.label) > 1:
                raise InputError("series are read from one file, with one label column")
            return self.read_series(sources[0]).labelled(self.task)
        refuse(self, ("id", "layout"), "series: add --series")
        same = ("task", "label_separator", "weight", "group", "time", "delimiter", "skip_bad_rows")
        more: Any = {name: getattr(self, name) for name in same}
        for name in ("numeric", "categorical"):  # no command has these options and a model
            more[name] = getattr(self.columns or self, name)
        more["schema"] = self.schema
        return read_table(sources, text=self.texts, label=self.labels, one_class=self.model is not None, **more)

    def read_series(self, path: str) -> Rows:
        """The series of a file."""
        from gatewise.data.read import read_series

        if len(self.label) > 1:
            raise InputError("series have one label column")
        label = self.label[0] if self.label else None
        names: dict[str, Any] = {"label": label, "id": self.id, "time": self.time, "columns": self.columns}
        names |= {"numeric": self.numeric, "categorical": self.categorical, "schema": self.schema}
        return read_series(path, layout=self.layout, task=self.task, **names)


def table_of(given: Any, model: Model | None = None) -> TableOptions:
    """The options of `columns` that a command has; for the data of a model with its kind and its task."""
    found = TableOptions(**{name: getattr(given, name) for name in COLUMNS if hasattr(given, name)})
    if model is None:
        return found
    return replace(found, model=model, task=model.task, series=found.series or model.channels > 0)


def read_source(sources: Sequence[str], data: str | None, options: TableOptions, other: str | None = None) -> Splits:
    """`imdb`, files, or a folder with one folder per class. All rows are in `train`, unless a folder has train/ and
    test/. other: a second source, which the options are for too.

    Raises InputError for `data` with a source other than imdb and for columns of a source without them, DataError for
    data that is missing or damaged.
    """
    from gatewise.data.labelled import Splits
    from gatewise.data.read import is_split_folder, read_folder, read_folders

    if list(sources) == ["imdb"] or Path(sources[0]).is_dir():
        no_table = other is None or other == "imdb" or Path(other).is_dir()
        names = _OF_TABLES if no_table else ("numeric", "categorical")
        refuse(options, names, f"tables, and {quote(sources[0])} has no columns")
    if list(sources) == ["imdb"]:
        from gatewise.data.reviews import imdb

        return imdb(data)
    if data is not None:
        raise InputError("--data is only for the source imdb; give other data as the source itself")
    if Path(sources[0]).is_dir():
        if len(sources) > 1:
            raise InputError(f"{quote(sources[0])}: a folder is read alone")
        if is_split_folder(sources[0]):
            return read_folders(sources[0])
        return Splits(read_folder(sources[0], options.model is not None), None, "")
    for one in sources:
        if one != "-" and not Path(one).suffix and not Path(one).exists():
            raise DataError(f"{quote(one)}: neither imdb nor a file")
    return Splits(options.read(sources), None, "")


def read_data(data: str, options: TableOptions) -> Labelled:
    """Data on which a model is measured, the test half where it has one: as `read_source`, where `data` may also be
    the IMDB archive, its folder, or `embedded`.
    """
    reviews = Path(data) / "train" / "urls_pos.txt"
    if data == "embedded" or data.endswith((".tar.gz", ".tgz")) or reviews.exists():
        splits = read_source(["imdb"], data, options)
    else:
        splits = read_source([data], None, options)
    return splits.test or splits.train


def warn_of_training_data(model: Model, labelled: Labelled) -> bool:
    """Whether the model was trained on this data, which is then printed to stderr."""
    trained = bool(model.metadata.fingerprint) and labelled.fingerprint() == model.metadata.fingerprint
    if trained:
        print("gatewise: warning: the model was trained on this data", file=sys.stderr)
    return trained
