"""What a prediction is for: typed texts, or the rows of files."""

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
BATCH_ROWS, BATCH_CHARACTERS = 256, 500_000  # steps, for series


@contextmanager
def open_inputs(model: Model, given: Any) -> Iterator[Iterable[Any]]:
    """The texts or series that a command is for: those typed, or those of files. Raises InputError for both, for a
    typed text that is a file, and as `TableOptions.rows`.
    """
    texts: Sequence[str] = given.texts
    of_row: Sequence[str] = getattr(given, "column", ())
    if of_row and not texts:
        raise InputError("--column is for typed texts: a file has the columns itself")
    if texts and given.files:
        raise InputError(f"{quote(texts[0])} is a text: give texts, or files with -i, not both")
    if not texts:
        from gatewise.cli.sources import table_of

        with table_of(given, model).rows(given.files, getattr(given, "lines", False)) as reader:
            yield (row.input for row in reader)
        return
    for number, text in enumerate(texts, start=1):
        if not text.strip():
            raise InputError("the text is empty" if len(texts) == 1 else f"text {number}: it is empty")
        check_text(text)
    if of_row:
        from gatewise.row import with_columns

        row = parsed_columns(model, of_row)
        texts = [with_columns(text, row) for text in texts]
    if model.channels:
        raise InputError("the model reads series: give a file with -i, such as .ts, .npz or .csv")
    refuse(given, tuple(COLUMNS), "files: give a file with -i")
    yield texts


def parsed_columns(model: Model, options: Sequence[str]) -> dict[str, str]:
    """The values of --column NAME=VALUE by name. Raises InputError for a column that the model does not read."""
    schema, values = model.preprocessor.columns, dict[str, str]()
    for one in options:
        name, equals, value = one.partition("=")
        if not equals or name in values:
            raise InputError(f"--column {quote(one)}: write NAME=VALUE, once per column")
        if name not in schema.names:
            reads = f"the columns {schema}" if schema else "none"
            raise InputError(f"--column {quote(one)}: the model reads {reads}")
        values[name] = value
    return values


def check_text(text: str) -> None:
    """Raise InputError for a typed text that is a file or a folder, or has the name of a file that is not here."""
    what = "stdin" if text == "-" else file_named(text)
    if what == "a folder":
        raise InputError(f"{quote(text)} is a folder, not a text: give a model with -m, files with -i")
    if what:
        it = "it" if what in ("stdin", "a file") else "files"
        also = "" if it == "it" else "; if it is the text, end it with a space"
        raise InputError(f"{quote(text, 200)} is {what}, not a text: give {it} with -i{also}")


def batches(rows: Iterable[T], live: bool = False, size: Callable[[T], int] = len) -> Iterator[list[T]]:  # type: ignore[assignment]
    """Rows in batches of a limited size. live: a batch is what has arrived, at least one row, without waiting."""
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
            batch, characters = [], 0
    if batch:
        yield batch


def _arrived(rows: Iterable[T]) -> Iterator[list[T]]:
    """What another thread has read so far, in batches of at most `BATCH_ROWS`."""
    import queue
    import threading

    pending: queue.Queue[Any] = queue.Queue(maxsize=BATCH_ROWS)  # at the end None, or what went wrong

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
        ended = batch[-1] is None or isinstance(batch[-1], BaseException)
        if read_so_far := batch[: len(batch) - ended]:
            yield read_so_far
        if isinstance(batch[-1], BaseException):
            raise batch[-1]
        if ended:
            return
