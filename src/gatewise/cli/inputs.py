"""The data that a command reads: IMDB, tables, folders, series files and lines of text."""

from __future__ import annotations

import functools
import inspect
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from gatewise.cli.arguments import is_file_name, option
from gatewise.errors import DataError, InputError, counted, quote

if TYPE_CHECKING:
    from gatewise.data import Labelled, Rows, Splits
    from gatewise.data.columns import RowReader, TableRow
    from gatewise.model.model import Model
    from gatewise.types import ColumnNames

COLUMN_OPTIONS: dict[str, Any] = {
    "text": Annotated[
        list[str] | None,
        option("--text", "COLUMN", "Text column or JSON key; several are joined by a newline. Default: text."),
    ],
    "label": Annotated[
        list[str] | None,
        option("--label", "COLUMN", "Label column or JSON key; several for multilabel and regression. Default: label."),
    ],
    "task": Annotated[
        str | None,
        option("--task", "NAME", "classification, multilabel or regression. Default: classification."),
    ],
    "label_separator": Annotated[
        str | None, option("--label-separator", "TEXT", "Between the labels in a column; makes the task multilabel.")
    ],
    "weight": Annotated[str | None, option("--weight", "COLUMN", "Column of the weight of each row in the loss.")],
    "group": Annotated[
        str | None, option("--group", "COLUMN", "Column of groups; rows of one group stay in one part of a split.")
    ],
    "time": Annotated[
        str | None,
        option(
            "--time", "COLUMN", "Column of numbers or dates: orders the rows, or with --series the steps of a series."
        ),
    ],
    "series": Annotated[
        bool, typer.Option("--series", help="The table holds series: one per row, or with --time one step per row.")
    ],
    "id": Annotated[str | None, option("--id", "COLUMN", "With --series: column that names the series.")],
    "layout": Annotated[
        str | None,
        option("--layout", "NAME", "Of three-dimensional arrays in .npz and .npy: time-first or channels-first."),
    ],
    "delimiter": Annotated[
        str | None,
        option("--delimiter", "CHARACTER", "Between fields of a CSV file; tab for tabs. Default: guessed."),
    ],
    "skip_bad_rows": Annotated[
        str | None,
        option("--skip-bad-rows", "FILE", "Leave out rows that cannot be read, and list them in this CSV file."),
    ],
}
"""The options that say what the columns of a table hold, by the field of `TableOptions`."""

NO_SERIES_ON_STDIN = "series cannot be read from stdin: give a file"


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

    series: the table holds series instead of texts; None: if its name or first line says so. one_class: all rows may
    have one class, because the classes are those of a model. columns: those of a model, where no option names others.
    """

    text: Sequence[str] | None = None
    label: Sequence[str] | None = None
    task: str | None = None
    label_separator: str | None = None
    weight: str | None = None
    group: str | None = None
    time: str | None = None
    id: str | None = None
    series: bool = False
    delimiter: str | None = None
    skip_bad_rows: str | None = None
    layout: str | None = None
    one_class: bool = False
    columns: ColumnNames | None = None

    def of(self, model: Model, one_class: bool = False) -> TableOptions:
        """With what the model knows: its kind, its task and its columns."""
        series = model.architecture.inputs == "channels"
        return replace(
            self, series=self.series or series, task=model.task, columns=model.metadata.columns, one_class=one_class
        )

    def check(self, model: Model, files: Sequence[str]) -> None:
        """Raise InputError for an option, or a file, that is for models of the other kind, and for an option that is
        for files where there is none.
        """
        of_series = model.architecture.inputs == "channels"
        own, other = ("series", "texts") if of_series else ("texts", "series")
        of_other = ("text", "delimiter", "skip_bad_rows") if of_series else ("label", "id", "time", "layout")
        for name in COLUMN_OPTIONS:
            if name in ("task", "series") or not getattr(self, name):
                continue
            if not files:
                raise InputError(f"--{name.replace('_', '-')} is for files: give a file")
            if name in of_other:
                raise InputError(f"--{name.replace('_', '-')} is for {other}, and the model reads {own}")
        if of_series and "-" in files:
            raise InputError(NO_SERIES_ON_STDIN)
        if not of_series and (self.series or any(map(is_series, files))):
            raise InputError("the model reads texts, not series")

    def rows(
        self, model: Model, files: Sequence[str], any_lines: bool = False
    ) -> AbstractContextManager[RowReader | SeriesReader]:
        """The texts or series of files that fit the model. any_lines: each line of stdin is a text, whatever it looks
        like. Raises InputError as `check`.
        """
        from gatewise.cli.text_lines import open_lines
        from gatewise.data.columns import Columns, RowReader, table_paths

        self.check(model, files)
        if model.architecture.inputs == "channels":
            return nullcontext(SeriesReader(model, table_paths(files), self))
        return RowReader.open(
            files,
            Columns(self.texts),
            table_delimiter(self.delimiter),
            self.skip_bad_rows,
            # Without a column, stdin holds one text per line; files say by their name whether they are tables.
            lines=None if self.text or self.delimiter else partial(open_lines, refuse_tables=not any_lines),
            fail_fast=True,
            live="-" in files,
        )

    @property
    def texts(self) -> tuple[str, ...]:
        """The text columns: those of the option, of the model, or text."""
        return tuple(self.text or (self.columns and self.columns.text) or ("text",))

    def read(self, sources: Sequence[str]) -> Labelled:
        """The rows of one or more files: texts, or series. Raises InputError for options that do not fit."""
        from gatewise.data import read_table

        if self.series or is_series(sources[0]):
            return self._series(sources)
        for name in ("id", "layout"):
            if getattr(self, name) is not None:
                raise InputError(f"--{name} is for series: add --series")
        return read_table(
            sources,
            text=self.texts,
            label=self.label or (self.columns and self.columns.label) or "label",
            task=self.task,  # type: ignore[arg-type]
            label_separator=self.label_separator,
            weight=self.weight,
            group=self.group,
            time=self.time,
            delimiter=table_delimiter(self.delimiter),
            skip_bad_rows=self.skip_bad_rows,
            one_class=self.one_class,
        )

    def listing_in(self, skip_bad_rows: str | None, rank: int) -> TableOptions:
        """With the bad rows listed in that file; process number `rank` of a run, if not the first, lists none."""
        return replace(self, skip_bad_rows=os.devnull if skip_bad_rows and rank else skip_bad_rows)

    def _series(self, sources: Sequence[str]) -> Labelled:
        for name in ("text", "label_separator", "weight", "group", "delimiter", "skip_bad_rows"):
            if getattr(self, name):
                raise InputError(f"--{name.replace('_', '-')} is for texts, and these are series")
        if "-" in sources:
            raise InputError(NO_SERIES_ON_STDIN)
        if len(sources) > 1 or len(self.label or ()) > 1:
            raise InputError("series are read from one file, with one label column")
        return self.read_series(sources[0]).labelled(self.task)  # type: ignore[arg-type]

    def read_series(self, path: str) -> Rows:
        """The series of a file."""
        from gatewise.data.read import read_series

        if len(self.label or ()) > 1:
            raise InputError("series have one label column")
        label = self.label[0] if self.label else None
        return read_series(path, label=label, id=self.id, time=self.time, layout=self.layout, columns=self.columns)


NO_OPTIONS = TableOptions()


def takes_columns(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command these `COLUMN_OPTIONS`, all without names, in the place of its parameter `table`, which then has
    their values.
    """
    names = names or tuple(COLUMN_OPTIONS)

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(**options: Any) -> None:
            table = TableOptions(**{name: options.pop(name) for name in names})
            command(table=table, **options)

        own = [
            inspect.Parameter(
                name,
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=getattr(NO_OPTIONS, name),
                annotation=COLUMN_OPTIONS[name],
            )
            for name in names
        ]
        parameters: list[inspect.Parameter] = []
        for one in inspect.signature(command, eval_str=True).parameters.values():
            parameters += own if one.name == "table" else [one]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        return run

    return decorate


class SeriesTable(NamedTuple):
    """The column of an output that comes from a file of series: their names, or their numbers."""

    columns: tuple[str, ...]
    schema: None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """The same as `columns`."""
        return self.columns

    def column(self, name: str, option: str) -> str:
        """The column `name` as it is written. Raises InputError."""
        from gatewise.data.frames import find_column

        return find_column(name, self.columns)


@dataclass
class SeriesReader:
    """The series of files as rows, as `RowReader` has those of texts; one file is in memory."""

    model: Model
    paths: list[str]
    options: TableOptions
    chosen: Callable[[int, int], bool] = lambda file, row: True
    table: SeriesTable | None = None
    skipped = done = None
    n_bad = 0

    def __post_init__(self) -> None:
        for path in self.paths:
            if not os.path.isfile(path):
                raise (
                    DataError(f"{quote(path, 200)}: not found")
                    if is_file_name(path)
                    else InputError("the model reads series: give files, such as .ts, .npz or .csv")
                )

    def __iter__(self) -> Iterator[TableRow]:
        from gatewise.data.columns import TableRow

        for file, path in enumerate(self.paths):
            rows = self.options.read_series(path)
            check_series(self.model, rows)
            key = self.options.id or rows.names.id or "series"
            self.table = SeriesTable((key,))
            for number, series in enumerate(rows.inputs):
                if self.chosen(file, number):
                    name = rows.ids[number] if rows.ids else number + 1
                    yield TableRow(number + 1, {key: name}, rows.file, file, number, series)


def check_series(model: Model, rows: Rows) -> None:
    """Warn about series of another length than all training series had: a column may be a label or an id.

    Raises InputError for a first column of a UCR text file that is not the class, and for another number of channels.
    """
    path = rows.file
    if (
        rows.paths[0].lower().endswith((".tsv", ".txt"))
        and isinstance(rows.labels, list)
        and model.task != "regression"
    ):
        other = sorted(set(rows.labels) - set(model.classes))
        if other:
            raise InputError(
                f"{path}: the first column is the class, but the model has no class {quote(other[0], 40)}; if the file "
                "has no classes, add --label ''"
            )
    channels = rows.inputs[0].shape[1] if rows.inputs else model.channels
    if channels != model.channels:
        hint = "" if channels > 1 else "; a table with one row per step needs --time, and --id for several series"
        count = counted(channels, "channel")
        raise InputError(f"{path}: the series have {count}, the model reads {model.channels}{hint}")
    shortest, longest = getattr(model.preprocessor, "steps", (0, 0))
    lengths = {len(series) for series in rows.inputs}
    if 0 < shortest == longest and lengths != {longest}:
        found = f"{min(lengths)} to {max(lengths)}" if len(lengths) > 1 else f"{min(lengths)}"
        found += " step" if found == "1" else " steps"
        text = f"{path}: the series have {found}, those of training {longest}; name a label or id column"
        warnings.warn(text, UserWarning, stacklevel=2)


def read_source(source: str | Sequence[str], data: str | None, options: TableOptions | None = None) -> Splits:
    """`imdb`, files, or a folder with one folder per class. All rows are in `train`, unless a folder has train/ and
    test/.

    Raises InputError for `data` with a source other than imdb, DataError for data that is missing or damaged.
    """
    from gatewise.data import Splits, imdb, read_folder, read_folders
    from gatewise.data.read import is_split_folder

    sources = [source] if isinstance(source, str) else list(source)
    if sources == ["imdb"]:
        return imdb(data)
    if data is not None:
        raise InputError("--data is only for the source imdb; give other data as the source itself")
    if Path(sources[0]).is_dir():
        if len(sources) > 1:
            raise InputError(f"{quote(sources[0])}: a folder is read alone")
        if is_split_folder(sources[0]):
            return read_folders(sources[0])
        return Splits(read_folder(sources[0], options is not None and options.one_class), None, "")
    for one in sources:
        if one != "-" and not Path(one).suffix and not Path(one).exists():
            raise DataError(f"{quote(one)}: neither imdb nor a file")
    return Splits((options or TableOptions()).read(sources), None, "")


def read_data(data: str, options: TableOptions | None = None) -> Splits:
    """Data on which a model is measured: as `read_source`, where `data` may also be the IMDB archive, its folder, or
    `embedded`, and all rows may have one class.
    """
    reviews = Path(data) / "train" / "urls_pos.txt"
    if data == "embedded" or data.endswith((".tar.gz", ".tgz")) or reviews.exists():
        return read_source("imdb", data)
    return read_source(data, None, replace(options or TableOptions(), one_class=True))


def table_delimiter(name: str | None) -> str | None:
    """The delimiter of the option: one character, or tab."""
    return "\t" if name in ("tab", "\\t") else name


def read_lines(path: str | None) -> list[str]:
    """The lines of a UTF-8 file (None: stdin), as `split_lines`, without blank lines at the end.

    Raises DataError for a file that cannot be read, is closed, is not UTF-8, or is empty.
    """
    from gatewise.storage.streams import split_lines, stdin_bytes

    where = "stdin" if path is None else quote(path)
    try:
        raw = stdin_bytes().read() if path is None else Path(path).read_bytes()
        lines = split_lines(raw.decode("utf-8-sig"))
    except OSError as error:
        raise DataError(f"{where}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: not valid UTF-8 at byte {error.start}") from None
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise DataError(f"{where}: contains no text")
    return lines
