"""Bulk prediction that is killed, started again, and run by several processes at once."""

from __future__ import annotations

import csv
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np

from gatewise.cli import main
from tests.exchange.random_models import WORDS, random_model
from trust.attack import Attacks
from trust.forked import DONE, REFUSED, Child
from trust.mutate import Rng, choice

ATTACKS = Attacks()
ROWS, ROWS_PER_FILE, FILES = 120, 9, 2
PARTS = ("cli", "storage")  # of the package, at whose lines a process is killed
Table = list[list[str]]


def _write_input(folder: Path) -> None:
    """A model and tables of texts, each row with a number of its own."""
    random_model(1, linear="ngrams", classes=3).save(folder / "model")
    rng = np.random.default_rng(5)
    for file in range(FILES):
        with (folder / f"in-{file}.csv").open("w", newline="") as lines:
            rows = csv.writer(lines)
            rows.writerow(["id", "text"])
            rows.writerows([f"{file}-{n}", " ".join(rng.choice(WORDS, 5))] for n in range(ROWS))


def _predict(folder: Path, out: str) -> None:
    """`gatewise predict` of the tables of a folder, in this process, a `Child`."""
    log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    files = [word for file in range(FILES) for word in ("-i", str(folder / f"in-{file}.csv"))]
    sys.argv = ["gatewise", "predict", "-m", str(folder / "model"), *files, "--text", "text", "-o", f"{folder}/{out}"]
    if out.endswith("/"):
        sys.argv += ["--rows-per-file", str(ROWS_PER_FILE)]
    main()


def _rows(paths: Sequence[Path]) -> Table:
    """The rows of tables with one header, one after the other."""
    found: Table = []
    for path in paths:
        with path.open(newline="") as lines:
            head, *rows = csv.reader(lines)
        found += rows if found else [head, *rows]
        if found[0] != head:
            raise ValueError(f"{path.name} has the columns {head}")
    return found


@cache
def expected() -> tuple[Table, dict[str, int]]:
    """The rows of an undisturbed run, and the lines of code that a run into a file or a folder takes."""
    lines = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_input(folder)
        for out in ("out.csv", "out/"):
            code, message = Child(partial(_predict, folder, out), PARTS).wait()
            if code != DONE:
                raise RuntimeError(f"exit code {code}: {(folder / 'log').read_text()} {message}")
            lines[out] = int(message)
        return _rows([folder / "out.csv"]), lines


@ATTACKS.add("kills-bulk", 3, 500, prepare=expected, seconds=300, memory=0)
def _bulk(rng: Rng, folder: Path) -> str | None:
    """Bulk prediction that is killed and started again gives every row once, as an undisturbed run. A table is there
    whole or not at all.

    kill -9 one to three times, at a random line of the code that predicts or saves, of one or two processes that write
    to one folder or one file; then the same command again, in three of ten tries by two processes at once
    """
    (rows, lines), out = expected(), choice(rng, ["out.csv", "out/", "out/"])
    _write_input(folder)
    for _ in range(int(rng.integers(1, 4))):
        children = [
            Child(partial(_predict, folder, out), PARTS, {int(rng.integers(lines[out])): signal.SIGKILL})
            for _ in range(int(rng.integers(1, 3)))
        ]
        for child in children:
            code, message = child.wait()
            if code not in (DONE, REFUSED, -signal.SIGKILL):
                return f"exit code {code}: {message} {(folder / 'log').read_text()[-300:]}"
        if problem := _incomplete(folder, rows):
            return problem
    ends = [child.wait() for child in [Child(partial(_predict, folder, out)) for _ in range(1 + (rng.random() < 0.3))]]
    if all(code != DONE for code, _ in ends) and not (folder / "out.csv").exists():
        return f"the last run ended with exit code {ends[0][0]}: {(folder / 'log').read_text()[-300:]}"
    found = _rows([folder / out] if out == "out.csv" else sorted((folder / "out").glob("part-*.csv")))
    return None if found == rows else f"{len(found)} rows instead of {len(rows)}, or others"


def _incomplete(folder: Path, rows: Table) -> str | None:
    """The name of a table that is not whole."""
    for path in (*folder.glob("out.csv"), *folder.glob("out/part-*.csv")):
        wanted = rows
        if path.name != "out.csv":
            file, block = map(int, path.stem.split("-")[1:])
            start, end = (file * ROWS + min(ROWS, ROWS_PER_FILE * n) for n in (block, block + 1))
            wanted = [rows[0], *rows[1 + start : 1 + end]]
        if _rows([path]) != wanted:
            return f"{path.name} is not whole, or has other predictions"
    return None
