"""The inputs of a prediction: texts typed on the command line, or the rows of files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from gatewise.cli.options import COLUMNS, refuse
from gatewise.errors import InputError, quote
from gatewise.system.files import file_named

if TYPE_CHECKING:
    from gatewise.model.model import Model

T = TypeVar("T")
BATCH_ROWS = 256
BATCH_CHARACTERS = 500_000  # or steps of series


@contextmanager
def open_inputs(model: Model, args: Any) -> Iterator[Iterable[Any]]:
    """The texts or series of a command: typed texts, or the rows of files. Raises InputError for both, for a typed text
    that is a file, and as `TableOptions.rows`.
    """
    texts: Sequence[str] = args.texts
    typed_columns: Sequence[str] = getattr(args, "column", ())
    if typed_columns and not texts:
        raise InputError("--column is for typed texts: a file has the columns itself")
    if texts and args.files:
        raise InputError(f"{quote(texts[0])} is a text: give texts, or files with -i, not both")
    if model.preprocessor.inputs.further and (texts or not args.files):
        raise InputError("the model reads several arrays: give files with -i, .npz or .jsonl")
    if not texts:
        from gatewise.cli.sources import table_of

        with table_of(args, model).rows(args.files, getattr(args, "lines", False)) as reader:
            yield (row.input for row in reader)
        return
    for number, text in enumerate(texts, start=1):
        if not text.strip():
            if len(texts) == 1:
                raise InputError("the text is empty")
            raise InputError(f"text {number} is empty")
        check_text(text)
    if typed_columns:
        from gatewise.data import with_columns

        row = parsed_columns(model, typed_columns)
        texts = [with_columns(text, row) for text in texts]
    if model.channels:
        raise InputError("the model reads series: give a file with -i, such as .ts, .npz or .csv")
    refuse(args, tuple(COLUMNS), "files: give a file with -i")
    yield texts


def parsed_columns(model: Model, options: Sequence[str]) -> dict[str, str]:
    """The values of --column NAME=VALUE by name. Raises InputError for a column that the model does not read."""
    schema = model.preprocessor.columns
    values: dict[str, str] = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals or name in values:
            raise InputError(f"--column {quote(option)}: write NAME=VALUE, once per column")
        if not schema:
            raise InputError(f"--column {quote(option)}: the model reads no columns")
        if name not in schema.names:
            raise InputError(f"--column {quote(option)}: the model reads the columns {schema}")
        values[name] = value
    return values


def check_text(text: str) -> None:
    """Raise InputError for a typed text that is a file or a folder, or has the name of a file that is not here."""
    if text == "-":
        raise InputError(f"{quote(text)} is stdin, not a text: give it with -i")
    kind = file_named(text)
    if kind == "a folder":
        raise InputError(f"{quote(text)} is a folder, not a text: give a model with -m, files with -i")
    if kind == "a file":
        raise InputError(f"{quote(text, 200)} is a file, not a text: give it with -i")
    if kind:  # the name of a file that is not here, which may be a text after all
        message = (
            f"{quote(text, 200)} is {kind}, not a text: give files with -i; if it is the text, end it with a space"
        )
        raise InputError(message)


def size_of(item: Any) -> int:
    """The characters of a text, the steps of a series, or the numbers of a row of arrays."""
    if isinstance(item, dict):
        return sum(array.size for array in item.values())
    return len(item)


def batches(rows: Iterable[T], live: bool = False, size: Callable[[T], int] = size_of) -> Iterator[list[T]]:
    """Rows in batches of a limited size. live: a batch holds the rows that have arrived, at least one, so that none
    waits for later rows.
    """
    if live:
        yield from _arrived(rows)
        return
    characters = 0
    batch: list[T] = []
    for row in rows:
        batch.append(row)
        characters += size(row)
        if len(batch) >= BATCH_ROWS or characters >= BATCH_CHARACTERS:
            yield batch
            batch = []
            characters = 0
    if batch:
        yield batch


def _arrived(rows: Iterable[T]) -> Iterator[list[T]]:
    """The rows that another thread has read so far, in batches of at most `BATCH_ROWS`."""
    import queue
    import threading

    pending: queue.Queue[Any] = queue.Queue(maxsize=BATCH_ROWS)  # rows, and at the end None or an exception

    def read() -> None:
        end = None
        try:
            for row in rows:
                pending.put(row)
        except BaseException as error:
            end = error
        pending.put(end)

    threading.Thread(target=read, daemon=True).start()
    while True:
        batch = [pending.get()]
        while len(batch) < BATCH_ROWS and not pending.empty():
            batch.append(pending.get())
        last = batch[-1]
        is_end = last is None or isinstance(last, BaseException)
        if is_end:
            batch.pop()
        if batch:
            yield batch
        if isinstance(last, BaseException):
            raise last
        if is_end:
            return
