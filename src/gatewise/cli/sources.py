"""The data of a command: tables, files of series, folders, IMDB."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatewise.cli.options import COLUMNS, refuse
from gatewise.errors import DataError, InputError, quote

if TYPE_CHECKING:
    from gatewise.cli.arrays import ArrayReader
    from gatewise.cli.series import SeriesReader
    from gatewise.data import Labelled, Rows, Splits
    from gatewise.data.row_reader import RowReader
    from gatewise.data.schema import RowSchema
    from gatewise.model.arrays_preprocessor import ArraysPreprocessor
    from gatewise.model.model import Model
    from gatewise.types import ColumnNames, Task

NO_SERIES_ON_STDIN = "series cannot be read from stdin: give a file"
_OF_ALL_SOURCES = ("task", "series")  # a folder of texts has a task too; its reader refuses the other ones
_OF_TABLES = tuple(name for name in COLUMNS if name not in _OF_ALL_SOURCES)


def is_series(source: str) -> bool:
    """Whether the source is a file that can hold series only, such as .ts and the .tsv files of the UCR archive."""
    suffix = Path(source).suffix.lower()
    if suffix not in (".ts", ".arff", ".npz", ".npy", ".tsv", ".txt"):  # for texts, the import below takes too long
        return False
    from gatewise.data.series_files import is_series_file

    return is_series_file(source)


@dataclass(frozen=True)
class TableOptions:
    """The options that say what the columns of a table hold; see `gatewise.data.read_table` and `read_series`.

    series: the table holds series instead of texts. False: it holds series if its name or its first line says so.
    model: the model that reads the data. Its columns are read where no option names others, and all rows may have one
    class, because the model has its classes already. arrays: what reads rows of arrays by name, of this model or of the
    one that a training starts from.
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
    arrays: ArraysPreprocessor | None = None

    @contextmanager
    def rows(
        self, files: Sequence[str], lines: bool = False, labelled: bool = False
    ) -> Iterator[RowReader | SeriesReader | ArrayReader]:
        """The rows of files for the model. lines: each line of stdin is a text, even if it looks like a table.
        labelled: rows with their labels, as `read` returns them.

        Raises InputError for an option or a file for models of the other kind.
        """
        from gatewise.cli.text_lines import open_lines
        from gatewise.data.row_reader import RowReader, TableColumns, table_paths

        model = self.model
        assert model is not None
        if not files:
            raise InputError("give texts, or files with -i (-i - for stdin)")
        if self.arrays is not None:
            self._refuse_columns()
            from gatewise.cli.arrays import ArrayReader

            yield ArrayReader(self.arrays, table_paths(files))
            return
        if model.channels:
            refuse(self, ("text", "delimiter", "skip_bad_rows"), "texts, and the model reads series")
            if "-" in files:
                raise InputError(NO_SERIES_ON_STDIN)
            from gatewise.cli.series import SeriesReader

            yield SeriesReader(model, table_paths(files), self.read_series, self.id)
            return
        refuse(self, ("id", "layout"), "series, and the model reads texts")
        if not labelled:
            refuse(self, ("label", "time"), "series, and the model reads texts")
        if self.series or any(map(is_series, files)):
            raise InputError("the model reads texts, not series")
        # Without a text column, stdin holds one text per line. The name of a file says whether it is a table.
        line_reader = None
        if not self.text and not self.delimiter:
            line_reader = partial(open_lines, refuse_tables=not lines)
        schema = model.preprocessor.columns
        names = schema.names_by_type
        columns = TableColumns(
            self.texts,
            task=model.task,
            numeric=tuple(names["numeric"]),
            categorical=tuple(names["categorical"]),
            schema=schema,
        )
        if labelled:
            columns = replace(columns, label=self.labels, label_separator=self.label_separator, time=self.time)
        with RowReader.open(
            files,
            columns,
            self.delimiter,
            self.skip_bad_rows,
            lines=line_reader,
            fail_fast=True,
            live="-" in files,
        ) as reader:
            yield reader

    @property
    def typed(self) -> dict[str, Any]:
        """The values of `columns` by name, as a user typed them."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name in COLUMNS}

    def _refuse_columns(self) -> None:
        """Raise InputError for an option about the columns of a table, which rows of arrays do not have."""
        of_tables = [name for name in COLUMNS if name not in ("task", "label", "series")]
        refuse(self, of_tables, "texts and series, and the model reads rows of arrays")

    @property
    def columns(self) -> ColumnNames | None:
        """The columns of the model; None without a model."""
        if self.model is None:
            return None
        return self.model.metadata.columns

    @property
    def schema(self) -> RowSchema | None:
        """The schema of the numeric and categorical columns of the model; None without a model."""
        if self.model is None:
            return None
        return self.model.preprocessor.columns

    @property
    def texts(self) -> tuple[str, ...]:
        """The text columns: those of the option, of the model, or text."""
        if self.text:
            return tuple(self.text)
        if self.columns and self.columns.text:
            return tuple(self.columns.text)
        return ("text",)

    @property
    def labels(self) -> tuple[str, ...]:
        """The label columns: those of the option, of the model, or label."""
        if self.label:
            return tuple(self.label)
        if self.columns and self.columns.label:
            return tuple(self.columns.label)
        return ("label",)

    def read(self, sources: Sequence[str]) -> Labelled:
        """The rows of one or more files: texts, series, or arrays. Raises InputError for options that do not fit."""
        from gatewise.data.read import read_table

        if self.arrays is not None:
            self._refuse_columns()
            from gatewise.cli.arrays import read_labelled

            classes = None if self.model is None else self.model.target.each.column_classes
            return read_labelled(self.arrays, sources, self.label, self.task, classes)

        if self.series or is_series(sources[0]):
            of_texts = ("text", "label_separator", "weight", "group", "delimiter", "skip_bad_rows")
            refuse(self, of_texts, "texts, and these are series")
            if "-" in sources:
                raise InputError(NO_SERIES_ON_STDIN)
            if len(sources) > 1 or len(self.label) > 1:
                raise InputError("series are read from one file, with one label column")
            return self.read_series(sources[0]).labelled(self.task)
        refuse(self, ("id", "layout"), "series: add --series")
        if self.columns is not None:  # no command has options for these columns and a model
            numeric = self.columns.numeric
            categorical = self.columns.categorical
        else:
            numeric = tuple(self.numeric)
            categorical = tuple(self.categorical)
        return read_table(
            sources,
            text=self.texts,
            label=self.labels,
            numeric=numeric,
            categorical=categorical,
            task=self.task,
            label_separator=self.label_separator,
            weight=self.weight,
            group=self.group,
            time=self.time,
            delimiter=self.delimiter,
            skip_bad_rows=self.skip_bad_rows,
            schema=self.schema,
            one_class=self.model is not None,
        )

    def read_series(self, path: str) -> Rows:
        """The series of a file."""
        from gatewise.data.read import read_series

        if len(self.label) > 1:
            raise InputError("series have one label column")
        return read_series(
            path,
            label=self.label[0] if self.label else None,
            id=self.id,
            time=self.time,
            numeric=self.numeric,
            categorical=self.categorical,
            columns=self.columns,
            schema=self.schema,
            layout=self.layout,
            task=self.task,
            array=None if self.model is None else self.model.ensemble.network.series_array,
        )


def table_of(args: Any, model: Model | None = None) -> TableOptions:
    """The options of `columns` that a command has. model: reads the data, with its kind of input and its task."""
    options = TableOptions(**{name: getattr(args, name) for name in COLUMNS if hasattr(args, name)})
    if model is None:
        return options
    from gatewise.model.preprocessor import reader_of_arrays

    return replace(
        options,
        model=model,
        task=model.task,
        series=options.series or model.channels > 0,
        arrays=reader_of_arrays(model.preprocessor),
    )


def read_source(sources: Sequence[str], data: str | None, options: TableOptions, other: str | None = None) -> Splits:
    """`imdb`, files, or a folder with one folder per class. All rows are in `train`, unless a folder has train/ and
    test/. other: a second source, for which the same options hold.

    Raises InputError for `data` with a source other than imdb and for columns of a source without them, DataError for
    data that is missing or damaged.
    """
    from gatewise.data.labelled import Splits
    from gatewise.data.read import is_split_folder, read_folder, read_folders

    is_imdb = list(sources) == ["imdb"]
    if is_imdb or Path(sources[0]).is_dir():
        other_is_table = other is not None and other != "imdb" and not Path(other).is_dir()
        # The options may be for the other source. Numeric and categorical columns must be in both.
        names = ("numeric", "categorical") if other_is_table else _OF_TABLES
        refuse(options, names, f"tables, and {quote(sources[0])} has no columns")
    if is_imdb:
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
    for source in sources:
        if source != "-" and not Path(source).suffix and not Path(source).exists():
            raise DataError(f"{quote(source)}: neither imdb nor a file")
    return Splits(options.read(sources), None, "")


def read_data(data: str, options: TableOptions) -> Labelled:
    """The data on which a model is measured: the test set where the data have one, otherwise all rows. data: a source
    of `read_source`, the IMDB archive, its folder, or `embedded`.
    """
    is_imdb_folder = (Path(data) / "train" / "urls_pos.txt").exists()
    if data == "embedded" or data.endswith((".tar.gz", ".tgz")) or is_imdb_folder:
        splits = read_source(["imdb"], data, options)
    else:
        splits = read_source([data], None, options)
    return splits.test or splits.train


def warn_of_training_data(model: Model, labelled: Labelled) -> bool:
    """Whether the model was trained on this data. If so, a warning is printed to stderr."""
    fingerprint = model.metadata.fingerprint
    is_training_data = bool(fingerprint) and labelled.fingerprint() == fingerprint
    if is_training_data:
        print("gatewise: warning: the model was trained on this data", file=sys.stderr)
    return is_training_data
