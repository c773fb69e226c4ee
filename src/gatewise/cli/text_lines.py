"""Texts in lines, one per line, and the check that the lines are not those of a table."""

import re
from pathlib import Path

from gatewise.data.tables import DELIMITER_NAMES, Read, Skip, Table, sample_rows
from gatewise.errors import DataError, InputError, quote, warn
from gatewise.storage.streams import STDIN, FileStream

_TEXT_COLUMN = "text"
_KNOWN = {_TEXT_COLUMN, "label"}  # the columns that are read where no option names others
_NAME = re.compile(r"[^\W\d][\w\-./#%()]*( [\w\-./#%()]+){0,2}")  # up to three words, no space around them
_JSON = re.compile(r'\s*(\[\s*)?\{\s*("|\})')
_IN_NUMBER = re.compile(r"\d,\d")
_REGULAR = 0.9  # the part of the rows with as many fields as the header


def open_lines(source: str | Path, refuse_tables: bool = False) -> Table:
    """A text file, or "-" for stdin, as a table with the column text: one text per line.

    A blank line is left out, with a warning if a text follows. refuse_tables: what begins like a table on stdin raises
    InputError. Only what has arrived is looked at, without waiting for more. Raises DataError for a file that is not
    UTF-8 or has no text.
    """
    stream = FileStream(source)
    stream.check_text()
    refuse_tables = refuse_tables and str(source) == STDIN
    if refuse_tables:
        _refuse_table(stream, stream.peek().decode("utf-8", "replace"))

    def read(skip: Skip) -> Read:
        blank = 0  # the first blank line
        empty, begin = True, ""
        for line in stream.lines():
            number, skipped, problem = stream.line, skip(), stream.problem
            stream.problem = None
            if refuse_tables and number <= 2:  # the second line may arrive later than the first one
                begin += line
                _refuse_table(stream, begin)
            if not problem and not line.strip():
                blank = blank or number
                continue
            if blank > 0:
                what = "a blank line is left out, as each one that follows: the output has fewer lines"
                warn(f"{stream.where}:{blank}: {what}")
                blank = -1
            empty = False
            if not skipped:
                yield problem or (number, {"text": line.rstrip("\r\n")})
        if empty:
            raise DataError(f"{stream.where}: contains no text")

    return Table(stream, (_TEXT_COLUMN,), (_TEXT_COLUMN,), read)


def _refuse_table(stream: FileStream, begin: str) -> None:
    """Raises InputError if the text, the begin of a stream, is that of a table."""
    how = "to read it as a table, name its text column: --text {}; if each line is a text, add --lines"
    if _JSON.match(begin):
        raise InputError(f"{stream.where} looks like JSON: {how.format('KEY')}")
    header = table_header(begin)
    if header:
        named = [name.strip() for name in header if name.strip().casefold() == _TEXT_COLUMN]
        names = ", ".join(quote(name, 40) for name in header[:10]) + (", …" if len(header) > 10 else "")
        raise InputError(
            f"{stream.where} looks like a table with the {len(header)} fields {names} in its first line: "
            + how.format(named[0] if named else "COLUMN")
        )


def table_header(begin: str) -> list[str]:
    """The fields of the first line if the text, which may end within a line, begins a delimited table; else [].

    A table has names of columns in its first line and as many fields in the lines after it, or at least three lines of
    equally many fields; a first line alone has a column text or label. A comma in a sentence has a space after it, one
    in a number has digits around it.
    """
    for mark in DELIMITER_NAMES:
        rows = sample_rows(begin, mark)
        if not rows or len(rows[0]) < 2:
            continue
        header = rows[0]
        if len(rows) > 1 and len(rows[-1]) < len(header) and not begin.endswith(("\n", "\r")):
            rows.pop()  # it has not arrived completely
        names = all(_NAME.fullmatch(name) for name in header[not header[0] :])  # pandas writes an index without a name
        share = sum(len(row) == len(header) for row in rows) / len(rows)
        if names and (_KNOWN & {name.casefold() for name in header} or (len(rows) > 1 and share >= _REGULAR)):
            return header
        spaced = any(field[:1] == " " for row in rows for field in row) or _IN_NUMBER.search(begin)
        if len(rows) > 2 and share == 1 and not spaced:
            return header
    return []
