"""CoNLL files: one word per line with its fields, and an empty line between sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

from gatewise.errors import counted, quote
from gatewise.storage.streams import FileStream, split_lines
from gatewise.target import join_words

_UNIVERSAL = ("id", "text", "lemma", "label", "xpos", "feats", "head", "deprel", "deps", "misc")
_DOCUMENT = "-DOCSTART-"
_NO_SYNTACTIC_WORD = re.compile(r"[0-9]+[-.][0-9]+")  # the ID of a word of several tokens, or of an empty node

Sentence = tuple[int, dict[str, str] | str]
"""The line of its first word, and its cells by column; of a bad sentence what is wrong with it."""


@dataclass
class ConllReader:
    """The sentences of an opened file, whose cells are the fields of their words, separated by spaces.

    The fields of a line are separated by tabs, else by spaces. The columns are text, the first field, and label, the
    last one; those between have their numbers. universal: CoNLL-U, whose column text is FORM and label UPOS; words of
    several tokens and empty nodes are left out. A line -DOCSTART- is no word.

    CoNLL-U has comments, lines with # before a sentence, and its words begin with their number. Other CoNLL files have
    no such definition: there, #tag is a word as well. `_is_comment` says what a line with # is; a sentence is bad where
    nothing tells.
    """

    stream: FileStream
    universal: bool
    columns: list[str] = field(default_factory=list)
    _has_tabs: bool = False  # between the fields of the first word
    _labels: set[str] = field(default_factory=set)  # of the lines without #, so far and in the first 64 kB

    def __post_init__(self) -> None:
        if self.universal:
            self.columns += _UNIVERSAL
            return
        for line in _complete_lines(self.stream.peek()):
            fields = _fields_of(line)
            if fields and fields[0] != _DOCUMENT and not line.startswith("#"):
                self._note_word(line, fields)

    def sentences(self) -> Iterator[Sentence]:
        """All sentences."""
        words: list[list[str]] = []
        begin = 0
        reason = ""
        for line in chain(self.stream.lines(), [""]):
            if self.stream.problem:
                _, reason = self.stream.problem
                self.stream.problem = None
            fields = _fields_of(line)
            if not fields:
                if reason or words:
                    yield begin, reason or self._cells(words)
                words = []
                reason = ""
                continue
            is_first = not words and not reason
            if is_first:
                begin = self.stream.line
            if (is_first and line.startswith("#") and self._is_comment(line, fields)) or self._is_no_word(fields):
                continue
            self._note_word(line, fields)
            reason = reason or self._problem_of(line, fields, is_first)
            words.append(fields)

    def _is_comment(self, line: str, fields: list[str]) -> bool:
        """Whether a line with # before a sentence is a comment: always in CoNLL-U; elsewhere by its fields, and for a
        doubt False (`_problem_of`).
        """
        if self.universal or len(fields) != len(self.columns):
            return True
        return self._has_tabs and not self._is_surely_word(line, fields)

    def _is_surely_word(self, line: str, fields: list[str]) -> bool:
        """Whether a line with # and the number of fields of a word is one: its label is that of another word, there are
        no labels, or a tab ends its first field.
        """
        has_word = "\t" in line and " " not in fields[0]
        return has_word or len(fields) == 1 or fields[-1] in self._labels

    def _is_no_word(self, fields: list[str]) -> bool:
        if self.universal:
            return len(fields) == len(_UNIVERSAL) and _NO_SYNTACTIC_WORD.fullmatch(fields[0]) is not None
        return fields[0] == _DOCUMENT

    def _note_word(self, line: str, fields: list[str]) -> None:
        """The first word has the columns of all, and each one a label."""
        if not self.columns:
            self.columns += ["text", *map(str, range(2, len(fields))), *["label"] * (len(fields) > 1)]
            self._has_tabs = "\t" in line
        if not self.universal and not line.startswith("#"):
            self._labels.add(fields[-1])

    def _problem_of(self, line: str, fields: list[str], is_first: bool) -> str:
        """What is wrong with a word, or ""."""
        where = f"line {self.stream.line}"
        if len(fields) != len(self.columns):
            return f"{where} has {counted(len(fields), 'field')}, not {len(self.columns)}"
        for number, cell in enumerate(fields, start=1):
            if not cell.strip():
                return f"{where}: field {number} is empty"
        if self.universal and not fields[0].isdecimal():
            return f"{where}: the first field must be the number of the word, not {quote(fields[0], 40)}"
        if is_first and line.startswith("#") and not self._is_surely_word(line, fields):
            return (
                f"{where}: {quote(line.strip(), 40)} may be a comment, or a word whose label no other word has: delete "
                "the comment, or write a tab between the word and its label"
            )
        return ""

    def _cells(self, words: list[list[str]]) -> dict[str, str]:
        cells = [join_words(column) for column in zip(*words, strict=True)]
        return dict(zip(self.columns, cells, strict=True))


def _fields_of(line: str) -> list[str]:
    """The fields of a line, [] for an empty one. Tabs and spaces separate them and nothing else: a no-break space is
    part of a word.
    """
    line = line.strip("\r\n ")
    if not line.strip("\t "):
        return []
    if "\t" in line:
        return [cell.strip(" ") for cell in line.split("\t")]
    return re.split(" +", line)


def _complete_lines(begin: bytes) -> list[str]:
    """The lines in the begin of a file that end in it, all of them in a small file."""
    lines = split_lines(begin.decode("utf-8", "replace"))
    return lines if len(begin) < 60_000 else lines[:-1]
