"""Texts in lines, one per line, and the check that the lines are not those of a table."""

import re
from pathlib import Path

from gatewise.data.tables import DELIMITER_NAMES, Read, Skip, Table, sample_rows
from gatewise.errors import DataError, InputError, quote, warn
from gatewise.storage.streams import STDIN, FileStream

_TEXT_COLUMN = "text"
_DEFAULT_COLUMNS = {_TEXT_COLUMN, "label"}  # the columns that are read where no option names others
_NAME = re.compile(r"[^\W\d][\w\-./#%()]*( [\w\-./#%()]+){0,2}")  # up to three words, no space around them
_SHOWN_NAMES = 10  # columns that a message names
_JSON = re.compile(r'\s*(\[\s*)?\{\s*("|\})')
_IN_NUMBER = re.compile(r"\d,\d")
_REGULAR = 0.9  # the least share of the rows with as many fields as the header


def open_lines(source: str | Path, refuse_tables: bool = False) -> Table:
    """A text file, or "-" for stdin, as a table with the column text: one text per line.

    A blank line is left out, with a warning if a text follows. refuse_tables: raise InputError if stdin begins like a
    table. The check reads what has arrived and waits for no more. Raises DataError for a file that is not UTF-8 or has
    no text.
    """
    stream = FileStream(source)
    stream.check_text()
    refuse_tables = refuse_tables and str(source) == STDIN
    if refuse_tables:
        _refuse_table(stream, stream.peek().decode("utf-8", "replace"))

    def read(skip: Skip) -> Read:
        first_blank = 0  # the number of the first blank line
        warned = False
        has_text = False
        begin = ""
        for line in stream.lines():
            number = stream.line
            skipped = skip()
            problem = stream.problem
            stream.problem = None
            if refuse_tables and number <= 2:  # the second line may arrive later than the first one
                begin += line
                _refuse_table(stream, begin)
            if not problem and not line.strip():
                first_blank = first_blank or number
                continue
            if first_blank and not warned:  # blank lines at the end leave no gap, so they need no warning
                message = "a blank line is left out, as each one that follows: the output has fewer lines"
                warn(f"{stream.where}:{first_blank}: {message}")
                warned = True
            has_text = True
            if not skipped:
                yield problem or (number, {"text": line.rstrip("\r\n")})
        if not has_text:
            raise DataError(f"{stream.where}: contains no text")

    return Table(stream, (_TEXT_COLUMN,), (_TEXT_COLUMN,), read)


def _refuse_table(stream: FileStream, begin: str) -> None:
    """Raise InputError if a stream begins like a table. begin: the text of its first lines."""
    hint = "to read it as a table, name its text column: --text {}; if each line is a text, add --lines"
    if _JSON.match(begin):
        raise InputError(f"{stream.where} looks like JSON: {hint.format('KEY')}")
    header = table_header(begin)
    if not header:
        return
    column = "COLUMN"
    for name in reversed(header):
        if name.strip().casefold() == _TEXT_COLUMN:
            column = name.strip()
    names = [quote(name, 40) for name in header[:_SHOWN_NAMES]]
    if len(header) > _SHOWN_NAMES:
        names.append("…")
    message = f"looks like a table with the {len(header)} fields {', '.join(names)} in its first line"
    raise InputError(f"{stream.where} {message}: {hint.format(column)}")


def table_header(begin: str) -> list[str]:
    """The fields of the first line if the text begins a delimited table; otherwise []. The text may end within a line.

    A table is one of these: names of columns in the first line, of which one is text or label; names of columns, and as
    many fields in the lines after it; at least three lines with equally many fields. The commas of texts are told
    apart: a comma in a sentence has a space after it, and a comma in a number has digits around it.
    """
    for delimiter in DELIMITER_NAMES:
        rows = sample_rows(begin, delimiter)
        if not rows or len(rows[0]) < 2:
            continue
        header = rows[0]
        is_cut = not begin.endswith(("\n", "\r"))
        if len(rows) > 1 and is_cut and len(rows[-1]) < len(header):
            rows.pop()  # the line has not arrived completely
        names = header
        if not header[0]:  # pandas writes an index without a name
            names = header[1:]
        has_names = all(map(_NAME.fullmatch, names))
        has_default_column = not _DEFAULT_COLUMNS.isdisjoint(name.casefold() for name in header)
        regular_share = sum(len(row) == len(header) for row in rows) / len(rows)
        if has_names and has_default_column:
            return header
        if has_names and len(rows) > 1 and regular_share >= _REGULAR:
            return header
        looks_like_text = any(field[:1] == " " for row in rows for field in row) or _IN_NUMBER.search(begin)
        if len(rows) > 2 and regular_share == 1 and not looks_like_text:
            return header
    return []
