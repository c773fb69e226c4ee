"""Texts without labels, to pretrain on: out of folders, tables, plain files and the IMDB archive."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gatewise.data.archive import unlabelled_files
from gatewise.data.download import cache_folder
from gatewise.data.folder import read_text
from gatewise.data.imdb import EMBEDDED, OFFICIAL, Splits, imdb
from gatewise.data.labelled import Labelled, content_key
from gatewise.data.tables import read_column
from gatewise.errors import DataError, InputError, quote

__all__ = ["Unlabelled", "imdb_texts", "read_texts"]

_TABLES = (".csv", ".tsv", ".tab", ".jsonl", ".ndjson")


@dataclass(frozen=True, eq=False)
class Unlabelled:
    """n texts and one line that says where they came from."""

    texts: list[str]
    source: str

    def __len__(self) -> int:
        return len(self.texts)

    def fingerprint(self) -> str:
        """SHA-256 over the texts, each behind its length."""
        digest = hashlib.sha256()
        for text in self.texts:
            raw = text.encode("utf-8", "surrogatepass")
            digest.update(len(raw).to_bytes(8, "little") + raw)
        return digest.hexdigest()

    def without(self, data: Labelled) -> Unlabelled:
        """Those that do not stand among the rows of `data`. Raises InputError where none is left."""
        labelled = set(data.keys.tolist())
        kept = [text for text in self.texts if content_key(text) not in labelled]
        if not kept:
            raise InputError(
                "every text without a label stands among the labelled ones: there is nothing to learn from"
            )
        if len(kept) == len(self.texts):
            return self
        return Unlabelled(kept, f"{self.source}; {len(kept):,} of them, the others being labelled")

    @classmethod
    def of(cls, texts: Iterable[str], source: str = "the texts given") -> Unlabelled:
        """From any texts. Raises InputError for one that is no text or has nothing in it."""
        if isinstance(texts, str):
            raise InputError("texts must be a list of texts, not one text")
        rows = list(texts)
        for number, text in enumerate(rows, 1):
            if not isinstance(text, str) or not text.strip():
                what = "is empty" if isinstance(text, str) else f"is a {type(text).__name__}, not a string"
                raise InputError(f"text {number} {what}")
        return cls(rows, source)


def imdb_texts(
    path: str | Path | None = None, *, known: Splits | None = None, progress: bool = True, download: bool = True
) -> Unlabelled:
    """The reviews that are not for testing: the train half and the 50,000 without labels, from where `imdb` finds them.

    A review whose text also stands in the test half is left out, and `source` says how many were. Of the embedded half
    only the part that is not held out is there. known: what `imdb` gave for the same path, where it was read already.
    Errors as `imdb`.
    """
    splits = known or imdb(path, progress=progress, download=download)
    texts = [text for text in splits.train.inputs if isinstance(text, str)]
    archive = _archive(path)
    unlabelled = [_decoded(name, raw) for name, raw in unlabelled_files(archive)] if archive else []
    test = set() if splits.test is None else set(splits.test.keys.tolist())
    kept = [text for text in (*texts, *unlabelled) if text.strip() and content_key(text) not in test]
    left_out = len(texts) + len(unlabelled) - len(kept)
    source = f"{len(kept):,} IMDB reviews ({len(texts):,} of the train half, {len(unlabelled):,} without a label"
    source += f", less {left_out:,} that stand in the test half too)" if left_out else ")"
    return Unlabelled(kept, source)


def read_texts(
    sources: Sequence[str], *, data: str | None = None, text: str = "text", known: Splits | None = None
) -> Unlabelled:
    """All texts of `sources`, one after the other.

    A source is `imdb` (data: its archive, folder or "embedded"; known: as for
    `imdb_texts`); a folder, of which every .txt file below it is one
    text; a table (.csv .tsv .jsonl), of which the column `text` counts; or a .txt file, one text a line. DataError with
    the file's name for what cannot be read, and where there is no text at all.
    """
    if not sources:
        raise InputError("name at least one source of texts: imdb, a folder, a table or a .txt file")
    if data is not None and "imdb" not in sources:
        raise InputError("--data is for the source imdb; a file is named by itself")
    parts = [_read(source, data, text, known) for source in sources]
    return Unlabelled([one for part in parts for one in part.texts], "; ".join(part.source for part in parts))


def _read(source: str, data: str | None, text: str, known: Splits | None) -> Unlabelled:
    if source == "imdb":
        return imdb_texts(data, known=known)
    path = Path(source).expanduser()
    if path.is_dir():
        files = sorted(file for file in path.rglob("*.txt") if not file.name.startswith("."))
        if not files:
            raise DataError(f"{quote(path, 200)}: there is no .txt file in this folder")
        return Unlabelled([read_text(file) for file in files], f"{len(files):,} files of the folder {quote(path.name)}")
    if not path.exists():
        raise DataError(f"{quote(path, 200)}: not found")
    if path.suffix.lower() in _TABLES:
        rows = read_column(path, text=text)
        if not rows:
            raise DataError(f"{quote(path, 200)}: has no row")
        return Unlabelled(rows, f"{len(rows):,} rows of {quote(path.name)}")
    if path.suffix.lower() == ".txt":
        lines = [line for line in read_text(path, most=1 << 30).splitlines() if line.strip()]
        return Unlabelled(lines, f"{len(lines):,} lines of {quote(path.name)}")
    raise DataError(f"{quote(path, 200)}: the name must end in one of {' '.join((*_TABLES, '.txt'))}")


def _decoded(name: str, raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: not valid UTF-8 at byte {error.start}") from None


def _archive(path: str | Path | None) -> Path | None:
    """Where `imdb(path)` read the official files; None where it took the embedded half."""
    if path == EMBEDDED:
        return None
    archive = cache_folder() / OFFICIAL.name if path is None else Path(path).expanduser()
    return archive if archive.exists() else None
